"""One step of a model on a chip: bytes read and written, products, and the time that the roofline gives it.

A step takes `new` tokens of each of `batch` rows behind `before` tokens that are kept:

    decoding one token     new = 1
    a chunk of a prompt    new = chunk, before = what came before it
    verifying k drafts     new = k + 1

    bytes = weights + experts taken by any of the batch new tokens + batch (read of the caches + written to them)
    seconds = max(bytes / bandwidth, 2 products / peak)
"""

from dataclasses import dataclass

from nn._checks import check_at_least
from nn.roofline.chip import Chip
from nn.roofline.conventions import Conventions
from nn.roofline.mixers import ELEMENTWISE
from nn.roofline.models import ModelCost, add_bytes


@dataclass(frozen=True)
class Step:
    """What a step costs.

    Attributes:
        bytes: Bytes by part.
        products: Multiplications with their addition by part, of all rows.
        tokens: Tokens that it takes, of all rows.
    """

    bytes: dict[str, float]
    products: dict[str, int]
    tokens: int

    @property
    def total_bytes(self) -> float:
        """All bytes."""
        return sum(self.bytes.values())

    @property
    def total_products(self) -> int:
        """All products."""
        return sum(self.products.values())

    @property
    def matrix_products(self) -> int:
        """Those that are products of matrices."""
        return sum(n for part, n in self.products.items() if part not in ELEMENTWISE)

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return 2 * self.total_products / self.total_bytes

    def seconds(self, chip: Chip) -> float:
        """Time on a chip."""
        return max(self.total_bytes / chip.bandwidth, 2 * self.total_products / chip.operations)

    def tokens_per_second(self, chip: Chip) -> float:
        """Tokens of all rows in a second of such steps."""
        return self.tokens / self.seconds(chip)


def step(
    model: ModelCost,
    chip: Chip,
    *,
    batch: int = 1,
    new: int = 1,
    before: int = 0,
    conventions: Conventions = Conventions(),  # noqa: B008
) -> Step:
    """Costs of one step.

    Args:
        model: Model.
        chip: Says in how many bits weights and caches are kept, and how much stays beside the arithmetic.
        batch: Rows.
        new: Tokens of each row.
        before: Tokens of each row that are kept already.
        conventions: What is counted.

    Raises:
        ValueError: If a count is too small.
    """
    check_at_least(batch, 1, "batch")
    check_at_least(new, 1, "new", "A step takes at least one token.")
    check_at_least(before, 0, "before")
    tokens = batch * new
    table = model.vocabulary * model.width
    weights, experts = model.width, 0.0
    products = {"maps": 0, "experts": 0}
    for layer in model.layers:
        weights += layer.count * layer.weights()
        used = layer.feed.experts_read(tokens, conventions)
        experts += layer.count * used * layer.expert()
        products["maps"] += tokens * layer.count * sum(m.products for m in layer.maps())
        products["experts"] += tokens * layer.count * layer.feed.n_chosen * layer.expert()
        for part, number in layer.mixer.products(before, new, conventions).items():
            products[part] = products.get(part, 0) + batch * layer.count * number
    if conventions.tables != "none":
        products["head"] = table * (tokens if conventions.logits == "all" else batch)
    found = {
        "weights": chip.weights.bytes(weights),
        "experts": chip.weights.bytes(1, experts),
        "tables": chip.weights.bytes(model.n_tables(conventions.tables) * table),
    }
    mixers = [(layer.count, layer.mixer) for layer in model.layers]
    found |= add_bytes(chip, [(n, mixer.read(before, new)) for n, mixer in mixers], batch)
    if conventions.writes:
        written = [(n, mixer.written(before, new)) for n, mixer in mixers]
        found["written"] = sum(add_bytes(chip, written, batch).values())
    if conventions.spills:
        found["spilled"] = _spilled(model, chip, tokens)
    return Step(found, products, tokens)


def _spilled(model: ModelCost, chip: Chip, tokens: int) -> float:
    """Bytes of inputs and outputs of all maps, where those of the widest do not fit on the chip."""
    if chip.on_chip_memory is None or tokens <= largest_chunk(model, chip):
        return 0.0
    total = 0
    for layer in model.layers:
        shared = sum(m.n_in + m.n_out for m in layer.maps())
        taken = layer.feed.n_chosen * sum(m.n_in + m.n_out for m in layer.feed.expert())
        total += layer.count * (shared + taken)
    return chip.activations.bytes(1, tokens * total)


def largest_chunk(model: ModelCost, chip: Chip) -> int:
    """Tokens whose inputs and outputs of the widest map stay on the chip, heads and logits aside.

    Raises:
        ValueError: If `on_chip_memory` of the chip is unknown.
    """
    if chip.on_chip_memory is None:
        raise ValueError(
            "`on_chip_memory` must be known to say what stays on the chip, but is None."
        )
    widest = max(
        m.n_in + m.n_out for layer in model.layers for m in (*layer.maps(), *layer.feed.expert())
    )
    return int(chip.on_chip_memory // chip.activations.bytes(1, widest))

"""What sparse attention keeps: needle, recall and copy by dense, indexed, block-mixture and native sparse decoders.

Four small decoders of equal sizes, data, batches and steps on three tasks that need one token far back
(`sparse_models`), over several seeds. "dense" attends to all keys. "index" (DSA) is the dense one until `n_sparse`
steps before the end; then its index learns alone from attention, and after that all train with k keys, each by its own
loss. "blocks" (MoBA) and "branches" (NSA) are sparse from the first step. The steps of the index alone come on top.
One rate, one number of layers and one size of blocks serve all; they were settled by the forms that are sparse from the
first step, which had learned little with others, on the first seed.

Told are the share of right answers, the keys that the last token attends to, and how much of the weight of dense
attention (all heads of a block together) falls on the keys that the index picks, on the best as many, and on the last
as many. Sizes of blocks are our choice, small, for the texts are short; NSA's compressed keys do not overlap here. That
the index scores every key, in a smaller space, is not counted among the keys read.

At the larger scales SmolLM2 reads Hamlet with few keys too (`sparse_text`): perplexity and weight, by four rules.
"""

from dataclasses import dataclass, field
from typing import Literal

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context, stacked
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, label, new_figure, style
from experiments.learning_systems import sparse_models as models
from experiments.learning_systems import sparse_text
from experiments.learning_systems.sparse_models import TASKS, Sizes
from nn.training import evaluate

CLAIM = "An index trained on attention's weights catches nearly what the best choice of as many keys would."
PAPER_FIGURE = "J. Yuan et al., arXiv:2502.11089 (NSA), E. Lu et al., arXiv:2502.13189 (MoBA); no figure compared"
EXPECTED_TIME = {"quick": "30 s", "laptop": "20 min", "paper": "2 h on one GPU"}
SAVES_TRAININGS = True
# Small trainings: other machines round otherwise, and a task is learned some steps earlier or later.
TOLERANCES = {"right.*": 40.0, "weight.*": 15.0, "keys_read.*": 1e-9}
REFERENCES: tuple[Reference, ...] = ()
KINDS: dict[models.Kind, str] = {
    "dense": "dense",
    "index": "index (DSA)",
    "blocks": "blocks (MoBA)",
    "branches": "branches (NSA)",
}
SHARES = ("index", "best", "last")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        sizes: Decoder, what it may read, and its training.
        repeats: Independent starts and batches; the texts are the same.
        others: Forms beside the dense and the indexed one; the quick scale leaves out NSA, which compiles longest.
        n_train: Texts that are trained on, a third of each task.
        n_test: Texts of the test.
        real_windows: Windows of Hamlet that SmolLM2 reads where both are installed, 0 for none.
        real_length: Tokens of a window.
        real_k: Keys that it keeps.
        real_steps: Steps in which its index learns, on windows of other plays.
        seed: Seed of texts, starts and batches.
    """

    sizes: Sizes = field(default_factory=Sizes)
    repeats: int = 3
    others: tuple[Literal["blocks", "branches"], ...] = ("blocks", "branches")
    n_train: int = 12000
    n_test: int = 600
    real_windows: int = 4
    real_length: int = 512
    real_k: tuple[int, ...] = (32, 64, 128)
    real_steps: int = 100
    seed: int = 0

    @property
    def kinds(self) -> tuple[models.Kind, ...]:
        """All forms."""
        return ("dense", "index", *self.others)

    def __post_init__(self):
        at_least(self, 1, "repeats")
        at_least(self, 3, "n_train", "n_test")
        at_least(self, 0, "real_windows")
        at_least(self, 16, "real_length")
        at_least(self, 1, "real_k", "real_steps")


SCALES = {
    "quick": Config(
        Sizes(
            length=32, width=32, n_layers=1, heads=2, hidden=64, k=12, index_heads=4, index_dim=16,
            block=4, n_mixed=3, n_chosen=2, window=2, batch_size=16, learning_rate=6e-3, n_steps=300,
            n_sparse=75, n_index=75,
        ),
        repeats=1, others=("blocks",), n_train=3000, n_test=150, real_windows=0,
    ),
    "laptop": Config(
        Sizes(
            n_layers=1, block=4, n_mixed=6, n_chosen=3, learning_rate=6e-3, n_steps=600,
            n_sparse=150, n_index=150,
        ),
        real_length=256, real_k=(32, 64), real_steps=40,
    ),
    "paper": Config(
        Sizes(
            length=512, width=256, n_layers=4, heads=8, hidden=512, k=128, index_heads=16,
            index_dim=32, block=16, n_mixed=8, n_chosen=4, window=32, batch_size=64,
            learning_rate=1e-3, n_steps=20000, n_sparse=4000, n_index=1000,
        ),
        repeats=5, n_train=200000, n_test=3000, real_windows=16, real_length=2048, real_k=(128, 256, 512),
        real_steps=1000,
    ),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Trains all decoders from every seed, and measures them on the same texts."""
    forms = ("index", *config.others)
    seeds = range(config.repeats)
    pieces = context.map(
        _train_and_measure,
        {f"seed{i}.{form}": (config, i, form, context) for i in seeds for form in forms},
    )
    arrays: dict[str, np.ndarray] = {}
    for form in forms:
        arrays |= stacked(pieces[f"seed{i}.{form}"] for i in seeds)
    metrics: dict[str, Measurement] = {}
    for kind in config.kinds:
        metrics[f"keys_read.{kind}"] = Measurement(config.sizes.keys_read(kind))
        for number, task in enumerate(TASKS):
            right = Measurement.from_samples(100 * arrays[f"right.{kind}"][:, number], "%")
            metrics[f"right.{kind}.{task}"] = right
    for share in SHARES:
        caught = 100 * arrays[f"weight.{share}"].mean(axis=1)
        metrics[f"weight.{share}"] = Measurement.from_samples(caught, "%")
    if config.real_windows and sparse_text.is_here():
        found = context.sub_run("text", lambda: _read_text(config, context))
        arrays |= {f"text.{name}": values for name, values in found.items()}
        metrics |= _text_metrics(config, found)
    elif config.real_windows:
        context.log(
            "SmolLM2 and the plays are not installed, so they are left out; `make models` installs them"
        )
    return Outcome("sparse_attention", config, metrics, arrays, REFERENCES)


@style()
def plot(outcome: Outcome) -> Figure:
    """Right answers by task and form, and weight of attention caught by as many keys; each seed a point."""
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(2, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.8, 1))
    for number, kind in enumerate(config.kinds):
        found = 100 * arrays[f"right.{kind}"]
        place = np.arange(len(TASKS)) + 0.2 * (number - (len(config.kinds) - 1) / 2)
        read = config.sizes.keys_read(kind) / config.sizes.length
        left.bar(
            place, found.mean(axis=0), 0.18, color=PALETTE[number], alpha=0.6,
            label=f"{KINDS[kind]}, reads {100 * read:.0f} %",
        )  # fmt: skip
        for values in found:
            left.plot(place, values, "k.", markersize=3)
    left.set_xticks(range(len(TASKS)), TASKS)
    left.set_ylabel(label("right answers", "%"))
    left.set_ylim(0, 150)
    left.set_yticks(range(0, 101, 25))
    left.legend(ncols=2)
    for number, share in enumerate(SHARES):
        caught = 100 * arrays[f"weight.{share}"].mean(axis=1)
        colour = PALETTE[1] if share == "index" else "0.6"  # that of the index on the left
        right.bar(number, caught.mean(), 0.6, color=colour, alpha=0.6)
        right.plot(np.full(len(caught), number), caught, "k.", markersize=3)
    right.set_xticks(range(len(SHARES)), SHARES)
    right.set_ylabel(label(f"weight on {config.sizes.k} keys", "%"))
    right.set_ylim(0, 105)
    return figure


def _train_and_measure(
    config: Config, number: int, form: models.Kind, context: Context
) -> dict[str, np.ndarray]:
    """Share of right answers (task) of a form; with the index also of the dense one, and weight caught (block)."""
    sizes = config.sizes
    train = models.make_texts(config.n_train, sizes, config.seed)
    test = models.make_texts(config.n_test, sizes, config.seed + 1)
    trainer = models.make_trainer(sizes)
    key = jax.random.fold_in(jax.random.key(config.seed), number)
    total = sizes.n_steps + (sizes.n_index + sizes.n_sparse if form == "index" else 0)
    with context.progress(f"train {form}, seed {number}", total) as ticker:
        tick = lambda steps, loss: ticker.advance(steps, note=f"loss {loss:.2f}")  # noqa: E731
        if form == "index":
            dense, indexed = models.train_dense_and_indexed(trainer, train, key, tick)
            trained = {"dense": dense, "index": indexed}
        else:
            trained = {form: models.train_one(form, trainer, train, key, tick)}
    found, size = {}, min(config.n_test, 200)
    for kind, model in trained.items():
        measure = models.measure_index if kind == "index" else models.measure
        right, _, *shares = evaluate(measure, model, test, batch_size=size)
        found[f"right.{kind}"] = np.array([right[test.task == i].mean() for i in range(len(TASKS))])
        if kind == "index":
            for share, values in zip(SHARES, shares, strict=True):
                found[f"weight.{share}"] = values.mean(axis=0)
    return found


def _read_text(config: Config, context: Context) -> dict[str, np.ndarray]:
    """What SmolLM2 loses on Hamlet with few keys, and how its index learned."""
    model, tokens, windows = sparse_text.load_real(config.real_windows, config.real_length)
    key = jax.random.key(config.seed)
    with context.progress("index of SmolLM2", config.real_steps) as ticker:
        tick = lambda steps, loss: ticker.advance(steps, note=f"loss {loss:.2f}")  # noqa: E731
        model, losses = sparse_text.train_index(
            model, tokens, config.real_length, config.real_steps, key=key, tick=tick
        )
    return {"index_loss": losses} | sparse_text.measure_text(model, windows, config.real_k)


def _text_metrics(config: Config, found: dict[str, np.ndarray]) -> dict[str, Measurement]:
    """Perplexity over all windows, and weight caught, the mean over blocks of the decoder."""
    metrics = {"perplexity.dense": Measurement(np.exp(found["loss.dense"].mean()))}
    for i, k in enumerate(config.real_k):
        for rule in sparse_text.RULES:
            metrics[f"perplexity.{rule}.k{k}"] = Measurement(
                np.exp(found[f"loss.{rule}"][i].mean())
            )
        for share in SHARES:
            caught = 100 * found[f"weight.{share}"][i].mean()
            metrics[f"text_weight.{share}.k{k}"] = Measurement(caught, unit="%")
    return metrics

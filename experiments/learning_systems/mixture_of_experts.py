"""How many experts a batch reads, what balance, capacity and pruning cost: mixtures trained here, beside the formulas.

Small decoders of bytes with mixtures of experts are trained with their load balanced by a loss, by the bias of the
choice alone, or not. On held-out text: how many different experts one token each of B texts needs, and B neighbours of
one text, beside E (1 - (1 - k/E)^B) and the sum for unequal choices; what a capacity drops and costs, by who comes
first; and what pruning a quarter or half of the experts costs, with novices or without. In the same spirit a vision
transformer of digits loses heads, hidden units and width, together or by simpler rules.

Sources: N. Shazeer et al., arXiv 1701.06538; W. Fedus et al., arXiv 2101.03961; L. Wang et al., arXiv 2408.15664
(bias); G. Zhang et al., arXiv 2507.00390 (novices); C. Zheng et al., NeurIPS 2022 (SAViT). Their models are larger, so
no number of theirs is compared.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import corpora
from experiments.harness.compiling import jit_once
from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import at_least, within
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from experiments.learning_systems import mixture_models as models
from experiments.learning_systems import pruned_digits
from nn.compression.novices import (
    best_experts,
    drop_experts,
    expert_worth,
    measure_experts,
    replace_by_novices,
)
from nn.layers import expert_statistics as statistics
from nn.layers.expert_dispatch import expert_capacity, mix_by_capacity

CLAIM = "One token reads few experts, a batch of texts as many as their shares say, neighbours in a text fewer."
PAPER_FIGURE = "N. Shazeer et al., arXiv:1701.06538; no figure compared"
EXPECTED_TIME = {"quick": "40 s", "laptop": "4 min", "paper": "1 h"}
SAVES_TRAININGS = True
TOLERANCES = {
    "bits.*": 0.15, "evenness.*": 0.1, "peak.*": 1.0, "active.*": 1.0, "dropped.*": 0.08, "capacity_cost.*": 0.3,
    "pruned_cost.*": 0.5, "digits.*": 1.0, "digits_error.*": 15.0, "digits_left.*": 0.4,
}  # fmt: skip
REFERENCES: tuple[Reference, ...] = ()

# Who comes first where rows are short; the order of choices lies between.
PRIORITIES = ("order", "score")
# Who goes, and what is left in the place.
PRUNINGS = {
    "novices": ("both", True),
    "novices_frequency": ("frequency", True),
    "novices_random": ("random", True),
    "dropped_frequency": ("frequency", False),
    "dropped_random": ("random", False),
}


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        decoder: The decoders and their training.
        digits: The vision transformers and their pruning.
        repeats: Trainings of each kind from different starts.
        n_train: Bytes of text to train on.
        n_windows: Held-out windows of text.
        batches: Tokens in a batch, no more than the decoders' context.
        n_draws: Batches of each size.
        factors: Capacity factors.
        pruned: Shares of the experts that are pruned.
        corpus: Text.
        seed: Seed of all that is drawn.
    """

    decoder: models.Sizes = field(default_factory=models.Sizes)
    digits: pruned_digits.Sizes = field(default_factory=pruned_digits.Sizes)
    repeats: int = 3
    n_train: int = 300_000
    n_windows: int = 256
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    n_draws: int = 400
    factors: tuple[float, ...] = (1.0, 1.25, 1.5, 2.0)
    pruned: tuple[float, ...] = (0.25, 0.5)
    corpus: str = "python"
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "repeats", "n_draws", "batches")
        at_least(self, max(self.batches), "n_windows")
        at_least(self, 1, "factors")
        within(self, 0, 0.9, "pruned")
        if max(self.batches) > self.decoder.context:
            raise ValueError(
                f"`batches` must be at most {self.decoder.context}, the context of the decoders, but is {self.batches}."
            )


SCALES = {
    "quick": Config(
        decoder=models.Sizes(hidden=16, n_steps=60, batch_size=8), repeats=2, n_train=100_000, n_windows=64,
        n_draws=100, factors=(1.0, 1.5), pruned=(0.5,),
        digits=pruned_digits.Sizes(
            vit_layers=2, n_pictures=32, vit_steps=80, n_tune=20, n_known=64, budgets=(0.5,)
        ),
    ),
    "laptop": Config(),
    "paper": Config(
        decoder=models.Sizes(width=128, n_layers=4, n_experts=64, n_chosen=4, hidden=128, context=128, n_steps=4000,
                             learning_rate=2e-3),
        digits=pruned_digits.Sizes(vit_width=64, vit_hidden=256, vit_steps=2000, n_tune=400, n_known=1024),
        repeats=5, n_train=3_000_000, n_windows=1024, batches=(1, 2, 4, 8, 16, 32, 64, 128),
    ),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Decoders, one piece each, then vision transformers."""
    pieces: dict[str, tuple] = {
        f"{balance}{r}": (_decoder, config, context, balance, r)
        for balance in models.BALANCES
        for r in range(config.repeats)
    }
    pieces |= {f"digits{r}": (_digits, config, context, r) for r in range(config.repeats)}
    found = context.map(called, pieces)
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {}
    sizes = config.decoder
    for batch in config.batches:
        number = statistics.expected_active(sizes.n_experts, sizes.n_chosen, batch)
        metrics[f"active.uniform.batch{batch}"] = Measurement(float(number))
    for balance in models.BALANCES:
        whole = [found[f"{balance}{r}"] for r in range(config.repeats)]
        arrays |= {f"{balance}.{name}": np.stack([w[name] for w in whole]) for name in whole[0]}
        values = {name: arrays[f"{balance}.{name}"] for name in whole[0]}
        metrics[f"bits.{balance}"] = Measurement.from_samples(values["bits"], "bit")
        metrics[f"evenness.{balance}"] = Measurement.from_samples(values["evenness"])
        metrics[f"peak.{balance}"] = Measurement.from_samples(values["peak"])
        for kind in ("skewed", "texts", "neighbours"):
            for i, batch in enumerate(config.batches):
                name = f"active.{balance}.{kind}.batch{batch}"
                metrics[name] = Measurement.from_samples(values[kind][:, i])
        for i, factor in enumerate(config.factors):
            metrics[f"dropped.{balance}.factor{factor:g}"] = Measurement.from_samples(
                values["dropped"][:, i]
            )
        for i, rule in enumerate(PRIORITIES):
            name = f"capacity_cost.{balance}.{rule}"
            metrics[name] = Measurement.from_samples(values["capacity_cost"][:, i], "bit")
        for i, share in enumerate(config.pruned):
            for j, rule in enumerate(PRUNINGS):
                metrics[f"pruned_cost.{balance}.{100 * share:g}.{rule}"] = Measurement.from_samples(
                    values["pruned_cost"][:, i, j], "bit"
                )
    digits = [found[f"digits{r}"] for r in range(config.repeats)]
    arrays |= {f"digits.{name}": np.stack([d[name] for d in digits]) for name in digits[0]}
    metrics |= _digits_metrics(config, arrays)
    return Outcome("mixture_of_experts", config, metrics, arrays, REFERENCES)


def _digits_metrics(config: Config, arrays: dict[str, np.ndarray]) -> dict[str, Measurement]:
    """Losses and errors of the vision transformers, and how much of each kind is left by the joint rule."""
    metrics = {
        "digits.whole": Measurement.from_samples(arrays["digits.whole"][:, 0], "nat"),
        "digits_error.whole": Measurement.from_samples(100 * arrays["digits.whole"][:, 1], "%"),
    }
    for i, budget in enumerate(config.digits.budgets):
        for j, rule in enumerate(pruned_digits.RULES):
            for stage in ("pruned", "tuned"):
                loss, wrong = arrays[f"digits.{stage}"][:, i, j].T
                name = f"{stage}.{100 * budget:g}.{rule}"
                metrics[f"digits.{name}"] = Measurement.from_samples(loss, "nat")
                metrics[f"digits_error.{name}"] = Measurement.from_samples(100 * wrong, "%")
    return metrics


@cache
def _texts(config: Config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bytes to train on, windows of them to calibrate with, and held-out windows that do not overlap."""
    corpus = corpora.load_corpus(config.corpus)
    size = config.decoder.context

    def windows(text):
        starts = np.linspace(0, len(text) - size - 2, config.n_windows).astype(int)
        return text[starts[:, None] + np.arange(size + 1)].astype(np.int32)

    train = corpus.train[: config.n_train]
    return train, windows(train), windows(corpus.test)


def _decoder(config: Config, context: Context, balance: models.Balance, repeat: int) -> dict:
    """Trains one decoder and measures its experts on held-out text."""
    text, known, test = _texts(config)
    sizes = config.decoder
    key = jax.random.fold_in(jax.random.key(config.seed), repeat)
    with context.progress(f"{balance} {repeat}", sizes.n_steps) as ticker:
        decoder = models.train_decoder(
            sizes, balance, text, key, lambda n, loss: ticker.advance(n, f"loss {loss:.2f}")
        )
    bits, found = models.measured(decoder, jnp.asarray(test))
    rng = np.random.default_rng((config.seed, repeat, models.BALANCES.index(balance)))
    experts = np.asarray(found.experts).reshape(sizes.n_layers, len(test), sizes.context, -1)
    counts = [statistics.choice_counts(layer, sizes.n_experts) for layer in experts]
    whole = float(bits.mean())
    return {
        "bits": np.asarray(whole),
        "counts": np.stack(counts),
        "evenness": np.mean([statistics.load_evenness(c) for c in counts]),
        "peak": np.mean([statistics.load_peak(c) for c in counts]),
        **_active(config, experts, rng),
        "dropped": _dropped(config, counts, experts[0].size // sizes.n_chosen),
        "capacity_cost": _capacity_bits(config, decoder, test) - whole,
        "pruned_cost": _pruned_bits(config, decoder, known, test, rng) - whole,
    }


def _active(config: Config, experts: np.ndarray, rng: np.random.Generator) -> dict:
    """Different experts that batches chose, mean over layers and draws: of texts, of neighbours, and by the sum."""
    _, n_windows, length, _ = experts.shape
    n_experts = config.decoder.n_experts
    shares = [statistics.choice_shares(layer, n_experts) for layer in experts]
    found: dict[str, list] = {"texts": [], "neighbours": [], "skewed": []}
    for batch in config.batches:
        rows = np.stack([rng.permutation(n_windows)[:batch] for _ in range(config.n_draws)])
        place = rng.integers(0, length, config.n_draws)[:, None]
        found["texts"].append(statistics.count_active(experts[:, rows, place], n_experts).mean())
        row = rng.integers(0, n_windows, config.n_draws)[:, None]
        run = rng.integers(0, length - batch + 1, config.n_draws)[:, None] + np.arange(batch)
        found["neighbours"].append(statistics.count_active(experts[:, row, run], n_experts).mean())
        expected = [statistics.expected_active_skewed(p, batch) for p in shares]
        found["skewed"].append(np.mean(np.asarray(expected, float)))
    return {name: np.asarray(values) for name, values in found.items()}


def _dropped(config: Config, counts: list[np.ndarray], n_tokens: int) -> np.ndarray:
    """Share of choices that find no row, for each capacity factor, mean over layers; all windows are one batch."""
    sizes = config.decoder
    shares = []
    for factor in config.factors:
        rows = expert_capacity(n_tokens, sizes.n_chosen, sizes.n_experts, factor)
        shares.append(np.mean([np.maximum(c - rows, 0).sum() / c.sum() for c in counts]))
    return np.asarray(shares)


def _capacity_bits(config: Config, decoder: Any, test: np.ndarray) -> np.ndarray:
    """Bits a byte with the smallest capacity, by who comes first."""
    bits = [
        models.measured(decoder, jnp.asarray(test), _limited(config, rule))[0].mean()
        for rule in PRIORITIES
    ]
    return np.asarray(bits)


@cache
def _limited(config: Config, priority: str):
    sizes = config.decoder

    def mix(experts, tokens, routing):
        rows = expert_capacity(len(tokens), sizes.n_chosen, sizes.n_experts, min(config.factors))
        return mix_by_capacity(experts, tokens, routing, rows, priority=priority).mixed

    return mix


def _pruned_bits(config: Config, decoder: Any, known, test, rng) -> np.ndarray:
    """Bits a byte with a share of each layer's experts pruned, (shares, prunings)."""
    given = models.measured(decoder, jnp.asarray(known))[1].inputs
    layers = [block.feed for block in decoder.body.unrolled().blocks]
    uses = [_measured_use(layer, x) for layer, x in zip(layers, given, strict=True)]
    bits = []
    for share in config.pruned:
        n_kept = config.decoder.n_experts - round(share * config.decoder.n_experts)
        for by, with_novices in PRUNINGS.values():
            worth = [
                rng.random(len(use.counts)) if by == "random" else expert_worth(use, by)
                for use in uses
            ]

            def change(i, mixture, worth=worth, with_novices=with_novices, n_kept=n_kept):
                kept = best_experts(worth[i], n_kept)
                if with_novices:
                    return replace_by_novices(mixture, uses[i], kept)
                return drop_experts(mixture, kept)

            smaller = models.with_feeds(decoder, change)
            bits.append(float(models.bits_of(smaller, jnp.asarray(test)).mean()))
    return np.reshape(bits, (len(config.pruned), len(PRUNINGS)))


_measured_use = jit_once(measure_experts)


def _digits(config: Config, context: Context, repeat: int) -> dict:
    sizes = config.digits
    steps = sizes.vit_steps + sizes.n_tune * len(sizes.budgets) * len(pruned_digits.RULES)
    with context.progress(f"digits {repeat}", steps) as ticker:
        return pruned_digits.prune_digits(
            sizes, config.seed, repeat, lambda n, loss: ticker.advance(n, f"loss {loss:.2f}")
        )


@style()
def plot(outcome: Outcome) -> Figure:
    """Experts that a batch reads, loads, what pruning experts costs, and what pruning units of a transformer does."""
    config, metrics = outcome.config, outcome.metrics
    figure = new_figure(2, 4.8)
    active, load, pruned, digits = figure.subplots(2, 2).ravel()
    batches = config.batches
    uniform = [metrics[f"active.uniform.batch{b}"].value for b in batches]
    active.plot(batches, uniform, color=GREY, label="all chosen alike")
    for i, balance in enumerate(("none", "loss")):
        for kind, shape, line in (
            ("skewed", "", ":"),
            ("texts", "o", ""),
            ("neighbours", "s", "--"),
        ):
            found = [metrics[f"active.{balance}.{kind}.batch{b}"] for b in batches]
            names = {"skewed": "by their shares", "texts": "texts", "neighbours": "neighbours"}
            active.errorbar(
                batches, [m.value for m in found], [m.sd or 0 for m in found], fmt=shape + line, color=PALETTE[i],
                ms=3, lw=1, capsize=1.5, label=f"{_BALANCED[balance]}, {names[kind]}",
            )  # fmt: skip
    active.set(
        xlabel="Tokens in a batch", ylabel=f"Experts of {config.decoder.n_experts} that are read",
        xscale="log", xticks=batches, xticklabels=batches,
    )  # fmt: skip
    active.minorticks_off()
    active.legend(fontsize=5.5)
    for i, balance in enumerate(models.BALANCES):
        loads = np.sort(outcome.arrays[f"{balance}.counts"], axis=-1)[..., ::-1]
        share = loads / loads.mean(axis=-1, keepdims=True)
        load.plot(
            1 + np.arange(share.shape[-1]), share.mean(axis=(0, 1)), "o-", ms=3, color=PALETTE[i],
            label=f"{_BALANCED[balance]}, {metrics[f'bits.{balance}'].value:.2f} bit",
        )  # fmt: skip
    load.axhline(1, color=GREY, lw=0.8)
    load.set(xlabel="Experts, busiest first", ylabel="Load over the mean", ylim=(0, None))
    load.legend()
    at = np.arange(len(PRUNINGS))
    for i, share in enumerate(config.pruned):
        found = [metrics[f"pruned_cost.loss.{100 * share:g}.{rule}"] for rule in PRUNINGS]
        pruned.barh(
            at + 0.4 * i, [m.value for m in found], 0.38, xerr=[m.sd or 0 for m in found], color=PALETTE[i],
            label=f"{100 * share:g} % pruned",
        )  # fmt: skip
    pruned.set_yticks(at + 0.2, [_PRUNED[name] for name in PRUNINGS])
    pruned.invert_yaxis()
    pruned.set(xlabel=label("Added to the loss", "bit a byte"))
    pruned.legend()
    budgets = [100 * b for b in config.digits.budgets]
    for j, rule in enumerate(pruned_digits.RULES):
        found = [metrics[f"digits_error.tuned.{b:g}.{rule}"] for b in budgets]
        # Side by side, for several would hide each other.
        shifted = np.asarray(budgets) + 0.8 * (j - 2.5)
        digits.errorbar(
            shifted, [m.value for m in found], [m.sd or 0 for m in found], fmt="o-", ms=3, lw=1, capsize=1.5,
            color=PALETTE[j], label=rule.replace("_", ", "),
        )  # fmt: skip
    digits.axhline(metrics["digits_error.whole"].value, color=GREY, lw=0.8)
    digits.set(xlabel=label("Products left", "%"), ylabel=label("Wrong digits, tuned", "%"))
    digits.set(ylim=(0, None))
    digits.legend(fontsize=5.5)
    return figure


_PRUNED = {
    "novices": "novices, by both",
    "novices_frequency": "novices, by frequency",
    "novices_random": "novices, any",
    "dropped_frequency": "dropped, by frequency",
    "dropped_random": "dropped, any",
}
_BALANCED = {"none": "not balanced", "loss": "by loss", "bias": "by bias"}

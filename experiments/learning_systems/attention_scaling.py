"""Time, memory and products of attention against the length of the text, for every form that `nn.kernels` has.

Dense attention, the same in blocks by an online softmax, with a window, sparse in three ways (a mixture of blocks,
native sparse attention, an index that picks keys), and the gated delta rule token by token and in chunks;
`jax.nn.dot_product_attention` beside them as a peer. One text, causal, single precision. What is measured is value and
gradient: the temporary memory that XLA plans for the compiled program, and the CPU time of all threads, the least of a
few runs, on whatever machine this is. Multiply-adds of the matrix products are counted by the sizes, forwards
(`attention_forms`), with what is masked away but computed.

Exponents are slopes of the logarithm against that of the length over its longest three. Each form is also checked:
with all keys to choose from, the sparse ones have to agree with dense attention, and the chunks with the recurrence.
Keys are random, so nothing is said of what sparse forms lose: that is `sparse_attention`. Times differ from machine to
machine, and only their exponents, widely, are held by `lightecho verify`. The quick scale leaves native sparse
attention out, whose program takes longest to compile.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import PALETTE, label, new_figure, style
from experiments.harness.programs import least_cpu_seconds, temporary_bytes
from experiments.learning_systems.attention_forms import FORMS, Sizes

CLAIM = "In blocks, memory grows with the length and not its square; delta rule and window are linear in time too."
PAPER_FIGURE = (
    "T. Dao et al., FlashAttention, arXiv:2205.14135, theorems 1 and 2; no figure compared"
)
EXPECTED_TIME = {"quick": "25 s", "laptop": "5 min", "paper": "20 min"}
TOLERANCES = {
    # The square of the length against the length itself: what is claimed is 1 apart.
    "exponent.memory.*": 0.2,
    "exponent.time.*": 1.2,
    # Single precision: sums of a few hundred terms.
    "difference.*": 1e-5,
    # What XLA plans for gathered keys differs by a tenth with its level of optimisation.
    "memory.mixture": 12.0,
    "memory.indexed": 12.0,
    "memory.*": 4.0,
}
REFERENCES: tuple[Reference, ...] = ()
# These store a matrix of weights, and are not run beyond `longest_dense`.
STORES_WEIGHTS = ("dense", "jax")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        forms: Forms that take part; those of `attention_forms`.
        lengths: Tokens of the text.
        longest_dense: Longest text for the forms that store all weights.
        heads: Heads, each with keys of its own.
        head_dim: Size of keys and of values.
        window: Keys in a window.
        block: Keys in a block of the sparse forms.
        n_chosen: Blocks that a query keeps.
        index_heads: Heads of the index.
        index_dim: Size of an index key.
        repeats: Runs, of which the fastest counts.
        seed: Seed of the arrays.
    """

    forms: tuple[str, ...] = tuple(FORMS)
    lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096, 8192)
    longest_dense: int = 4096
    heads: int = 4
    head_dim: int = 64
    window: int = 256
    block: int = 64
    n_chosen: int = 4
    index_heads: int = 4
    index_dim: int = 32
    repeats: int = 3
    seed: int = 0

    def __post_init__(self):
        among(self, FORMS, "forms")
        rising(self, 1, "lengths", entries=2)
        at_least(self, 1, "heads", "head_dim", "window", "repeats")
        if not self.longest_dense >= self.lengths[1]:
            raise ValueError(
                f"`longest_dense` must be at least the second of `lengths`, {self.lengths[1]}, to give an exponent, "
                f"but is {self.longest_dense}."
            )
        at_least(self, 4, "block")
        at_least(self, 3, "n_chosen")
        if self.block % 4:
            raise ValueError(
                f"`block` must be a multiple of 4, for a compressed key stands for half a block, a quarter apart, but "
                f"is {self.block}."
            )
        for name, whole in (("index_heads", "heads"), ("index_dim", "head_dim")):
            if not 1 <= getattr(self, name) <= getattr(self, whole):
                raise ValueError(
                    f"`{name}` must lie between 1 and `{whole}`, {getattr(self, whole)}, of which the index takes the "
                    f"first, but is {getattr(self, name)}."
                )

    @property
    def sizes(self) -> Sizes:
        """Sizes of the forms."""
        return Sizes(
            self.heads, self.head_dim, self.window, self.block, self.n_chosen, self.index_heads, self.index_dim
        )  # fmt: skip


SCALES = {
    "quick": Config(
        forms=tuple(form for form in FORMS if form != "native"),
        lengths=(256, 1024),
        heads=2,
        head_dim=32,
        window=128,
        block=32,
        index_heads=2,
        repeats=2,
    ),
    "laptop": Config(),
    "paper": Config(
        lengths=(256, 512, 1024, 2048, 4096, 8192, 16384), longest_dense=8192, repeats=5
    ),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Measures every form at every length, and checks it at the shortest."""
    expected = context.sub_run("references", lambda: _references(config))
    tasks = {form: (config, form, expected[FORMS[form].reference]) for form in config.forms}
    measured = context.map(_measure, tasks)
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {"lengths": np.array(config.lengths)}
    for form, piece in measured.items():
        metrics[f"difference.{form}"] = Measurement(float(piece["difference"]))
        for name, unit in (("memory", "MiB"), ("time", "s"), ("products", "10^6")):
            found = piece[name]
            arrays[f"{name}.{form}"] = found
            slope = growth(np.array(config.lengths[: len(found)]), found)
            metrics[f"exponent.{name}.{form}"] = Measurement(slope)
            if name != "time":
                metrics[f"{name}.{form}"] = Measurement(float(found[-1]), unit=unit)
    return Outcome("attention_scaling", config, metrics, arrays, REFERENCES)


def growth(lengths: np.ndarray, values: np.ndarray) -> float:
    """Exponent of growth over the longest three lengths."""
    last = slice(-3, None)
    return float(np.polyfit(np.log(lengths[last]), np.log(values[last]), 1)[0])


@style()
def plot(outcome: Outcome) -> Figure:
    """Time, memory and products against length, with the exponents of the last lengths."""
    figure = new_figure(2, 3.0)
    panels = figure.subplots(1, 3)
    names = (
        ("time", "CPU time", "s"),
        ("memory", "temporary memory", "MiB"),
        ("products", "multiply-adds", "10^6"),
    )
    for axes, (name, text, unit) in zip(panels, names, strict=True):
        for number, form in enumerate(outcome.config.forms):
            values = outcome.arrays[f"{name}.{form}"]
            lengths = outcome.arrays["lengths"][: len(values)]
            exponent = outcome.metrics[f"exponent.{name}.{form}"].value
            axes.loglog(
                lengths, values, "o-" if number < len(PALETTE) else "s--", markersize=3,
                color=PALETTE[number % len(PALETTE)],
                label=f"{FORMS[form].text} ({exponent:.1f})" if name == "time" else f"({exponent:.1f})",
            )  # fmt: skip
        axes.set_xlabel(label("length", "tokens"))
        axes.set_ylabel(label(text, unit))
        axes.set_xticks(
            outcome.arrays["lengths"], [str(n) for n in outcome.arrays["lengths"]], rotation=60
        )
        axes.set_xticks([], minor=True)
    # Below all panels, for no corner is free in all of them.
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        title="exponent of time",
    )
    return figure


def _references(config: Config) -> dict[str, np.ndarray]:
    """What the forms have to give at the shortest length."""
    n = config.lengths[0]
    return {
        name: np.asarray(jax.jit(FORMS[name].make(config.sizes, n, True))(*_operands(config, n)))
        for name in {FORMS[form].reference for form in config.forms}
    }


def _measure(config: Config, name: str, expected: np.ndarray) -> dict[str, np.ndarray]:
    """Memory in MiB, seconds and millions of multiply-adds at every length, and the difference from the reference."""
    form = FORMS[name]
    found = {"memory": [], "time": [], "products": []}
    lengths = [n for n in config.lengths if name not in STORES_WEIGHTS or n <= config.longest_dense]
    for n in lengths:
        operands = _operands(config, n)
        step = _gradient(form.make(config.sizes, n, False)).lower(*operands).compile()
        found["memory"].append(temporary_bytes(step) / 2**20)
        found["time"].append(least_cpu_seconds(step, operands, config.repeats))
        found["products"].append(form.products(config.sizes, n) / 1e6)
    n = config.lengths[0]
    ours = jax.jit(form.make(config.sizes, n, True))(*_operands(config, n))
    difference = np.linalg.norm(np.asarray(ours) - expected) / np.linalg.norm(expected)
    arrays = {key: np.array(values) for key, values in found.items()}
    return arrays | {"difference": np.array(float(difference))}


def _operands(config: Config, n: int):
    """Random queries, keys and values; decays from none to a third, strengths from 0 to 1."""
    keys = jax.random.split(jax.random.key(config.seed), 5)
    shape = (1, n, config.heads)
    q, k, v = (jax.random.normal(key, (*shape, config.head_dim), jnp.float32) for key in keys[:3])
    log_decay = -jax.random.uniform(keys[3], shape, jnp.float32)
    return q, k, v, log_decay, jax.random.uniform(keys[4], shape, jnp.float32)


def _gradient(attend):
    """Value and gradient of a sum of squares, compiled as one."""

    def loss(q, k, v, log_decay, strength):
        return jnp.sum(attend(q, k, v, log_decay, strength) ** 2)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))

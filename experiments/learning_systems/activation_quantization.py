"""Activations in 8, 4 and 3 bits: static ranges, clusters of channels with a range each, or a new range for each token.

A network of residual blocks is trained on digits, several times from other weights; then the inputs of all its maps
are rounded, with ranges from 256 of the training pictures, and the outputs for test pictures compared with those of
the exact network. Where MiniLM is installed and asked for, the same with the inputs of its 36 maps and the vectors of
other texts. Dynamic ranges cost two comparisons for each number and a pass before the first is rounded; static ranges
and clusters cost nothing, the order of channels being put into the maps (a law of `nn.compression.rptq`, held by its
tests). Source of the clusters: Z. Yuan et al., arXiv 2304.01089 (2023); its models are larger, no number is compared.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.data import datasets
from experiments.harness.context import ALONE, Context, called
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import new_figure, style
from experiments.harness.training import train
from experiments.learning_systems.map_inputs import encoder_inputs, map_inputs, paragraphs
from nn.compression.activation_ranges import (
    Range,
    dynamic_range,
    range_cost,
    static_range,
    to_levels,
)
from nn.compression.rptq import cluster_channels
from nn.layers import AbstractLinear, Dense, make_dense, replace_linear
from nn.layers.feed_forward import GeluMLP, make_gelu_mlp
from nn.layers.normalisation import LayerNorm, make_layer_norm
from nn.models import load_encoder
from nn.training import adamw, cross_entropy, draw_rows
from nn.weights import MINILM, open_packaged

CLAIM = (
    "In 4 and 3 bits static ranges of clusters of channels lose less than one of all, by any rule."
)
PAPER_FIGURE = "Z. Yuan et al., arXiv:2304.01089 (RPTQ); no figure compared"
EXPECTED_TIME = {"quick": "15 s", "laptop": "10 min", "paper": "40 min"}
SAVES_TRAININGS = True
TOLERANCES = {
    "error.*.8": 1e-4,
    "error.*.4": 5e-3,
    "error.*.3": 0.02,
    "accuracy.*": 2.0,
    "encoder_*": 0.1,
}
REFERENCES: tuple[Reference, ...] = ()

METHODS = ("max", "percentile", "mse", "clusters", "dynamic")


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        bits: Bits of an activation.
        n_clusters: Clusters of channels of each map.
        repeats: Networks trained.
        n_steps: Steps of each training.
        width: Width of the network.
        n_blocks: Its blocks.
        n_calibration: Pictures to calibrate with.
        n_texts: Texts to calibrate MiniLM with, and as many to judge it by; 0 leaves it out.
        n_tokens: Tokens of a text.
        seed: Seed of all that is drawn.
    """

    bits: tuple[int, ...] = (8, 4, 3)
    n_clusters: int = 8
    repeats: int = 5
    n_steps: int = 600
    width: int = 64
    n_blocks: int = 2
    n_calibration: int = 256
    n_texts: int = 32
    n_tokens: int = 64
    seed: int = 0

    def __post_init__(self):
        at_least(
            self, 1, "bits", "n_clusters", "repeats", "n_steps", "width", "n_calibration", "n_tokens"
        )  # fmt: skip
        at_least(self, 0, "n_blocks", "n_texts")


SCALES = {
    "quick": Config(repeats=3, n_steps=300, n_texts=0),
    "laptop": Config(),
    "paper": Config(repeats=20, n_texts=128, n_tokens=128),
}


class Network(eqx.Module):
    """Residual blocks of feed-forward layers, x + feed(norm(x)), between two maps."""

    entry: Dense
    norms: tuple[LayerNorm, ...]
    feeds: tuple[GeluMLP, ...]
    head: Dense

    def __call__(self, x):
        """Logits of pictures."""
        x = self.entry(x)
        for norm, feed in zip(self.norms, self.feeds, strict=True):
            x = x + feed(norm(x))
        return self.head(x)


class RoundedInputs(AbstractLinear):
    """A map whose inputs are rounded first; `ends` None finds a range for each token."""

    inner: AbstractLinear
    ends: Range | None
    bits: int = eqx.field(static=True)
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        """Applies the map to rounded inputs."""
        ends = dynamic_range(x) if self.ends is None else self.ends
        ends = Range(*(jnp.broadcast_to(end, x.shape) for end in ends))
        return self.inner(to_levels(x, ends, self.bits), key=key)


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Networks trained here, and the encoder where it is asked for and installed."""
    pieces: dict[str, tuple] = {
        f"network {seed}": (_network, config, seed) for seed in range(config.repeats)
    }
    found = context.map(called, pieces)
    metrics: dict[str, Measurement] = {}
    arrays: dict[str, np.ndarray] = {}
    for name in found["network 0"]:
        arrays[name] = np.array([one[name] for one in found.values()])
        unit = "%" if name.startswith("accuracy") else ""
        metrics[name] = Measurement.from_samples(arrays[name], unit)
    cost = range_cost(1, config.width, static=False)
    metrics["dynamic_comparisons"] = Measurement(float(cost.comparisons))
    if config.n_texts and MINILM.is_installed:
        real = context.sub_run("encoder", partial(_encoder, config, context))
        arrays |= real
        metrics |= {name: Measurement.from_samples(values) for name, values in real.items()}
    elif config.n_texts:
        context.log("no MiniLM here (`make models` installs it): the encoder is left out")
    return Outcome("activation_quantization", config, metrics, arrays, REFERENCES)


def rounded_inputs(model, inputs: dict[str, list[np.ndarray]], method: str, bits: int, n: int):
    """The model with the inputs of all its maps rounded.

    Args:
        model: The model.
        inputs: Calibration inputs of each map by path, one array for each of its layers.
        method: One of `METHODS`.
        bits: Bits.
        n: Clusters.
    """

    def replacement(path: str, linear: AbstractLinear) -> AbstractLinear:
        ends = None
        if method != "dynamic":
            each = [_ends(jnp.asarray(x), method, bits, n) for x in inputs[path]]
            stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *each)
            ends = stacked if len(each) > 1 else each[0]
        return RoundedInputs(
            inner=linear, ends=ends, bits=bits, n_in=linear.n_in, n_out=linear.n_out
        )

    return replace_linear(model, replacement)


def _ends(x, method: str, bits: int, n_clusters: int) -> Range:
    """Range of every channel."""
    if method == "clusters":
        return cluster_channels(x, n_clusters).unordered()
    ends = static_range(x, bits, rule=method)
    return Range(*(jnp.full(x.shape[-1], end) for end in ends))


def _network(config: Config, seed: int) -> dict[str, float]:
    """Relative error of the logits and accuracy in percent, by method and bits."""
    data = datasets.load("digits")
    flat = lambda x: jnp.asarray(x, jnp.float32).reshape(len(x), -1)  # noqa: E731
    known, judged = flat(data.x_train), flat(data.x_test)
    keys = jax.random.split(
        jax.random.fold_in(jax.random.key(config.seed), seed), config.n_blocks + 3
    )
    width = config.width
    model = Network(
        make_dense(known.shape[1], width, key=keys[0], bias=True),
        tuple(make_layer_norm(width) for _ in range(config.n_blocks)),
        tuple(make_gelu_mlp(width, 2 * width, key=key) for key in keys[3:]),
        make_dense(width, 10, key=keys[1], bias=True),
    )
    rows = {"x": known, "y": jnp.asarray(data.y_train, jnp.int32)}
    loss = lambda model, batch, _: cross_entropy(model(batch["x"]), batch["y"]).mean()  # noqa: E731
    optimiser = adamw(3e-3, config.n_steps)
    model = train(model, loss, rows, draw_rows(64), optimiser, config.n_steps, key=keys[2]).model
    seen = map_inputs(model, known[: config.n_calibration])
    inputs = {path: [x] for path, x in seen.items()}
    apply = eqx.filter_jit(lambda model, x: model(x))
    exact, right = apply(model, judged), np.asarray(data.y_test)
    accuracy = lambda logits: 100 * float((np.asarray(logits).argmax(-1) == right).mean())  # noqa: E731
    found = {"accuracy.exact": accuracy(exact)}
    for bits in config.bits:
        for method in METHODS:
            other = apply(rounded_inputs(model, inputs, method, bits, config.n_clusters), judged)
            found[f"error.{method}.{bits}"] = float(
                jnp.sum((other - exact) ** 2) / jnp.sum(exact**2)
            )
            found[f"accuracy.{method}.{bits}"] = accuracy(other)
    return found


def _encoder(config: Config, context: Context) -> dict[str, np.ndarray]:
    """1 - cosine of each other text's vector, by method and bits."""
    model = load_encoder(open_packaged(MINILM), heads=12)
    tokens, counts = paragraphs(2 * config.n_texts, config.n_tokens)
    n = config.n_texts
    layers = encoder_inputs(model, tokens[:n], counts[:n])
    inputs = {f"blocks.{path}": [layer[path] for layer in layers] for path in layers[0]}
    vectors = eqx.filter_jit(lambda model, t, c: model.text_vectors(t, c))
    exact = vectors(model, tokens[n:], counts[n:])
    results = {}
    with context.progress("methods", len(METHODS) * len(config.bits)) as ticker:
        for bits in config.bits:
            for method in METHODS:
                other = rounded_inputs(model, inputs, method, bits, config.n_clusters)
                found = vectors(other, tokens[n:], counts[n:])
                loss = 1 - np.asarray(jnp.sum(found * exact, axis=-1))
                results[f"encoder_cosine_loss.{method}.{bits}"] = loss
                ticker.advance(note=f"{method}, {bits} bits")
    return results


@style()
def plot(outcome: Outcome) -> Figure:
    """Error of the output by method and bits."""
    kinds = [("error", "digits: squared error of the logits")]
    if any(name.startswith("encoder") for name in outcome.metrics):
        kinds.append(("encoder_cosine_loss", "MiniLM: 1 - cosine of a vector"))
    figure = new_figure(len(kinds), 2.8)
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    bits = sorted(outcome.config.bits)
    for panel, (kind, text) in zip(panels, kinds, strict=True):
        for i, method in enumerate(METHODS):
            found = [outcome.metrics[f"{kind}.{method}.{b}"] for b in bits]
            values, errors = [m.value for m in found], [m.stderr or 0 for m in found]
            panel.errorbar(bits, values, errors, fmt="o-", color=f"C{i}", capsize=2, label=method)
        panel.set(xlabel="bits of an activation", ylabel=text, yscale="log")
        panel.set_xticks(bits)
    panels[0].legend(fontsize="x-small")
    return figure

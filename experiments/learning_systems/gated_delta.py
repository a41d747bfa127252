"""The gated delta rule in chunks: how exact, how fast, how much memory, and what two tempting shortcuts cost.

Within a chunk, what the tokens write follows from a unit lower triangular system, (1 + L) U = R (arXiv 2406.06484 and
2412.06464; `nn.kernels.delta_rule_chunked`). Two shortcuts stand here as controls, for they are right on paper and
wrong in single precision:

    powers        (1 + L)^-1 as the product (1 - L)(1 + L^2)(1 + L^4)..., which is all products of matrices. Where keys
                  are alike, a repeated token or padding, powers of L grow like binomials and cancel.
    differences   decay from token j to i as exp(G_i - G_j) of running sums G. One strong decay, such as the reset at
                  the start of a document, leaves sums so large that the small decays after it are lost.

Errors are relative to the recurrence in double precision, written in NumPy: as decimal digits, -log10 of the error, cut
off at -10, where a number is no longer finite or far too large. Keys are random with a common part, so that the cosine
between any two is near the one stated; strength is 1, the hardest case. Time is CPU time of all threads, the least of a
few runs, and memory what XLA plans beside arguments and results, of the gradient by all inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from experiments.harness.programs import least_cpu_seconds, temporary_bytes
from nn.kernels import gated_delta_rule, gated_delta_rule_chunked

CLAIM = "The delta rule in chunks is as exact as token by token; inverting by powers fails where keys are alike."
PAPER_FIGURE = (
    "S. Yang, J. Kautz, A. Hatamizadeh, arXiv:2412.06464, chunked form; no figure compared"
)
EXPECTED_TIME = {"quick": "20 s", "laptop": "3 min", "paper": "10 min"}
# Digits of the shortcut hang on how rounding errors grow. Times are those of the machine.
TOLERANCES = {
    "digits.token.*": 0.7,
    "digits.solve*": 0.7,
    "digits.powers*": 3.0,
    "digits.differences.*": 0.7,
    "speedup.*": 1e3,  # times of a machine: shown, and held to nothing but a finite number
    "memory.*": 4.0,
}
REFERENCES: tuple[Reference, ...] = ()
WORST = -10.0


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
        chunks: Chunk sizes.
        cosines: Cosine between two keys, 0 for random ones, 1 for equal ones.
        n_exact: Tokens where errors are measured.
        exact_dim: Size of keys and values there.
        n_timed: Tokens where time and memory are measured.
        timed_dim: Size of keys and values there.
        heads: Heads.
        repeats: Runs, of which the fastest counts.
        seed: Seed of the arrays.
    """

    chunks: tuple[int, ...] = (8, 16, 32, 64, 128)
    cosines: tuple[float, ...] = (0.0, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)
    n_exact: int = 512
    exact_dim: int = 64
    n_timed: int = 4096
    timed_dim: int = 64
    heads: int = 4
    repeats: int = 5
    seed: int = 0

    def __post_init__(self):
        rising(self, 2, "chunks", entries=2)
        rising(self, 0.0, "cosines", entries=2)
        at_least(self, 1, "n_exact", "exact_dim", "n_timed", "timed_dim", "heads", "repeats")
        if self.cosines[-1] > 1:
            raise ValueError(f"`cosines` must be at most 1, but the last is {self.cosines[-1]}.")


SCALES = {
    "quick": Config(
        chunks=(16, 32, 64), cosines=(0.0, 0.5, 1.0), n_exact=128, exact_dim=32, n_timed=512, heads=2, repeats=3
    ),
    "laptop": Config(),
    "paper": Config(n_exact=2048, timed_dim=128, heads=16),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Measures errors against alikeness of keys, then time and memory against chunk size."""
    exact = context.map(_digits, {f"digits.{form}": (config, form) for form in forms(config)})
    names = ("token", *(f"chunk{c}" for c in config.chunks))
    cost = context.map(_cost, {f"cost.{name}": (config, name) for name in names})
    metrics, arrays = {}, {}
    for form in forms(config):
        found = exact[f"digits.{form}"]
        arrays[f"digits.{form}"] = found["keys"]
        for cosine, digits in zip(config.cosines, found["keys"], strict=True):
            metrics[f"digits.{form}.cosine{cosine:g}"] = Measurement(digits)
        metrics[f"digits.{form}.reset"] = Measurement(float(found["reset"]))
    token = cost["cost.token"]
    for name in names:
        found = cost[f"cost.{name}"]
        metrics[f"memory.{name}"] = Measurement(float(found["memory"]), unit="MiB")
        for part in ("forward", "gradient"):
            arrays[f"{part}.{name}"] = found[part]
            ratio = float(token[part] / found[part])
            if name != "token":
                metrics[f"speedup.{part}.{name}"] = Measurement(ratio)
    return Outcome("gated_delta", config, metrics, arrays, REFERENCES)


def forms(config: Config) -> dict[str, Callable]:
    """The rule in single precision by name: token by token, by solving in chunks, and by the shortcuts."""
    found: dict[str, Callable] = {"token": gated_delta_rule}
    for chunk in config.chunks:
        found[f"solve{chunk}"] = partial(gated_delta_rule_chunked, chunk=chunk)
        found[f"powers{chunk}"] = partial(with_shortcuts, chunk=chunk, powers=True)
    found["differences"] = partial(with_shortcuts, chunk=config.chunks[-1], differences=True)
    return found


def with_shortcuts(
    queries, keys, values, log_decay, strength, *, chunk: int, powers: bool = False, differences: bool = False
):  # fmt: skip
    """The rule in chunks with one shortcut or both, (sequence, heads, size) each; the sequence in whole chunks."""
    split = lambda x: x.reshape(-1, chunk, *x.shape[1:])  # noqa: E731
    lower = jnp.tril(jnp.ones((chunk, chunk), values.dtype))

    def head(state, token):
        q, k, v, log_a, b = token
        since = jnp.cumsum(log_a)
        between = since[:, None] - since[None]
        if not differences:
            between = lower @ (jnp.tril(lower, -1) * log_a[:, None])
        decay = jnp.exp(jnp.where(lower > 0, between, -jnp.inf))
        start = jnp.exp(since)[:, None]
        system = jnp.tril(b[:, None] * decay * (k @ k.T), -1)
        wanted = b[:, None] * (v - start * (k @ state))
        if powers:
            change = by_powers(system, wanted)
        else:
            unit = system + jnp.eye(chunk, dtype=values.dtype)
            change = jax.scipy.linalg.solve_triangular(unit, wanted, lower=True, unit_diagonal=True)
        output = start * (q @ state) + (decay * (q @ k.T)) @ change
        return start[-1, 0] * state + (decay[-1][:, None] * k).T @ change, output

    tokens = tuple(map(split, (queries, keys, values, log_decay, strength)))
    first = jnp.zeros((values.shape[1], keys.shape[-1], values.shape[-1]), values.dtype)
    step = jax.vmap(head, in_axes=(0, 1), out_axes=(0, 1))
    state, outputs = jax.lax.scan(step, first, tokens)
    return outputs.reshape(values.shape), state


def by_powers(system, wanted):
    """(1 + L)^-1 R for strictly lower L, whose powers end."""
    power, change = -system, wanted - system @ wanted
    for _ in range(int(np.ceil(np.log2(len(system)))) - 1):
        power = power @ power
        change = change + power @ change
    return change


def recurrence(queries, keys, values, log_decay, strength) -> np.ndarray:
    """The rule in NumPy and double precision, all heads at once."""
    state = np.zeros((values.shape[1], keys.shape[-1], values.shape[-1]))
    outputs = np.empty(values.shape)
    for t, (q, k, v, log_a, b) in enumerate(zip(queries, keys, values, log_decay, strength, strict=True)):  # fmt: skip
        state *= np.exp(log_a)[:, None, None]
        change = b[:, None] * (v - np.einsum("hkv,hk->hv", state, k))
        state += k[:, :, None] * change[:, None]
        outputs[t] = np.einsum("hkv,hk->hv", state, q)
    return outputs


def operands(config: Config, n: int, dim: int, cosine: float, reset: bool = False) -> tuple:
    """Queries, keys, values, log decays and strengths, rounded to single precision."""
    rng = np.random.default_rng(config.seed)
    shape = (n, config.heads, dim)
    own, common = rng.normal(size=shape), rng.normal(size=(1, config.heads, dim))
    own, common = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (own, common))
    keys = np.sqrt(1 - cosine) * own + np.sqrt(cosine) * common
    keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
    queries, values = rng.normal(size=shape) / dim**0.5, rng.normal(size=shape)
    log_decay = np.zeros(shape[:2])
    if reset:
        log_decay = -0.02 * rng.uniform(size=shape[:2])
        log_decay[n // 2 + 1] = -1e4
    arrays = (queries, keys, values, log_decay, np.ones(shape[:2]))
    return tuple(x.astype(np.float32) for x in arrays)


def _digits(config: Config, form: str) -> dict[str, np.ndarray]:
    """Right decimal digits of the outputs at each cosine, and with a reset amid small decays."""
    rule = jax.jit(forms(config)[form])
    n = -(-config.n_exact // config.chunks[-1]) * config.chunks[-1]

    def digits(cosine: float, reset: bool = False) -> float:
        inputs = operands(config, n, config.exact_dim, cosine, reset)
        exact = recurrence(*(x.astype(np.float64) for x in inputs))
        error = np.abs(np.asarray(rule(*inputs)[0], np.float64) - exact).max() / np.abs(exact).max()
        return max(WORST, float(-np.log10(max(error, 1e-16)))) if np.isfinite(error) else WORST

    return {"keys": np.array([digits(c) for c in config.cosines]), "reset": np.array(digits(0.0, True))}  # fmt: skip


def _cost(config: Config, name: str) -> dict[str, np.ndarray]:
    """CPU seconds forwards and of the gradient, and MiB that the gradient takes."""
    rule = gated_delta_rule
    if name != "token":
        rule = partial(gated_delta_rule_chunked, chunk=int(name.removeprefix("chunk")))
    inputs = operands(config, config.n_timed, config.timed_dim, 0.0, reset=True)
    inputs = jax.device_put(inputs)
    forward = jax.jit(rule).lower(*inputs).compile()
    loss = lambda *inputs: (rule(*inputs)[0] ** 2).sum()  # noqa: E731
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3, 4))).lower(*inputs).compile()
    return {
        "forward": np.array(least_cpu_seconds(forward, inputs, config.repeats)),
        "gradient": np.array(least_cpu_seconds(gradient, inputs, config.repeats)),
        "memory": np.array(temporary_bytes(gradient) / 2**20),
    }


@style()
def plot(outcome: Outcome) -> Figure:
    """Digits against alikeness of keys; speed-up over single tokens and memory against chunk size."""
    config, metrics = outcome.config, outcome.metrics
    figure = new_figure(2, 2.5)
    exact, speed, memory = figure.subplots(1, 3)
    exact.plot(config.cosines, outcome.arrays["digits.token"], color=GREY, label="token by token")
    for number, chunk in enumerate(config.chunks):
        colour = PALETTE[number % len(PALETTE)]
        for form, line in (("solve", "o-"), ("powers", "s--")):
            digits = outcome.arrays[f"digits.{form}{chunk}"]
            exact.plot(config.cosines, digits, line, ms=3, color=colour, label=f"{form}, {chunk}")
    exact.set(xlabel=label("cosine between keys"), ylabel=label("right decimal digits"))
    exact.legend(fontsize=5.5)
    for number, part in enumerate(("forward", "gradient")):
        ratios = [metrics[f"speedup.{part}.chunk{chunk}"].value for chunk in config.chunks]
        speed.plot(config.chunks, ratios, "o-", ms=3, color=PALETTE[number], label=part)
    speed.axhline(1, color=GREY)
    speed.set(ylabel=label("token by token / chunks, CPU time"))
    speed.legend(fontsize=5.5)
    sizes = [metrics[f"memory.chunk{chunk}"].value for chunk in config.chunks]
    memory.plot(config.chunks, sizes, "o-", ms=3, color=PALETTE[1], label="chunks")
    memory.axhline(metrics["memory.token"].value, color=GREY, label="token by token")
    memory.set(ylabel=label("memory of the gradient", "MiB"), yscale="log")
    memory.legend(fontsize=5.5)
    for axes in (speed, memory):
        axes.set_xscale("log", base=2)
        axes.set_xticks(config.chunks, [str(chunk) for chunk in config.chunks])
        axes.set_xlabel(label("chunk", "tokens"))
    return figure

"""Kernels of language models against torch, transformers and JAX's own: gated delta rule, causal attention, decoding.

The work: the gated delta rule and causal attention, forwards and with the gradient of all operands, on one text in
single precision; and a small Qwen3 with random weights that goes on with a prompt, token by token, the most probable
one. All engines get the same arrays and have to agree on values, gradients and tokens before they are timed.

Every engine is a process of its own on one core with one thread, asked in turn. Ratios are of CPU time, which hardly
depends on what else runs, formed within a round, ours over the other's; wall time stands beside. Compiling is the first
call, timed apart. Temporary memory is what XLA plans for a program beside arguments and results, so there is none for
torch. The limit of the core is measured in the same run by one product of square matrices, that of decoding by the
products of each token with the weights and nothing else, for all of them have to be read.

The peers: the chunked rule of transformers' Qwen3-Next in plain torch, which is what runs without its compiled kernels;
torch's fused attention; `jax.nn.dot_product_attention`; transformers' `generate`. `make peers` makes their environment,
or name an interpreter in `LIGHTECHO_TRANSFORMERS_PYTHON`. An engine that is missing is reported as not run.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.ratio_figure import plot_ratios
from experiments.benchmarks.timing import (
    Times,
    load_average,
    per_round,
    ratio,
    time_in_turn,
    times_as_metrics,
    write_task,
)
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

CLAIM = "CPU time of delta rule, attention and decoding in plain JAX beside torch, transformers and JAX's own."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "20 s", "laptop": "8 min", "paper": "30 min"}
REFERENCES: tuple[Reference, ...] = ()

_KERNELS, _TORCH = "kernels", "torch_kernels"
_CHUNKS = EngineSpec("chunks", "lightecho", "chunks", _KERNELS)
_SCAN = EngineSpec("scan", "lightecho", "scan", _KERNELS)
_SEGMENTS = EngineSpec("segments", "lightecho", "segments", _KERNELS)
_THEIR_CHUNKS = EngineSpec("transformers", "transformers", "chunk", _TORCH)
_ATTENTION = (
    EngineSpec("online", "lightecho", "online", _KERNELS),
    EngineSpec("jax", "lightecho", "jax", _KERNELS),
    EngineSpec("torch", "transformers", "fused", _TORCH),
)
# The first of each is ours, which the others are compared with.
ENGINES = {
    "delta_forward": (_CHUNKS, _SCAN, _THEIR_CHUNKS),
    "delta_gradient": (_CHUNKS, _SCAN, _SEGMENTS, _THEIR_CHUNKS),
    "attention_forward": _ATTENTION,
    "attention_gradient": _ATTENTION,
    "decode": (
        EngineSpec("unrolled", "lightecho", "unrolled", "decode"),
        EngineSpec("scanned", "lightecho", "scanned", "decode"),
        EngineSpec("transformers", "transformers", "dynamic", "torch_decode"),
    ),
}
# CPU time of ours over the other's that we want at most, set before the first run.
AIMS = {
    "delta_forward.64.scan": 1.0,
    "delta_forward.64.transformers": 1 / 3,
    "delta_forward.128.scan": 1.0,
    "delta_forward.128.transformers": 1 / 3,
    "delta_gradient.64.scan": 1 / 4,
    "delta_gradient.64.segments": 1 / 2,
    "delta_gradient.128.scan": 1 / 8,
    "delta_gradient.128.segments": 1 / 4,
    "attention_forward.64.torch": 1.2,
    "attention_forward.64.jax": 0.2,
    "decode.transformers": 1 / 2,
    "decode.scanned_transformers": 1 / 1.5,
}
# The same of temporary memory.
MEMORY_AIMS = {"delta_gradient.64.scan": 1 / 8, "delta_gradient.128.scan": 1 / 8}
# Relative difference that still counts as the same work: single precision, sums over thousands of tokens.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        tasks: Tasks of `ENGINES`.
        length: Tokens of the text.
        heads: Heads, each with keys of its own.
        delta_dims: Sizes of keys and values of the delta rule, one task for each.
        attention_dim: Size of keys and values of attention.
        product_size: Side of the matrices of the large product.
        width: Width of the decoder.
        n_layers: Its layers.
        decoder_heads: Its heads of queries.
        kv_heads: Its heads of keys.
        head_dim: Size of these.
        hidden: Hidden size of its feed-forward layers.
        vocabulary: Its tokens.
        n_prompt: Tokens of the prompt.
        n_new: Tokens added to it.
        rounds: How often each engine has its turn.
        n_steps: Steps in one turn.
        peers: Whether torch and transformers take part.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of arrays and weights.
    """

    tasks: tuple[str, ...] = tuple(ENGINES)
    length: int = 4096
    heads: int = 4
    delta_dims: tuple[int, ...] = (64, 128)
    attention_dim: int = 64
    product_size: int = 1024
    width: int = 512
    n_layers: int = 8
    decoder_heads: int = 8
    kv_heads: int = 4
    head_dim: int = 64
    hidden: int = 1536
    vocabulary: int = 8192
    n_prompt: int = 64
    n_new: int = 128
    rounds: int = 5
    n_steps: int = 1
    peers: bool = True
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        among(self, ENGINES, "tasks")
        at_least(
            self, 1, "length", "heads", "delta_dims", "attention_dim", "product_size", "width",
            "n_layers", "hidden", "n_prompt", "rounds", "n_steps", "kv_heads",
        )  # fmt: skip
        at_least(self, 2, "vocabulary", "n_new", "head_dim")
        if self.decoder_heads < 1 or self.decoder_heads % self.kv_heads:
            raise ValueError(
                f"`decoder_heads` must be a multiple of `kv_heads`, {self.kv_heads}, but is {self.decoder_heads}."
            )
        if self.head_dim % 2:
            raise ValueError(
                f"`head_dim` must be even, for positions turn pairs, but is {self.head_dim}."
            )


SCALES = {
    "quick": Config(
        tasks=("delta_forward", "attention_forward", "decode"), length=256, heads=2, delta_dims=(16,),
        attention_dim=16, product_size=256, width=32, n_layers=2, decoder_heads=2, kv_heads=1,
        head_dim=16, hidden=64, vocabulary=64, n_prompt=8, n_new=8, rounds=2, peers=False,
    ),
    "laptop": Config(),
    "paper": Config(rounds=20),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines of every task in turn."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    product = _timed(config, (EngineSpec("product", "lightecho", "product", _KERNELS),), "product",
                     partial(_write_product, config), context)  # fmt: skip
    for seconds in product.cpu_seconds.values():
        rate = 2e-9 * config.product_size**3 / per_round(seconds)
        metrics["rate.product"] = Measurement.from_samples(rate, "GFLOP/s")
    for name, (specs, write) in _work(config).items():
        times = _timed(config, specs, name, write, context)
        absent += times.absent
        metrics |= _summary(name, times, specs[0].name)
        for engine in times.seconds:
            arrays[f"cpu.{name}.{engine}"] = times.cpu_seconds[engine]
            arrays[f"wall.{name}.{engine}"] = times.seconds[engine]
            if name == "decode":
                rate = config.n_new / per_round(times.cpu_seconds[engine])
                metrics[f"tokens.{engine}"] = Measurement.from_samples(rate, "1/s")
        if {"scanned", "transformers"} <= set(times.cpu_seconds):
            both = (times.cpu_seconds[engine] for engine in ("scanned", "transformers"))
            metrics[f"ratio.{name}.scanned_transformers"] = ratio(*both)
    if "decode" in config.tasks:
        metrics |= _limit_of_decoding(config, context, arrays)
    metrics["aims_missed"] = Measurement(float(len(missed_aims(metrics))))
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_language_kernels", config, metrics, arrays, REFERENCES)


def _limit_of_decoding(config: Config, context: Context, arrays: dict) -> dict[str, Measurement]:
    """Time of the bare products, and what share of a decoder's time they are."""
    spec = EngineSpec("products", "lightecho", "products", "decode")
    times = _timed(config, (spec,), "products", partial(_write_prompt, config), context)
    metrics = {}
    for least in times.cpu_seconds.values():
        limit = Measurement.from_samples(1e3 * per_round(least), "ms")
        metrics["cpu.decode.products"] = limit
        for name in ("unrolled", "scanned", "transformers"):
            if f"cpu.decode.{name}" in arrays:
                share = ratio(least, arrays[f"cpu.decode.{name}"])
                metrics[f"share_of_products.{name}"] = share
    return metrics


def missed_aims(metrics: dict[str, Measurement]) -> list[str]:
    """Ratios that were measured and lie above what was wanted."""
    wanted = {f"ratio.{name}": aim for name, aim in AIMS.items()}
    wanted |= {f"memory_ratio.{name}": aim for name, aim in MEMORY_AIMS.items()}
    return [name for name, aim in wanted.items() if name in metrics and metrics[name].value > aim]


def plot(outcome: Outcome) -> Figure:
    """CPU time of ours over that of each other engine, and what was wanted."""
    return plot_ratios(outcome, AIMS.get)


def _work(config: Config) -> dict[str, tuple[tuple[EngineSpec, ...], Callable[[Path], dict]]]:
    """Engines and writer of every task, size by size."""
    work = {}
    for task in config.tasks:
        specs = tuple(e for e in ENGINES[task] if config.peers or e.package == "lightecho")
        kind, _, direction = task.partition("_")
        if kind == "decode":
            work[task] = specs, partial(_write_prompt, config)
            continue
        for dim in config.delta_dims if kind == "delta" else (config.attention_dim,):
            write = partial(_write_text, config, kind, dim, direction == "gradient")
            work[f"{task}.{dim}"] = specs, write
    return work


def _timed(config: Config, specs, name: str, write: Callable, context: Context) -> Times:
    return time_in_turn(
        specs, write, context, size=name, rounds=config.rounds, steps=config.n_steps,
        patience=config.patience, tolerance=AGREEMENT,
    )  # fmt: skip


def _write_text(config: Config, kind: str, dim: int, gradient: bool, folder: Path) -> dict:
    """Normal queries, keys, values; for the delta rule keys of length 1, decays of up to e^-1, strengths in (0, 1)."""
    rng = np.random.default_rng(config.seed)
    shape = (1, config.length, config.heads)
    names = ["q", "k", "v"]
    arrays = {name: rng.standard_normal((*shape, dim), np.float32) for name in [*names, "pull"]}
    if kind == "delta":
        arrays["k"] /= np.linalg.norm(arrays["k"], axis=-1, keepdims=True)
        arrays["log_decay"] = -rng.random(shape, np.float32)
        arrays["strength"] = rng.random(shape, np.float32)
        names += ["log_decay", "strength"]
    return write_task(folder, arrays, {"operands": names, "gradient": gradient})


def _write_product(config: Config, folder: Path) -> dict:
    rng = np.random.default_rng(config.seed)
    size = (config.product_size, config.product_size)
    arrays = {name: rng.standard_normal(size, np.float32) for name in "ab"}
    return write_task(folder, arrays, {"operands": ["a", "b"], "gradient": False})


def _write_prompt(config: Config, folder: Path) -> dict:
    rng = np.random.default_rng(config.seed + 1)
    prompt = rng.integers(0, config.vocabulary, (1, config.n_prompt)).astype(np.int32)
    return write_task(folder, {"prompt": prompt}, asdict(config) | {"heads": config.decoder_heads})


def _summary(name: str, times: Times, ours: str) -> dict[str, Measurement]:
    metrics = times_as_metrics(name, times, ours)
    for engine in times.cpu_seconds:
        metrics[f"peak_memory.{name}.{engine}"] = Measurement(times.peaks[engine], unit="MiB")
        if engine in times.temporaries:
            memory = Measurement(times.temporaries[engine], unit="MiB")
            metrics[f"temporary_memory.{name}.{engine}"] = memory
        if engine != ours:
            if ours in times.cpu_seconds:
                walls = ratio(times.seconds[ours], times.seconds[engine])
                metrics[f"wall_ratio.{name}.{engine}"] = walls
            if {ours, engine} <= set(times.temporaries):
                share = times.temporaries[ours] / times.temporaries[engine]
                metrics[f"memory_ratio.{name}.{engine}"] = Measurement(share)
    return metrics

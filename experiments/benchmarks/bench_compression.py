"""Four-bit products, GPTQ and expert dispatch against single precision, torch and a dense loop.

The work: products of 1, 8 and 64 tokens with packed four-bit weights in shapes of a model of 1 to 3 billion parameters,
beside products of the same numbers in single precision, in JAX and in torch; rounding all 36 maps of MiniLM by GPTQ,
beside the paper's algorithm in torch; a layer of experts by capacity and by groups, beside all experts on all tokens
(the dense loop) and torch's experts on their own tokens. All engines get the same arrays and have to agree, for GPTQ on
the codes.

Every engine is a process of its own on one core with one thread, asked in turn. Ratios are of CPU time, ours over the
other's, formed within a round; wall time stands beside. Compiling is the first call, timed apart. Bytes are those of
the weights, which one token reads once; with the time they give the rate of reading. The limit of the core is one
product of square matrices in the same run. `make peers` makes torch's environment, or name an interpreter in
`LIGHTECHO_TORCH_PYTHON`. An engine that is missing is reported as not run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.peers import compression_task
from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.ratio_figure import plot_ratios
from experiments.benchmarks.timing import (
    Times,
    load_average,
    per_round,
    time_in_turn,
    times_as_metrics,
    write_task,
)
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

CLAIM = "CPU time of four-bit products, GPTQ and expert dispatch beside single precision, torch and a dense loop."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "25 s", "laptop": "5 min", "paper": "20 min"}
REFERENCES: tuple[Reference, ...] = ()

_OURS, _TORCH = "compression", "torch_compression"
# The first of each is ours, which the others are compared with.
ENGINES = {
    "product": (
        EngineSpec("packed", "lightecho", "packed", _OURS),
        EngineSpec("dense", "lightecho", "dense", _OURS),
        EngineSpec("torch", "torch", "dense", _TORCH),
    ),
    "gptq": (
        EngineSpec("gptq", "lightecho", "gptq", _OURS),
        EngineSpec("torch", "torch", "gptq", _TORCH),
    ),
    "dispatch": (
        EngineSpec("capacity", "lightecho", "capacity", _OURS),
        EngineSpec("groups", "lightecho", "groups", _OURS),
        EngineSpec("loop", "lightecho", "loop", _OURS),
        EngineSpec("torch", "torch", "loop", _TORCH),
    ),
}
# CPU time of ours over the other's that we want at most, by the beginning of the name; set before the first run.
# Products of one token are bound by reading weights, of which four bits are an eighth.
AIMS = {
    "product.*.1.dense": 1.0,
    "gptq.torch": 1 / 3,
    "dispatch.loop": 1 / 2,
}
# Relative difference that still counts as the same work. Products are sums of thousands in single precision. Codes of
# GPTQ are integers, of which a few lie on a tie: one in ten thousand that is off by one is 0.003.
AGREEMENT = {"product": 1e-4, "gptq": 0.01, "dispatch": 1e-4}


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        tasks: Tasks of `ENGINES`.
        formats: Formats of the products.
        shapes: Inputs and outputs of a product.
        tokens: Tokens of a product.
        product_size: Side of the matrices of the large product.
        n_maps: Maps that GPTQ rounds, at most 36.
        gptq_width: Width of the encoder whose maps they are; 384 is MiniLM.
        group: Inputs that share a scale in GPTQ.
        n_tokens: Tokens of the layer of experts.
        width: Its width.
        hidden: Hidden size of an expert.
        n_experts: Experts.
        n_chosen: Experts of a token.
        factor: Capacity factor; tokens are even, so that nothing is dropped from 1 on.
        rounds: How often each engine has its turn.
        n_steps: Steps in one turn.
        peers: Whether torch takes part.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of arrays and weights.
    """

    tasks: tuple[str, ...] = tuple(ENGINES)
    formats: tuple[str, ...] = tuple(compression_task.ROUNDINGS)
    shapes: tuple[tuple[int, int], ...] = ((2048, 2048), (2048, 8192))
    tokens: tuple[int, ...] = (1, 8, 64)
    product_size: int = 1024
    n_maps: int = 36
    gptq_width: int = 384
    group: int = 32
    n_tokens: int = 512
    width: int = 256
    hidden: int = 512
    n_experts: int = 16
    n_chosen: int = 2
    factor: float = 1.5
    rounds: int = 5
    n_steps: int = 3
    peers: bool = True
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        among(self, ENGINES, "tasks")
        among(self, compression_task.ROUNDINGS, "formats")
        at_least(
            self, 1, "tokens", "product_size", "n_maps", "gptq_width", "n_tokens", "width",
            "hidden", "n_experts", "n_chosen", "rounds", "n_steps", "factor",
        )  # fmt: skip
        for n_in, n_out in self.shapes:
            if n_in % 32 or n_in < 32 or n_out < 1:
                raise ValueError(
                    f"`shapes` must have multiples of 32 inputs and at least one output, but has {(n_in, n_out)}."
                )
        if self.group < 1 or self.gptq_width % self.group or 128 % self.group:
            raise ValueError(
                f"`group` must divide 128 and `gptq_width`, {self.gptq_width}, but is {self.group}."
            )


SCALES = {
    "quick": Config(
        formats=("nvfp4",), shapes=((256, 256),), tokens=(1,), product_size=256, n_maps=6, gptq_width=64,
        n_tokens=32, width=32, hidden=32, n_experts=4, rounds=2, n_steps=1, peers=False,
    ),
    "laptop": Config(),
    "paper": Config(rounds=20),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines of every task in turn."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    for name, (kind, write) in _work(config).items():
        specs = (EngineSpec("dense", "lightecho", "dense", _OURS),) if name == "limit" else ENGINES[kind]  # fmt: skip
        specs = tuple(e for e in specs if config.peers or e.package == "lightecho")
        times = _timed(config, specs, kind, name, write, context)
        absent += times.absent
        for engine, seconds in times.cpu_seconds.items():
            arrays[f"cpu.{name}.{engine}"] = seconds
            arrays[f"wall.{name}.{engine}"] = times.seconds[engine]
        if name == "limit":
            for seconds in times.cpu_seconds.values():
                rate = 2e-9 * config.product_size**3 / per_round(seconds)
                metrics["rate.product"] = Measurement.from_samples(rate, "GFLOP/s")
            continue
        metrics |= times_as_metrics(name, times, specs[0].name)
        if kind == "product":
            metrics |= _reading(name, times)
    metrics["aims_missed"] = Measurement(float(len(missed_aims(metrics))))
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_compression", config, metrics, arrays, REFERENCES)


def aim_of(name: str) -> float | None:
    """What was wanted of a ratio, or None."""
    parts = name.split(".")
    return AIMS.get(name, AIMS.get(".".join([parts[0], "*", *parts[-2:]])))


def missed_aims(metrics: dict[str, Measurement]) -> list[str]:
    """Ratios that were measured and lie above what was wanted."""
    ratios = {n.removeprefix("ratio."): m for n, m in metrics.items() if n.startswith("ratio.")}
    return [n for n, m in ratios.items() if (aim := aim_of(n)) is not None and m.value > aim]


def plot(outcome: Outcome) -> Figure:
    """CPU time of ours over that of each other engine, and what was wanted."""
    return plot_ratios(outcome, aim_of)


def _work(config: Config) -> dict[str, tuple[str, Callable[[Path], dict]]]:
    """Kind and writer of every task by name."""
    work: dict[str, tuple[str, Callable[[Path], dict]]] = {
        "limit": ("product", partial(_write_limit, config))
    }
    for kind in config.tasks:
        if kind != "product":
            write = {"gptq": _write_gptq, "dispatch": _write_dispatch}[kind]
            work[kind] = kind, partial(write, config)
            continue
        for format in config.formats:
            for shape in config.shapes:
                for n in config.tokens:
                    name = f"product.{format}.{shape[0]}x{shape[1]}.{n}"
                    work[name] = kind, partial(_write_product, config, format, shape, n)
    return work


def _timed(config: Config, specs, kind: str, name: str, write: Callable, context: Context) -> Times:
    return time_in_turn(
        specs, write, context, size=name, rounds=config.rounds, steps=config.n_steps,
        patience=config.patience, tolerance=AGREEMENT[kind],
    )  # fmt: skip


def _write_product(
    config: Config, format: str, shape: tuple[int, int], n_tokens: int, folder: Path
) -> dict:
    arrays = compression_task.product_arrays(format, shape[0], shape[1], n_tokens, config.seed)
    return write_task(folder, arrays, {"kind": "product", "format": format})


def _write_limit(config: Config, folder: Path) -> dict:
    rng = np.random.default_rng(config.seed)
    size = (config.product_size, config.product_size)
    arrays = {name: rng.standard_normal(size, np.float32) for name in ("x", "rounded")}
    return write_task(folder, arrays, {"kind": "product"})


def _write_gptq(config: Config, folder: Path) -> dict:
    arrays, grams = compression_task.gptq_arrays(config.n_maps, config.gptq_width, config.seed)
    return write_task(folder, arrays, {"kind": "gptq", "grams": grams, "group": config.group})


def _write_dispatch(config: Config, folder: Path) -> dict:
    arrays, capacity = compression_task.dispatch_arrays(
        config.n_tokens, config.width, config.hidden, config.n_experts, config.n_chosen,
        config.factor, config.seed,
    )  # fmt: skip
    return write_task(folder, arrays, {"kind": "dispatch", "capacity": capacity})


def _reading(name: str, times: Times) -> dict[str, Measurement]:
    """Bytes of weights and how many of them are read in a second of CPU."""
    _, format, shape, _ = name.split(".")
    n_in, n_out = map(int, shape.split("x"))
    metrics = {}
    for engine, seconds in times.cpu_seconds.items():
        width = compression_task.bits(format) if engine == "packed" else 32
        n_bytes = n_in * n_out * width / 8
        metrics[f"bytes.{name}.{engine}"] = Measurement(n_bytes / 1e6, unit="MB")
        rate = 1e-9 * n_bytes / per_round(seconds)
        metrics[f"reading.{name}.{engine}"] = Measurement.from_samples(rate, "GB/s")
    return metrics

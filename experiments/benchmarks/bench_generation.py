"""A diffusion transformer against that of diffusers: pictures sampled from noise, and a step of training.

The work: one model with random weights, 64 tokens of 16 numbers, in single precision; Euler steps from the same noise,
and steps of Adam on the same batch. Both engines get the same arrays and have to agree on the pictures, and on loss,
gradient and the loss two steps later, before they are timed. Blocks of diffusers hold layers of times and a table of
classes each; here they are one and the same in all blocks, as in ours, but each block still goes through them.

Every engine is a process of its own on one core with one thread, asked in turn. Ratios are of CPU time, formed within a
round, ours over the other's; wall time stands beside. Compiling is the first call, timed apart: on one core here, so an
upper bound for two. Peak memory is that of the process, package and all. `make peers` makes the peer's environment, or
name an interpreter in `LIGHTECHO_DIFFUSERS_PYTHON`. An engine that is missing is reported as not run.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.ratio_figure import plot_ratios
from experiments.benchmarks.timing import (
    load_average,
    ratio,
    time_in_turn,
    times_as_metrics,
    write_task,
)
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

CLAIM = (
    "CPU time of sampling from and training a diffusion transformer in plain JAX beside diffusers."
)
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "20 s", "laptop": "2 min", "paper": "5 min"}
REFERENCES: tuple[Reference, ...] = ()
# The first is ours, which the others are compared with.
ENGINES = (
    EngineSpec("scanned", "lightecho", "scanned", "generation"),
    EngineSpec("unrolled", "lightecho", "unrolled", "generation"),
    EngineSpec("diffusers", "diffusers", "whole", "torch_generation"),
)
KINDS = ("sample", "train")
# CPU time of ours over the other's that we want at most, set before the first run; and seconds of a first call.
AIMS = {"sample.diffusers": 0.7, "train.diffusers": 1.0}
FIRST_CALL_AIM = 10.0
# Relative difference that still counts as the same work: single precision through all blocks and steps.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        kinds: "sample", "train" or both.
        side: Tokens along a side.
        channels: Numbers of a token.
        classes: Classes.
        width: Width of the model.
        n_layers: Its blocks.
        heads: Its heads.
        batch_size: Pictures.
        n_times: Euler steps.
        rate: Learning rate of Adam.
        rounds: How often each engine has its turn.
        n_steps: Steps in one turn.
        peers: Whether diffusers takes part.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of arrays and weights.
    """

    kinds: tuple[str, ...] = KINDS
    side: int = 8
    channels: int = 16
    classes: int = 10
    width: int = 128
    n_layers: int = 4
    heads: int = 4
    batch_size: int = 16
    n_times: int = 10
    rate: float = 1e-4
    rounds: int = 7
    n_steps: int = 3
    peers: bool = True
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        among(self, KINDS, "kinds")
        at_least(
            self, 1, "side", "channels", "classes", "n_layers", "heads", "batch_size", "n_times",
            "rounds", "n_steps",
        )  # fmt: skip
        if not 0 < self.rate < 1:
            raise ValueError(f"`rate` must lie between 0 and 1, but is {self.rate}.")
        if self.width < 1 or self.width % (4 * self.heads):
            raise ValueError(
                f"`width` must be a multiple of 4 times `heads`, {4 * self.heads}, but is {self.width}."
            )


SCALES = {
    "quick": Config(
        kinds=("sample",), side=4, channels=4, width=32, n_layers=2, heads=2, batch_size=2, n_times=3, rounds=2,
        n_steps=1, peers=False,
    ),
    "laptop": Config(),
    "paper": Config(rounds=20),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines on each kind of work in turn."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    specs = [spec for spec in ENGINES if config.peers or spec.package == "lightecho"]
    for kind in config.kinds:
        times = time_in_turn(
            specs, partial(_write, config, kind), context, size=kind, rounds=config.rounds, steps=config.n_steps,
            patience=config.patience, tolerance=AGREEMENT,
        )  # fmt: skip
        absent += times.absent
        metrics |= times_as_metrics(kind, times, ENGINES[0].name)
        for engine, seconds in times.seconds.items():
            metrics[f"peak_memory.{kind}.{engine}"] = Measurement(times.peaks[engine], unit="MiB")
            if engine != ENGINES[0].name and ENGINES[0].name in times.seconds:
                walls = ratio(times.seconds[ENGINES[0].name], seconds)
                metrics[f"wall_ratio.{kind}.{engine}"] = walls
            arrays[f"cpu.{kind}.{engine}"] = times.cpu_seconds[engine]
            arrays[f"wall.{kind}.{engine}"] = seconds
    metrics["aims_missed"] = Measurement(float(len(missed_aims(metrics))))
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_generation", config, metrics, arrays, REFERENCES)


def missed_aims(metrics: dict[str, Measurement]) -> list[str]:
    """What was measured and lies above what was wanted."""
    wanted = {f"ratio.{name}": aim for name, aim in AIMS.items()}
    wanted |= {f"first_call.{kind}.{ENGINES[0].name}": FIRST_CALL_AIM for kind in KINDS}
    return [name for name, aim in wanted.items() if name in metrics and metrics[name].value > aim]


def _write(config: Config, kind: str, folder: Path) -> dict:
    """Noise, classes, and for training times and velocities to be said."""
    rng = np.random.default_rng(config.seed + 1)
    shape = (config.batch_size, config.side**2, config.channels)
    arrays = {
        "x": rng.standard_normal(shape, np.float32),
        "labels": (np.arange(config.batch_size) % config.classes).astype(np.int32),
        "t": rng.random(config.batch_size, np.float32),
        "wanted": rng.standard_normal(shape, np.float32),
    }
    return write_task(folder, arrays, asdict(config) | {"kind": kind})


def plot(outcome: Outcome) -> Figure:
    """CPU time of ours over that of each other engine, and what was wanted."""
    return plot_ratios(outcome, AIMS.get)

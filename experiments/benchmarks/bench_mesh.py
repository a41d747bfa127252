"""Time of loss and gradient of an interferometer mesh, against sax, neurophox and plain matrix products.

The work: mean squared error of the output powers of a rectangular mesh without errors, for a batch of input fields,
and its derivative with respect to all N^2 phases; single precision. All engines get the same phases, fields and
target, and have to agree on loss, gradient and output powers before they are timed. Each is a process of its own,
asked for a few steps at a time in turn, so that what slows the machine down slows all; a ratio is formed within a
round. The first call, which traces and compiles, is timed apart: the mesh of N ports is N columns deep, so it shows
the growth with depth.

For a quiet measurement close everything else and run `lightecho bench --scale laptop`. The peers run in environments of
their own, which `make peers` makes (`experiments.benchmarks.peers.environments`). An engine that is missing, or not
asked because of `n_sax_ports`, is reported as not run. sax solves any circuit and does not know that a mesh is a chain
of columns; that is what its time is for.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.timing import load_average, per_round, ratio, time_in_turn
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure, style

CLAIM = "A mesh gradient is faster than sax, neurophox and matrix products, at a compile time flat in depth."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "15 s", "laptop": "8 min", "paper": "1 h"}
REFERENCES: tuple[Reference, ...] = ()

OURS = "lightecho.mesh"
ENGINES = (
    EngineSpec(OURS, "lightecho", "scan", "mesh"),
    EngineSpec("matrix products", "lightecho", "dense", "mesh"),
    EngineSpec("neurophox.graph", "neurophox", "graph"),
    EngineSpec("neurophox.xla", "neurophox", "xla"),
    EngineSpec("sax", "sax", "circuit"),
)
# Relative difference that still counts as the same work: 6e-8 for each of some 10 operations in 256 columns.
AGREEMENT = 1e-3


@dataclass(frozen=True)
class Config:
    """What is timed.

    Attributes:
        n_ports: Mesh sizes N.
        batch_size: Fields per step.
        rounds: How often each engine has its turn at each size.
        n_steps: Steps in one turn.
        peers: Whether sax and neurophox take part.
        n_sax_ports: Largest mesh for sax; compiling 16 ports takes it minutes, and four times the cells far longer.
        n_xla_ports: Largest mesh for neurophox under XLA, whose unrolled program takes long to compile.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of fields, target and phases.
    """

    n_ports: tuple[int, ...] = (16, 32, 64, 128, 256)
    batch_size: int = 64
    rounds: int = 8
    n_steps: int = 5
    peers: bool = True
    n_sax_ports: int = 8
    n_xla_ports: int = 64
    patience: float = 200.0
    seed: int = 0

    def __post_init__(self):
        at_least(self, 1, "batch_size", "rounds", "n_steps")
        at_least(self, 2, "n_ports")


SCALES = {
    "quick": Config(n_ports=(8, 32), rounds=3, n_steps=3, peers=False),
    "laptop": Config(n_ports=(8, 16, 32, 64, 128, 256)),
    "paper": Config(
        n_ports=(8, 16, 32, 64, 128, 256),
        rounds=30,
        n_sax_ports=16,
        n_xla_ports=256,
        patience=900.0,
    ),
}


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Times all engines that are there, in turn, size by size."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    specs = [spec for spec in ENGINES if config.peers or spec.package == "lightecho"]
    limits = {"sax": config.n_sax_ports, "neurophox.xla": config.n_xla_ports}
    for n in config.n_ports:
        times = time_in_turn(
            specs, partial(make_task, config, n), context,
            size=f"{n} ports", rounds=config.rounds, steps=config.n_steps,
            patience=config.patience, tolerance=AGREEMENT,
            excluded={
                name: f"its compile time; `{name}` stops at {limit}"
                for name, limit in limits.items() if n > limit
            },
        )  # fmt: skip
        absent += times.absent
        for name, first in times.first_calls.items():
            metrics[f"first_call.{name}.{n}"] = Measurement(first, unit="s")
        for name, difference in times.differences.items():
            metrics[f"difference.{name}.{n}"] = Measurement(difference["gradient"])
        for name, seconds in times.seconds.items():
            arrays[f"seconds.{name}.{n}"] = seconds
            metrics[f"step_time.{name}.{n}"] = Measurement.from_samples(
                1e3 * per_round(seconds), "ms"
            )
            if name != OURS and OURS in times.seconds:
                metrics[f"ratio.{name}.{n}"] = ratio(times.seconds[OURS], seconds)
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_mesh", config, metrics, arrays, REFERENCES)


@style()
def plot(outcome: Outcome) -> Figure:
    """Time of a step and of the first call against the number of ports."""
    figure = new_figure(2, 2.8)
    panels = figure.subplots(1, 2)
    for i, engine in enumerate(ENGINES):
        sizes = [
            n for n in outcome.config.n_ports if f"seconds.{engine.name}.{n}" in outcome.arrays
        ]
        if not sizes:
            continue
        spread = 1e3 * np.array(
            [
                np.quantile(per_round(outcome.arrays[f"seconds.{engine.name}.{n}"]), (0, 0.5, 1))
                for n in sizes
            ]
        )
        mark = {"color": f"C{i}", "marker": "o", "markersize": 3}
        panels[0].plot(sizes, spread[:, 1], label=engine.name, **mark)
        panels[0].fill_between(sizes, spread[:, 0], spread[:, 2], color=f"C{i}", alpha=0.2, lw=0)
        first = [outcome.metrics[f"first_call.{engine.name}.{n}"].value for n in sizes]
        panels[1].plot(sizes, first, label=engine.name, **mark)
    for panel, name, unit in zip(
        panels, ("loss and gradient", "first call"), ("ms", "s"), strict=True
    ):
        panel.set(xscale="log", yscale="log", ylabel=label(name, unit))
        panel.set_xlabel("ports N = columns")
        panel.set_xticks(outcome.config.n_ports, [str(n) for n in outcome.config.n_ports])
        panel.set_xticks([], minor=True)
    panels[0].legend(fontsize="small")
    return figure


def make_task(config: Config, n_ports: int, folder: Path) -> dict:
    """Random phases and fields, and powers of another random field as target."""
    rng = np.random.default_rng((config.seed, n_ports))
    column, slot = np.indices((n_ports, n_ports // 2))
    there = 2 * slot + column % 2 <= n_ports - 2

    def normal():
        parts = rng.standard_normal((2, config.batch_size, n_ports)) / np.sqrt(2)
        return (parts[0] + 1j * parts[1]).astype(np.complex64)

    path = folder / "task.npz"
    np.savez(
        path,
        theta=(there * rng.uniform(0, np.pi, there.shape)).astype(np.float32),
        phi=(there * rng.uniform(0, 2 * np.pi, there.shape)).astype(np.float32),
        output_phase=rng.uniform(0, 2 * np.pi, n_ports).astype(np.float32),
        fields=normal(),
        target=np.abs(normal()) ** 2,
    )
    return {"arrays": str(path), "n_ports": n_ports}

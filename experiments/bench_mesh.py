"""Time of loss and gradient of an interferometer mesh, against sax, neurophox and plain matrix products.

The work: mean squared error of the output powers of a rectangular mesh without errors, for a batch of input fields,
and its derivative with respect to all N^2 phases; single precision. All engines get the same phases, fields and
target, and have to agree on loss, gradient and output powers before they are timed. Each is a process of its own,
asked for a few steps at a time in turn, so that what slows the machine down slows all; a ratio is formed within a
round. The first call, which traces and compiles, is timed apart: the mesh of N ports is N columns deep, so it shows
the growth with depth.

For a quiet measurement close everything else and run `lightecho bench --scale laptop`. The peers need environments of
their own; `LIGHTECHO_SAX_PYTHON` and `LIGHTECHO_NEUROPHOX_PYTHON` name interpreters that import sax and neurophox. An
engine that is missing, or not asked because of `sax_ports`, is reported as not run. sax solves any circuit and does
not know that a mesh is a chain of columns; that is what its time is for.
"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.context import Context
from experiments.peers.engine import Engine, EngineError, EngineSpec
from experiments.plotting import label, new_figure, style
from experiments.records import Measurement, Outcome, Reference

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
        ports: Mesh sizes N.
        batch: Fields per step.
        rounds: How often each engine has its turn at each size.
        steps: Steps in one turn.
        peers: Whether sax and neurophox take part.
        sax_ports: Largest mesh for sax; compiling 16 ports takes it minutes, and four times the cells far longer.
        xla_ports: Largest mesh for neurophox under XLA, whose unrolled program takes long to compile.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of fields, target and phases.
    """

    ports: tuple[int, ...] = (16, 32, 64, 128, 256)
    batch: int = 64
    rounds: int = 8
    steps: int = 5
    peers: bool = True
    sax_ports: int = 8
    xla_ports: int = 64
    patience: float = 200.0
    seed: int = 0

    def __post_init__(self):
        for name in ("batch", "rounds", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}.")
        if not self.ports or min(self.ports) < 2:
            raise ValueError(f"`ports` must be sizes of at least 2, but is {self.ports}.")


SCALES = {
    "quick": Config(ports=(8, 32), rounds=3, steps=3, peers=False),
    "laptop": Config(ports=(8, 16, 32, 64, 128, 256)),
    "paper": Config(
        ports=(8, 16, 32, 64, 128, 256), rounds=30, sax_ports=16, xla_ports=256, patience=900.0
    ),
}


def run(config: Config, context: Context | None = None) -> Outcome:
    """Times all engines that are there, in turn, size by size."""
    context = context or Context()
    load = os.getloadavg()[0]
    metrics = {"load_average": Measurement(load)}
    if load > 0.5:
        context.log(f"warning: others use this machine (load {load:.1f}), so that ratios are rough")
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    for n in config.ports:
        seconds = _compare(config, n, metrics, absent, context)
        for name, times in seconds.items():
            arrays[f"seconds.{name}.{n}"] = times
            rounds = Measurement.from_samples(1e3 * np.median(times, axis=1), "ms")
            metrics[f"step_time.{name}.{n}"] = rounds
            if name != OURS and OURS in seconds:
                metrics[f"ratio.{name}.{n}"] = ratio(seconds[OURS], times)
    arrays["not_run"] = np.array(absent, dtype=str)
    return Outcome("bench_mesh", config, metrics, arrays, REFERENCES)


@style()
def plot(outcome: Outcome) -> Figure:
    """Time of a step and of the first call against the number of ports."""
    figure = new_figure(2, 2.8)
    panels = figure.subplots(1, 2)
    for i, engine in enumerate(ENGINES):
        sizes = [n for n in outcome.config.ports if f"seconds.{engine.name}.{n}" in outcome.arrays]
        if not sizes:
            continue
        spread = 1e3 * np.array(
            [
                np.quantile(
                    np.median(outcome.arrays[f"seconds.{engine.name}.{n}"], axis=1), (0, 0.5, 1)
                )
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
        panel.set_xticks(outcome.config.ports, [str(n) for n in outcome.config.ports])
        panel.set_xticks([], minor=True)
    panels[0].legend(fontsize="small")
    return figure


def ratio(ours: np.ndarray, other: np.ndarray) -> Measurement:
    """Our time over the other's, formed in each round; below 1 where we are faster."""
    return Measurement.from_samples(np.median(ours, axis=1) / np.median(other, axis=1))


def make_task(config: Config, n_ports: int, folder: Path) -> dict:
    """Random phases and fields, and powers of another random field as target."""
    rng = np.random.default_rng((config.seed, n_ports))
    column, slot = np.indices((n_ports, n_ports // 2))
    there = 2 * slot + column % 2 <= n_ports - 2

    def normal():
        parts = rng.standard_normal((2, config.batch, n_ports)) / np.sqrt(2)
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


def agreement(name: str, found, truth) -> float:
    """Relative difference of the gradients.

    Raises:
        EngineError: If loss, gradient or output powers differ, so that it did other work.
    """
    differences = {
        part: float(np.linalg.norm(found[part] - truth[part]) / np.linalg.norm(truth[part]))
        for part in ("loss", "gradient", "intensity")
    }
    if not max(differences.values()) <= AGREEMENT:
        raise EngineError(f"results of {name} differ from ours by {differences}")
    return differences["gradient"]


def _compare(config, n_ports, metrics, absent, context) -> dict[str, np.ndarray]:
    """Seconds (rounds, steps) by engine; adds to `metrics`, and to `absent` a line for each that did not run."""
    seconds: dict[str, list[list[float]]] = {}
    limits = {"sax": config.sax_ports, "neurophox.xla": config.xla_ports}

    def drop(name: str, error: EngineError) -> None:
        seconds.pop(name, None)
        absent.append(f"{name}, {n_ports} ports: not run, {error}")
        context.log(absent[-1])

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        task = make_task(config, n_ports, Path(folder))
        engines, truth = [], None
        for spec in ENGINES:
            if spec.package != "lightecho" and not config.peers:
                continue
            try:
                if n_ports > limits.get(spec.name, n_ports):
                    raise EngineError(
                        f"its compile time; `{spec.name}` stops at {limits[spec.name]}"
                    )
                engine = Engine(spec, config.patience)
                stack.callback(engine.close)
                start = engine.ask("prepare", task=task | {"variant": spec.variant})
                engine.ask("check", to=f"{folder}/check.npz")
                with np.load(f"{folder}/check.npz") as arrays:
                    found = dict(arrays)
                truth = found if truth is None else truth
                difference = agreement(spec.name, found, truth)
                metrics[f"first_call.{spec.name}.{n_ports}"] = Measurement(
                    start["first_s"], unit="s"
                )
                metrics[f"difference.{spec.name}.{n_ports}"] = Measurement(difference)
                engines.append(engine)
                seconds[spec.name] = []
            except EngineError as error:
                drop(spec.name, error)
        with context.progress(f"rounds, {n_ports} ports", config.rounds) as ticker:
            for _ in range(config.rounds):
                for engine in [e for e in engines if e.spec.name in seconds]:
                    try:
                        turn = engine.ask("round", steps=config.steps)["seconds"]
                        seconds[engine.spec.name].append(turn)
                    except EngineError as error:
                        drop(engine.spec.name, error)
                ticker.advance()
    return {name: np.array(rounds) for name, rounds in seconds.items()}

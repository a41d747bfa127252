"""Time that a training loses by each of its checkpoints, by size of the state, beside a blocking save, Orbax and DCP.

ByteCheckpoint (arXiv:2407.20143) saves every 50 or 100 steps and tells how much less its training stands still than one
that others save. Here a real training (`nn.training.train`, which donates its state: eight layers with Adam) is saved
50 steps after the save before, then 100 steps after: by `nn.checkpoint` beside the training and while it waits, by
Orbax, and in torch by its distributed checkpoint, where the same layers train as its users write it.

What counts is the time lost: that of the call, which waits where the save before has not ended, and what all calls of
steps up to one after the end take beyond normal ones. The first save, which plans, is not counted. Files are synced;
the file system is named. Their figures are of hundreds of accelerators and a distributed store: no number of theirs is
compared. Other engines run where `make peers` has made their environments; without, they are told as not run.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks.bench_checkpoint import file_system, quotient
from experiments.benchmarks.peers.engine import Engine, EngineSpec
from experiments.benchmarks.peers.environments import EngineError
from experiments.benchmarks.timing import (
    Times,
    differences,
    load_average,
    prepare,
    workers,
    write_task,
)
from experiments.harness.context import ALONE, Context
from experiments.harness.fields import at_least, rising
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label, new_figure, style

CLAIM = "A training loses a small part of a blocking save by a checkpoint beside it, and less than with Orbax or DCP."
PAPER_FIGURE = "ByteCheckpoint, arXiv:2407.20143; no figure compared"
EXPECTED_TIME = {"quick": "10 s", "laptop": "5 min", "paper": "2 h"}
REFERENCES: tuple[Reference, ...] = ()

OURS = "beside"
ENGINES = (
    EngineSpec(OURS, "lightecho", "auto", "checkpoint"),
    EngineSpec("blocking", "lightecho", "blocking", "checkpoint"),
    EngineSpec("orbax", "orbax", "async", "orbax"),
    EngineSpec("dcp", "torch", "async", "torch_checkpoint"),
)
_N_WARM, _N_NORMAL = (
    2,
    3,
)  # calls before the first save: those that compile, and those that are normal


@dataclass(frozen=True)
class Config:
    """What is trained and saved.

    Attributes:
        sizes: Sizes of the state in GB, weights and two moments, which set the width of the layers.
        intervals: Steps between a save and the one before.
        n_layers: Layers, each with as many inputs as outputs.
        n_rows: Rows of a batch, which set how long a step takes beside that of the optimiser.
        steps_per_call: Steps in one compiled call; saves come between calls.
        rounds: Trainings of each engine and size.
        folder: A folder on the disk that is meant; empty for that of temporary files.
        peers: Whether Orbax and torch take part.
        patience: Longest wait for one training, in seconds.
        seed: Seed of weights and data.
    """

    sizes: tuple[float, ...] = (0.1, 0.4)
    intervals: tuple[int, ...] = (50, 100)
    n_layers: int = 8
    n_rows: int = 32
    steps_per_call: int = 5
    rounds: int = 1
    folder: str = ""
    peers: bool = True
    patience: float = 900.0
    seed: int = 0

    def __post_init__(self):
        rising(self, 1e-6, "sizes")
        at_least(self, 1, "n_layers", "n_rows", "steps_per_call", "rounds")
        at_least(self, 2 * self.steps_per_call, "intervals")
        for interval in self.intervals:
            if interval % self.steps_per_call:
                raise ValueError(
                    f"`intervals` must be multiples of `steps_per_call`, {self.steps_per_call}, but one is {interval}."
                )

    def width(self, size: float) -> int:
        """Inputs and outputs of a layer for a state of so many GB, a multiple of 32."""
        return 32 * max(1, round((size * 1e9 / (3 * 4 * self.n_layers)) ** 0.5 / 32))

    def saves(self) -> dict[int, int | None]:
        """Interval before each save, by its step; the first has none."""
        step = (_N_WARM + _N_NORMAL) * self.steps_per_call
        found: dict[int, int | None] = {step: None}
        for interval in self.intervals:
            step += interval
            found[step] = interval
        return found


SCALES = {
    "quick": Config(sizes=(0.001,), intervals=(4, 8), n_layers=4, n_rows=8, steps_per_call=2, peers=False),
    "laptop": Config(),
    "paper": Config(sizes=(0.1, 0.4, 1.0, 4.0), rounds=5, patience=7200.0),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """All sizes with all engines in turn."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    if not config.peers:
        absent.append("orbax, dcp: not run, they are left out at this scale")
    with tempfile.TemporaryDirectory(
        dir=config.folder or None, prefix="checkpoint_stall_"
    ) as place:
        storage = file_system(Path(place))
        for size in config.sizes:
            found = _of_size(config, size, Path(place), context, absent)
            for engine, samples in found.items():
                arrays |= {f"{n}.{shown(size)}.{engine}": np.array(v) for n, v in samples.items()}
            metrics |= as_metrics(shown(size), config.intervals, found)
    arrays["not_run"] = np.array(absent, dtype=str)
    arrays["storage"] = np.array(f"{storage}, synced")
    return Outcome("checkpoint_stall", config, metrics, arrays, REFERENCES)


def shown(size: float) -> str:
    """A size in GB as it is called in names."""
    return f"{1e3 * size:g}MB"


def _of_size(
    config: Config, size: float, place: Path, context: Context, absent: list[str]
) -> dict[str, dict[str, list[float]]]:
    """Samples of every engine by name, one a round."""
    found: dict[str, dict[str, list[float]]] = {}
    saves = config.saves()
    details = {
        "n_layers": config.n_layers, "width": config.width(size), "n_rows": config.n_rows,
        "steps_per_call": config.steps_per_call, "seed": config.seed,
        # After the last save as many steps as before it, in which it ends.
        "n_steps": max(saves) + max(config.intervals),
    }  # fmt: skip
    times = Times({}, {}, {}, {}, {}, [], {}, {}, {})
    specs = [spec for spec in ENGINES if config.peers or spec.package == "lightecho"]
    with context.progress(f"trainings, {size:g} GB", config.rounds * len(specs)) as ticker:
        for number in range(config.rounds):
            for spec in specs:
                # One after the other and not kept alive: each holds the state more than once.
                with workers() as (folder, engines):
                    own = place / f"{shown(size)}.{spec.name}{number}"
                    own.mkdir()
                    try:
                        engines.append(Engine(spec, config.patience))
                        task = write_task(folder, {}, details | {"folder": str(own)})
                        state = prepare(engines[0], task, times, folder / "check.npz")
                        times.truth.update(times.truth or state)
                        differences(state, times.truth, 0.0)
                        answer = engines[0].ask(
                            "measure", what="training", how={"at": list(saves), "n_warm": _N_WARM}
                        )
                        for name, value in named(answer, saves, config.steps_per_call).items():
                            found.setdefault(spec.name, {}).setdefault(name, []).append(value)
                    except EngineError as error:
                        absent.append(f"{spec.name}, {size:g} GB: not run, {error}")
                        context.log(absent[-1])
                ticker.advance(note=spec.name)
    return found


def named(answer: dict[str, Any], saves: dict[int, int | None], per_call: int) -> dict[str, float]:
    """Seconds of a step, and call and time lost of each save by the interval before it."""
    found = {"step": answer["normal"] / per_call}
    for save in answer["saves"]:
        interval = saves[save["step"]]
        if interval is not None:
            found |= {f"{name}.{interval}": save[name] for name in ("call", "lost")}
    return found


def as_metrics(
    size: str, intervals: tuple[int, ...], found: dict[str, dict[str, list[float]]]
) -> dict[str, Measurement]:
    """Times of all engines, the part of the training that is lost, and ours over the others'."""
    metrics = {}
    for engine, samples in found.items():
        values = {name: np.array(each) for name, each in samples.items()}
        for name, each in values.items():
            kind, _, end = name.partition(".")
            place = ".".join(part for part in (kind, size, end, engine) if part)
            metrics[place] = Measurement.from_samples(1e3 * each, "ms")
        for interval in intervals:
            share = values[f"lost.{interval}"] / (interval * values["step"])
            metrics[f"share.{size}.{interval}.{engine}"] = Measurement.from_samples(
                100 * share, "%"
            )
            if engine != OURS and OURS in found:
                ours = np.array(found[OURS][f"lost.{interval}"])
                compared = quotient(ours, values[f"lost.{interval}"])
                if compared is not None:
                    metrics[f"ratio.{size}.{interval}.{engine}"] = compared
    return metrics


@style()
def plot(outcome: Outcome) -> Figure:
    """Time lost by a save against the size of the state, and the part of the training that it is."""
    metrics, config = outcome.metrics, outcome.config
    figure = new_figure(2, 3.4)
    left, right = figure.subplots(1, 2)
    marks = ("o-", "s--", "^:", "v-.")
    engines = [s.name for s in ENGINES if any(n.endswith(f".{s.name}") for n in metrics)]
    for axes, kind in ((left, "lost"), (right, "share")):
        for color, engine in enumerate(engines):
            for mark, interval in zip(marks, config.intervals, strict=False):
                names = {s: f"{kind}.{shown(s)}.{interval}.{engine}" for s in config.sizes}
                there = {s: metrics[n] for s, n in names.items() if n in metrics}
                axes.errorbar(
                    list(there), [m.value for m in there.values()], [m.stderr or 0 for m in there.values()],
                    fmt=mark, color=f"C{color}", label=f"{engine}, every {interval} steps",
                )  # fmt: skip
        axes.set_xscale("log")
        # What is lost may be below the scatter of the steps, and then below zero.
        axes.set_yscale("symlog", linthresh=10 if kind == "lost" else 1)
        axes.set_xlabel(label("size of the state", "GB"))
    left.set_ylabel(label("time lost by a save", "ms"))
    right.set_ylabel(label("of the training", "%"))
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, fontsize="x-small", loc="outside lower center", ncols=4)
    figure.suptitle(str(outcome.arrays["storage"]), fontsize="small")
    return figure

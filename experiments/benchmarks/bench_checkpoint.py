"""Saving and loading a state beside Orbax, torch DCP and safetensors: lost time, whole saves, loads and memory.

All engines save the same numbers and have to bring them back bit by bit. Each is a process of its own, asked in turn;
files are synced by all of them (safetensors leaves that to the system, so we sync its file), and the storage is named
with its file system. A loop loses more than the time of the call: what counts is the call, and what all steps up to one
after the end of the save take beyond normal ones. A step either donates the state's buffers or keeps them, and takes
about as long as the products in it. Loads find their files in the memory of the system, as after a save.

Memory is the most that the process holds while it saves, over the bytes of the state, which it holds anyway; and while
it loads, the growth alone. `make peers` makes the environments, or name interpreters in `LIGHTECHO_ORBAX_PYTHON`,
`LIGHTECHO_SAFETENSORS_PYTHON` (with JAX) and `LIGHTECHO_TORCH_PYTHON`. An engine that is missing is told as not run.
"""

import fnmatch
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

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
from experiments.harness.fields import among, at_least
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, label, new_figure, style

CLAIM = "What a training loop loses by a save, and whole saves and loads, beside Orbax, DCP and safetensors."
PAPER_FIGURE = "none (our benchmark)"
EXPECTED_TIME = {"quick": "10 s", "laptop": "5 min", "paper": "30 min"}
REFERENCES: tuple[Reference, ...] = ()

OURS = "lightecho"
# The first is ours, which the others are compared with and must agree with.
ENGINES = (
    EngineSpec(OURS, "lightecho", "auto", "checkpoint"),
    EngineSpec("orbax", "orbax", "async", "orbax"),
    EngineSpec("dcp", "torch", "async", "torch_checkpoint"),
    EngineSpec("safetensors", "safetensors", "blocking", "safetensors"),
)
STORAGES = ("disk", "memory")
STEPS = {"keeping": False, "donating": True}
# What we want at most of ratios to Orbax and to a blocking save of ours, and of memory over the state; set before the
# first run.
AIMS = {
    "ratio.call.*.orbax": 0.1,
    "ratio.lost.*.keeping.orbax": 0.3,
    "ratio.lost.*.donating.orbax": 0.7,
    "ratio.lost.disk.*.blocking": 0.02,
    "ratio.save_wall.*.orbax": 0.5,
    "ratio.save_cpu.*.orbax": 0.5,
    "ratio.load_wall.*.orbax": 0.6,
    f"peak_save.*.{OURS}": 1.1,
    f"peak_load.*.{OURS}": 1.1,
}
_MEASURES: tuple[tuple[str, dict[str, bool]], ...] = (
    ("save", {}),
    ("load", {}),
    *(("stall", {"donating": donating}) for donating in STEPS.values()),
)


@dataclass(frozen=True)
class Config:
    """What is saved, where, and how often.

    Attributes:
        storages: `disk`, the folder of temporary files, or `folder`; `memory`, /dev/shm of Linux.
        folder: A folder on the disk that is meant; empty for that of temporary files.
        n_tensors: Tensors of the state.
        tensor_mib: Size of each.
        n_devices: Devices of JAX that rows are cut over; more than one need XLA's flag for forced devices.
        n_products: Products of matrices of 512 rows in a step, which set its length.
        n_normal: Steps without a save that are timed before, and as many after one.
        rounds: How often each engine has its turn.
        peers: Whether the others take part.
        patience: Longest wait for one answer of an engine, in seconds.
        seed: Seed of the state.
    """

    storages: tuple[str, ...] = STORAGES
    folder: str = ""
    n_tensors: int = 16
    tensor_mib: float = 16.0
    n_devices: int = 1
    n_products: int = 60
    n_normal: int = 5
    rounds: int = 3
    peers: bool = True
    patience: float = 300.0
    seed: int = 0

    def __post_init__(self):
        among(self, STORAGES, "storages")
        at_least(self, 1, "n_tensors", "n_devices", "n_products", "n_normal", "rounds")
        if not 1 / 32 <= self.tensor_mib < math.inf:  # eight rows of 4 kB
            raise ValueError(f"`tensor_mib` must be at least 1/32, but is {self.tensor_mib}.")


SCALES = {
    "quick": Config(
        storages=("disk",), n_tensors=4, tensor_mib=1.0, n_products=4, n_normal=3, rounds=2, peers=False
    ),
    "laptop": Config(),
    "paper": Config(tensor_mib=64.0, rounds=10),
}  # fmt: skip


def run(config: Config, context: Context = ALONE) -> Outcome:
    """Each storage with all engines in turn."""
    metrics = {"load_average": load_average(context)}
    arrays: dict[str, np.ndarray] = {}
    absent: list[str] = []
    systems: list[str] = []
    for storage in config.storages:
        try:
            with _folder(storage, config) as folder:
                systems.append(f"{storage}: {file_system(folder)}, synced")
                found = _measured(config, storage, folder, context, absent)
        except EngineError as error:
            absent.append(f"{storage}: not run, {error}")
            context.log(absent[-1])
            continue
        for engine, samples in found.items():
            arrays |= {f"{name}.{storage}.{engine}": values for name, values in samples.items()}
        metrics |= _as_metrics(storage, found)
    metrics["aims_missed"] = Measurement(float(len(missed_aims(metrics))))
    arrays["not_run"] = np.array(absent, dtype=str)
    arrays["storages"] = np.array(systems, dtype=str)
    return Outcome("bench_checkpoint", config, metrics, arrays, REFERENCES)


def aim_of(name: str) -> float | None:
    """What was wanted of a metric, or None."""
    return next((aim for rule, aim in AIMS.items() if fnmatch.fnmatchcase(name, rule)), None)


def missed_aims(metrics: dict[str, Measurement]) -> list[str]:
    """Metrics that were measured and lie above what was wanted."""
    return [n for n, m in metrics.items() if (aim := aim_of(n)) is not None and m.value > aim]


def quotient(ours: np.ndarray, other: np.ndarray) -> Measurement | None:
    """Mean over mean with its standard error; None where the other's is not above zero.

    Not a mean of quotients: the time that a loop loses may be hardly above the scatter of its steps.
    """
    if other.mean() <= 0:
        return None
    value = ours.mean() / other.mean()
    if ours.size < 2:
        return Measurement(value)
    errors = [samples.std(ddof=1) / math.sqrt(samples.size) for samples in (ours, other)]
    error = math.hypot(errors[0], value * errors[1]) / other.mean()
    return Measurement(value, error, "", ours.size)


def file_system(folder: Path) -> str:
    """Type of the file system that a folder is on; `unknown` where the system does not say."""
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    found = {Path(line.split()[1]): line.split()[2] for line in mounts}  # later ones hide earlier
    place = folder.resolve()
    return next((found[each] for each in (place, *place.parents) if each in found), "unknown")


@contextmanager
def _folder(storage: str, config: Config) -> Iterator[Path]:
    root = Path("/dev/shm") if storage == "memory" else Path(config.folder or tempfile.gettempdir())
    if not os.access(root, os.W_OK):
        raise EngineError(f"{root} is not there or cannot be written")
    with tempfile.TemporaryDirectory(dir=root, prefix="bench_checkpoint_") as folder:
        yield Path(folder)


def _measured(
    config: Config, storage: str, place: Path, context: Context, absent: list[str]
) -> dict[str, dict[str, np.ndarray]]:
    """Samples of every engine by name, one a round."""
    times = Times({}, {}, {}, {}, {}, [], {}, {}, {})
    samples: dict[str, dict[str, list[float]]] = {}
    details = {
        n: getattr(config, n) for n in ("n_tensors", "tensor_mib", "n_devices", "n_products", "seed")
    }  # fmt: skip

    def drop(spec: EngineSpec, error: EngineError) -> None:
        samples.pop(spec.name, None)
        absent.append(f"{spec.name}, {storage}: not run, {error}")
        context.log(absent[-1])

    with workers() as (folder, engines):
        task = write_task(folder, {}, details)
        for spec in ENGINES[: None if config.peers else 1]:
            try:
                engines.append(Engine(spec, config.patience))
                own = place / spec.name
                own.mkdir()
                found = prepare(
                    engines[-1], task | {"folder": str(own)}, times, folder / "check.npz"
                )
                times.truth.update(times.truth or found)
                differences(found, times.truth, 0.0)
                samples[spec.name] = {}
            except EngineError as error:
                drop(spec, error)
        with context.progress(f"rounds, {storage}", config.rounds) as ticker:
            for _ in range(config.rounds):
                for what, how in _MEASURES:
                    for engine in [e for e in engines if e.spec.name in samples]:
                        if what == "stall" and engine.spec.variant == "blocking":
                            continue
                        counts = {"n_normal": config.n_normal} if what == "stall" else {}
                        try:
                            answer = engine.ask("measure", what=what, how=how | counts)
                        except EngineError as error:
                            drop(engine.spec, error)
                            continue
                        for name, value in named(what, how.get("donating"), answer).items():
                            samples[engine.spec.name].setdefault(name, []).append(value)
                ticker.advance()
    if OURS not in samples:
        raise EngineError("ours did not run")
    return {e: {n: np.array(v) for n, v in found.items()} for e, found in samples.items()}


def named(what: str, donating: bool | None, answer: dict) -> dict[str, float]:
    """An answer of an engine under the names of metrics; without memory where the system does not tell it."""
    kept = {name: value for name, value in answer.items() if value is not None}
    if what == "stall":
        end = "donating" if donating else "keeping"
        found = {f"{name}.{end}": kept[name] for name in ("call", "lost", "step", "steps")}
        if "peak" in kept and donating:
            found["peak_step.donating"] = 1 + kept["peak"]
        return found
    found = {f"{what}_{name}": value for name, value in kept.items()}
    if "save_peak" in found:
        found["peak_save"] = 1 + found.pop("save_peak")
    if "load_peak" in found:
        found["peak_load"] = found.pop("load_peak")
    return found


def _as_metrics(storage: str, found: dict[str, dict[str, np.ndarray]]) -> dict[str, Measurement]:
    metrics = {}
    ours = found[OURS]
    for engine, samples in found.items():
        for name, values in samples.items():
            kind, _, end = name.partition(".")
            place = ".".join(part for part in (kind, storage, end) if part)
            if kind in ("call", "lost", "step"):
                metrics[f"{place}.{engine}"] = Measurement.from_samples(1e3 * values, "ms")
            elif kind.endswith(("_wall", "_cpu")):
                metrics[f"{place}.{engine}"] = Measurement.from_samples(values, "s")
            elif kind == "save_bytes":
                metrics[f"{place}.{engine}"] = Measurement(values.mean() / 2**20, unit="MiB")
            else:
                metrics[f"{place}.{engine}"] = Measurement.from_samples(values)
            if engine != OURS and (kind in ("call", "lost") or kind.endswith(("_wall", "_cpu"))):
                compared = quotient(ours[name], values)
                if compared is not None:
                    metrics[f"ratio.{place}.{engine}"] = compared
    for end in STEPS:
        compared = quotient(ours[f"lost.{end}"], ours["save_wall"])
        if compared is not None:
            metrics[f"ratio.lost.{storage}.{end}.blocking"] = compared
    return metrics


@style()
def plot(outcome: Outcome) -> Figure:
    """What the loop loses by a save, and our times over the others' with what was wanted."""
    metrics = outcome.metrics
    ratios = [name for name in metrics if name.startswith("ratio.")]
    lost = [name for name in metrics if name.startswith("lost.")]
    figure = new_figure(2, 1.4 + 0.15 * max(len(ratios), 2 * len(lost)))
    left, right = figure.subplots(1, 2)
    for row, name in enumerate(reversed(lost)):
        found = metrics[name]
        left.barh(row, found.value, xerr=found.stderr, color="C0")
        call = metrics[f"call{name.removeprefix('lost')}"]
        left.plot(call.value, row, "|", color="C1", ms=10, mew=2)
    left.set_yticks(range(len(lost)), [n.removeprefix("lost.") for n in reversed(lost)])
    left.set(xlabel=label("time lost by a save; mark: its call", "ms"))
    for row, name in enumerate(reversed(ratios)):
        found = metrics[name]
        right.barh(row, found.value, xerr=found.stderr, color="C0")
        if (aim := aim_of(name)) is not None:
            right.plot([aim] * 2, [row - 0.4, row + 0.4], color="k")
    right.axvline(1, color=GREY, lw=0.8)
    right.set_xscale("log")
    shown = [n.removeprefix("ratio.") for n in reversed(ratios)]
    right.set_yticks(range(len(ratios)), shown, fontsize="x-small")
    right.set_xlabel(label("ours / its; a line is the aim"))
    absent = [str(line).split(", ")[0] for line in outcome.arrays["not_run"]]
    title = ["; ".join(map(str, outcome.arrays["storages"]))]
    title += [f"not run: {', '.join(dict.fromkeys(absent))}"] if absent else []
    figure.suptitle("\n".join(title), fontsize="small")
    return figure

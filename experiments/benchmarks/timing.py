"""Times engines in turn on one task, each a process of its own, once it has shown that it does the same work.

What the benchmarks share. Engines are asked for a few steps at a time in turn, so that what slows the machine down
slows all; a ratio is formed within a round. The first engine that runs is the reference: the others have to agree with
all that its `check` gives, such as loss, gradient and intensity. One that is missing, fails or differs is reported with
the reason, never guessed.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.benchmarks.peers.engine import Engine, EngineSpec
from experiments.benchmarks.peers.environments import EngineError
from experiments.harness.context import Context
from experiments.harness.measurement import Measurement


class Times(NamedTuple):
    """What engines needed, by name.

    Attributes:
        seconds: Seconds of each step, (round, step).
        imports: Seconds to import what the engine is made of.
        first_calls: Seconds of the first call, which traces and compiles.
        differences: Relative difference of each part of what `check` gives from the reference.
        peaks: Peak memory of the process, MiB.
        absent: A line for each engine that did not run.
        truth: What the reference gave.
        cpu_seconds: CPU seconds of all threads of each step, (round, step); nearly free of what else runs.
        temporaries: Memory that the compiled program plans beside arguments and results, MiB, where an engine says so.
    """

    seconds: dict[str, np.ndarray]
    imports: dict[str, float]
    first_calls: dict[str, float]
    differences: dict[str, dict[str, float]]
    peaks: dict[str, float]
    absent: list[str]
    truth: dict[str, np.ndarray]
    cpu_seconds: dict[str, np.ndarray]
    temporaries: dict[str, float]


def load_average(context: Context) -> Measurement:
    """Load of the machine; warns where others use it, which hurts threads that wait by spinning most."""
    load = os.getloadavg()[0]
    if load > 0.5:
        context.log(f"warning: others use this machine (load {load:.1f}), so that ratios are rough")
    return Measurement(load)


def time_in_turn(
    specs: Sequence[EngineSpec],
    write_task: Callable[[Path], dict],
    context: Context,
    *,
    size: str,
    rounds: int,
    steps: int,
    patience: float,
    tolerance: float,
    excluded: Mapping[str, str] | None = None,
) -> Times:
    """Checks and times engines.

    Args:
        specs: Engines, the reference first.
        write_task: Writes the arrays into a folder and returns what the workers are told.
        context: Shows progress and what did not run.
        size: Size of the task, for these lines.
        rounds: How often each engine has its turn.
        steps: Steps in one turn.
        patience: Longest wait for one answer of an engine, in seconds.
        tolerance: Relative difference from the reference that still counts as the same work.
        excluded: Engines not to be started, with the reason.
    """
    times = Times({}, {}, {}, {}, {}, [], {}, {}, {})
    turns: dict[str, list[list[float]]] = {}
    cpu: dict[str, list[list[float]]] = {}

    def drop(spec: EngineSpec, error: EngineError) -> None:
        turns.pop(spec.name, None)
        cpu.pop(spec.name, None)
        times.absent.append(f"{spec.name}, {size}: not run, {error}")
        context.log(times.absent[-1])

    with workers() as (folder, engines):
        task = write_task(folder)
        for spec in specs:
            try:
                if excluded and spec.name in excluded:
                    raise EngineError(excluded[spec.name])
                engines.append(Engine(spec, patience))
                found = prepare(engines[-1], task, times, folder / "check.npz")
                if not times.truth:
                    times.truth.update(found)
                times.differences[spec.name] = differences(found, times.truth, tolerance)
                turns[spec.name], cpu[spec.name] = [], []
            except EngineError as error:
                drop(spec, error)
        with context.progress(f"rounds, {size}", rounds) as ticker:
            for _ in range(rounds):
                for engine in [e for e in engines if e.spec.name in turns]:
                    try:
                        turn = engine.ask("round", steps=steps)
                        turns[engine.spec.name].append(turn["seconds"])
                        cpu[engine.spec.name].append(turn["cpu_seconds"])
                    except EngineError as error:
                        drop(engine.spec, error)
                ticker.advance()
        for engine in [e for e in engines if e.spec.name in turns]:
            times.peaks[engine.spec.name] = engine.ask("finish")["peak_mib"]
    times.seconds.update({name: np.array(rounds) for name, rounds in turns.items()})
    times.cpu_seconds.update({name: np.array(rounds) for name, rounds in cpu.items()})
    return times


def time_calls(
    calls: Mapping[str, Callable[[], float]],
    context: Context,
    *,
    size: str,
    rounds: int,
    steps: int,
    check: Callable[[str, np.ndarray, np.ndarray], None],
) -> dict[str, np.ndarray]:
    """Checks and times functions of this process, in turn.

    Args:
        calls: What is timed by its name, the reference first; each returns what it is checked by.
        context: Shows progress.
        size: Size of the task, for the progress.
        rounds: How often each has its turn, after a first call.
        steps: Calls in one turn, of which the median counts.
        check: Takes a name, a value and that of the reference; raises where they differ.

    Returns:
        `first/NAME`, the seconds of the first call, and `seconds/NAME`, those of each round.
    """
    seconds = {name: np.empty((rounds, steps)) for name in calls}
    found, truth = {}, None
    with context.progress(size, rounds + 1) as ticker:
        for number in range(-1, rounds):
            for name, call in calls.items():
                for step in range(1 if number < 0 else steps):
                    start = time.perf_counter()
                    value = np.array([call()])
                    passed = time.perf_counter() - start
                    truth = value if truth is None else truth
                    check(name, value, truth)
                    if number < 0:
                        found[f"first/{name}"] = np.array(passed)
                    else:
                        seconds[name][number, step] = passed
            ticker.advance()
    return found | {f"seconds/{name}": per_round(t) for name, t in seconds.items()}


@contextmanager
def workers() -> Iterator[tuple[Path, list[Engine]]]:
    """A folder for files, and a list whose engines are closed at the end."""
    engines: list[Engine] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield Path(folder), engines
        finally:
            for engine in engines:
                engine.close()


def prepare(engine: Engine, task: dict, times: Times, path: Path) -> dict[str, np.ndarray]:
    """Imports and compiles, timed apart from the steps; returns what it is to be checked by."""
    name = engine.spec.name
    start = engine.ask("prepare", task=task | {"variant": engine.spec.variant})
    times.imports[name], times.first_calls[name] = start["import_s"], start["first_s"]
    if start.get("temporary_mib") is not None:
        times.temporaries[name] = start["temporary_mib"]
    engine.ask("check", to=str(path))
    with np.load(path) as found:
        return dict(found)


def differences(found, truth, tolerance: float) -> dict[str, float]:
    """Relative difference of each part.

    Raises:
        EngineError: If one exceeds the tolerance, so that other work was done.
    """
    by_part = {
        part: float(np.linalg.norm(found[part] - truth[part]) / np.linalg.norm(truth[part]))
        for part in truth
    }
    # NaN compares false.
    if not all(difference <= tolerance for difference in by_part.values()):
        raise EngineError(f"its results differ from ours by {by_part}, so its time says nothing")
    return by_part


def per_round(seconds: np.ndarray) -> np.ndarray:
    """Median over the steps of each round."""
    return np.median(seconds, axis=1)


def ratio(ours: np.ndarray, other: np.ndarray) -> Measurement:
    """Our time over the other's, formed in each round; below 1 where we are faster."""
    return Measurement.from_samples(per_round(ours) / per_round(other))


def times_as_metrics(name: str, times: Times, ours: str) -> dict[str, Measurement]:
    """CPU and wall time (ms) and first call (s) of every engine; of the others their difference and our ratio."""
    metrics = {}
    for engine, seconds in times.cpu_seconds.items():
        metrics[f"cpu.{name}.{engine}"] = Measurement.from_samples(1e3 * per_round(seconds), "ms")
        wall = 1e3 * per_round(times.seconds[engine])
        metrics[f"wall.{name}.{engine}"] = Measurement.from_samples(wall, "ms")
        metrics[f"first_call.{name}.{engine}"] = Measurement(times.first_calls[engine], unit="s")
        if engine != ours:
            worst = max(times.differences[engine].values())
            metrics[f"difference.{name}.{engine}"] = Measurement(worst)
            if ours in times.cpu_seconds:
                metrics[f"ratio.{name}.{engine}"] = ratio(times.cpu_seconds[ours], seconds)
    return metrics


def copy_seconds(array: jax.Array, passes: int, repeats: int) -> float:
    """Seconds to read an array and write a scaled copy of it, which is what the memory of its device allows.

    Args:
        array: What is copied.
        passes: Copies within one program: memory that is fetched anew for each would hide what a pass takes.
        repeats: Runs of that program, of which the median counts.
    """
    twice = lambda _, x: jax.lax.optimization_barrier(2 * x)  # noqa: E731
    copy = jax.jit(lambda s: jax.lax.fori_loop(0, passes, twice, s))
    copy(array).block_until_ready()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        copy(array).block_until_ready()
        times.append((time.perf_counter() - start) / passes)
    return float(np.median(times))


def write_task(folder: Path, arrays: dict, details: dict) -> dict:
    """The task that engines are given: its arrays in a file of `folder`, and what else they must know."""
    path = folder / "task.npz"
    np.savez(path, **arrays)
    return {"arrays": str(path)} | details

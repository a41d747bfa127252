"""Saves that are cut off, refused or raced, and what is there afterwards: a part of `checkpoint_faults`.

`python -m experiments.learning_systems.checkpoint_kills FOLDER COUNT SEED` is the process of which children are killed.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.learning_systems.checkpoint_damage import same, small_state
from experiments.learning_systems.failing_disk import FailingDisk, Killed
from nn.checkpoint import (
    CheckpointError,
    Retries,
    Series,
    StoreError,
    load,
    save,
    verify_checkpoint,
)
from nn.checkpoint.coordination import Processes
from nn.checkpoint.files import AbstractFiles, LocalFiles
from nn.checkpoint.manifest import Manifest, Tensor
from nn.checkpoint.rewrite import write_checkpoint
from nn.checkpoint.storage import Store

# Small files, so that a save makes many calls.
OPTIONS: dict[str, Any] = {"writers": 1, "chunk_bytes": 512, "file_bytes": 2048}
OLD, NEW = 1, 2


def _save_new(disk: FailingDisk, path: Path, *, fsync: bool = True) -> None:
    # No look at the devices, which in a killed process would cost more than the save.
    store = Store(LocalFiles(path, fsync=fsync, system=disk), retries=Retries(1))
    state = small_state(NEW)
    save(store, state, step=NEW, wait=True, processes=Processes(), **OPTIONS)


def _begun(folder: str) -> tuple[Series, Path]:
    """A series with the old checkpoint, and the path of the new one."""
    series = Series(folder, fsync=False)
    series.save(small_state(OLD), OLD, wait=True)
    return series, Path(folder) / f"step_{NEW:08d}"


def n_calls() -> int:
    """Calls of the system that an undisturbed save makes."""
    disk = FailingDisk()
    with tempfile.TemporaryDirectory() as folder:
        _save_new(disk, Path(folder) / "a" / "b")
    return disk.calls


def kills(count: int, seed: int, *, power: bool = False) -> dict[str, np.ndarray]:
    """Kills saves, the first at their first call, the next at their second, and so on, again and again.

    Args:
        count: How many.
        seed: Seed of what the killed call has done.
        power: Whether the power fails: what was not synced is lost too.

    Returns:
        For each the `call`, whether the new checkpoint is `committed`, and whether the old one was `lost`, the new one
        `half` visible or damaged, and saving again `failed`.
    """
    total = n_calls()
    found: dict[str, list] = {key: [] for key in ("call", "committed", "lost", "half", "failed")}
    for trial in range(count):
        with tempfile.TemporaryDirectory() as folder:
            series, path = _begun(folder)
            disk = FailingDisk(kill_at=trial % total + 1, seed=(seed, trial))
            with contextlib.suppress(Killed):
                _save_new(disk, path)
            if power:
                disk.cut_power()
            found["call"].append(disk.kill_at)
            _look(series, path, found)
    return {key: np.asarray(each) for key, each in found.items()}


def _look(series: Series, path: Path, found: dict[str, list]) -> None:
    """What is there after a save was cut off, and whether the next one goes on."""
    steps = series.steps()
    found["committed"].append(NEW in steps)
    found["lost"].append(not (OLD in steps and _is(series, OLD)))
    found["half"].append(NEW in steps and not _is(series, NEW))
    if NEW not in steps:
        try:
            _save_new(FailingDisk(), path)
        except (OSError, ValueError):
            found["failed"].append(True)
            return
    found["failed"].append(not _is(series, NEW))


def _is(series: Series, step: int) -> bool:
    """Whether a checkpoint is whole and holds what was saved."""
    try:
        whole = not verify_checkpoint(series.at(step))
        return whole and same(series.load(small_state(0), step), small_state(step))
    except (CheckpointError, OSError):
        return False


def after_acknowledged(count: int, seed: int, *, fsync: bool) -> dict[str, np.ndarray]:
    """The power fails after a save has said that it is done: whether the new checkpoint, and the old one, is lost.

    A checkpoint that is there and damaged is `silent` where loading does not tell.
    """
    found: dict[str, list] = {"lost": [], "old_lost": [], "silent": []}
    for trial in range(count):
        with tempfile.TemporaryDirectory() as folder:
            series, path = _begun(folder)
            disk = FailingDisk(seed=(seed, trial, fsync))
            _save_new(disk, path, fsync=fsync)
            disk.cut_power()
            sound = NEW in series.steps() and _is(series, NEW)
            found["lost"].append(not sound)
            found["old_lost"].append(not _is(series, OLD))
            found["silent"].append(not sound and _loads_wrong(series))
    return {key: np.asarray(each) for key, each in found.items()}


def _loads_wrong(series: Series) -> bool:
    try:
        series.load(small_state(0), NEW)
    except (CheckpointError, FileNotFoundError):
        return False
    return True


def refused(count: int, seed: int) -> dict[str, np.ndarray]:
    """Disks that get full, and one without the right to write: whether that is told, and what is there afterwards."""
    rng = np.random.default_rng((seed, 1))
    found: dict[str, list] = {key: [] for key in ("told", "committed", "lost", "half", "failed")}
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            series, path = _begun(folder)
            disk = FailingDisk(room=int(rng.integers(8000)))
            found["told"].append("Free some space" in _told(disk, path))
            _look(series, path, found)
    with tempfile.TemporaryDirectory() as folder:
        series, path = _begun(folder)
        found["told"].append("Ask for the right" in _told(FailingDisk(forbidden=True), path))
        _look(series, path, found)
    return {key: np.asarray(each) for key, each in found.items()}


def _told(disk: FailingDisk, path: Path) -> str:
    try:
        _save_new(disk, path)
    except StoreError as error:
        return str(error)
    return ""


def races(count: int) -> dict[str, np.ndarray]:
    """Two threads write different checkpoints to one path: how many commit, and whether what is there is one."""
    found: dict[str, list] = {"committed": [], "mixed": []}
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            done: list[int] = []
            begin = threading.Barrier(2)
            both = [
                threading.Thread(target=_race, args=(folder, step, begin, done))
                for step in (OLD, NEW)
            ]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            found["committed"].append(len(done))
            kept = load(folder)["['w']"] if done else np.zeros(1)
            found["mixed"].append(len(done) != 1 or not np.all(kept == done[0]))
    return {key: np.asarray(each) for key, each in found.items()}


def _race(folder: str, step: int, begin: threading.Barrier, done: list[int]) -> None:
    draft = Manifest(step, {"['w']": Tensor("float64", (2000,), ())}, {}, {}, ())
    begin.wait()
    try:
        # Not `save`, which waits for another save of the same process.
        write_checkpoint(folder, draft, lambda path, box: np.full(box.lengths, float(step)))
    except (StoreError, ValueError):
        return
    done.append(step)


class _Silent(AbstractFiles):
    """Memory that takes `delay` seconds to take a file, and for ever where that is None."""

    def __init__(self, delay: float | None):
        self.location, self.kept, self._delay = "silent", {}, delay
        self.let_go = threading.Event()

    def put(self, name: str, pieces: Iterable[memoryview]) -> int:
        """Waits, and keeps it."""
        data = b"".join(pieces)
        self.let_go.wait(self._delay)
        self.kept[name] = data
        return len(data)

    def create(self, name: str, data: bytes) -> None:
        """Keeps it."""
        self.kept[name] = data

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """A part of what is kept."""
        if name not in self.kept:
            raise FileNotFoundError(name)
        return self.kept[name][start:stop]

    def get_many(self, ranges) -> list[bytes]:
        """Several parts."""
        return [self.get(*each) for each in ranges]

    def size(self, name: str) -> int:
        """Bytes of what is kept."""
        return len(self.get(name, 0, None))

    def names(self, folder: str = "") -> list[str]:
        """All names."""
        return sorted(self.kept)

    def remove(self, name: str) -> None:
        """Forgets it."""
        del self.kept[name]

    def hold(self, name: str, data: bytes):
        """A lock that nobody else asks for."""
        return lambda: None

    def under(self, name: str) -> AbstractFiles:
        """Itself."""
        return self

    def clear(self, folder: str = "") -> None:
        """Nothing is left behind."""


def late_stores() -> dict[str, np.ndarray]:
    """A store that is late and one that never answers: whether the one is waited for, and the other told."""
    state = small_state(NEW)
    late = Store(_Silent(0.05), retries=Retries(2, 0.01, timeout=1.0))
    save(late, state, wait=True, **OPTIONS)
    never = _Silent(None)
    try:
        save(Store(never, retries=Retries(2, 0.01, timeout=0.1)), state, wait=True, **OPTIONS)
        told = False
    except StoreError as error:
        told = "no progress for 0.1 s, after 2 attempts" in str(error)
    never.let_go.set()
    return {
        "waited": np.asarray(not verify_checkpoint(late)),
        "told": np.asarray(told),
    }


def true_kills(count: int, seed: int) -> dict[str, np.ndarray]:
    """As `kills`, but each save is one of a process of its own that ends by SIGKILL, on a disk that truly syncs."""
    found: dict[str, list] = {key: [] for key in ("killed", "committed", "lost", "half", "failed")}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, folder, str(count), str(seed)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found["killed"] = json.loads(ran.stdout)
        for trial in range(count):
            path = Path(folder) / str(trial)
            series = Series(path, fsync=False)
            _look(series, path / f"step_{NEW:08d}", found)
    return {key: np.asarray(each) for key, each in found.items()}


def _kill_children(folder: str, count: int, seed: int) -> list[bool]:
    """Which of the children that save were killed; all but those are."""
    total, killed = n_calls(), []
    with warnings.catch_warnings():
        # JAX has threads; a child saves arrays of NumPy and never asks for a device.
        warnings.simplefilter("ignore", RuntimeWarning)
        for trial in range(count):
            _, path = _begun(f"{folder}/{trial}")
            kill_at = int(np.random.default_rng((seed, trial, 2)).integers(total)) + 1
            child = os.fork()
            if child == 0:
                _save_new(FailingDisk(kill_at=kill_at, truly=True, seed=(seed, trial)), path)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            killed.append(os.WIFSIGNALED(status))
    return killed


if __name__ == "__main__":
    print(json.dumps(_kill_children(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))

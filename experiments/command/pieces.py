"""Pieces of a run that still goes on: each an NPZ written whole, in a folder that one process at a time may write."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.errors import StorageError, UserError
from experiments.harness.files import read_arrays, read_json, write_arrays, write_json


class PieceStore:
    """Finished pieces of an unfinished run.

    Args:
        folder: Where the pieces of one configuration live.
        config: The configuration as plain JSON; pieces of another one are refused.
        code: Fingerprint of the source, kept with each piece so that mixing of versions is seen.
        force: Use only pieces of an interrupted forced run of the same code.
    """

    _META = "piece_meta"

    def __init__(self, folder: Path, config: Any, code: str = "", force: bool = False):
        self.folder = folder
        self.notes: list[str] = []
        self.reused = 0
        self.reused_seconds = 0.0
        self._config = config
        self._code = code
        self._force = force
        self._discarded = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder and keeps other processes from it, so that a run that cannot save fails before it computes.

        Raises:
            StorageError: If the folder cannot be written, or holds pieces of another configuration.
            UserError: If another process computes this configuration.
        """
        with told_as_storage_error(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_config()
            lock = _lock(self.folder)
        try:
            yield
        finally:
            # Before the lock is let go: afterwards the folder may be that of another process.
            if not self._discarded and not any(self.folder.glob("*.npz")) and not self._trainings():
                self.discard()
            lock.close()

    def states(self) -> Path:
        """Folder of the states of trainings; one under other source, or that is not forced, has another."""
        return self.folder / "trainings" / (self._code + ("-forced" if self._force else ""))

    def _trainings(self) -> bool:
        return any((self.folder / "trainings").rglob("manifest.json"))

    def load(self, label: str) -> dict[str, np.ndarray] | None:
        """Saved piece, or None; a damaged one is noted and computed again."""
        path = self._path(label)
        if not path.exists():
            return None
        self._check_config()
        try:
            arrays = read_arrays(path)
            meta = json.loads(str(arrays.pop(self._META)))
            saved_as, code, forced = meta["label"], meta["code"], meta["force"]
            seconds = float(meta["seconds"])
        except (UserError, KeyError, ValueError, TypeError, RecursionError):
            self.notes.append(f"{label}: the saved piece {path} is damaged, computing it again")
            return None
        if saved_as != label or (self._force and not (forced and code == self._code)):
            return None
        if code != self._code:
            self.notes.append(
                f"{label}: saved by another version of the code; --force computes it again"
            )
        self.reused += 1
        self.reused_seconds += seconds
        return arrays

    def save(self, label: str, arrays: dict[str, np.ndarray], seconds: float) -> None:
        """Writes a piece whole or not at all."""
        path = self._path(label)
        meta = {"label": label, "code": self._code, "force": self._force, "seconds": seconds}
        with told_as_storage_error(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_config()
            write_arrays(path, arrays | {self._META: np.array(json.dumps(meta))})

    def discard(self) -> None:
        """Removes the pieces, once the whole result is saved."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._discarded = True

    def _path(self, label: str) -> Path:
        words = "".join(c if c.isalnum() or c in "-_." else "_" for c in label)[:60]
        return self.folder / f"{words}-{hashlib.sha256(label.encode()).hexdigest()[:8]}.npz"

    def _check_config(self) -> None:
        path = self.folder / "config.json"
        kept = None
        if path.exists():
            try:
                kept = read_json(path)
            except UserError:
                # The folder is named after the configuration, so its pieces are still of this one.
                self.notes.append(f"{path} is damaged, written again")
        if kept is None:
            write_json(path, self._config)
        elif kept != self._config:
            raise StorageError(
                f"{self.folder} holds pieces of another configuration; delete it or use another --out."
            )


def _lock(folder: Path):
    """A held lock of the folder, which the system lets go when the process ends, however it ends."""
    file = open(folder / "lock", "a+b")  # noqa: SIM115  it is held while it is open
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read(20).decode(errors="replace").strip() or "unknown"
        file.close()
        raise UserError(
            f"{folder.parent.name} with this configuration is being computed by process {owner}; wait for it, or use "
            "another --out."
        ) from None
    except (ImportError, OSError):
        return file  # a system or file system without locks
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


@contextlib.contextmanager
def told_as_storage_error(path: Path) -> Iterator[None]:
    """Turns what the system says about a file into one line that names the path and what is kept."""
    try:
        yield
    except OSError as error:
        kept = "the former result is kept" if path.exists() else "what was saved before is kept"
        raise StorageError(f"Cannot write {path}: {error.strerror or error}; {kept}.") from error

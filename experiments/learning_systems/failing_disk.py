"""A disk that fails: the calls of `os` that `nn.checkpoint.files.LocalFiles` makes, of which one does not come back.

A process may be killed in the middle of any call, the power may fail (what was not synced is then lost in part), the
room may end, and the right to write may be gone. A sync is noted and not made, so that thousands of saves take seconds.

The power fails as a file system without an order of its own would have it: of each file an unsynced end is lost, and of
each folder the last of the unsynced changes of names are undone. What was synced stays.
"""

import contextlib
import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


class Killed(BaseException):
    """The process is dead; no handler of an error may run."""


@dataclass
class _Change:
    """A change of a folder that is not synced yet, and how it is undone."""

    folder: Path
    undo: Callable[[], Any]


@dataclass
class FailingDisk:
    """Calls of `os` on a disk that fails once.

    Attributes:
        kill_at: Number of the call, from one on, in the middle of which the process is killed; None for none.
        room: Bytes that can be written until the disk is full; None for any number.
        forbidden: Whether nothing may be written.
        truly: Kill this process by SIGKILL, and sync as told.
        seed: Seed of what a call has done when it is killed, and of what is lost with the power.
        calls: Number of calls so far.
        written: Number of bytes so far.
    """

    kill_at: int | None = None
    room: int | None = None
    forbidden: bool = False
    truly: bool = False
    seed: tuple[int, ...] = (0,)
    calls: int = 0
    written: int = 0

    def __post_init__(self):
        self._rng = np.random.default_rng(self.seed)
        self._dead = False
        self._lock = threading.RLock()
        self._open: dict[int, Path] = {}
        self._unsynced: dict[int, tuple[Path, int]] = {}  # by inode: path, synced bytes
        self._changes: list[_Change] = []

    def open(self, path: Any, flags: int, mode: int = 0o666) -> int:
        """As of `os`; of a new file its name is unsynced."""

        def call() -> int:
            path_, is_new = Path(path), not os.path.lexists(path)
            number = os.open(path, flags, mode)
            self._open[number] = path_
            if flags & os.O_CREAT and is_new:
                self._note(path_, lambda: os.unlink(path_))
                self._unsynced[os.fstat(number).st_ino] = (path_, 0)
            return number

        return self._made(call, changes=bool(flags & os.O_CREAT))

    def write(self, number: int, data: Any) -> int:
        """As of `os`; a killed call has written a part."""

        def call() -> int:
            left = None if self.room is None else self.room - self.written
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # A part fits still; the next call finds the disk full.
            n_bytes = os.write(number, data if left is None else data[:left])
            self.written += n_bytes
            return n_bytes

        def half() -> None:
            os.write(number, data[: int(self._rng.integers(len(data) + 1))])

        return self._made(call, half)

    def fsync(self, number: int) -> None:
        """Notes that the file or folder is synced."""

        def call() -> None:
            if self.truly:
                os.fsync(number)
            path = self._open[number]
            if path.is_dir():
                self._changes = [change for change in self._changes if change.folder != path]
            else:
                self._unsynced.pop(os.fstat(number).st_ino, None)

        self._made(call)

    def close(self, number: int) -> None:
        """As of `os`."""

        def call() -> None:
            self._open.pop(number, None)
            os.close(number)

        self._made(call)

    def replace(self, one: Any, other: Any) -> None:
        """As of `os`."""

        def call() -> None:
            before = Path(other).read_bytes() if os.path.exists(other) else None
            os.replace(one, other)
            self._follow(Path(other))

            def undo() -> None:
                os.replace(other, one)
                if before is not None:
                    Path(other).write_bytes(before)

            self._note(Path(other), undo)

        self._made(call, changes=True)

    def link(self, one: Any, other: Any) -> None:
        """As of `os`."""

        def call() -> None:
            os.link(one, other)
            self._follow(Path(other))
            self._note(Path(other), lambda: os.unlink(other))

        self._made(call, changes=True)

    def unlink(self, path: Any) -> None:
        """As of `os`."""

        def call() -> None:
            before = Path(path).read_bytes()
            os.unlink(path)
            self._note(Path(path), lambda: Path(path).write_bytes(before))

        self._made(call, changes=True)

    def mkdir(self, path: Any) -> None:
        """As of `os`."""

        def call() -> None:
            os.mkdir(path)
            self._note(Path(path), lambda: shutil.rmtree(path))

        self._made(call, changes=True)

    def ftruncate(self, number: int, length: int) -> None:
        """As of `os`."""
        self._made(lambda: os.ftruncate(number, length))

    def cut_power(self) -> None:
        """Loses what is not synced: ends of files, and the last changes of each folder."""
        with self._lock:
            self._die()
            keep = {
                folder: int(self._rng.integers(n + 1))
                for folder in sorted({change.folder for change in self._changes})
                for n in [sum(change.folder == folder for change in self._changes)]
            }
            lost = []
            for change in self._changes:
                if keep[change.folder]:
                    keep[change.folder] -= 1
                else:
                    lost.append(change)
            for path, synced in self._unsynced.values():
                self._lose_end(path, synced)
            for change in reversed(lost):
                with contextlib.suppress(OSError):  # its folder may be gone
                    change.undo()

    def _follow(self, path: Path) -> None:
        """A file whose end is unsynced has another name."""
        number = path.stat().st_ino
        if number in self._unsynced:
            self._unsynced[number] = path, self._unsynced[number][1]

    def _lose_end(self, path: Path, synced: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # removed since
            size = path.stat().st_size
            os.truncate(path, synced + int(self._rng.integers(size - synced + 1)))

    def _note(self, path: Path, undo: Callable[[], Any]) -> None:
        self._changes.append(_Change(path.parent, undo))

    def _made(
        self,
        call: Callable[[], Any],
        half: Callable[[], Any] | None = None,
        *,
        changes: bool = False,
    ) -> Any:
        with self._lock:
            if self._dead:
                raise Killed
            self.calls += 1
            if self.calls == self.kill_at:
                # The call may have been made, or not, or in part.
                if half is not None:
                    half()
                elif self._rng.integers(2):
                    with contextlib.suppress(OSError):
                        call()
                if self.truly:
                    os.kill(os.getpid(), signal.SIGKILL)
                self._die()
                raise Killed
            if self.forbidden and changes:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return call()

    def _die(self) -> None:
        """What the system does for a process that ends: its files are closed, and with them its locks."""
        self._dead = True
        for number in list(self._open):
            with contextlib.suppress(OSError):
                os.close(number)
        self._open.clear()

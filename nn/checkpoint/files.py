"""Where bytes are kept under names: the calls that each kind of storage must have, and local disks.

A local file is written under a temporary name, synced, renamed, and its folder synced. So it is there whole or not at
all, and stays when the power fails (T. S. Pillai et al., OSDI 2014, on what file systems promise of it). What a
killed writer leaves has a name that begins with a dot, and is never listed.
"""

import abc
import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

PART = ".part"  # ends the names of what is being written
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


class AbstractFiles(abc.ABC):
    """Named bytes; names are relative, with forward slashes. Errors are OSErrors of the usual kinds."""

    location: str

    @abc.abstractmethod
    def put(self, name: str, pieces: Iterable[memoryview]) -> int:
        """Writes a file that is seen whole or not at all; replaces one of that name; returns its size."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> None:
        """Writes a file of a new name; FileExistsError where it is taken."""

    @abc.abstractmethod
    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """Bytes `start` to `stop`, fewer where the file ends."""

    @abc.abstractmethod
    def get_many(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Several ranges at once."""

    @abc.abstractmethod
    def size(self, name: str) -> int:
        """Number of bytes; FileNotFoundError where there is no such file."""

    @abc.abstractmethod
    def names(self, folder: str = "") -> list[str]:
        """Names of all files, or of those below a folder."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file; FileNotFoundError where there is none."""

    @abc.abstractmethod
    def hold(self, name: str, data: bytes) -> Callable[[], None]:
        """Makes a file that keeps others from making it and returns what lets it go; FileExistsError where held."""

    @abc.abstractmethod
    def under(self, name: str) -> "AbstractFiles":
        """The files whose names begin with `name/`, without that."""

    @abc.abstractmethod
    def clear(self, folder: str = "") -> None:
        """Removes what killed writers left in a folder, not below it, of files that never were whole."""


class LocalFiles(AbstractFiles):
    """Files below a folder of this machine.

    Args:
        root: The folder; made when first written to.
        fsync: Wait until the disk has what was written. Without, a failure of the power may take a finished file.
        system: Module with the calls of `os`; tests of failures bring their own.
    """

    def __init__(self, root: Path | str, *, fsync: bool = True, system: Any = os):
        self.root = Path(root).expanduser()
        self.location = str(self.root)
        self._fsync = fsync
        self._system = system

    def put(self, name: str, pieces: Iterable[memoryview]) -> int:
        """Writes beside the place, syncs, renames, syncs the folder."""
        path = self._made(name)
        part = self._part(path)
        try:
            n_bytes = self._write_new(part, pieces)
            self._system.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._system.unlink(part)
            raise
        self._sync_folder(path.parent)
        return n_bytes

    def create(self, name: str, data: bytes) -> None:
        """As of `AbstractFiles`."""
        path = self._made(name)
        if path.exists():
            raise FileExistsError(errno.EEXIST, "is there already", str(path))
        part = self._part(path)
        try:
            self._write_new(part, [memoryview(data)])
            self._give_free_name(part, path)
        finally:
            with contextlib.suppress(OSError):
                self._system.unlink(part)
        self._sync_folder(path.parent)

    def _give_free_name(self, part: Path, path: Path) -> None:
        try:
            self._system.link(part, path)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._system.replace(part, path)

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """As of `AbstractFiles`."""
        with open(self._path(name), "rb", buffering=0) as file:
            file.seek(start)
            end = os.fstat(file.fileno()).st_size
            left = max(min(end if stop is None else stop, end) - start, 0)
            parts = [file.read(left)]
            # One call gives 2 GiB at most.
            while parts[-1] and (left := left - len(parts[-1])):
                parts.append(file.read(left))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def get_many(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """One after the other."""
        return [self.get(*each) for each in ranges]

    def get_into(self, name: str, start: int, *targets: memoryview) -> int:
        """Fills memory that is there, one after the other; returns the number of bytes, fewer where the file ends."""
        n_bytes = 0
        with open(self._path(name), "rb", buffering=0) as file:
            file.seek(start)
            for target in targets:
                left = target
                while left:
                    got = file.readinto(left)
                    if not got:
                        return n_bytes
                    n_bytes += got
                    left = left[got:]
        return n_bytes

    def size(self, name: str) -> int:
        """As of `AbstractFiles`."""
        path = self._path(name)
        if path.is_dir():
            raise FileNotFoundError(errno.ENOENT, "is a folder, not a file", str(path))
        return path.stat().st_size

    def names(self, folder: str = "") -> list[str]:
        """As of `AbstractFiles`."""
        found = []
        for place, folders, files in os.walk(self._path(folder)):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            inside = Path(place).relative_to(self.root)
            found += [(inside / each).as_posix() for each in files if not each.startswith(".")]
        return sorted(found)

    def remove(self, name: str) -> None:
        """As of `AbstractFiles`."""
        self._system.unlink(self._path(name))

    def hold(self, name: str, data: bytes) -> Callable[[], None]:
        """As of `AbstractFiles`. The system lets go when the process ends, however it ends."""
        path = self._made(name)
        while True:
            number, is_new = self._open_lock(path)
            locked = _lock(number)
            if locked is False or (locked is None and not is_new):
                self._system.close(number)
                raise FileExistsError(errno.EEXIST, "is held by a process", str(path))
            if _is_at(number, path):
                break
            # Its owner removed it between the two calls; the one locked here is nobody's.
            self._system.close(number)
        self._system.ftruncate(number, 0)
        self._system.write(number, data)

        def release() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._system.unlink(path)
            self._system.close(number)

        return release

    def _open_lock(self, path: Path) -> tuple[int, bool]:
        """An open file, and whether it was made by this call."""
        while True:
            with contextlib.suppress(FileExistsError):
                return self._system.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
            with contextlib.suppress(FileNotFoundError):  # let go since
                return self._system.open(path, os.O_RDWR), False

    def under(self, name: str) -> "LocalFiles":
        """As of `AbstractFiles`."""
        return LocalFiles(self._path(name), fsync=self._fsync, system=self._system)

    def clear(self, folder: str = "") -> None:
        """As of `AbstractFiles`."""
        for part in self._path(folder).glob(f".*{PART}"):
            self._system.unlink(part)

    def _part(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")

    def _path(self, name: str) -> Path:
        return self.root.joinpath(*name.split("/"))

    def _made(self, name: str) -> Path:
        """Path of a file to be, its folders made."""
        path = self._path(name)
        missing = []
        folder = path.parent
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                self._system.mkdir(folder)
            self._sync_folder(folder.parent)
        return path

    def _write_new(self, path: Path, pieces: Iterable[memoryview]) -> int:
        number = self._system.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            n_bytes = 0
            for piece in pieces:
                n_bytes += len(piece)
                while piece:
                    piece = piece[self._system.write(number, piece) :]
            if self._fsync:
                self._system.fsync(number)
        finally:
            self._system.close(number)
        return n_bytes

    def _sync_folder(self, folder: Path) -> None:
        if not self._fsync or os.name == "nt":  # Windows syncs no folders
            return
        number = self._system.open(folder, os.O_RDONLY)
        try:
            self._system.fsync(number)
        finally:
            self._system.close(number)


def _lock(number: int) -> bool | None:
    """Locks an open file: True where it is ours now, False where it is another's, None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except ImportError:
        return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _is_at(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except FileNotFoundError:
        return False


def as_views(pieces: Iterable[Any]) -> Iterator[memoryview]:
    """Contiguous buffers of any kind as bytes, empty ones left out; nothing is copied."""
    for piece in pieces:
        view = memoryview(piece)
        if view.nbytes:
            yield view.cast("B")

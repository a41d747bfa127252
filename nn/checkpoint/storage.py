"""A store: named bytes under one path of a local disk, of memory, S3, HDFS or whatever fsspec knows.

Operations that fail for a passing reason are repeated after growing pauses; what no repetition mends (no such file, no
permission, a full disk) is told at once. Where a time limit is set, a store that makes no progress for so long counts
as failed too; what it answers later is not heard.
"""

import errno
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nn.checkpoint.files import AbstractFiles, LocalFiles, as_views
from nn.checkpoint.retries import FULL, Retries, StoreError, Watch, lasts, within

_T = TypeVar("_T")


class Store:
    """Named bytes under one path.

    Names are relative and have forward slashes, `data/00000.bin`.

    Args:
        files: Where they are kept.
        retries: How often what fails is tried again.
        sleep: What waits for so many seconds; tests bring their own.
    """

    def __init__(
        self,
        files: AbstractFiles,
        *,
        retries: Retries | None = None,
        sleep: Callable[[float], Any] = time.sleep,
    ):
        self.files = files
        self.retries = retries or Retries()
        self._sleep = sleep

    @property
    def location(self) -> str:
        """The path, as messages name it."""
        return self.files.location

    def write(self, name: str, pieces: Iterable[Any]) -> int:
        """Writes a file, which is seen whole or not at all.

        Args:
            name: Name of the file; one that is there is replaced.
            pieces: Contiguous buffers, written one after the other. An iterator is used up by the first attempt, so
                only a list or another collection is written again where an attempt fails.

        Returns:
            Number of bytes.

        Raises:
            StoreError: If it cannot be written; nothing of it is seen, and a file of that name is as it was.
        """
        once = iter(pieces) is pieces
        return self._try(
            "write", name, lambda watch: self.files.put(name, watch.over(as_views(pieces))), once
        )

    def create(self, name: str, data: Any) -> None:
        """Writes a file of a new name.

        Raises:
            FileExistsError: If there is a file of that name.
            StoreError: If it cannot be written.
        """
        data = bytes(data)
        failed = []

        def attempt(watch: Watch) -> None:
            try:
                self.files.create(name, data)
            except FileExistsError:
                # An attempt that was given up may have come through.
                if not failed or self.files.get(name, 0, None) != data:
                    raise
            except Exception as error:
                failed.append(error)
                raise

        self._try("create", name, attempt)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes of a file from `start` up to `stop` or its end; fewer where it ends before.

        Raises:
            FileNotFoundError: If there is no such file.
            StoreError: If it cannot be read.
        """
        return self._try("read", name, lambda watch: self.files.get(name, start, stop))

    def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Several ranges, each (name, start, stop), side by side where the store can; as `read`."""
        ranges = list(ranges)
        for name, _, _ in ranges:
            _check_name(name)
        named = ", ".join(sorted({name for name, _, _ in ranges}))
        return self._try("read", named, lambda watch: self.files.get_many(ranges), checked=True)

    def read_into(self, name: str, start: int, *targets: Any) -> int:
        """Fills writable buffers from `start` on, one after the other, without a copy where the disk is local.

        Returns:
            Number of bytes, fewer than fit where the file ends.
        """
        views = list(as_views(targets))

        def attempt(watch: Watch) -> int:
            if isinstance(self.files, LocalFiles):
                return self.files.get_into(name, start, *views)
            data = memoryview(self.files.get(name, start, start + sum(map(len, views))))
            position = 0
            for view in views:
                part = data[position : position + len(view)]
                view[: len(part)] = part
                position += len(part)
            return position

        return self._try("read", name, attempt)

    def size(self, name: str) -> int:
        """Number of bytes of a file; FileNotFoundError where there is none."""
        return self._try("look at", name, lambda watch: self.files.size(name))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def names(self, prefix: str = "") -> list[str]:
        """Names of the files that begin with `prefix`, in order; what is still being written is not among them."""
        folder = prefix.rpartition("/")[0]
        found = self._try("list", "", lambda watch: self.files.names(folder), checked=True)
        return [name for name in found if name.startswith(prefix)]

    def remove(self, name: str) -> None:
        """Removes a file.

        Raises:
            FileNotFoundError: If there is none.
        """
        self._try("remove", name, lambda watch: self.files.remove(name))

    def hold(self, name: str, data: bytes) -> Callable[[], None]:
        """Makes a lock, which holds the data, and returns what lets it go.

        Raises:
            FileExistsError: If it is held.
        """
        return self._try("lock", name, lambda watch: self.files.hold(name, data))

    def clear(self, folder: str = "") -> None:
        """Removes what killed writers left in a folder, not below it, of files that never were whole."""
        self._try("clear", folder, lambda watch: self.files.clear(folder), checked=True)

    def under(self, name: str) -> "Store":
        """The store of the files whose names begin with `name/`."""
        _check_name(name)
        return Store(self.files.under(name), retries=self.retries, sleep=self._sleep)

    def _try(
        self,
        verb: str,
        name: str,
        attempt: Callable[[Watch], _T],
        once: bool = False,
        *,
        checked: bool = False,
    ) -> _T:
        if not checked:
            _check_name(name)
        failures = 0
        while True:
            try:
                return within(self.retries.timeout, attempt)
            except (FileNotFoundError, FileExistsError, ValueError, TypeError, ImportError):
                raise
            except Exception as error:
                failures += 1
                if once or failures >= self.retries.attempts or lasts(error):
                    raise self._error(verb, name, error, failures, once) from error
            self._sleep(self.retries.wait(failures))

    def _error(
        self, verb: str, name: str, error: Exception, failures: int, once: bool
    ) -> StoreError:
        number = error.errno if isinstance(error, OSError) else None
        place = f"{self.location}/{name}".rstrip("/")
        reason = error.strerror if number is not None and isinstance(error, OSError) else str(error)
        text = f"cannot {verb} {place}: {reason or type(error).__name__}"
        if failures > 1:
            text += f", after {failures} attempts"
        if once and not lasts(error):
            text += ", not tried again since its pieces could be read only once"
        if number in FULL:
            text += ". Free some space; what was stored before is as it was"
        elif isinstance(error, PermissionError) or number == errno.EROFS:
            text += (
                ". Ask for the right to write there, or use another path" if verb != "read" else ""
            )
        failed = StoreError(text + ".")
        failed.errno = number
        return failed


def open_store(
    path: Any, *, retries: Retries | None = None, fsync: bool = True, **options: Any
) -> Store:
    """Opens a store; nothing is read or written yet.

    Args:
        path: A folder (`runs/a`, `pathlib.Path`), a URL (`memory://a`, `s3://bucket/a`, `hdfs://host/a`), or a store,
            which is returned as it is.
        retries: How often what fails is tried again; None takes the usual.
        fsync: For local disks: wait until the disk has what was written.
        options: Passed to the file system of fsspec, such as `endpoint_url` for S3.

    Raises:
        ValueError: If the path is empty, or its protocol is unknown to fsspec.
        ModuleNotFoundError: If a package is missing that the protocol needs.
    """
    if isinstance(path, Store):
        return path
    if not isinstance(path, str | Path):
        raise TypeError(f"`path` must be a path, a URL or a store, but is a {type(path).__name__}.")
    text = str(path)
    protocol, found, rest = text.partition("://")
    if not text or (found and not rest):
        raise ValueError(f"`path` must name a folder, but is {text!r}.")
    if not found or protocol in ("file", "local"):
        return Store(LocalFiles(rest if found else text, fsync=fsync), retries=retries)
    return Store(_remote(text, protocol, options), retries=retries)


def _remote(url: str, protocol: str, options: dict[str, Any]) -> AbstractFiles:
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"`path` {url} needs the package fsspec; install lightecho[checkpoint]."
        ) from error
    from nn.checkpoint.remote_files import RemoteFiles

    try:
        system, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise ModuleNotFoundError(f"`path` {url} needs another package: {error}.") from error
    except ValueError as error:
        raise ValueError(
            f"`path` must have a protocol that fsspec knows, but is {url!r}: {error}."
        ) from error
    return RemoteFiles(system, root, protocol)


def _check_name(name: str) -> None:
    parts = name.split("/")
    if not name or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"`name` must be a relative name with forward slashes and no `..`, but is {name!r}."
        )

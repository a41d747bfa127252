"""Files of any store that fsspec knows: memory, S3, HDFS, and so on.

What the protocols differ in is written here once. On S3, GCS, Azure and in memory a file is seen when it is whole, and
a file of a new name can be created by one writer alone (a conditional put). On HDFS and others a file grows in sight of
all, so it is written under another name and moved; and there a new name is looked for and then taken, in two steps.
"""

import contextlib
import errno
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nn.checkpoint.files import PART, AbstractFiles

# Protocols whose files are seen whole or not at all.
WHOLE = ("memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl")
_ONE_PUT = 8 * 2**20  # bytes; S3 takes parts of 5 MiB or more, so smaller files go in one request


class RemoteFiles(AbstractFiles):
    """Files below a path of a file system of fsspec.

    Args:
        system: The file system.
        root: Path in it, as it writes paths.
        protocol: Its protocol, for messages and for what it can do.
        block: Bytes of a part of an upload.
    """

    def __init__(self, system: Any, root: str, protocol: str, *, block: int = 32 * 2**20):
        self.system = system
        self.location = f"{protocol}://{root.lstrip('/')}"
        self._root = root.rstrip("/")
        self._protocol = protocol
        self._block = block

    def put(self, name: str, pieces: Iterable[memoryview]) -> int:
        """In parts; small files in one request."""
        path = self._path(name)
        if self._protocol in WHOLE:
            return self._write(path, pieces)
        folder, _, last = path.rpartition("/")
        part = f"{folder}/.{last}.{secrets.token_hex(4)}{PART}"
        self.system.makedirs(folder, exist_ok=True)
        n_bytes = self._write(part, pieces)
        if self.system.exists(path):
            self.system.rm_file(path)
        self.system.mv(part, path)
        return n_bytes

    def _write(self, path: str, pieces: Iterable[memoryview]) -> int:
        small: list[bytes] = []
        n_bytes = 0
        pieces = iter(pieces)
        for piece in pieces:
            small.append(bytes(piece))
            n_bytes += len(piece)
            if n_bytes > _ONE_PUT:
                break
        else:
            self.system.pipe_file(path, b"".join(small))
            return n_bytes
        file = self.system.open(path, "wb", block_size=self._block)
        try:
            for piece in small:
                file.write(piece)
            small.clear()
            for piece in pieces:
                file.write(piece)
                n_bytes += len(piece)
            file.close()
        except BaseException:
            self._abandon(file, path)
            raise
        return n_bytes

    def _abandon(self, file: Any, path: str) -> None:
        """Keeps half a file from being seen: closing it, which leaving a `with` does too, would finish the upload."""
        with contextlib.suppress(Exception):
            file.discard()
        with contextlib.suppress(AttributeError):  # or it would be closed when it is forgotten
            file.closed = True
        if self._protocol in ("s3", "s3a"):
            return  # never seen, since the upload was not completed
        with contextlib.suppress(Exception):
            self.system.rm_file(path)

    def create(self, name: str, data: bytes) -> None:
        """As of `AbstractFiles`; by a conditional put where the protocol has one."""
        path = self._path(name)
        if self._protocol not in WHOLE:
            self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self.system.exists(path):
                raise FileExistsError(errno.EEXIST, "is there already", path)
        self.system.pipe_file(path, data, mode="create")

    def get(self, name: str, start: int, stop: int | None) -> bytes:
        """As of `AbstractFiles`."""
        if stop is not None and stop <= start:
            return b""
        return bytes(self.system.cat_file(self._path(name), start=start or None, end=stop))

    def get_many(self, ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Side by side."""
        found = [b""] * len(ranges)
        full = [i for i, (_, start, stop) in enumerate(ranges) if stop > start]
        if full:
            names, starts, stops = zip(*(ranges[i] for i in full), strict=True)
            paths = [self._path(name) for name in names]
            read = self.system.cat_ranges(paths, list(starts), list(stops), on_error="raise")
            for i, data in zip(full, read, strict=True):
                found[i] = bytes(data)
        return found

    def size(self, name: str) -> int:
        """As of `AbstractFiles`."""
        self.system.invalidate_cache()
        info = self.system.info(self._path(name))
        if info["type"] != "file":
            raise FileNotFoundError(
                errno.ENOENT, "is a folder, not a file", f"{self.location}/{name}"
            )
        return int(info["size"])

    def names(self, folder: str = "") -> list[str]:
        """As of `AbstractFiles`."""
        self.system.invalidate_cache()
        root = self._root.lstrip("/")
        inside = [
            path.lstrip("/")[len(root) :].lstrip("/")
            for path in self.system.find(self._path(folder))
        ]
        return sorted(n for n in inside if not any(p.startswith(".") for p in n.split("/")))

    def remove(self, name: str) -> None:
        """As of `AbstractFiles`."""
        self.system.rm_file(self._path(name))

    def hold(self, name: str, data: bytes) -> Callable[[], None]:
        """As of `AbstractFiles`. A killed owner leaves its lock, for nobody can see that it is gone."""
        try:
            self.create(name, data)
        except FileExistsError:
            # It may be ours, of an attempt whose answer was lost: no two owners write the same.
            if self.get(name, 0, None) != data:
                raise

        def release() -> None:
            # Someone may have taken it away and made another.
            with contextlib.suppress(FileNotFoundError):
                if self.get(name, 0, None) == data:
                    self.remove(name)

        return release

    def under(self, name: str) -> "RemoteFiles":
        """As of `AbstractFiles`."""
        return RemoteFiles(self.system, self._path(name), self._protocol, block=self._block)

    def clear(self, folder: str = "") -> None:
        """As of `AbstractFiles`."""
        self.system.invalidate_cache()
        for path in self.system.find(self._path(folder), maxdepth=1):
            last = path.rpartition("/")[2]
            if last.startswith(".") and last.endswith(PART):
                self.system.rm_file(path)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

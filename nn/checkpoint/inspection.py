"""Looking into a checkpoint: what it holds, and whether every byte of it is as written.

`verify_checkpoint` reads all files once, in pieces, and needs neither the program that wrote them nor memory for the
state. Each damage is told with its file, its first byte, the tensor and what was expected; a single flipped bit is
found itself, with the element that it belongs to.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nn.checkpoint.checksums import RunningChecksum, combine, flipped_bit, kind_of
from nn.checkpoint.commit import LOCK, read_manifest
from nn.checkpoint.manifest import NAME, CheckpointError, Chunk, DataFile, Manifest, Tensor
from nn.checkpoint.retries import StoreError
from nn.checkpoint.storage import Store, open_store
from nn.checkpoint.tree import dtype_of

_READ = 16 * 2**20  # bytes at once


@dataclass(frozen=True)
class Damage:
    """Something that is not as written.

    Attributes:
        file: Name of the file.
        problem: What is wrong, a few words.
        tensors: Tensors that it concerns.
        offset: First byte of the file that may be wrong; None where it is the file as a whole.
        length: Number of bytes that may be wrong.
        expected: What should be there.
        found: What is there.
    """

    file: str
    problem: str
    tensors: tuple[str, ...] = ()
    offset: int | None = None
    length: int = 0
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        place = self.file
        if self.offset is not None:
            place += f", byte {self.offset}"
            place += f" to {self.offset + self.length - 1}" if self.length > 1 else ""
        whose = "" if not self.tensors else f" (tensor {', '.join(self.tensors[:3])}"
        whose += f" and {len(self.tensors) - 3} more" if len(self.tensors) > 3 else ""
        whose += ")" if self.tensors else ""
        expected = f": expected {self.expected}, found {self.found}" if self.expected else ""
        return f"{place}{whose}: {self.problem}{expected}"


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint says it holds; no data is read for it.

    Attributes:
        location: Where it is.
        manifest: What it holds.
        strays: Files below it that belong to nothing.
    """

    location: str
    manifest: Manifest
    strays: tuple[str, ...]

    def rows(self) -> list[tuple[str, str, str, int, int, str]]:
        """Path, dtype, shape, bytes, number of chunks and sharding when saved, of each tensor."""
        return [
            (
                path,
                tensor.dtype if tensor.kind == "array" else f"{tensor.kind} ({tensor.dtype})",
                str(tensor.shape),
                tensor.n_bytes,
                len(tensor.chunks),
                tensor.details.get("sharding", ""),
            )
            for path, tensor in self.manifest.tensors.items()
        ]


def inspect_checkpoint(path: str | Path | Store, **options: Any) -> Inspection:
    """What a checkpoint holds: tensors with shapes, dtypes and shardings, values, static parts and files.

    Args:
        path: A folder, a URL of fsspec, or a store.
        options: Passed to `nn.checkpoint.storage.open_store`.

    Raises:
        FileNotFoundError: If there is nothing at all.
        CheckpointError: If the checkpoint is not finished, or its manifest is damaged.
    """
    store = open_store(path, **options)
    manifest = read_manifest(store)
    known = {NAME, LOCK, *(file.name for file in manifest.files)}
    return Inspection(store.location, manifest, tuple(n for n in store.names() if n not in known))


def verify_checkpoint(path: str | Path | Store, **options: Any) -> list[Damage]:
    """Reads every byte of a checkpoint and compares all checksums.

    Args:
        path: A folder, a URL of fsspec, or a store.
        options: Passed to `nn.checkpoint.storage.open_store`.

    Returns:
        What is damaged, in the order of the files; nothing where all is as written.

    Raises:
        FileNotFoundError: If there is nothing at all.
        ModuleNotFoundError: If its checksums cannot be computed here.
    """
    store = open_store(path, **options)
    try:
        manifest = read_manifest(store)
    except CheckpointError as error:
        return [Damage(NAME, str(error))]
    return [damage for file in manifest.files for damage in _file_damage(store, manifest, file)]


def _file_damage(store: Store, manifest: Manifest, file: DataFile) -> Iterator[Damage]:
    inside = sorted(
        (
            (chunk, path, tensor)
            for path, tensor in manifest.tensors.items()
            for chunk in tensor.chunks
            if chunk.file == file.name
        ),
        key=lambda entry: entry[0].offset,
    )
    tensors = tuple(dict.fromkeys(path for _, path, _ in inside))
    try:
        size = store.size(file.name)
    except FileNotFoundError:
        yield Damage(file.name, "is missing", tensors)
        return
    if size < file.size:
        lost = tuple(dict.fromkeys(p for c, p, _ in inside if c.offset + c.length > size))
        yield Damage(
            file.name, "is cut", lost, size, file.size - size, f"{file.size} bytes", f"{size}"
        )
    elif size > file.size:
        yield Damage(
            file.name,
            "is too long",
            (),
            file.size,
            size - file.size,
            f"{file.size} bytes",
            f"{size}",
        )
    parts: list[tuple[str, int]] = []
    sound = True
    for start, stop, entry in _stretches(inside, file.size):
        if stop > size:  # told already
            return
        kind = kind_of(file.checksum if entry is None else entry[0].checksum)
        try:
            found = _checksum(store, file.name, start, stop, kind)
        except StoreError as error:
            sound = False
            yield Damage(file.name, str(error), (entry[1],) if entry else (), start, stop - start)
            continue
        parts.append((found, stop - start))
        if entry and found != entry[0].checksum:
            sound = False
            yield _changed(*entry, found)
    if sound and parts and len({text.partition(":")[0] for text, _ in parts}) == 1:
        whole = combine(parts)
        if whole != file.checksum:
            yield Damage(
                file.name,
                "has other bytes between or beside its chunks",
                (),
                0,
                file.size,
                file.checksum,
                whole,
            )


def _stretches(
    inside: Sequence[tuple[Chunk, str, Tensor]], size: int
) -> Iterator[tuple[int, int, tuple[Chunk, str, Tensor] | None]]:
    """A file from its first to its last byte: chunks, and None for what is between them."""
    at = 0
    for entry in inside:
        chunk = entry[0]
        if chunk.offset > at:
            yield at, chunk.offset, None
        if chunk.length:
            yield chunk.offset, chunk.offset + chunk.length, entry
        at = max(at, chunk.offset + chunk.length)
    if at < size:
        yield at, size, None


def _checksum(store: Store, name: str, start: int, stop: int, kind: str) -> str:
    running = RunningChecksum(kind)
    for at in range(start, stop, _READ):
        running.update(store.read(name, at, min(at + _READ, stop)))
    return running.text


def _changed(chunk: Chunk, path: str, tensor: Tensor, found: str) -> Damage:
    bit = flipped_bit(chunk.checksum, found, chunk.length)
    if bit is None:
        return Damage(
            chunk.file,
            f"is changed (box at {chunk.offsets} of {chunk.lengths})",
            (path,),
            chunk.offset,
            chunk.length,
            chunk.checksum,
            found,
        )
    element = chunk_element(chunk, tensor, bit[0])
    problem = f"bit {bit[1]} is flipped, in element {element}"
    return Damage(chunk.file, problem, (path,), chunk.offset + bit[0], 1, chunk.checksum, found)


def chunk_element(chunk: Chunk, tensor: Tensor, byte: int) -> tuple[int, ...]:
    """Index in its tensor of the element that a byte of a chunk belongs to."""
    place = byte // dtype_of(tensor.dtype).itemsize
    index = []
    for axis, first in enumerate(chunk.offsets):
        stride = math.prod(chunk.lengths[axis + 1 :])
        index.append(first + place // stride)
        place %= stride
    return tuple(index)

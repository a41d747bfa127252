"""Writes a checkpoint anew: to another store, for another number of writers, in chunks of another size.

Loading reshards by itself, so this is for files: many small ones of many writers become few, a checkpoint moves to a
faster store. What is copied is checked on the way. Memory holds one chunk of each of the two.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nn._checks import check_at_least
from nn.checkpoint.boxes import Box
from nn.checkpoint.checksums import checksum, combine
from nn.checkpoint.commit import commit_manifest, read_manifest, writing
from nn.checkpoint.manifest import Chunk, DataFile, Manifest
from nn.checkpoint.pipeline import file_name
from nn.checkpoint.plan import Part, Spec, plan_save
from nn.checkpoint.reading import Source
from nn.checkpoint.storage import Store, open_store
from nn.checkpoint.tree import dtype_of

# Gives a box of a tensor by its path, in C order.
ReadBox = Callable[[str, Box], np.ndarray]


def rewrite_checkpoint(
    source: str | Path | Store,
    target: str | Path | Store,
    *,
    writers: int = 1,
    chunk_bytes: int = 4 << 20,
) -> Manifest:
    """Writes a checkpoint anew.

    Args:
        source: A folder, a URL of fsspec, or a store.
        target: Where it goes; must be free.
        writers: Number of data files.
        chunk_bytes: Most bytes of a chunk.

    Returns:
        Manifest of the new one.

    Raises:
        CheckpointError: If the source is damaged; then nothing is committed.
        ValueError: If there is a finished checkpoint at the target.
    """
    origin = open_store(source)
    manifest = read_manifest(origin)
    read = box_reader(origin, manifest, chunk_bytes)
    return write_checkpoint(target, manifest, read, writers=writers, chunk_bytes=chunk_bytes)


def box_reader(store: Store, manifest: Manifest, read_bytes: int = 4 << 20) -> ReadBox:
    """Reads boxes of a checkpoint, each chunk that is touched whole and checked."""
    source = Source(store, manifest, verify=True, readers=1, read_bytes=read_bytes)

    def read(path: str, box: Box) -> np.ndarray:
        return source.bring({path: (path, ([box], lambda found: found[box]))})[path]

    return read


def write_checkpoint(
    target: str | Path | Store,
    draft: Manifest,
    read: ReadBox,
    *,
    writers: int = 1,
    chunk_bytes: int = 4 << 20,
) -> Manifest:
    """Writes a checkpoint of tensors that are read box by box.

    Args:
        target: Where it goes; must be free.
        draft: What it holds; its chunks and files are not looked at.
        read: Gives the boxes; asked again for the same one where the store fails.
        writers: Number of data files.
        chunk_bytes: Most bytes of a chunk.
    """
    check_at_least(writers, 1, "writers")
    check_at_least(chunk_bytes, 1, "chunk_bytes")
    place = open_store(target)
    specs = [
        Spec(path, tensor.shape, dtype_of(tensor.dtype).itemsize)
        for path, tensor in draft.tensors.items()
    ]
    plan = plan_save(specs, lanes=writers, chunk_bytes=chunk_bytes)
    chunks: dict[str, list[Chunk]] = {path: [] for path in draft.tensors}
    files = []
    with writing(place):
        for writer in range(writers):
            if parts := plan.of(writer):
                file, stored = _write_file(place, file_name(writer, 0), parts, read)
                files.append(file)
                for path, chunk in stored:
                    chunks[path].append(chunk)
        tensors = {
            path: replace(tensor, chunks=tuple(chunks[path]))
            for path, tensor in draft.tensors.items()
        }
        written = replace(draft, tensors=tensors, files=tuple(files))
        commit_manifest(place, written)
    return written


def _write_file(
    place: Store, name: str, parts: Sequence[Part], read: ReadBox
) -> tuple[DataFile, list[tuple[str, Chunk]]]:
    content = _Content(parts, read)
    size = place.write(name, content)
    at, stored = 0, []
    for part, text in zip(parts, content.checksums, strict=True):
        box = part.box
        stored.append((part.path, Chunk(box.offsets, box.lengths, name, at, part.n_bytes, text)))
        at += part.n_bytes
    whole = combine((chunk.checksum, chunk.length) for _, chunk in stored)
    return DataFile(name, size, whole, parts[0].writer), stored


class _Content:
    """The bytes of a file, read as they are wanted; from the start as often as the store asks."""

    def __init__(self, parts: Sequence[Part], read: ReadBox):
        self._parts, self._read = parts, read
        self.checksums: list[str] = []

    def __iter__(self) -> Iterator[memoryview]:
        self.checksums = []
        for part in self._parts:
            box = np.ascontiguousarray(self._read(part.path, part.box))
            data = box.reshape(-1).view(np.uint8).data
            self.checksums.append(checksum(data))
            yield data

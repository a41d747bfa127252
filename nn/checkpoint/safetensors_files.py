"""Checkpoints to and from files of safetensors.

Such a file is a JSON header with name, dtype, shape and range of bytes of each tensor, then the bytes in C order
(github.com/huggingface/safetensors, format). It is written here, tensor by tensor, so memory holds the largest of them;
the package `safetensors` 0.8.0 gathers all, and from NumPy it scrambles views that are not contiguous.

Key paths become dotted names: `['layers'][0].weight` is `layers.0.weight`. What the format has no place for (the paths,
random keys, numbers, strings, static parts, the step) goes into its metadata, so that the way back is exact.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nn.checkpoint.boxes import Box, whole
from nn.checkpoint.commit import read_manifest
from nn.checkpoint.key_paths import dotted_name
from nn.checkpoint.manifest import CheckpointError, Manifest, Tensor
from nn.checkpoint.rewrite import ReadBox, box_reader, write_checkpoint
from nn.checkpoint.storage import Store, open_store
from nn.checkpoint.tree import dtype_of

DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
_NAMES = {short: name for name, short in DTYPES.items()}
_NOTE = "lightecho"  # key of what we add to the metadata
_MOST_HEADER = 100_000_000  # bytes, the limit of the format


def to_safetensors(path: str | Path | Store, file: str | Path, *, view: bool = False) -> None:
    """Writes the tensors of a checkpoint into one file of safetensors; every byte is checked on the way.

    Args:
        path: The checkpoint: a folder, a URL of fsspec, or a store.
        file: The file, on a local disk; one that is there is replaced.
        view: Whether types that the format lacks are written as others: complex128 as pairs of float64, types of less
            than a byte as bytes.

    Raises:
        ValueError: If a type is lacking and `view` is not set, or two paths have the same dotted name.
        CheckpointError: If the checkpoint is damaged.
    """
    store = open_store(path)
    manifest = read_manifest(store)
    names = _names(manifest)
    stored = {name: _stored(where, manifest.tensors[where], view) for name, where in names.items()}
    # The largest elements first, so that each tensor begins at a multiple of its own.
    order = sorted(names, key=lambda name: (-dtype_of(_NAMES[stored[name][0]]).itemsize, name))
    header: dict[str, Any] = {"__metadata__": {_NOTE: json.dumps(_note(manifest, names))}}
    at = 0
    for name in order:
        short, shape = stored[name]
        end = at + manifest.tensors[names[name]].n_bytes
        header[name] = {"dtype": short, "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    read = box_reader(store, manifest)
    target = Path(file)
    content = _Content(text, [(names[n], manifest.tensors[names[n]].shape) for n in order], read)
    open_store(target.parent).write(target.name, content)


class _Content:
    """The bytes of the file, from the start as often as the store asks."""

    def __init__(self, header: bytes, tensors: list[tuple[str, tuple[int, ...]]], read: ReadBox):
        self._header, self._tensors, self._read = header, tensors, read

    def __iter__(self) -> Iterator[Any]:
        yield len(self._header).to_bytes(8, "little")
        yield self._header
        for path, shape in self._tensors:
            yield np.ascontiguousarray(self._read(path, whole(shape))).reshape(-1).view(np.uint8)


def _names(manifest: Manifest) -> dict[str, str]:
    """Paths by dotted name."""
    names: dict[str, str] = {}
    for path in manifest.tensors:
        other = names.setdefault(dotted_name(path), path)
        if other != path:
            raise ValueError(
                f"`path` must have tensors of different dotted names, but {other} and {path} are both "
                f"{dotted_name(path)}. Rename one of them before saving."
            )
    return names


def _stored(path: str, tensor: Tensor, view: bool) -> tuple[str, list[int]]:
    """Type and shape of a tensor in the file."""
    shape = list(tensor.shape)
    if tensor.dtype in DTYPES:
        return DTYPES[tensor.dtype], shape
    if not view:
        raise ValueError(
            f"`path` must hold types that safetensors has, but {path} is {tensor.dtype}. "
            "Set `view` to write complex128 as pairs of float64 and others as bytes."
        )
    if tensor.dtype == "complex128":
        return "F64", [*shape, 2]
    item = dtype_of(tensor.dtype).itemsize
    return "U8", [*shape, item] if item > 1 else shape


def _note(manifest: Manifest, names: dict[str, str]) -> dict[str, Any]:
    tensors = {}
    for name, path in names.items():
        tensor = asdict(manifest.tensors[path])
        tensors[name] = {key: tensor[key] for key in ("dtype", "shape", "kind", "details")}
        tensors[name]["path"] = path
    return {
        "tensors": tensors,
        "values": manifest.values,
        "static": manifest.static,
        "step": manifest.step,
    }


def from_safetensors(
    file: str | Path, path: str | Path | Store, *, writers: int = 1, chunk_bytes: int = 4 << 20
) -> Manifest:
    """Makes a checkpoint of a file of safetensors.

    A file that `to_safetensors` wrote gives back the checkpoint that it came from. Of any other the tensor
    `layers.0.weight` gets the path `['layers.0.weight']`; a tree of ours takes them with
    `load(path, tree, rename=lambda path: f"[{dotted_name(path)!r}]")`.

    Args:
        file: The file, on a local disk.
        path: Where the checkpoint goes; must be free.
        writers: Number of data files.
        chunk_bytes: Most bytes of a chunk.

    Returns:
        Manifest of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no file of safetensors, or has a type that is unknown here.
    """
    source, name = open_store(Path(file).parent), Path(file).name
    header, base = _header(source, name)
    note = json.loads(header.pop("__metadata__", {}).get(_NOTE, "{}"))
    tensors, places = {}, {}
    for key, entry in header.items():
        where, tensor = _tensor(key, entry, note.get("tensors", {}).get(key))
        tensors[where], places[where] = tensor, base + entry["data_offsets"][0]

    def read(where: str, box: Box) -> np.ndarray:
        # A chunk is contiguous in its tensor, so it is one stretch of the file.
        tensor = tensors[where]
        dtype = dtype_of(tensor.dtype)
        strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
        first = sum(a * b for a, b in zip(box.offsets, strides, strict=True)) * dtype.itemsize
        start = places[where] + first
        data = source.read(name, start, start + box.size * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(box.lengths)

    draft = Manifest(note.get("step"), tensors, note.get("values", {}), note.get("static", {}), ())
    return write_checkpoint(path, draft, read, writers=writers, chunk_bytes=chunk_bytes)


def _header(source: Store, name: str) -> tuple[dict[str, Any], int]:
    """The header of a file, checked against its size, and where the tensors begin."""
    size = source.size(name)
    length = int.from_bytes(source.read(name, 0, 8), "little")
    place = f"{source.location}/{name}"
    if size < 8 or length > min(size - 8, _MOST_HEADER):
        raise CheckpointError(f"`file` must be a whole file of safetensors, but {place} is none.")
    try:
        header = json.loads(source.read(name, 8, 8 + length))
        ends = sorted(
            tuple(entry["data_offsets"]) for key, entry in header.items() if key != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"`file` must be a whole file of safetensors, but the header of {place} is damaged: {error!r}."
        ) from error
    at = 0
    for start, end in ends:
        if start != at or end < start:
            raise CheckpointError(
                f"`file` must be a whole file of safetensors, but in {place} a tensor begins at byte {start} of the "
                f"data where {at} was due."
            )
        at = end
    if 8 + length + at != size:
        raise CheckpointError(
            f"`file` must be a whole file of safetensors, but {place} has {size} bytes instead of {8 + length + at}."
        )
    return header, 8 + length


def _tensor(key: str, entry: dict[str, Any], note: dict[str, Any] | None) -> tuple[str, Tensor]:
    """Path and description of a tensor of a file."""
    if entry["dtype"] not in _NAMES:
        raise ValueError(
            f"`file` must hold types that are known here, but {key} is {entry['dtype']}."
        )
    tensor = Tensor(_NAMES[entry["dtype"]], tuple(entry["shape"]), ())
    where = f"[{key!r}]"
    if note is not None:
        where = note["path"]
        tensor = Tensor(note["dtype"], tuple(note["shape"]), (), note["kind"], note["details"])
    n_bytes = math.prod(tensor.shape) * dtype_of(tensor.dtype).itemsize
    start, end = entry["data_offsets"]
    if end - start != n_bytes:
        raise CheckpointError(
            f"`file` must be a whole file of safetensors, but {key} has {end - start} bytes instead of {n_bytes}."
        )
    return where, tensor

"""The manifest of a checkpoint: one JSON text that says what is stored, where, and with which checksum.

Written last, it is the commit: a checkpoint without it is not finished. It names every data file with its size and
checksum and every chunk of every tensor with its box, file, offset, length and checksum, and carries a checksum of
itself. So a copy on any other store stays valid, and a missing, cut or changed byte is found. Nothing is pickled.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nn.checkpoint.boxes import Box

FORMAT = 1
NAME = "manifest.json"
KINDS = ("array", "key")


class CheckpointError(ValueError):
    """A checkpoint is damaged, not finished, or of a format that this version does not read."""


@dataclass(frozen=True)
class Chunk:
    """A box of a tensor as it lies in a file, in C order.

    Attributes:
        offsets: First index along each axis.
        lengths: Elements along each axis.
        file: Name of the data file, relative to the checkpoint.
        offset: First byte within the file.
        length: Number of bytes.
        checksum: Checksum of these bytes with its kind, like `crc32c:1a2b3c4d`.
    """

    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    file: str
    offset: int
    length: int
    checksum: str

    @property
    def box(self) -> Box:
        """Where the chunk lies in its tensor."""
        return Box(self.offsets, self.lengths)


@dataclass(frozen=True)
class Tensor:
    """An array.

    Attributes:
        dtype: Name of the type of its elements, of NumPy or ml_dtypes; of a random key that of its data.
        shape: Global shape; of random keys that of their data, which has one axis more than the keys.
        chunks: Disjoint boxes that fill the shape.
        kind: `array`, or `key` for typed random keys.
        details: Of keys the name of their `implementation`; `sharding` as it was when saved, to read only.
    """

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    kind: str = "array"
    details: dict[str, str] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """Bytes of all its chunks."""
        return sum(chunk.length for chunk in self.chunks)


@dataclass(frozen=True)
class DataFile:
    """A file of tensor data.

    Attributes:
        name: Name relative to the checkpoint.
        size: Number of bytes.
        checksum: Checksum of all of them.
        writer: Number of the writer that made it.
    """

    name: str
    size: int
    checksum: str
    writer: int


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint holds.

    Attributes:
        step: Step of the run, or None.
        tensors: Arrays by key path.
        values: Numbers, strings and None by key path, each as `{"type": ..., "value": ...}`.
        static: Descriptions of what is not data (functions, sizes, flags) by key path.
        files: All data files.
        created_by: Name and version of the writing program.
        format: Version of the format.
    """

    step: int | None
    tensors: dict[str, Tensor]
    values: dict[str, Any]
    static: dict[str, str]
    files: tuple[DataFile, ...]
    created_by: str = "lightecho"
    format: int = FORMAT

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors.values())


def to_json(manifest: Manifest) -> str:
    """The text of a manifest. The checksum in it is the SHA-256 of all else."""
    body = asdict(manifest)
    # Lists, not objects: there are many chunks, and their keys would be most of the text.
    for tensor in body["tensors"].values():
        tensor["chunks"] = [list(chunk.values()) for chunk in tensor["chunks"]]
    text = _canonical(body)
    return f'{{"checksum": "{_digest(text)}", "manifest": {text}}}\n'


def from_json(text: str | bytes) -> Manifest:
    """Reads the text of a manifest, and checks it as a whole.

    Raises:
        CheckpointError: If a byte of it was changed or lost, if it is of a newer format, or if what it says of its
            tensors and files does not fit together.
    """
    try:
        outer = json.loads(text)
        body, found = outer["manifest"], outer["checksum"]
        version = body["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{NAME} is damaged: {type(error).__name__} {error}. Take another copy or an earlier checkpoint."
        ) from error
    if isinstance(version, int) and version > FORMAT:
        raise CheckpointError(
            f"{NAME} is of format {version}, but this version of lightecho reads formats up to {FORMAT}; "
            f"it was written by {body.get('created_by')!r}. Install a newer lightecho."
        )
    try:
        expected = _digest(_canonical(body))
    except ValueError as error:  # a changed byte may make a number infinite
        raise CheckpointError(
            f"{NAME} is damaged: {error}. Take another copy or an earlier checkpoint."
        ) from error
    if found != expected:
        raise CheckpointError(
            f"{NAME} is damaged: its checksum says {found}, its content has {expected}. "
            "Take another copy or an earlier checkpoint."
        )
    try:
        manifest = _manifest(body)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{NAME} is whole, but not a manifest: {error!r}.") from error
    check_consistent(manifest)
    return manifest


def check_consistent(manifest: Manifest) -> None:
    """Checks that chunks lie in the files that are listed, and fill their tensors.

    Raises:
        CheckpointError: Naming the tensor and what is wrong with it.
    """
    sizes = {file.name: file.size for file in manifest.files}
    for path, tensor in manifest.tensors.items():
        if tensor.kind not in KINDS:
            raise CheckpointError(
                f"{NAME}: tensor {path} is of kind {tensor.kind!r}, but kinds are {', '.join(KINDS)}."
            )
        filled = 0
        for chunk in tensor.chunks:
            inside = len(chunk.offsets) == len(chunk.lengths) == len(tensor.shape) and all(
                start >= 0 and start + n <= size
                for start, n, size in zip(chunk.offsets, chunk.lengths, tensor.shape, strict=True)
            )
            if not inside:
                raise CheckpointError(
                    f"{NAME}: a chunk of tensor {path} at {chunk.offsets} of {chunk.lengths} "
                    f"leaves its shape {tensor.shape}."
                )
            if chunk.offset + chunk.length > sizes.get(chunk.file, -1):
                raise CheckpointError(
                    f"{NAME}: a chunk of tensor {path} ends at byte {chunk.offset + chunk.length} of {chunk.file}, "
                    f"which has {sizes.get(chunk.file, 'no entry')}."
                )
            filled += math.prod(chunk.lengths)
        if filled != math.prod(tensor.shape):
            raise CheckpointError(
                f"{NAME}: the chunks of tensor {path} hold {filled} elements, but its shape {tensor.shape} has "
                f"{math.prod(tensor.shape)}."
            )


def _manifest(body: Mapping[str, Any]) -> Manifest:
    tensors = {}
    for path, tensor in body["tensors"].items():
        chunks = tuple(Chunk(tuple(c[0]), tuple(c[1]), *c[2:]) for c in tensor["chunks"])
        shape = tuple(tensor["shape"])
        tensors[path] = Tensor(tensor["dtype"], shape, chunks, tensor["kind"], tensor["details"])
    files = tuple(DataFile(**file) for file in body["files"])
    rest = {key: body[key] for key in ("step", "values", "static", "created_by", "format")}
    return Manifest(tensors=tensors, files=files, **rest)


def _canonical(body: Any) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

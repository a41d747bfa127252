"""Files in the GGUF format: the header read here, tensors turned into numbers by the package `gguf`.

Layout (ggml, docs/gguf.md, versions 2 and 3, little-endian): magic, version, number of tensors, number of entries; then
the entries (name, type, value), then the tensors (name, sizes with the fastest first, type, offset), then from the next
multiple of `general.alignment` on the data. `gguf.GGUFReader` reads the same, but makes an array of each of the 10^5
strings of a tokenizer (4 s where this takes 0.1), and names neither a tensor of unknown type nor a truncated file.

Llama models keep the rows of query and key in pairs (0, 1), (2, 3), ... of the rotary embedding; `nn.weights.assign`
puts them back into halves.
"""

import math
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nn.weights.tensor_file import TensorFile, check_sha256, import_package, open_path

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9


class _Tensor(NamedTuple):
    shape: tuple[int, ...]
    type_number: int
    offset: int


def read_gguf(path: Path | str, *, sha256: str | None = None) -> TensorFile:
    """Opens a GGUF file; `metadata` holds its entries, those of the tokenizer included.

    Args:
        path: The file.
        sha256: Digest that it must have; None does not ask.

    Raises:
        FileNotFoundError: If there is no such file.
        ModuleNotFoundError: If the package `gguf` is missing.
        ValueError: If the file is truncated, no GGUF file, of an unknown version or byte order, has another digest,
            holds a name twice, or tensors of a type that `gguf` does not know or cannot turn into numbers; names them.
    """
    path = open_path(path)
    gguf = import_package("gguf")
    if sha256 is not None:
        check_sha256(path, sha256)
    data = np.memmap(path, mode="r") if path.stat().st_size else np.zeros(0, np.uint8)
    header = _Header(data, path)
    entries = dict(header.entry() for _ in range(header.n_entries))
    tensors = dict(header.tensor() for _ in range(header.n_tensors))
    kinds = _kinds(gguf, tensors)
    if len(tensors) < header.n_tensors:
        raise ValueError(
            f"`path` must hold tensors of different names, but {path} names one twice."
        )
    alignment = entries.get("general.alignment", 32)
    if not (isinstance(alignment, int) and alignment > 0):
        raise ValueError(
            f"`path` must give general.alignment as a positive number of bytes, but {path} gives {alignment!r}."
        )
    start = -(-header.at // alignment) * alignment
    sizes = {name: _n_bytes(gguf, kinds[name], name, tensor) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if start + tensor.offset + sizes[name] > data.size:
            raise _truncated(path, data.size, f"tensor {name}")

    def read(name: str) -> np.ndarray:
        first = start + tensors[name].offset
        raw = data[first : first + sizes[name]]
        return _numbers(gguf, kinds[name], raw, tensors[name].shape)

    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    stored_as = {name: kind.name for name, kind in kinds.items()}
    return TensorFile(path, shapes, stored_as, entries, read)


class _Header:
    """Reads the header from its beginning; `at` is where it has come to."""

    def __init__(self, data: np.ndarray, path: Path):
        self.path, self.size = path, data.size
        self.data, self.at = data.data, 4
        if bytes(self.data[:4]) != b"GGUF":
            raise ValueError(
                f"`path` must be a GGUF file, which begins with GGUF, but {path} begins with {bytes(self.data[:4])!r}."
            )
        (version,) = self._take("I")
        if version not in (2, 3):
            raise ValueError(
                f"`path` must be a little-endian GGUF file of version 2 or 3, but {path} gives the version {version}."
            )
        self.n_tensors, self.n_entries = self._take("QQ")

    def entry(self) -> tuple[str, Any]:
        """Name and value of the next entry."""
        name = self._string()
        (kind,) = self._take("I")
        return name, self._value(kind, name)

    def tensor(self) -> tuple[str, _Tensor]:
        """Name and place of the next tensor."""
        name = self._string()
        (n_axes,) = self._take("I")
        sizes = self._take(f"{n_axes}Q")
        type_number, offset = self._take("IQ")
        return name, _Tensor(tuple(reversed(sizes)), type_number, offset)

    def _value(self, kind: int, name: str) -> Any:
        if kind in _SCALARS:
            return self._take(_SCALARS[kind])[0]
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            raise ValueError(
                f"`path` must hold GGUF entries of known types, but {name} in {self.path} has the type {kind}."
            )
        kind, count = self._take("IQ")
        if kind in _SCALARS:
            return list(self._take(f"{count}{_SCALARS[kind]}"))
        return [self._value(kind, name) for _ in range(count)]

    def _string(self) -> str:
        (length,) = self._take("Q")
        end = self.at + length
        if end > self.size:
            raise _truncated(self.path, self.size, "the header")
        raw, self.at = bytes(self.data[self.at : end]), end
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"`path` must be a whole GGUF file, but the text at byte {end - length} of {self.path} is no UTF-8. "
                "Fetch it again."
            ) from error

    def _take(self, layout: str) -> tuple:
        try:
            values = struct.unpack_from("<" + layout, self.data, self.at)
        except (struct.error, MemoryError) as error:
            raise _truncated(self.path, self.size, "the header") from error
        self.at += struct.calcsize("<" + layout)
        return values


def _truncated(path: Path, size: int, part: str) -> ValueError:
    return ValueError(
        f"`path` must be a whole GGUF file, but {path} ends after {size} bytes within {part}. Fetch it again."
    )


def _kinds(gguf, tensors: dict[str, _Tensor]) -> dict[str, Any]:
    """The type of each tensor, or one error that names all whose type nobody knows."""
    plain = {gguf.GGMLQuantizationType[name] for name in _PLAIN}
    # What dequantises is found by asking for an empty row: gguf has no public list of it.
    known = {kind.value: kind for kind in gguf.GGMLQuantizationType}
    readable = {
        number: kind for number, kind in known.items() if kind in plain or _dequantises(gguf, kind)
    }
    bad = [
        f"{name} ({known[tensor.type_number].name if tensor.type_number in known else tensor.type_number})"
        for name, tensor in tensors.items()
        if tensor.type_number not in readable
    ]
    if bad:
        more = f" and {len(bad) - 10} more" if len(bad) > 10 else ""
        raise ValueError(
            "`path` must hold tensors of types that the package gguf turns into numbers, but these are of others: "
            f"{', '.join(bad[:10])}{more}."
        )
    return {name: readable[tensor.type_number] for name, tensor in tensors.items()}


_PLAIN = {
    "F32": "<f4",
    "F16": "<f2",
    "F64": "<f8",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
}


def _dequantises(gguf, kind) -> bool:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    try:
        found = gguf.quants.dequantize(np.zeros((1, size), np.uint8), kind)
    except NotImplementedError:
        return False
    return found.shape == (1, block)


def _n_bytes(gguf, kind, name: str, tensor: _Tensor) -> int:
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if (tensor.shape or (1,))[-1] % block:
        raise ValueError(
            f"`path` must hold whole blocks of {block} numbers, but {name} of type {kind.name} "
            f"has the shape {tensor.shape}."
        )
    return math.prod(tensor.shape) // block * size


def _numbers(gguf, kind, raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if kind.name in _PLAIN:
        return np.array(raw).view(_PLAIN[kind.name]).reshape(shape)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.array(raw).reshape(-1, shape[-1] // block * size)
    return gguf.quants.dequantize(rows, kind).reshape(shape)

"""A chip as the roofline sees it: how fast it multiplies and reads, and in how many bits it keeps what it reads.

    seconds of a step = max(bytes / bandwidth, operations / peak),   ridge point = peak / bandwidth

A multiplication with its addition is two operations, as in the TOPS of data sheets. A chip of one's own is a JSON file
with the fields of `Chip`, all in SI units:

    {"name": "mine", "bandwidth": 68e9, "peak": {"int8": 40e12}, "memory": 8e9, "weights": 4.5,
     "index": {"bits": 8, "block": 128, "scale_bits": 32}}

S. Williams, A. Waterman, D. Patterson, DOI 10.1145/1498765.1498785 (2009). Left out: latency, energy, and any overlap
less than perfect, so that a step on a real chip takes longer.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nn._checks import check_at_least, check_choice, check_in_range, check_positive

Number = float | int


@dataclass(frozen=True)
class NumberFormat:
    """Bits that numbers are kept in.

    Attributes:
        bits: Bits of a number; with scales spread over them where `block` is 0, such as 4.5.
        block: Numbers of a vector that share a scale; 0 where none is counted.
        scale_bits: Bits of a scale.
    """

    bits: Number
    block: int = 0
    scale_bits: Number = 0

    def __post_init__(self):
        check_positive(self.bits, "bits")
        check_at_least(self.block, 0, "block")
        check_in_range(self.scale_bits, "scale_bits", 0, 1024)
        if self.scale_bits and not self.block:
            raise ValueError("`block` must say how many numbers share a scale, but is 0.")

    def bytes(self, size: int, n_vectors: Number = 1) -> float:
        """Bytes of vectors of `size` numbers each; a scale is not shared between vectors."""
        n_scales = -(-size // self.block) if self.block else 0
        return n_vectors * (size * self.bits + n_scales * self.scale_bits) / 8


@dataclass(frozen=True)
class Chip:
    """What a chip can do.

    Attributes:
        name: Name.
        bandwidth: Bytes per second from its memory.
        peak: Operations per second by precision, such as {"int8": 100e12}.
        precision: Which of them is used; "" where there is one.
        on_chip_memory: Bytes kept beside the arithmetic; None for unknown, and then what passes between layers is
            taken to stay there.
        memory: Bytes of the memory that `bandwidth` belongs to; None for unknown.
        weights: Format of weights.
        cache: Format of keys, values and latents.
        index: Format of the keys of an index; 8 bits with a scale of 32 for 128 numbers, as DeepSeek-V3.2 has it.
        state: Format of the states of linear recurrences and of sums of keys.
        window: Format of the inputs that a short convolution looks back at.
        activations: Format of what passes between layers.
    """

    name: str
    bandwidth: Number
    peak: Mapping[str, Number]
    precision: str = ""
    on_chip_memory: Number | None = None
    memory: Number | None = None
    weights: NumberFormat = NumberFormat(16)
    cache: NumberFormat = NumberFormat(16)
    index: NumberFormat = NumberFormat(8, 128, 32)
    state: NumberFormat = NumberFormat(32)
    window: NumberFormat = NumberFormat(16)
    activations: NumberFormat = NumberFormat(16)

    def __post_init__(self):
        check_positive(self.bandwidth, "bandwidth", "bytes per second")
        check_at_least(len(self.peak), 1, "peak", "It maps precisions to operations per second.")
        for precision, rate in self.peak.items():
            check_positive(rate, f"peak[{precision!r}]", "operations per second")
        if self.precision or len(self.peak) > 1:
            check_choice(self.precision, "precision", self.peak, "It says which peak is used.")
        for name in ("on_chip_memory", "memory"):
            if getattr(self, name) is not None:
                check_positive(getattr(self, name), name, "bytes", "None stands for unknown.")

    @property
    def operations(self) -> Number:
        """Operations per second in the precision that is used."""
        return self.peak[self.precision] if self.precision else next(iter(self.peak.values()))

    @property
    def ridge(self) -> float:
        """Operations for each byte read from which on a step is bound by arithmetic."""
        return self.operations / self.bandwidth

    @property
    def ridge_tokens(self) -> float:
        """Tokens that one reading of a weight must serve to be bound by arithmetic: each is two operations."""
        return self.ridge * self.weights.bits / 8 / 2


# The class that is discussed for edge chips, below 100 TOPS with memory of telephones; no product.
EDGE_CHIP = Chip("edge, 100 TOPS, 100 GB/s", 100e9, {"int8": 100e12}, weights=NumberFormat(4.5))

_FORMATS = tuple(
    field.name for field in dataclasses.fields(Chip) if field.type in (NumberFormat, "NumberFormat")
)


def read_chip(path: str | Path) -> Chip:
    """The chip that a JSON file describes.

    Args:
        path: File, an object with fields of `Chip`; a format is a number of bits or an object with those of
            `NumberFormat`.

    Raises:
        ValueError: If it cannot be read, is no such object, or a field is unknown, missing or out of range; names file
            and field.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ValueError(
            f"`path` must be a file that can be read, but {path} is not: {error.strerror}; give its place."
        ) from error
    except ValueError as error:
        raise ValueError(f"`path` must be a JSON file, but {path} is not: {error}.") from None
    try:
        given = _fields(found, Chip, "chip")
        if not isinstance(given["name"], str) or not isinstance(given.get("precision", ""), str):
            raise ValueError("`name` and `precision` must be texts.")
        if not isinstance(given["peak"], dict):
            raise ValueError(
                f"`peak` must map precisions to operations per second, but is {given['peak']!r}."
            )
        for name in _FORMATS:
            if name in given:
                given[name] = _format(given[name], name)
        for name in ("bandwidth", "on_chip_memory", "memory"):
            if given.get(name) is not None:
                _number(given[name], name)
        for precision, rate in given["peak"].items():
            _number(rate, f"peak[{precision!r}]")
        return Chip(**given)
    except ValueError as error:
        raise ValueError(f"{error} (in {path})") from None


def _format(found: Any, name: str) -> NumberFormat:
    if not isinstance(found, dict):
        return NumberFormat(_number(found, name))
    given = _fields(found, NumberFormat, name)
    for part, value in given.items():
        _number(value, f"{name}.{part}")
    return NumberFormat(**given)


def _fields(found: Any, kind: type, name: str) -> dict[str, Any]:
    """The fields of an object, which are all known, and none missing that has to be there."""
    if not isinstance(found, dict):
        raise ValueError(f"`{name}` must be an object with fields, but is {found!r}.")
    known = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(kind)}
    for field in found:
        check_choice(field, f"field of {name}", known)
    missing = [field for field, needed in known.items() if needed and field not in found]
    if missing:
        raise ValueError(f"`{name}` must have the fields {', '.join(missing)}, but has not.")
    return dict(found)


def _number(value: Any, name: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise ValueError(f"`{name}` must be a number, but is {value!r}.")
    return value

"""Checksums of what is stored: CRC-32C where the package `google_crc32c` is there, else the CRC-32 of zlib.

A checksum is a text with its kind, `crc32c:1a2b3c4d`, so that a checkpoint of one machine is read on another. Either
kind finds every change of up to 32 neighbouring bits; CRC-32C (polynomial 0x1EDC6F41; G. Castagnoli et al., IEEE Trans.
Commun. 41, 883 (1993), DOI 10.1109/26.231911) is about three times as fast here. It guards against damage, not against
forgery.

A CRC is linear over the field of two elements. So the checksum of a file follows from those of its parts without
reading them again (`combine`), and one flipped bit can be found from the checksum alone (`flipped_bit`).
"""

import functools
import math
import zlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

try:
    import google_crc32c
except ModuleNotFoundError:  # comes with the extra `checkpoint`
    google_crc32c = None

# Polynomials with their bits reversed, as the usual algorithms hold them.
POLYNOMIALS = {"crc32c": 0x82F63B78, "crc32": 0xEDB88320}
KIND = "crc32" if google_crc32c is None else "crc32c"


class RunningChecksum:
    """Checksum of bytes that come piece by piece.

    Args:
        kind: `crc32c` or `crc32`; None takes the faster one that is there.

    Raises:
        ValueError: If `kind` is another.
        ModuleNotFoundError: If `kind` is `crc32c` and `google_crc32c` is missing.
    """

    def __init__(self, kind: str | None = None):
        self.kind = KIND if kind is None else kind
        _check_kind(self.kind)
        self._value = 0

    def update(self, data: Any) -> None:
        """Adds the bytes of an object that has a contiguous buffer; they are not copied."""
        if not memoryview(data).nbytes:
            return
        if self.kind == "crc32c":
            assert isinstance(google_crc32c, ModuleType)
            # It takes read-only buffers alone, but for NumPy's.
            self._value = google_crc32c.extend(self._value, np.frombuffer(data, np.uint8))
        else:
            self._value = zlib.crc32(data, self._value)

    @property
    def text(self) -> str:
        """The checksum of all bytes so far."""
        return f"{self.kind}:{self._value:08x}"


def checksum(data: Any, kind: str | None = None) -> str:
    """Checksum of bytes.

    Args:
        data: Object with a contiguous buffer.
        kind: As of `RunningChecksum`.
    """
    running = RunningChecksum(kind)
    running.update(data)
    return running.text


def kind_of(text: str) -> str:
    """The kind that a checksum names.

    Raises:
        ValueError: If it is none that is known.
        ModuleNotFoundError: If it cannot be computed here.
    """
    kind = text.partition(":")[0]
    _check_kind(kind)
    return kind


def combine(parts: Iterable[tuple[str, int]]) -> str:
    """Checksum of bytes from those of their parts.

    Args:
        parts: Checksum and number of bytes of each part, in order; all of one kind.

    Raises:
        ValueError: If there is no part, or two are of different kinds.
    """
    parts = list(parts)
    kinds = {kind_of(text) for text, _ in parts}
    if len(kinds) != 1:
        raise ValueError(f"`parts` must be of one kind, but are of {sorted(kinds) or 'none'}.")
    (kind,) = kinds
    value = 0
    for text, n_bytes in parts:
        value = _shifted(value, n_bytes, kind) ^ int(text.partition(":")[2], 16)
    return f"{kind}:{value:08x}"


def flipped_bit(expected: str, found: str, n_bytes: int) -> tuple[int, int] | None:
    """The one flipped bit that explains a wrong checksum.

    A bit at distance d from the end adds x^(d + 32) to the checksum, so d is a discrete logarithm, found by baby and
    giant steps (D. Shanks, 1971) in a time that grows as the square root of `n_bytes`. Of other damage it finds none,
    but for a coincidence of chance `8 * n_bytes / 2**32`: 0.8 % for 4 MiB.

    Args:
        expected: Checksum of what was written.
        found: Checksum of what was read, of the same kind.
        n_bytes: Number of bytes.

    Returns:
        Byte, and bit of it from the lowest on; None where no single flip explains it.
    """
    kind = kind_of(expected)
    polynomial = POLYNOMIALS[kind]
    change = int(expected.partition(":")[2], 16) ^ int(found.partition(":")[2], 16)
    n_bits = 8 * n_bytes
    if not change or not n_bits:
        return None
    stride = math.isqrt(n_bits - 1) + 1
    steps = {}
    for step in range(stride):
        steps.setdefault(change, step)
        # Divided by x; the lowest coefficient of the polynomial, its highest bit here, is one.
        change = (change ^ polynomial) << 1 | 1 if change >> 31 else change << 1
    giant = 1 << 31
    for _ in range(stride):
        giant = giant >> 1 ^ (polynomial if giant & 1 else 0)
    place = _shifted(1 << 31, 4, kind)  # x^32
    for distance in range(0, n_bits, stride):
        if place in steps:
            distance += steps[place]
            if distance < n_bits:
                return n_bytes - 1 - distance // 8, 7 - distance % 8
        place = _product(place, giant, polynomial)
    return None


def _shifted(value: int, n_bytes: int, kind: str) -> int:
    """What a checksum becomes when as many zeros follow, were there no inversion of it."""
    powers = _powers(kind)
    for bit in range(n_bytes.bit_length()):
        if n_bytes >> bit & 1:
            value = _product(value, powers[bit], POLYNOMIALS[kind])
    return value


@functools.cache
def _powers(kind: str) -> tuple[int, ...]:
    """x^(8 * 2^k) for k below 64, modulo the polynomial; the highest bit is x^0."""
    powers = [1 << (31 - 8)]
    for _ in range(63):
        powers.append(_product(powers[-1], powers[-1], POLYNOMIALS[kind]))
    return tuple(powers)


def _product(a: int, b: int, polynomial: int) -> int:
    """Product of two polynomials over the field of two elements, modulo a third."""
    found = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            found ^= b
        b = b >> 1 ^ (polynomial if b & 1 else 0)
    return found


def _check_kind(kind: str) -> None:
    if kind not in POLYNOMIALS:
        raise ValueError(f"`kind` must be one of {', '.join(POLYNOMIALS)}, but is {kind!r}.")
    if kind == "crc32c" and google_crc32c is None:
        raise ModuleNotFoundError(
            "`kind` crc32c needs the package google-crc32c; install lightecho[checkpoint]."
        )

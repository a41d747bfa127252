"""What a PNG says about itself: that it is one, its size, and the words that describe it to who cannot see it.

A PNG is eight bytes of signature and chunks of length, name, data, checksum; words stand in chunks tEXt (Latin-1) and
iTXt (UTF-8) before the picture. Source: W3C, Portable Network Graphics (PNG) Specification, third edition (2025).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

KEYWORD = "Description"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST = 2**16  # bytes of a description


def is_png(path: Path) -> bool:
    """Whether a file begins like a PNG."""
    with open(path, "rb") as file:
        return file.read(16)[:8] == _SIGNATURE


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels, which are its bytes 16 to 23."""
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def description(path: Path) -> str:
    """Words that `plotting.save_figure` wrote into the picture; "" where there are none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for name, data in _chunks(path):
            keyword, _, text = data.partition(b"\0")
            if keyword != KEYWORD.encode():
                continue
            if name == b"tEXt":
                return text.decode("latin-1")
            # Compression flag and method, then language and translated keyword, each ended by a zero.
            return text[2:].split(b"\0", 2)[2].decode("utf-8")
    return ""


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Text chunks before the picture."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] in (b"tEXt", b"iTXt") and length < _LONGEST:
                yield head[4:], file.read(length)
                file.seek(4, 1)
            else:
                file.seek(length + 4, 1)

import itertools
import zlib

import numpy as np
import pytest

from nn.checkpoint import checksums
from nn.checkpoint.checksums import RunningChecksum, checksum, combine, flipped_bit

KINDS = [
    "crc32",
    pytest.param(
        "crc32c",
        marks=pytest.mark.skipif(checksums.google_crc32c is None, reason="no google_crc32c here"),
    ),
]
DATA = np.random.default_rng(0).integers(0, 256, 1000, np.uint8).tobytes()


def test_the_check_values_of_both_kinds():
    # Of "123456789", as catalogues of CRC give them (CRC-32/ISCSI and CRC-32/ISO-HDLC).
    assert checksum(b"123456789", "crc32") == "crc32:cbf43926"
    if checksums.google_crc32c is not None:
        assert checksum(b"123456789") == "crc32c:e3069283"


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_any_kind_of_buffer_give_the_checksum_of_the_whole(kind):
    running = RunningChecksum(kind)
    writable = np.frombuffer(DATA, np.uint16)[200:].copy()
    for piece in (DATA[:7], b"", bytearray(DATA[7:100]), memoryview(DATA)[100:400], writable):
        running.update(piece)
    assert running.text == checksum(DATA, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_checksum_of_a_whole_follows_from_those_of_its_parts(kind):
    cuts = (0, 0, 1, 8, 500, 1000)
    parts = [DATA[a:b] for a, b in itertools.pairwise(cuts)]
    assert combine((checksum(p, kind), len(p)) for p in parts) == checksum(DATA, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3, 1000])
def test_one_flipped_bit_is_found_from_the_checksum(kind, n):
    data, expected = DATA[:n], checksum(DATA[:n], kind)
    for bit in {0, 7, 8 * n - 1, *range(0, 8 * n, 997)}:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert flipped_bit(expected, checksum(changed, kind), n) == (bit // 8, bit % 8)


def test_other_damage_is_not_taken_for_one_bit():
    # 1,000 bytes: the chance of a coincidence is 2e-6 each.
    changed = bytearray(DATA)
    for place in range(0, 1000, 50):
        changed[place] ^= 0b101
        assert flipped_bit(checksum(DATA), checksum(changed), 1000) is None
    assert flipped_bit(checksum(DATA), checksum(DATA), 1000) is None
    assert flipped_bit(checksum(b"", "crc32"), "crc32:00000001", 0) is None


def test_without_the_fast_package_zlib_is_used(monkeypatch):
    monkeypatch.setattr(checksums, "google_crc32c", None)
    monkeypatch.setattr(checksums, "KIND", "crc32")
    assert checksum(DATA) == f"crc32:{zlib.crc32(DATA):08x}"
    with pytest.raises(ModuleNotFoundError, match=r"install lightecho\[checkpoint\]"):
        checksum(DATA, "crc32c")


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="`kind` must be one of crc32c, crc32, but is 'md5'"):
        checksum(b"", "md5")
    with pytest.raises(ValueError, match="`parts` must be of one kind, but are of none"):
        combine([])

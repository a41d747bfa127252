"""The manifest: what is read is what was written, and no byte of it can change unseen."""

import dataclasses
import json
import random

import pytest

from nn.checkpoint import manifest as m

CHUNKS = (
    m.Chunk((0, 0), (2, 3), "data/00000.bin", 0, 24, "crc32c:00000001"),
    m.Chunk((2, 0), (2, 3), "data/00001.bin", 8, 24, "crc32c:00000002"),
)
EXAMPLE = m.Manifest(
    step=12,
    tensors={
        "['a'].weight": m.Tensor("float32", (4, 3), CHUNKS, details={"sharding": "(data, None)"}),
        "['key']": m.Tensor(
            "uint32", (2,), (m.Chunk((0,), (2,), "data/00001.bin", 0, 8, "crc32c:00000003"),), "key"
        ),
        "['none']": m.Tensor("int4", (0, 3), ()),
    },
    values={"['lr']": {"type": "float", "value": 0.1}, "['name']": {"type": "str", "value": "δ"}},
    static={"['a'].activation": "jax.nn.relu"},
    files=(
        m.DataFile("data/00000.bin", 24, "crc32c:00000004", 0),
        m.DataFile("data/00001.bin", 32, "crc32c:00000005", 1),
    ),
)


def test_a_manifest_is_read_as_it_was_written():
    assert m.from_json(m.to_json(EXAMPLE)) == EXAMPLE
    assert EXAMPLE.n_bytes == 56
    assert EXAMPLE.tensors["['a'].weight"].chunks[1].box.stops == (4, 3)


def test_every_changed_or_lost_byte_is_found():
    text = m.to_json(EXAMPLE).encode()
    draw = random.Random(3)
    for _ in range(150):
        place = draw.randrange(len(text) - 1)  # the last byte is the end of the line
        flipped = bytearray(text)
        flipped[place] ^= 1 << draw.randrange(8)
        with pytest.raises(m.CheckpointError, match=r"manifest\.json is (damaged|of format)"):
            m.from_json(bytes(flipped))
        with pytest.raises(m.CheckpointError, match=r"manifest\.json is damaged"):
            m.from_json(text[:place])


def test_a_newer_format_is_refused_by_name_even_where_it_is_laid_out_otherwise():
    body = {"format": 2, "created_by": "lightecho 9.0", "shards": []}
    text = json.dumps({"checksum": "xxh3:1", "manifest": body})
    with pytest.raises(m.CheckpointError, match=r"format 2, .* up to 1; .*'lightecho 9.0'"):
        m.from_json(text)


def changed(**parts):
    tensor = dataclasses.replace(EXAMPLE.tensors["['a'].weight"], **parts)
    return dataclasses.replace(EXAMPLE, tensors={"['a'].weight": tensor})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (changed(chunks=CHUNKS[:1]), "hold 6 elements, .* has 12"),
        (changed(chunks=(CHUNKS[0], dataclasses.replace(CHUNKS[1], offsets=(3, 0)))), "leaves its shape"),
        (changed(chunks=(CHUNKS[0], dataclasses.replace(CHUNKS[1], offset=9))), "ends at byte 33 of .* 32"),
        (changed(chunks=(CHUNKS[0], dataclasses.replace(CHUNKS[1], file="x"))), "no entry"),
        (changed(kind="pickle"), "kind 'pickle'"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_names_the_tensor(wrong, said):
    with pytest.raises(m.CheckpointError, match=rf"tensor \['a'\]\.weight .*{said}"):
        m.from_json(m.to_json(wrong))

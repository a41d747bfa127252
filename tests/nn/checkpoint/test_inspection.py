import numpy as np
import pytest

from nn.checkpoint.checksums import checksum
from nn.checkpoint.commit import commit_manifest
from nn.checkpoint.inspection import inspect_checkpoint, verify_checkpoint
from nn.checkpoint.manifest import Chunk, DataFile, Manifest, Tensor
from nn.checkpoint.storage import open_store

# Two files. The second has a gap of 4 bytes before its only chunk; the third tensor is empty.
FIRST = np.arange(24, dtype=np.float32).tobytes() + b"\1\0\1"
SECOND = b"pad " + bytes(range(8))


def chunk(offsets, lengths, file, data, offset, length):
    text = checksum(data[offset : offset + length], "crc32")
    return Chunk(offsets, lengths, file, offset, length, text)


@pytest.fixture
def store(tmp_path):
    a, b = "data/00000.bin", "data/00001.bin"
    tensors = {
        "['w']": Tensor(
            "float32",
            (8, 3),
            (chunk((0, 0), (4, 3), a, FIRST, 0, 48), chunk((4, 0), (4, 3), a, FIRST, 48, 48)),
            details={"sharding": "mesh (x: 2), PartitionSpec('x',)"},
        ),
        "['mask']": Tensor("bool", (3,), (chunk((0,), (3,), a, FIRST, 96, 3),)),
        "['key']": Tensor("uint32", (2,), (chunk((0,), (2,), b, SECOND, 4, 8),), "key"),
        "['none']": Tensor("int4", (0, 2), (chunk((0, 0), (0, 2), b, SECOND, 4, 0),)),
    }
    files = [
        DataFile(name, len(data), checksum(data, "crc32"), number)
        for number, (name, data) in enumerate([(a, FIRST), (b, SECOND)])
    ]
    store = open_store(tmp_path, fsync=False)
    store.write(a, [FIRST])
    store.write(b, [SECOND])
    value = {"['step']": {"type": "int", "value": 7}}
    commit_manifest(store, Manifest(7, tensors, value, {".f": "math.cos"}, tuple(files)))
    return store


def test_what_a_checkpoint_holds_is_told_without_its_data(store):
    store.remove("data/00000.bin")
    store.write("notes.txt", [b"mine"])
    found = inspect_checkpoint(store)
    # A manifest keeps the tensors in the order of their names.
    assert sorted(found.rows()) == [
        ("['key']", "key (uint32)", "(2,)", 8, 1, ""),
        ("['mask']", "bool", "(3,)", 3, 1, ""),
        ("['none']", "int4", "(0, 2)", 0, 1, ""),
        ("['w']", "float32", "(8, 3)", 96, 2, "mesh (x: 2), PartitionSpec('x',)"),
    ]
    assert (found.manifest.step, found.strays) == (7, ("notes.txt",))


def test_a_checkpoint_as_it_was_written_has_no_damage(store):
    assert verify_checkpoint(store) == []


def test_a_flipped_bit_is_told_with_its_element(store):
    changed = bytearray(FIRST)
    changed[48 + 4 * 4 + 2] ^= 1 << 5  # the second chunk's row 1, column 1
    store.write("data/00000.bin", [changed])
    (damage,) = verify_checkpoint(store)
    assert (damage.tensors, damage.offset, damage.length) == (("['w']",), 66, 1)
    told = "data/00000.bin, byte 66 (tensor ['w']): bit 5 is flipped, in element (5, 1): expected crc32:"
    assert str(damage).startswith(told)


def test_bytes_that_are_changed_are_told_with_their_box(store):
    store.write("data/00000.bin", [FIRST[:60], b"\7" * 9, FIRST[69:]])
    (damage,) = verify_checkpoint(store)
    assert "byte 48 to 95 (tensor ['w']): is changed (box at (4, 0) of (4, 3))" in str(damage)


def test_bytes_that_are_lost_are_told_with_the_tensors_that_had_them(store):
    store.write("data/00000.bin", [FIRST[:90]])
    (damage,) = verify_checkpoint(store)
    told = "data/00000.bin, byte 90 to 98 (tensor ['w'], ['mask']): is cut: expected 99 bytes, found 90"
    assert str(damage) == told


def test_bytes_too_many_and_bytes_of_no_tensor_are_told(store):
    store.write("data/00000.bin", [FIRST, b"more"])
    store.write("data/00001.bin", [b"pad.", SECOND[4:]])
    first, second = verify_checkpoint(store)
    assert "data/00000.bin, byte 99 to 102: is too long: expected 99 bytes, found 103" in str(first)
    assert "data/00001.bin, byte 0 to 11: has other bytes between" in str(second)


def test_a_missing_file_is_told_with_all_its_tensors(store):
    store.remove("data/00000.bin")
    (damage,) = verify_checkpoint(store)
    assert str(damage) == "data/00000.bin (tensor ['w'], ['mask']): is missing"


def test_a_damaged_manifest_is_damage_too_and_nothing_at_all_is_not(store, tmp_path):
    store.write("manifest.json", [store.read("manifest.json")[:-9]])
    (damage,) = verify_checkpoint(store)
    assert damage.file == "manifest.json"
    store.remove("manifest.json")
    assert "is not finished" in str(verify_checkpoint(store)[0])
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        verify_checkpoint(tmp_path / "nowhere")


def test_no_change_or_loss_of_any_byte_is_silent(store):
    names = {name: store.read(name) for name in store.names()}
    rng = np.random.default_rng(0)
    for name, data in names.items():
        for _ in range(30):
            changed = bytearray(data)
            place, kind = int(rng.integers(len(data))), rng.integers(3)
            if kind == 0:
                changed[place] ^= 1 << int(rng.integers(8))
            elif kind == 1:
                del changed[place:]
            else:
                changed[place] ^= int(rng.integers(1, 256))
            store.write(name, [changed])
            damage = verify_checkpoint(store)
            assert damage
            assert {each.file for each in damage} == {name}
        store.write(name, [data])
    assert verify_checkpoint(store) == []

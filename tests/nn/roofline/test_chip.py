import json

import pytest

from nn.roofline.chip import EDGE_CHIP, Chip, NumberFormat, read_chip

MINE = {
    "name": "mine", "bandwidth": 68e9, "peak": {"int8": 40e12, "fp16": 20e12}, "precision": "fp16", "memory": 8e9,
    "weights": 4.5, "index": {"bits": 8, "block": 128, "scale_bits": 32},
}  # fmt: skip


def written(tmp_path, **changes):
    path = tmp_path / "chip.json"
    found = {name: value for name, value in (MINE | changes).items() if value != "gone"}
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def test_a_chip_is_what_its_file_says(tmp_path):
    chip = read_chip(written(tmp_path))
    assert (chip.name, chip.bandwidth, chip.operations, chip.memory) == ("mine", 68e9, 20e12, 8e9)
    assert chip.weights == NumberFormat(4.5)
    assert chip.index.bytes(128, 10) == 10 * 132
    assert chip.index.bytes(129) == 129 + 2 * 4
    assert chip.cache == NumberFormat(16)


def test_the_ridge_is_where_both_times_are_equal():
    assert EDGE_CHIP.ridge == 1000
    # 100 TOPS over 100 GB/s at 4.5 bits: a weight of 0.5625 bytes, two operations a token.
    assert EDGE_CHIP.ridge_tokens == 281.25


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"speed": 1}, "`field of chip` must be one of .*bandwidth.*but is 'speed'"),
        ({"bandwidth": "gone"}, "`chip` must have the fields bandwidth, but has not"),
        ({"bandwidth": 0}, "`bandwidth` must be positive and finite, but is 0 bytes per second"),
        ({"bandwidth": -1e9}, "`bandwidth` must be positive and finite, but is -1e.09"),
        ({"bandwidth": "68 GB/s"}, "`bandwidth` must be a number, but is '68 GB/s'"),
        ({"peak": {}}, "`peak` must be at least 1, but is 0"),
        ({"peak": 40e12}, "`peak` must map precisions to operations per second"),
        ({"peak": {"int8": 0}, "precision": "int8"}, r"`peak\['int8'\]` must be positive"),
        ({"precision": "int4"}, "`precision` must be one of int8, fp16, but is 'int4'"),
        ({"precision": ""}, "`precision` must be one of int8, fp16, but is ''"),
        ({"precision": 4}, "`name` and `precision` must be texts"),
        ({"memory": -1}, "`memory` must be positive and finite"),
        ({"weights": 0}, "`bits` must be positive"),
        ({"weights": True}, "`weights` must be a number, but is True"),
        ({"cache": {"bit": 8}}, "`field of cache` must be one of bits, block, scale_bits"),
        ({"cache": {"block": 8}}, "`cache` must have the fields bits"),
        ({"cache": {"bits": 8, "scale_bits": 16}}, "`block` must say how many numbers share"),
    ],
)
def test_a_field_at_fault_is_named_with_its_file(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said + r".*chip\.json"):
        read_chip(written(tmp_path, **changes))


def test_a_file_that_is_no_object_is_refused(tmp_path):
    path = tmp_path / "chip.json"
    for text, said in (("[1]", "`chip` must be an object"), ("{", "`path` must be a JSON file")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            read_chip(path)
    with pytest.raises(
        ValueError, match=r"`path` must be a file that can be read, but .*none\.json"
    ):
        read_chip(tmp_path / "none.json")


def test_one_precision_needs_no_choice():
    assert Chip("one", 1.0, {"int4": 3.0}).operations == 3

"""Saved under one mesh and sharding and loaded under any other, on eight forced devices: the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_ENABLE_X64": "1",
    }
    script = Path(__file__).with_name("eight_devices.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("eight"))],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["devices"] == 8
    return found


def test_all_pairs_of_meshes_and_specs_are_bit_identical(found):
    assert found["pairs"]["pairs"] == 14**2
    assert not found["pairs"]["wrong"], "\n".join(found["pairs"]["wrong"])


def test_copies_are_stored_once(found):
    n_bytes = 8 * 24 * 4 + 8 * 24 * 2 + 16 * 8 + 8 * 8 * 3 * 2 + 4 + 3 * 5 * 8 + 8 * 2 * 4
    assert set(found["pairs"]["stored"]) == {n_bytes}


def test_each_byte_is_read_once_and_reaches_all_devices_as_it_was(found):
    assert len(found["between"]) == 8
    for name, (read, there, twice, wrong) in found["between"].items():
        assert (read, twice, wrong) == (there, False, ""), name


def test_only_what_is_wanted_is_read(found):
    assert found["part"] == [2048, 2048, False, True]


def test_a_bucket_of_irregular_shares_is_loaded_into_any_other_split(found):
    assert found["buckets"] == [0]


def test_the_loss_goes_on_through_other_meshes(found):
    stayed, moved = found["losses"]
    assert len(stayed) == 12
    assert stayed[-1] < 0.5 * stayed[0]
    assert moved == pytest.approx(stayed, rel=1e-12)  # sums in another order, in double precision


def test_a_shape_that_the_sharding_does_not_divide_is_named(found):
    assert found["refused"].startswith("`target` does not fit the checkpoint: ['x'] has shape (6,)")


def test_writers_are_alike_where_devices_hold_copies(found):
    written, unique, uneven = found["writers"]
    assert written == unique
    assert uneven < 1.1


def test_a_save_and_a_load_hold_the_state_once(found):
    """64 MiB on eight devices: neither gathers shards nor copies them on the way."""
    if not found["memory"]:
        pytest.skip("this system does not tell the peak memory of a process")
    assert found["memory"]["wrong"] == ""
    assert found["memory"]["save"] < 0.1
    assert 0.5 < found["memory"]["load"] < 1.1

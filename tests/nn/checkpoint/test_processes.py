"""Two processes, each with two devices, save one checkpoint and load it under another mesh."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nn.checkpoint.load import load


@pytest.mark.slow
def test_two_processes_write_and_read_each_byte_once(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    script = Path(__file__).with_name("two_processes.py")
    both = [
        subprocess.Popen(
            [sys.executable, str(script), str(index), str(port), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=240) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    found = [json.loads(out.splitlines()[-1]) for out, _ in said]
    sizes = {"both": 8 * 12 * 4, "copies": 8 * 4 * 4, "odd": 3 * 5 * 4}
    assert [each["processes"] for each in found] == [2, 2]
    assert [each["wrong"] for each in found] == [[], []]
    loads = found[0]["loads"]
    assert loads == found[1]["loads"]
    assert sum(loads) == sum(sizes.values()) + 24
    assert max(loads) - min(loads) <= 64
    for index in (0, 1):
        assert (tmp_path / f"a/data/{index:05d}.bin").stat().st_size == loads[index]
    assert sum(each["read"] for each in found) == sum(sizes.values())
    whole = load(tmp_path / "a")
    assert whole["['step']"] == 4
    assert whole["['both']"].shape == (8, 12)
    assert "process 1 could not write" in found[0]["error"]
    assert "Permission denied" in found[0]["error"]
    assert "Permission denied" in found[1]["error"]
    assert not (tmp_path / "b/manifest.json").exists()

"""A server of S3, where moto and s3fs are installed: in this interpreter or in one that `make peers` makes."""

import os
import subprocess
from pathlib import Path

import pytest

from experiments.benchmarks.peers.environments import EngineError, find_interpreter

ROOT = Path(__file__).parents[3]


@pytest.mark.interop
@pytest.mark.slow
def test_checkpoints_on_s3(tmp_path):
    try:
        python = find_interpreter("moto")
    except EngineError as error:
        pytest.skip(str(error))
    script = Path(__file__).with_name("s3_client.py")
    ran = subprocess.run(
        [python, str(script), str(tmp_path / "copy")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    told = [line for line in ran.stdout.splitlines() if "MotoServer" not in line]
    assert told[0] == "12582912 b'\\x00\\x01'"
    assert told[1:3] == ["ValueError cut", "['big']"]  # half an upload is never seen
    assert told[3].startswith("FileExistsError")
    assert told[4] == "[] True"
    assert "is being written by process" in told[5]
    assert "remove s3://box/run/b/writer.lock" in told[5]
    assert told[6] == "[2] ['step_00000002/data/00000.bin', 'step_00000002/manifest.json']"
    assert told[7] == "[]"
    assert told[8].startswith("StoreError cannot write s3://box/run/late: Could not connect")
    assert told[8].endswith("after 2 attempts.")

"""Orbax, where it is installed: in this interpreter or in one that `make peers` makes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from nn.checkpoint import orbax_folders, save, to_orbax

ROOT = Path(__file__).parents[3]

THROUGH = """
import sys
import numpy as np
import jax.numpy as jnp
from nn.checkpoint import from_orbax, load, save, to_orbax

folder = sys.argv[1]
state = {
    "layers": [{"w": np.arange(6.0).reshape(2, 3).T}, {"w": jnp.ones(3, jnp.bfloat16)}],
    "none": np.zeros((0, 3)), "four": jnp.array([1, -2], jnp.int4), "step": 5, "name": "run",
}
save(folder + "/ours", state, step=5, wait=True)
try:
    to_orbax(folder + "/ours", folder + "/orbax")
except ValueError as error:
    print(error)
print(to_orbax(folder + "/ours", folder + "/orbax", leave_out=True))
from_orbax(folder + "/orbax", folder + "/back")
back = load(folder + "/back")
print(sorted(back))
w = back["['layers'][0]['w']"].tolist()
print(w, back["['layers'][1]['w']"].dtype, back["['four']"].tolist(), back["['step']"])
"""


@pytest.mark.interop
def test_a_checkpoint_goes_through_orbax_and_back(tmp_path):
    try:
        python = find_interpreter("orbax")
    except EngineError as error:
        pytest.skip(str(error))
    ran = subprocess.run(
        [python, "-c", THROUGH, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    refused, left_out, names, values = ran.stdout.splitlines()
    assert "has ['none'], ['name']. Set `leave_out`" in refused
    assert left_out == """["['none']", "['name']"]"""
    assert names == str(
        sorted(["['layers'][0]['w']", "['layers'][1]['w']", "['four']", "['step']"])
    )
    assert values == "[[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] bfloat16 [1, -2] 5"


def test_without_orbax_the_package_is_named(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(orbax_folders.importlib, "import_module", missing)
    save(tmp_path / "a", {"w": np.zeros(2)}, wait=True, fsync=False)
    with pytest.raises(ModuleNotFoundError, match="needs the package orbax-checkpoint"):
        to_orbax(tmp_path / "a", tmp_path / "b")

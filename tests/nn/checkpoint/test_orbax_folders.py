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


FLIPS = """
import sys
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
from nn.checkpoint import CheckpointError, load, save

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
state = {"w": rng.normal(size=(128, 128)).astype(np.float32)}
save(folder / "ours", state, wait=True)
told = {"orbax": [0, 0], "ours": [0, 0]}  # wrong, refused
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(folder / "orbax", state)
    checkpointer.wait_until_finished()
    restore = {
        "orbax": lambda: checkpointer.restore(folder / "orbax", state),
        "ours": lambda: load(folder / "ours", state),
    }
    for name in told:
        files = [path for path in (folder / name).rglob("*") if path.is_file()]
        data = max(files, key=lambda path: path.stat().st_size)
        whole = data.read_bytes()
        for _ in range(40):
            changed = bytearray(whole)
            changed[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
            data.write_bytes(changed)
            try:
                told[name][0] += not np.array_equal(restore[name]()["w"], state["w"])
            except (CheckpointError if name == "ours" else Exception):
                told[name][1] += 1
print(told)
"""


def orbax(script, folder):
    """Lines that a script prints where Orbax is."""
    try:
        python = find_interpreter("orbax")
    except EngineError as error:
        pytest.skip(str(error))
    ran = subprocess.run(
        [python, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.interop
def test_a_checkpoint_goes_through_orbax_and_back(tmp_path):
    refused, left_out, names, values = orbax(THROUGH, tmp_path)
    assert "has ['none'], ['name']. Set `leave_out`" in refused
    assert left_out == """["['none']", "['name']"]"""
    assert names == str(
        sorted(["['layers'][0]['w']", "['layers'][1]['w']", "['four']", "['step']"])
    )
    assert values == "[[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] bfloat16 [1, -2] 5"


@pytest.mark.interop
def test_a_flipped_bit_comes_back_from_orbax_and_is_refused_by_us(tmp_path):
    # Why the page says that damage on Orbax's side comes over.
    (told,) = orbax(FLIPS, tmp_path)
    assert told == "{'orbax': [40, 0], 'ours': [0, 40]}"


def test_without_orbax_the_package_is_named(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(orbax_folders.importlib, "import_module", missing)
    save(tmp_path / "a", {"w": np.zeros(2)}, wait=True, fsync=False)
    with pytest.raises(ModuleNotFoundError, match="needs the package orbax-checkpoint"):
        to_orbax(tmp_path / "a", tmp_path / "b")

import json
import os
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers import engine
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from optics.hardware.mesh_imperfections import MeshImperfections, draw_mesh
from optics.meshes.mesh import make_mesh
from optics.meshes.s_matrix import (
    MODELS,
    coupler,
    from_s_dict,
    mesh_netlist,
    phase_shifter,
    to_s_dict,
)

WORKER = Path(engine.__file__).with_name("sax_netlist.py")


@pytest.fixture(scope="module")
def mesh():
    perfect = make_mesh(5, key=jax.random.key(0), dtype=jnp.complex128)
    return draw_mesh(perfect, MeshImperfections.preset("rough"), key=jax.random.key(1))


@pytest.fixture(scope="module")
def matrix(mesh):
    return np.asarray(mesh.matrix())


def test_dictionary_names_input_first(matrix):
    pairs = to_s_dict(matrix)
    assert pairs["in1", "out3"] == matrix[3, 1]
    assert pairs["out3", "in1"] == matrix[3, 1]  # reciprocity
    assert ("in0", "in1") not in pairs


def test_dictionary_and_matrix_are_one(matrix):
    np.testing.assert_array_equal(from_s_dict(to_s_dict(matrix)), matrix)
    np.testing.assert_array_equal(from_s_dict(to_s_dict(matrix[:2]), backward=True), matrix[:2].T)


def test_missing_pair_transmits_nothing():
    found = from_s_dict({("in0", "out0"): 1j, ("in1", "out1"): 0.5})
    np.testing.assert_array_equal(found, [[1j, 0], [0, 0.5]])


def test_device_that_is_not_reciprocal_keeps_its_directions():
    pairs = {("in0", "out0"): 0.9, ("out0", "in0"): 0.1}
    assert from_s_dict(pairs)[0, 0] == 0.9
    assert from_s_dict(pairs, backward=True)[0, 0] == 0.1


def test_models_are_those_of_the_cell():
    assert abs(coupler(0.3)["in0", "out1"] - 1j * np.sin(0.3)) < 1e-15
    assert abs(phase_shifter(0.2, 20.0)["in0", "out0"] - 0.1 * np.exp(0.2j)) < 1e-15


def propagate(netlist):
    """Follows light through the netlist by hand; every connection leads forwards."""
    ends = {into: name for name, into in netlist["ports"].items() if name.startswith("in")}
    amplitudes = {f"in{i}": row for i, row in enumerate(np.eye(len(ends), dtype=complex))}
    waves = {into: amplitudes[name] for into, name in ends.items()}
    leaving = {}
    for name, instance in netlist["instances"].items():
        model = MODELS[instance["component"]](**instance["settings"])
        for pin in {pair[1] for pair in model if pair[1].startswith("out")}:
            wave = sum(
                model[a, b] * waves[f"{name},{a}"]
                for a, b in model
                if b == pin and a.startswith("in")
            )
            leaving[f"{name},{pin}"] = wave
            if f"{name},{pin}" in netlist["connections"]:
                waves[netlist["connections"][f"{name},{pin}"]] = wave
    outs = sorted(p for p in netlist["ports"] if p.startswith("out"))
    return np.array([leaving[netlist["ports"][p]] for p in outs])


def test_netlist_rebuilds_the_mesh_with_its_errors(mesh, matrix):
    netlist = json.loads(json.dumps(mesh_netlist(mesh)))
    np.testing.assert_allclose(propagate(netlist), matrix, atol=1e-12)
    assert set(netlist["ports"]) == {f"{kind}{i}" for kind in ("in", "out") for i in range(5)}


@pytest.mark.parametrize("names", [("a", "b"), ("in0", "out1"), ("in0", "in1")])
def test_other_port_names_are_refused(names):
    with pytest.raises(ValueError, match="`s_matrix` must have ports in0"):
        from_s_dict({names: 1.0})


@pytest.mark.interop
def test_sax_finds_the_same_matrix_from_the_netlist(mesh, matrix, tmp_path):
    try:
        python = find_interpreter("sax")
    except EngineError as error:
        pytest.skip(str(error))
    path = tmp_path / "netlist.json"
    path.write_text(json.dumps(mesh_netlist(mesh)))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(WORKER), str(path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    pairs = {tuple(p.split(">")): re + 1j * im for p, (re, im) in json.loads(done.stdout).items()}
    found = from_s_dict({p: v for p, v in pairs.items() if p[0][:2] != p[1][:2]})
    np.testing.assert_allclose(found, matrix, atol=1e-12)
    backward = from_s_dict({p: v for p, v in pairs.items() if p[0][:2] != p[1][:2]}, backward=True)
    np.testing.assert_allclose(backward, matrix.T, atol=1e-12)
    reflected = [abs(v) for p, v in pairs.items() if p[0][:2] == p[1][:2]]
    assert max(reflected, default=0) < 1e-12

"""Programs against the plain reference: the same product of gates, in few different layers."""

import numpy as np
import pytest

from quantum.circuits import gates, lattice, program
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import otoc
from quantum.engines import statevector


def random_mess(n_qubits: int, n_moments: int, seed: int) -> Circuit:
    """Any gates anywhere: pairs that are no neighbours and not in order, matrix gates, idle qubits."""
    rng = np.random.default_rng(seed)
    moments = []
    for _ in range(n_moments):
        free = list(rng.permutation(n_qubits))
        moment = []
        while free:
            kind = rng.integers(5)
            qubits = tuple(int(free.pop()) for _ in range(min(1 + (kind > 2), len(free))))
            if kind == 0:
                continue
            moment.append(Operation(_random_gate(rng, len(qubits)), qubits))
        moments.append(tuple(moment))
    return Circuit(n_qubits, tuple(moments))


def _random_gate(rng, n_qubits: int) -> gates.Gate:
    kind = rng.integers(3)
    if kind == 0:
        size = 2**n_qubits
        mess = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
        return gates.matrix_gate(np.linalg.qr(mess)[0])
    if n_qubits == 2:
        return gates.fsim(*rng.uniform(-3, 3, 2)) if kind == 1 else gates.Gate("cz")
    return gates.phased_x(*rng.uniform(-3, 3, 2)) if kind == 1 else gates.Gate("s")


def run_blocks(structure, matrices) -> np.ndarray:
    """The program applied block by block, by contraction."""
    tensor = np.eye(1, 2**structure.n_qubits)[0].reshape((2,) * structure.n_qubits).astype(complex)
    for support, matrix in program.blocks(structure, matrices):
        k = len(support)
        block = matrix.reshape((2,) * (2 * k))
        tensor = np.tensordot(block, tensor, axes=(range(k, 2 * k), support))
        tensor = np.moveaxis(tensor, range(k), support)
    return tensor.reshape(-1)


@pytest.mark.parametrize("width", [2, 3, 4])
def test_blocks_are_the_circuit(width):
    for seed in range(40):
        circuit = random_mess(width + seed % 4, 1 + seed % 9, seed)
        structure, matrices = program.make_program(circuit, width)
        error = np.abs(run_blocks(structure, matrices) - statevector.run(circuit)).max()
        assert error < 1e-13  # some 40 gates of 2e-16


@pytest.mark.parametrize("n_qubits", [1, 2])
def test_smallest_registers(n_qubits):
    for seed in range(10):
        circuit = random_mess(n_qubits, 5, seed)
        structure, matrices = program.make_program(circuit)
        np.testing.assert_allclose(
            run_blocks(structure, matrices), statevector.run(circuit), atol=1e-14
        )


def test_empty_circuit_is_an_empty_program():
    structure, matrices = program.make_program(Circuit(3))
    assert (structure.order, structure.layers, matrices.shape) == ((), (), (0, 0, 4, 4))


def test_there_and_back_use_the_same_four_layers_at_any_depth():
    grid = lattice.rectangle(3, 4)
    for n_cycles in (4, 8, 12):
        there = random_circuit(grid, n_cycles, seed=0)
        echo = otoc.Echo(there, 0, (7,))
        structure, _ = program.make_program(otoc.echo_circuit(echo, prune=False))
        assert len(structure.layers) == 4
        assert len(structure.order) == 4 * n_cycles
        assert structure.n_blocks == otoc.echo_circuit(echo, prune=False).n_two_qubit


def test_a_pruned_echo_has_no_more_blocks_to_compile_than_the_literal_one():
    layout = rectangle_layout(3, 3, 9)
    echo = otoc.make_echo(layout, random_circuit(layout.lattice, 9, seed=1))
    literal, pruned = (
        program.make_program(otoc.echo_circuit(echo, prune=p))[0] for p in (False, True)
    )
    blocks = [sum(map(len, structure.layers)) for structure in (literal, pruned)]
    assert blocks == [12, 12]  # before, 24 in 12 layers of the pruned one
    assert pruned.n_blocks < literal.n_blocks


def test_structure_does_not_depend_on_angles():
    grid = lattice.rectangle(2, 3)
    first, second = (program.make_program(random_circuit(grid, 5, seed=seed)) for seed in (0, 1))
    assert first[0] == second[0]
    assert hash(first[0]) == hash(second[0])
    assert np.abs(first[1] - second[1]).max() > 0.1


def test_leading_axes_are_circuits():
    grid = lattice.rectangle(2, 3)
    several = [random_circuit(grid, 3, seed=seed) for seed in range(4)]
    recipe = program.make_recipe(several[0])
    stacked = np.stack([program.gate_matrices(c) for c in several]).reshape(2, 2, -1, 4, 4)
    batch = program.assemble(recipe, stacked)
    for k, circuit in enumerate(several):
        np.testing.assert_array_equal(batch[k // 2, k % 2], program.make_program(circuit)[1])


def test_width_below_two_is_named():
    with pytest.raises(ValueError, match="`width` must be at least 2, but is 1"):
        program.make_program(Circuit(2), 1)

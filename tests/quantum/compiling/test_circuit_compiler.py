import re

import numpy as np
import pytest
import scipy.stats

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz, wait
from quantum.compiling.circuit_compiler import compile_circuit, count_gates, fuse
from quantum.compiling.pair_compiler import NATIVE
from quantum.compiling.swap_network import swap_network
from quantum.engines import dispatch
from quantum.engines.statevector import run
from quantum.spins.hamiltonian import make_hamiltonian
from tests.exact.random_circuits import unitary


def double_quantum(n, seed=0):
    rng = np.random.default_rng(seed)
    tensor = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(i):
            tensor[i, j] = np.diag([-1, 1, 0]) * rng.normal()
            tensor[j, i] = tensor[i, j].T
    return make_hamiltonian(tensor)


def distance(found, wanted):
    overlap = np.vdot(wanted, found)
    return np.abs(found - wanted * overlap / abs(overlap)).max()


def random_circuit(n, n_gates, seed):
    """Gates of every kind on any pair in either order, one per moment."""
    rng = np.random.default_rng(seed)
    moments = []
    for k in range(n_gates):
        one, other = (int(q) for q in rng.permutation(n)[:2])
        two = [
            Gate("cz"),
            fsim(*rng.normal(size=2)),
            matrix_gate(scipy.stats.unitary_group.rvs(4, random_state=k)),
        ]
        turns = [Gate("h"), rz(rng.normal()), phased_x(*rng.normal(size=2))]
        if rng.random() < 0.5:
            moments.append((Operation(two[rng.integers(3)], (one, other)),))
        else:
            moments.append((Operation(turns[rng.integers(3)], (one,)),))
    return Circuit(n, tuple(moments))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("native", NATIVE)
def test_compiled_circuits_are_the_same_unitary_of_native_gates(seed, native):
    circuit = random_circuit(3, 25, seed)
    wanted = unitary(circuit)
    assert distance(unitary(fuse(circuit)), wanted) < 1e-12
    compiled = compile_circuit(circuit, native)
    assert distance(unitary(compiled), wanted) < 1e-11
    names = {op.gate.name for op in compiled.operations() if len(op.qubits) == 2}
    assert names == {native}


@pytest.mark.parametrize(("native", "per_pair"), [("fsim", 1), ("cz", 3)])
def test_counts_of_one_swap_network(native, per_pair):
    circuit = swap_network(double_quantum(4), 0.5, 1).circuit
    counts = count_gates(compile_circuit(circuit, native))
    assert counts.two_qubit == per_pair * 6
    assert counts.two_qubit_moments == per_pair * 4


def test_networks_of_an_odd_number_of_spins_share_the_pairs_where_they_meet():
    circuit = swap_network(double_quantum(5), 0.5, 2).circuit
    assert circuit.n_two_qubit == 20
    assert fuse(circuit).n_two_qubit == 18
    assert count_gates(compile_circuit(circuit, "fsim")).two_qubit == 18
    # 16 pairs with a swap are three CZ each, two without one are two.
    assert count_gates(compile_circuit(circuit, "cz")).two_qubit == 16 * 3 + 2 * 2


def test_what_undoes_itself_leaves_nothing():
    there = swap_network(double_quantum(4), 0.5, 1).circuit
    # A pair is only fused while no other comes between: the innermost layer goes at a time, so all layers go in turn.
    both = Circuit(4, there.moments + there.inverse().moments)
    for _ in range(4):
        both = fuse(both)
    assert both.n_operations == 0


def test_counts_are_those_of_the_operations():
    moments = (
        (Operation(Gate("h"), (0,)),),
        (Operation(fsim(0.5, 0.1), (0, 1)), Operation(fsim(0.5, 0.1 + 1e-12), (2, 3))),
        (Operation(fsim(0.5, 0.2), (1, 2)), Operation(Gate("x"), (0,))),
    )
    counts = count_gates(Circuit(4, moments))
    assert (counts.two_qubit, counts.one_qubit, counts.moments) == (3, 2, 3)
    assert (counts.two_qubit_moments, counts.kinds) == (2, 2)


@pytest.mark.parametrize("engine", ["cirq", "qiskit"])
@pytest.mark.parametrize("native", NATIVE)
def test_engines_agree_on_what_was_compiled(engine, native):
    circuit = swap_network(double_quantum(4), 0.6, 1, order=2).circuit
    found = dispatch.state(compile_circuit(circuit, native), engine=engine, precision="double")
    assert abs(np.vdot(found, run(circuit))) == pytest.approx(1, abs=1e-10)


def test_an_unknown_native_gate_is_refused():
    with pytest.raises(ValueError, match="`native` must be"):
        compile_circuit(Circuit(2, ()), "iswap")


def test_a_wait_stays_where_it_is_and_nothing_is_fused_across_it():
    pause = Operation(wait(1e-6), (0,))
    half = Operation(phased_x(0.4, 0.1), (0,))
    pair = Operation(Gate("cz"), (0, 1))
    circuit = Circuit(2, tuple((step,) for step in (half, pause, half, pair, pause, pair)))
    for found in (fuse(circuit), compile_circuit(circuit, "cz")):
        kinds = [
            "w" if op.gate.name == "wait" else str(len(op.qubits))
            for op in found.operations()
            if 0 in op.qubits
        ]
        assert re.fullmatch("1w1*21*w1*21*", "".join(kinds))
        assert distance(unitary(found), unitary(circuit)) < 1e-12
    assert count_gates(compile_circuit(circuit, "cz")).two_qubit == 2


def test_gates_in_single_precision_that_undo_each_other_go():
    rough = [matrix_gate(Gate("h").matrix().astype(np.complex64)), Gate("h")]
    turned = matrix_gate(fsim(0.7, 0.2).matrix().astype(np.complex64))
    back = fsim(-0.7, -0.2)
    steps = [(gate, (0,)) for gate in rough] + [(turned, (1, 2)), (back, (1, 2))]
    circuit = Circuit(3, tuple((Operation(gate, on),) for gate, on in steps))
    assert fuse(circuit).n_operations == 0
    weak = Circuit(1, ((Operation(rz(1e-7), (0,)),),))
    assert fuse(weak).n_operations == 1

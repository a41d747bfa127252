import math

import numpy as np
import pytest
import stim

from quantum.circuits import clifford
from quantum.circuits.circuit import Circuit, Operation, light_cone
from quantum.circuits.gates import Gate, fsim, phased_x, rz
from quantum.circuits.lattice import rectangle, willow
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import Echo, echo_circuit
from quantum.engines import pauli_propagation, statevector

CHIP = willow()


@pytest.fixture(scope="module")
def deep():
    return clifford.clifford_echo_circuit(CHIP, 12, seed=5)


def stim_tableau(circuit):
    """Stim's action of the circuit, P to U P U^dagger."""
    whole = stim.Tableau(circuit.n_qubits)
    for operation in circuit.operations():
        gate = stim.Tableau.from_unitary_matrix(operation.gate.matrix(), endian="big")
        whole.append(gate, list(operation.qubits))
    return whole


def test_105_qubits_are_turned_as_by_stim(deep):
    strings = random_paulis(105, 8, seed=6)
    backwards = stim_tableau(deep).inverse()
    seen = set()
    for string in strings:
        letters = dict(string.factors)
        text = "".join(letters.get(q, "_") for q in range(105))
        sign, found = clifford.conjugate(deep, string)
        expected = backwards(stim.PauliString(text))
        assert expected.sign == sign
        assert dict(found.factors) == {q: "_XYZ"[expected[q]] for q in range(105) if expected[q]}
        seen.add(sign)
    assert seen == {-1, 1}


def test_which_gates_are_clifford():
    yes = [Gate("cz"), Gate("h"), Gate("s"), fsim(math.pi / 2, 0), rz(math.pi / 2)]
    yes += [phased_x(math.pi / 2, math.pi), phased_x(math.pi, math.pi / 4), fsim(0, math.pi)]
    no = [fsim(math.pi / 2, math.pi / 9), phased_x(math.pi / 2, math.pi / 4), rz(math.pi / 4)]
    assert all(map(clifford.is_clifford_gate, yes))
    assert not any(map(clifford.is_clifford_gate, no))
    assert clifford.is_clifford(clifford.clifford_echo_circuit(rectangle(2, 2), 2, seed=0))
    assert not clifford.is_clifford(random_circuit(rectangle(2, 2), 2, seed=0))


def test_clifford_echoes_are_plus_or_minus_one_as_in_the_state():
    lattice = rectangle(2, 4)
    struck = PauliString.on({3: "X"})
    found = []
    for seed in range(4):
        circuit = clifford.clifford_echo_circuit(lattice, 5, seed=seed)
        signs = clifford.otoc_signs(circuit, struck)
        for q in range(8):
            echo = Echo(circuit, q, (3,), order=1)
            state = statevector.run(echo_circuit(echo))
            assert statevector.expectation(state, echo.observable) == pytest.approx(
                signs[q], abs=1e-12
            )
        found.append(signs)
    assert set(np.ravel(found)) == {-1, 1}


def test_outside_the_cone_the_clifford_echo_is_one(deep):
    shallow = deep[:8]
    signs = clifford.otoc_signs(shallow, PauliString.on({52: "X"}))
    inside = {q for op in light_cone(shallow, [52]).operations() for q in op.qubits}
    outside = [q for q in range(105) if q not in inside]
    assert (signs[outside] == 1).all()
    assert (signs[sorted(inside)] == -1).any()


def test_a_doped_gate_is_felt_and_lies_in_both_cones():
    lattice = rectangle(2, 4)
    circuit = clifford.clifford_echo_circuit(lattice, 6, seed=1)
    same = clifford.dope(circuit, 0, 1, 2, seed=2)
    assert same == circuit
    doped = clifford.dope(circuit, 3, 1, 2, seed=2)
    changed = [
        (m, k)
        for m, moment in enumerate(doped.moments)
        for k, operation in enumerate(moment)
        if operation != circuit.moments[m][k]
    ]
    assert len(changed) == 3
    assert set(changed) <= set(clifford.both_cones(circuit, 1, 2))
    # Each doped gate at most triples the strings.
    evolved = pauli_propagation.propagate_paulis(doped, PauliString.on({2: "X"}))
    assert 1 < evolved.n_terms <= 27
    assert evolved.norm_squared == pytest.approx(1, abs=1e-12)


def test_both_cones_hold_all_that_the_echo_depends_on():
    # At infinite temperature a gate outside either cone can be turned into anything. (From |0...0> an early gate
    # outside the cone of M still changes the state that M and B(t) act on.)
    lattice = rectangle(2, 4)
    circuit = random_circuit(lattice, 6, seed=3)
    inside = set(clifford.both_cones(circuit, 1, 2))
    moments = tuple(
        tuple(
            op if (m, k) in inside else Operation(Gate("cz" if len(op.qubits) == 2 else "h"), op.qubits)
            for k, op in enumerate(moment)
        )
        for m, moment in enumerate(circuit.moments)
    )  # fmt: skip
    assert 0 < len(inside) < circuit.n_operations
    struck, measured = PauliString.on({2: "X"}), PauliString.on({1: "Z"})
    values = [
        pauli_propagation.infinite_temperature_otoc(
            pauli_propagation.propagate_paulis(unitary, struck), measured
        )
        for unitary in (circuit, Circuit(8, moments))
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    assert values[0] < 0.9


def test_bad_input_is_named(deep):
    with pytest.raises(ValueError, match="`two_qubit` must be Clifford, but is fsim"):
        clifford.clifford_echo_circuit(CHIP, 2, seed=0, two_qubit=fsim(math.pi / 2, 0.3))
    with pytest.raises(ValueError, match="`circuit` must be Clifford, but holds"):
        clifford.conjugate(random_circuit(rectangle(2, 2), 1, seed=0), PauliString.on({0: "X"}))
    with pytest.raises(ValueError, match="`n_gates` must be at most the 0 one-qubit gates"):
        clifford.dope(deep[:2], 1, 0, 104, seed=0)

import functools

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate, pauli_gate
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.engines import statevector
from tests.exact.random_circuits import dense, random_mixture


@pytest.mark.parametrize("seed", range(30))
def test_a_circuit_is_the_product_of_its_matrices(seed):
    circuit = random_mixture(1 + seed % 6, 5, seed)
    np.testing.assert_allclose(statevector.run(circuit), dense(circuit)[:, 0], atol=1e-13)


def test_qubit_0_is_the_most_significant_bit():
    flipped = Circuit(3, ((Operation(Gate("x"), (0,)),),))
    assert np.flatnonzero(statevector.run(flipped)) == [0b100]


def test_the_first_qubit_of_a_gate_is_its_most_significant_bit():
    controlled_not = matrix_gate(np.eye(4)[[0, 1, 3, 2]])
    circuit = Circuit(3, ((Operation(Gate("x"), (2,)),), (Operation(controlled_not, (2, 0)),)))
    assert np.flatnonzero(statevector.run(circuit)) == [0b101]


def test_a_run_goes_on_from_a_state():
    circuit = random_mixture(4, 6, 1)
    halfway = statevector.run(circuit[:3])
    np.testing.assert_array_equal(statevector.run(circuit[3:], halfway), statevector.run(circuit))


@pytest.mark.parametrize("block_bits", [1, 3, 13])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_expectation_values_are_those_of_dense_matrices(n, block_bits, monkeypatch):
    # Small blocks put some flipped qubits inside a block and some across.
    monkeypatch.setattr(statevector, "_BLOCK_BITS", block_bits)
    rng = np.random.default_rng(n)
    psi = rng.normal(size=2**n) + 1j * rng.normal(size=2**n)
    for string in (PauliString(), *random_paulis(n, 20, seed=n)):
        letters = dict(string.factors)
        matrix = functools.reduce(
            np.kron, [pauli_gate(letters.get(q, "I")).matrix() for q in range(n)]
        )
        wanted = np.vdot(psi, matrix @ psi).real
        assert statevector.expectation(psi, string) == pytest.approx(wanted, abs=1e-12)


def test_single_precision_is_a_type_only():
    circuit = random_mixture(3, 4, 2)
    assert statevector.state(circuit, "single").dtype == np.complex64
    np.testing.assert_array_equal(statevector.state(circuit), statevector.run(circuit))


def test_too_many_qubits_and_a_state_that_does_not_fit_are_named():
    with pytest.raises(ValueError, match="`circuit` must have at most 24 qubits here, but has 25"):
        statevector.run(Circuit(25))
    with pytest.raises(
        ValueError, match=r"`state` must have shape \(4,\), but its shape is \(8,\)"
    ):
        statevector.run(Circuit(2), np.ones(8))

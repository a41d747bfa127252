import numpy as np
import pytest

from quantum.circuits.channels import PAULI_LETTERS, relaxation
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import pauli_gate
from quantum.circuits.lattice import rectangle
from quantum.circuits.noisy_circuit import Fault
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.engines.statevector import expectation, run
from quantum.noise.batched_states import BatchedStates

STRINGS = [PauliString.parse(text) for text in ("ZIII", "XYIZ", "IIYX")]


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(rectangle(2, 2), 4, seed=7)


def test_gates_agree_with_the_plain_reference(circuit):
    batch = BatchedStates(4, 3, np.complex128)
    for operation in circuit.operations():
        batch.play(operation)
    for string in STRINGS:
        expected = expectation(run(circuit), string)
        np.testing.assert_allclose(batch.expectations(string), expected, atol=1e-13)


@pytest.mark.parametrize("pauli", [1, 6, 11, 12])
def test_a_pauli_strikes_one_trajectory_in_the_order_of_the_qubits(circuit, pauli):
    pair, half = (3, 1), len(circuit) // 2
    batch = BatchedStates(4, 2, np.complex128)
    for operation in circuit[:half].operations():
        batch.play(operation)
    batch.strike(pair, 1, pauli)
    for operation in circuit[half:].operations():
        batch.play(operation)
    letters = zip(pair, (PAULI_LETTERS[pauli // 4], PAULI_LETTERS[pauli % 4]), strict=True)
    moment = tuple(Operation(pauli_gate(letter), (q,)) for q, letter in letters)
    struck = circuit[:half] + Circuit(4, (moment,)) + circuit[half:]
    for string in STRINGS:
        expected = [expectation(run(c), string) for c in (circuit, struck)]
        np.testing.assert_allclose(batch.expectations(string), expected, atol=1e-13)


def test_a_fork_is_a_copy_that_lives_on_its_own(circuit):
    batch = BatchedStates(4, 1, np.complex128)
    for operation in circuit.operations():
        batch.play(operation)
    assert batch.fork() == 1
    before = batch.expectations(STRINGS[0])
    assert before[0] == pytest.approx(before[1], abs=1e-14)
    batch.strike((0,), 1, 1)
    after = batch.expectations(STRINGS[0])
    np.testing.assert_allclose(after, [before[0], -before[0]], atol=1e-13)  # X turns Z over
    assert abs(before[0]) > 0.01


def test_an_excited_qubit_falls_as_often_as_it_should():
    batch = BatchedStates(2, 4000, np.complex64)
    batch.play(Operation(pauli_gate("X"), (1,)))
    batch.jump(Fault(relaxation(1e-6, 2e-6, np.inf), (1,)), np.random.default_rng(0))
    z = batch.expectations(PauliString.on({1: "Z"}))
    np.testing.assert_allclose(np.abs(z), 1, atol=1e-6)
    # 4 standard errors of a share p (1 - p) / 4000.
    assert np.mean(z > 0) == pytest.approx(1 - np.exp(-0.5), abs=0.031)

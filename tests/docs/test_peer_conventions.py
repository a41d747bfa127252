"""What docs/conventions.md says that Cirq, Qiskit, Aer and Stim do, run with the versions that are installed."""

import cirq
import numpy as np
import qiskit
import stim
from qiskit.circuit.library import XXPlusYYGate
from qiskit.quantum_info import Operator, Pauli, Statevector
from qiskit_aer.noise import depolarizing_error

from quantum.circuits.gates import fsim, iswap_like, rz


def test_the_first_qubit_is_the_most_significant_for_cirq_and_the_least_for_qiskit_and_stim():
    first, second = cirq.LineQubit.range(2)
    state = cirq.Circuit(cirq.X(first), cirq.I(second)).final_state_vector()
    assert np.argmax(np.abs(state)) == 2
    circuit = qiskit.QuantumCircuit(2)
    circuit.x(0)
    assert np.argmax(np.abs(Statevector(circuit).data)) == 1
    np.testing.assert_array_equal(np.diag(Pauli("IZ").to_matrix()).real, [1, -1, 1, -1])
    simulator = stim.TableauSimulator()
    simulator.do(stim.Circuit("X 0\nI 1"))
    assert np.argmax(np.abs(simulator.state_vector())) == 1


def test_fsim_is_that_of_cirq_and_two_gates_of_qiskit():
    theta, phi = 0.3, 0.5
    np.testing.assert_allclose(
        fsim(theta, phi).matrix(), cirq.unitary(cirq.FSimGate(theta, phi)), atol=1e-15
    )
    circuit = qiskit.QuantumCircuit(2)
    circuit.append(XXPlusYYGate(2 * theta), [0, 1])
    circuit.cp(-phi, 0, 1)
    np.testing.assert_allclose(fsim(theta, phi).matrix(), Operator(circuit).data, atol=1e-15)


def test_iswap_has_the_other_sign():
    assert iswap_like(0.0).matrix()[1, 2].imag == -1
    assert cirq.unitary(cirq.ISWAP)[1, 2].imag == 1
    assert Operator(qiskit.circuit.library.iSwapGate()).data[1, 2].imag == 1


def test_a_turn_about_z_is_cirqs_rz_and_not_its_power():
    np.testing.assert_allclose(rz(0.7).matrix(), cirq.unitary(cirq.rz(0.7)), atol=1e-15)
    np.testing.assert_allclose(np.diag(cirq.unitary(cirq.Z**0.5)), [1, 1j], atol=1e-15)


def test_the_parameter_of_depolarising_noise_is_the_pauli_error_for_cirq_and_not_for_aer():
    np.testing.assert_allclose(1 - cirq.mixture(cirq.depolarize(0.3))[0][0], 0.3, rtol=1e-12)
    np.testing.assert_allclose(1 - depolarizing_error(0.3, 1).probabilities[0], 0.225, rtol=1e-12)
    np.testing.assert_allclose(
        1 - depolarizing_error(0.3, 2).probabilities[0], 0.3 * 15 / 16, rtol=1e-12
    )
    # Stim: X and Y of three equal parts flip a measured bit; 5 standard errors of 1e5 shots.
    flips = stim.Circuit("DEPOLARIZE1(0.3) 0\nM 0").compile_sampler(seed=1).sample(100_000).mean()
    assert abs(flips - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 1e5)

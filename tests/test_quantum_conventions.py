"""Bit order, signs and units of the quantum package, each fixed by one experiment that a flip would fail."""

import cirq
import jax.numpy as jnp
import numpy as np
import pytest
from qiskit.quantum_info import Pauli, Statevector
from scipy.linalg import expm

from quantum.circuits.channels import (
    depolarizing,
    pauli_error_from_average_infidelity,
    pauli_error_from_depolarizing,
    relaxation,
)
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, pauli_gate, phased_x, rz
from quantum.circuits.pauli import PauliString
from quantum.engines import density_matrix, statevector
from quantum.engines.cirq_engine import to_cirq
from quantum.engines.qiskit_engine import to_qiskit
from quantum.nmr import average_hamiltonian as nmr
from quantum.noise.model import NoiseModel, add_noise
from quantum.spins import dipolar
from quantum.spins.evolution import evolve
from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product

X, Y, Z = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
# Three turns from |0> that differ in every amplitude.
TURNS = tuple(phased_x(theta, phi) for theta, phi in ((0.4, 0.1), (1.1, 0.8), (2.0, -1.3)))
PRODUCT = Circuit(3, (tuple(Operation(gate, (q,)) for q, gate in enumerate(TURNS)),))
AMPLITUDES = [gate.matrix()[:, 0] for gate in TURNS]


def kron(first, second, third):
    return np.kron(np.kron(first, second), third)


def test_qubit_0_is_the_most_significant_bit_as_in_cirq():
    ours = statevector.run(PRODUCT)
    np.testing.assert_allclose(ours, kron(*AMPLITUDES), atol=1e-14)
    cirqs = cirq.Simulator(dtype=np.complex128).simulate(to_cirq(PRODUCT)).final_state_vector
    np.testing.assert_allclose(abs(np.vdot(cirqs, ours)), 1, rtol=1e-12)
    assert abs(np.vdot(kron(*AMPLITUDES[::-1]), ours)) < 0.9


def test_qiskit_has_the_opposite_order_and_its_labels_as_well():
    qiskits = Statevector(to_qiskit(PRODUCT))
    np.testing.assert_allclose(abs(np.vdot(qiskits.data, kron(*AMPLITUDES[::-1]))), 1, rtol=1e-12)
    ours = statevector.expectation(statevector.run(PRODUCT), PauliString.parse("XYZ"))
    assert ours == pytest.approx(qiskits.expectation_value(Pauli("ZYX")).real, rel=1e-12)
    assert abs(ours - qiskits.expectation_value(Pauli("XYZ")).real) > 0.1


def test_the_first_qubit_of_a_gate_is_the_more_significant_one_of_its_matrix():
    controlled = matrix_gate(np.eye(4)[[0, 1, 3, 2]])
    moments = ((Operation(pauli_gate("X"), (2,)),), (Operation(controlled, (2, 0)),))
    state = statevector.run(Circuit(3, moments))
    assert np.abs(state).argmax() == 0b101


def test_a_pauli_label_reads_from_qubit_0_and_its_letters_are_the_matrices():
    string = PauliString.parse("XYZ")
    assert string == PauliString.on({0: "X", 1: "Y", 2: "Z"})
    state = statevector.run(PRODUCT)
    wanted = np.vdot(state, kron(X, Y, Z) @ state).real
    assert statevector.expectation(state, string) == pytest.approx(wanted, rel=1e-12)
    for letter, matrix in zip("XYZ", (X, Y, Z), strict=True):
        np.testing.assert_array_equal(pauli_gate(letter).matrix(), matrix)


def test_turns_are_right_handed_by_half_angles():
    axis = np.cos(0.4) * X + np.sin(0.4) * Y
    np.testing.assert_allclose(phased_x(0.7, 0.4).matrix(), expm(-0.35j * axis), atol=1e-14)
    np.testing.assert_allclose(rz(0.7).matrix(), expm(-0.35j * Z), atol=1e-14)
    np.testing.assert_allclose(
        phased_x(0.7, 0.4).matrix(),
        np.exp(-0.35j)
        * cirq.unitary(cirq.PhasedXPowGate(phase_exponent=0.4 / np.pi, exponent=0.7 / np.pi)),
        atol=1e-14,
    )
    # A quarter turn about x takes z to -y, one about y takes z to x; S takes x to y.
    for gates, letter, value in (
        ((phased_x(np.pi / 2, 0),), "Y", -1),
        ((phased_x(np.pi / 2, np.pi / 2),), "X", 1),
        ((Gate("h"), Gate("s")), "Y", 1),
    ):
        state = statevector.run(Circuit(1, tuple((Operation(gate, (0,)),) for gate in gates)))
        assert statevector.expectation(state, PauliString.parse(letter)) == pytest.approx(value)


def test_fsim_is_that_of_cirq_whose_iswap_has_the_other_sign():
    np.testing.assert_allclose(
        fsim(0.5, 0.3).matrix(), cirq.unitary(cirq.FSimGate(0.5, 0.3)), atol=1e-14
    )
    hop = (np.kron(X, X) + np.kron(Y, Y)) / 2
    both = np.diag([0, 0, 0, 1])
    np.testing.assert_allclose(fsim(0.5, 0.3).matrix(), expm(-0.5j * hop - 0.3j * both), atol=1e-14)
    assert fsim(np.pi / 2, 0).matrix()[1, 2] == pytest.approx(-1j)
    assert cirq.unitary(cirq.ISWAP)[1, 2] == pytest.approx(1j)


def test_spins_are_halves_of_paulis_and_spin_0_is_the_most_significant():
    couplings, fields = np.zeros((2, 2, 3, 3)), np.zeros((2, 3))
    couplings[0, 1, 0, 2], couplings[1, 0, 2, 0] = 8.0, 8.0
    fields[0] = 2.0, 0, 0
    wanted = 8 * np.kron(X, Z) / 4 + 2 * np.kron(X, np.eye(2)) / 2
    np.testing.assert_allclose(dense(make_hamiltonian(couplings, fields)), wanted, atol=1e-12)
    np.testing.assert_allclose(spin_product(2, {0: 1}), np.kron(Y, np.eye(2)) / 2, atol=1e-15)


def test_time_runs_as_exp_minus_i_h_t():
    couplings, fields = np.zeros((2, 2, 3, 3)), np.array([[0.0, 0, 3.0], [0, 0, 0]])
    start = jnp.asarray(np.kron([1, 1], [1, 0]) / np.sqrt(2) + 0j)
    found = np.asarray(evolve(make_hamiltonian(couplings, fields), start, 0.2, precision="double"))
    np.testing.assert_allclose(found, expm(-0.3j * np.kron(Z, np.eye(2))) @ start, atol=1e-11)
    # A positive field turns x towards y.
    assert np.vdot(found, np.kron(Y, np.eye(2)) @ found).real == pytest.approx(np.sin(0.6))


def test_couplings_in_hertz_become_angular_frequencies_of_spin_operators():
    table = np.array([[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])
    up = lambda hamiltonian: dense(hamiltonian)[0, 0].real  # noqa: E731
    # 2 pi D (3 I_z I_z - I . I) of two spins up is 2 pi (3 - 1) / 4.
    assert up(nmr.homonuclear(table)) == pytest.approx(np.pi)
    # 2 pi 2 (D + J / 2) I_z S_z, with D = 1 and J = 3 Hz.
    scalar = np.array([0, 3.0])
    found = nmr.heteronuclear(np.array([[0, 1.0], [1.0, 0]]), scalar_hz=scalar)
    assert up(found) == pytest.approx(2 * np.pi * 2 * 2.5 / 4)
    # A positive offset of a positive gyromagnetic ratio precesses the other way.
    assert up(nmr.offset(np.array([1.0]))) == pytest.approx(-np.pi)


@pytest.mark.parametrize(("direction", "share"), [((0, 0, 1), 1.0), ((1, 0, 0), -0.5)])
def test_dipolar_couplings_along_the_field_are_negative(direction, share):
    # Two protons 1 A apart: mu0 gamma^2 hbar / (8 pi^2 r^3) = 120.12 kHz, times P_2 of the angle to the field.
    proton, along = 2.6752218744e8, np.diag([-0.5, -0.5, 1.0])
    positions = 1e-10 * np.array([(0, 0, 0), direction], float)
    found = dipolar.couplings(positions, np.full(2, proton), along)
    assert float(found[0, 1]) == pytest.approx(-120.12e3 * share, rel=1e-4)


@pytest.mark.parametrize("n", [1, 2])
def test_the_error_of_a_gate_is_its_pauli_error_and_not_a_depolarising_parameter(n):
    z = np.diag([1.0, -1.0] if n == 1 else [1.0, 1.0, -1.0, -1.0])
    channel = depolarizing(0.15, n)
    after = np.einsum("kij,jl,kml->im", channel.kraus, z, channel.kraus.conj())
    np.testing.assert_allclose(after, (1 - 0.15 * 4**n / (4**n - 1)) * z, atol=1e-14)
    # What is left is 1 - p, and the average infidelity p (1 - 2^-n); all three say the same.
    p = 0.15 * 4**n / (4**n - 1)
    assert pauli_error_from_depolarizing(p, n) == pytest.approx(0.15)
    assert pauli_error_from_average_infidelity(p * (1 - 2.0**-n), n) == pytest.approx(0.15)
    theirs = cirq.kraus(cirq.depolarize(0.15, n_qubits=n))
    np.testing.assert_allclose(after, sum(k @ z @ k.conj().T for k in theirs), atol=1e-7)


def test_a_noise_model_quotes_pauli_errors_and_reads_zero_and_one_with_their_own_error():
    flip = Circuit(1, ((Operation(pauli_gate("X"), (0,)),),))
    state = density_matrix.run(add_noise(flip, NoiseModel(one_qubit_error=0.03)))
    found = density_matrix.expectation(state, PauliString.parse("Z"))
    assert found == pytest.approx(-(1 - 4 * 0.03 / 3))
    # P(read 1 in 0) = 0.1 and P(read 0 in 1) = 0.3.
    model = NoiseModel(readout_zero=0.1, readout_one=0.3)
    assert model.read_out(1.0) == pytest.approx(1 - 2 * 0.1)
    assert model.read_out(-1.0) == pytest.approx(-1 + 2 * 0.3)


def test_relaxation_ends_in_zero_and_dephasing_is_pure():
    mixed = np.array([[0.3, 0.5], [0.5, 0.7]])
    channel = relaxation(2e-6, 4e-6, 8e-6)
    after = np.einsum("kij,jl,kml->im", channel.kraus, mixed, channel.kraus.conj())
    assert after[1, 1] == pytest.approx(0.7 * np.exp(-0.5))
    # 1 / T2 = 1 / (2 T1) + 1 / T_phi.
    assert after[0, 1] == pytest.approx(0.5 * np.exp(-0.25 - 0.25))

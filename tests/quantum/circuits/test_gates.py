import cirq
import cirq_google
import numpy as np
import pytest
from scipy.linalg import expm

from quantum.circuits.gates import (
    Gate,
    fsim,
    iswap_like,
    matrix_gate,
    pauli_gate,
    phased_x,
    rz,
)
from tests.exact.random_circuits import FIXED, random_gate

X, Y, Z = (pauli_gate(letter).matrix() for letter in "XYZ")
EVERY = [
    *map(Gate, FIXED),
    phased_x(0.7, -2.1),
    rz(1.3),
    fsim(0.4, -0.9),
    iswap_like(),
    matrix_gate(expm(1j * (X + 0.3 * Y))),
    matrix_gate(expm(1j * (np.kron(X, Y) + 0.3 * np.kron(Z, X)))),
]


@pytest.mark.parametrize("gate", EVERY, ids=lambda g: g.name)
def test_every_gate_is_unitary_and_undone_by_its_inverse(gate):
    product = gate.inverse().matrix() @ gate.matrix()
    np.testing.assert_allclose(product, np.eye(2**gate.n_qubits), atol=1e-15)


@pytest.mark.parametrize("gate", EVERY, ids=lambda g: g.name)
def test_inverting_twice_gives_the_very_same_gate(gate):
    # Cancelling U against its inverse relies on equality, not on closeness.
    assert gate.inverse().inverse() == gate
    assert hash(gate.inverse().inverse()) == hash(gate)


def test_equal_gates_are_one_key():
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    gates = [random_gate(rng) for _ in range(50)]
    assert {g: 0 for g in gates}.keys() == {random_gate(again) for _ in range(50)}
    assert phased_x(0.5, 1) != phased_x(1, 0.5)


def test_phased_x_turns_about_its_axis():
    theta, phi = 0.83, 2.2
    generator = np.cos(phi) * X + np.sin(phi) * Y
    np.testing.assert_allclose(
        phased_x(theta, phi).matrix(), expm(-0.5j * theta * generator), atol=1e-15
    )


def test_rz_turns_about_z():
    np.testing.assert_allclose(rz(0.83).matrix(), expm(-0.415j * Z), atol=1e-15)


def test_fsim_is_exchange_and_controlled_phase():
    theta, phi = 0.61, 0.35
    exchange = expm(-0.5j * theta * (np.kron(X, X) + np.kron(Y, Y)))
    controlled = np.diag([1, 1, 1, np.exp(-1j * phi)])
    np.testing.assert_allclose(fsim(theta, phi).matrix(), controlled @ exchange, atol=1e-15)


def test_the_gate_of_the_echoes_is_willows():
    np.testing.assert_allclose(iswap_like().matrix(), cirq.unitary(cirq_google.WILLOW), atol=1e-15)


def test_our_iswap_is_cirqs_up_to_half_a_turn_of_both_qubits():
    # -i against +i off the diagonal.
    half_turns = np.kron(Z, Z)
    np.testing.assert_allclose(
        iswap_like(0).matrix(), cirq.unitary(cirq.ISWAP) @ half_turns, atol=1e-15
    )
    assert iswap_like(0).matrix()[1, 2] == pytest.approx(-1j)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_gates_are_cirqs(name):
    theirs = {"i": cirq.I, "h": cirq.H, "s": cirq.S, "s_dagger": cirq.S**-1, "cz": cirq.CZ}
    wanted = cirq.unitary(theirs.get(name) or getattr(cirq, name.upper()))
    np.testing.assert_allclose(Gate(name).matrix(), wanted, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate("toffoli"), "`name` must be one of .* but is 'toffoli'"),
        (lambda: Gate("fsim", (1.0,)), "`parameters` of `fsim` must hold 2 numbers, but holds 1"),
        (lambda: rz(float("nan")), "`parameters` of `rz` must be finite"),
        (lambda: matrix_gate(np.eye(3)), r"`matrix` must be .* but its shape is \(3, 3\)"),
        (lambda: matrix_gate(2 * np.eye(2)), "`matrix` must be unitary, but U U.dagger misses 1 by 3"),
        (lambda: pauli_gate("Q"), "`letter` must be one of I, X, Y, Z"),
    ],
)  # fmt: skip
def test_what_is_no_gate_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

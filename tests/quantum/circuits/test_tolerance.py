import numpy as np
import pytest

from quantum.circuits.clifford import is_clifford_gate
from quantum.circuits.gates import Gate, as_fsim, fsim, iswap_like, matrix_gate, phased_x, rz
from quantum.circuits.tolerance import (
    ACCEPTED,
    EXACT,
    nearest_unitary,
    precision_of,
    same_up_to_phase,
    split_product,
)
from quantum.compiling.pair_compiler import gate_count, pair_gates
from quantum.noise.pauli_frames import frames

CASTS = {
    "single": lambda m: m.astype(np.complex64),
    "single in a double": lambda m: m.astype(np.complex64).astype(complex),
    "eight digits": lambda m: np.round(m, 8),
}


def unitary(rng, size=2):
    return np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_what_is_accepted_in_few_digits_is_counted_right(cast):
    rng = np.random.default_rng(1)
    for _ in range(10):
        before, after = (np.kron(unitary(rng), unitary(rng)) for _ in range(2))
        pairs = {"cz": Gate("cz").matrix(), "fsim": fsim(0.7, 0.4).matrix()}
        assert [gate_count(cast(before), native) for native in pairs] == [0, 0]
        for native, gate in pairs.items():
            assert gate_count(cast(after @ gate @ before), native) == 1
        swap_like = after @ iswap_like(0.0).matrix() @ before
        assert gate_count(cast(swap_like), "cz") == 2


@pytest.mark.parametrize("cast", CASTS.values(), ids=CASTS)
def test_clifford_gates_and_frames_are_known_in_few_digits(cast):
    for gate in (Gate("h"), phased_x(np.pi / 2, np.pi / 2), iswap_like(0.0)):
        assert is_clifford_gate(matrix_gate(cast(gate.matrix())))
    assert is_clifford_gate(phased_x(float(np.float32(np.pi / 2)), 0))
    assert not is_clifford_gate(phased_x(np.pi / 2 + 1e-5, 0.3))
    # The 8 Paulis of `pauli_frames` for a swap angle of pi/2 with a phase.
    assert len(frames(matrix_gate(cast(iswap_like().matrix())))) == 8


def test_a_weak_coupling_in_double_precision_is_kept():
    weak = fsim(0.0, 1e-7).matrix()
    assert gate_count(weak, "fsim") == 1
    product = np.eye(4)
    for part in pair_gates(weak, "fsim"):
        product = (part.matrix() if isinstance(part, Gate) else np.kron(*part)) @ product
    assert same_up_to_phase(product, weak, 1e-13)
    assert gate_count(weak.astype(np.complex64), "fsim") == 0


def test_precision_follows_from_the_numbers():
    rng = np.random.default_rng(2)
    assert precision_of(unitary(rng, 4)) == EXACT
    assert precision_of(unitary(rng, 4).astype(np.complex64)) == ACCEPTED
    assert precision_of(np.eye(4)[[1, 0, 3, 2]]) == EXACT
    assert precision_of((0.5, 1.0)) == EXACT
    assert precision_of((float(np.float32(0.1)),)) == ACCEPTED
    assert EXACT < precision_of(np.round(unitary(rng, 4), 9)) < ACCEPTED


def test_a_product_is_split_and_nothing_else():
    rng = np.random.default_rng(3)
    first, second = unitary(rng), unitary(rng).astype(np.complex64)
    found = split_product(np.kron(first, second))
    assert found is not None
    np.testing.assert_allclose(np.kron(*found), np.kron(first, second), atol=1e-6)
    np.testing.assert_allclose(found[1] @ found[1].conj().T, np.eye(2), atol=1e-14)
    assert split_product(fsim(0.0, 1e-4).matrix()) is None


def test_the_nearest_unitary_is_unitary_and_near():
    rough = unitary(np.random.default_rng(4), 4).astype(np.complex64)
    fine = nearest_unitary(rough)
    assert np.abs(fine @ fine.conj().T - np.eye(4)).max() < 1e-14
    assert np.abs(fine - rough).max() < 2e-7


def test_an_fsim_is_known_by_its_matrix():
    for gate in (Gate("cz"), fsim(0.4, -1.1), matrix_gate(fsim(0.4, 1.1).matrix())):
        known = as_fsim(gate)
        assert known is not None
        np.testing.assert_allclose(known.matrix(), gate.matrix(), atol=1e-15)
    assert as_fsim(matrix_gate(np.kron(rz(0.1).matrix(), np.eye(2)))) is None
    assert as_fsim(Gate("h")) is None

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit
from quantum.circuits.clifford import clifford_echo_circuit, otoc_signs
from quantum.circuits.lattice import rectangle, willow
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes import pauli_paths
from quantum.echoes.pauli_paths import sample_off_diagonal, sample_paths, sum_loops
from quantum.engines.pauli_propagation import (
    PauliSum,
    infinite_temperature_map,
    infinite_temperature_otoc,
    propagate_paulis,
)
from tests.exact.random_circuits import unitary

Z0 = PauliString.on({0: "Z"})
STRUCK = PauliString.on({3: "X"})


@pytest.fixture(scope="module")
def circuit():
    return random_circuit(rectangle(2, 2), 5, seed=3)


@pytest.fixture(scope="module")
def evolved(circuit):
    return propagate_paulis(circuit, STRUCK)


def test_the_parts_of_the_second_order_add_up_to_the_trace(circuit, evolved):
    u = unitary(circuit)
    b = u.conj().T @ unitary(Circuit(4, (STRUCK.moment(),))) @ u
    w = b @ unitary(Circuit(4, (Z0.moment(),)))
    loops = sum_loops(evolved, Z0)
    assert loops.total == pytest.approx(np.trace(w @ w @ w @ w).real / 16, abs=1e-12)
    assert loops.total == pytest.approx(loops.small_loops + loops.off_diagonal, abs=1e-12)


def test_small_loops_are_those_of_equal_pairs(circuit):
    # Every loop one by one, where there are few enough strings.
    evolved = propagate_paulis(circuit[-4:], STRUCK)
    bits, b = evolved.bits, evolved.coefficients
    strings = evolved.strings()
    assert 8 < len(b) < 40
    dense = [unitary(Circuit(4, (s.moment(),))) for s in strings]
    signs = [np.sign(np.trace(d @ (z := unitary(Circuit(4, (Z0.moment(),)))) @ d @ z).real) for d in dense]  # fmt: skip
    place = {int(x): k for k, x in enumerate(bits[:, 0])}
    small = large = absolute = 0.0
    for i, j, k in np.ndindex(len(b), len(b), len(b)):
        m = place.get(int(bits[i, 0] ^ bits[j, 0] ^ bits[k, 0]))
        if m is None:
            continue
        loop = np.trace(dense[i] @ dense[j] @ dense[k] @ dense[m]).real / 16
        value = b[i] * b[j] * b[k] * b[m] * signs[j] * signs[m] * loop
        if len({i, j, k, m}) == 4:
            large += value
            absolute += abs(b[i] * b[j] * b[k] * b[m])
        else:
            small += value
    loops = sum_loops(evolved, Z0)
    assert loops.small_loops == pytest.approx(small, abs=1e-12)
    assert loops.off_diagonal == pytest.approx(large, abs=1e-12)
    assert loops.absolute == pytest.approx(absolute, abs=1e-12)


def test_paths_from_a_full_cache_give_the_otoc_within_their_error(circuit, evolved):
    samples = sample_paths(circuit, STRUCK, 20_000, seed=1, cache=300)
    assert (samples.n_cached, samples.n_walked) == (evolved.n_terms, 0)
    value, error = samples.otoc(Z0)
    assert abs(value - infinite_temperature_otoc(evolved, Z0)) < 4 * error < 0.04
    values, errors = samples.otoc_map()
    assert (np.abs(values - infinite_temperature_map(evolved)) < 4 * errors).all()
    assert (value, error) == pytest.approx((values[0], errors[0]))


def test_a_walk_adds_squares_over_paths(circuit):
    # The chances of the walk are the squared transfer matrices, multiplied: a Markov chain worked out in full.
    short = random_circuit(rectangle(1, 2), 3, seed=1)
    from quantum.circuits.packed_pauli import transfer_matrix

    chances = np.zeros(16)
    chances[1 + 4 * 0] = 1.0  # X on qubit 0
    for moment in reversed(short.moments):
        if len(moment) == 2:
            first, second = (transfer_matrix(op.gate) ** 2 for op in moment)
            chances = np.einsum("ba,ac,bd->dc", chances.reshape(4, 4), first, second).ravel()
        elif moment:
            chances = chances @ transfer_matrix(moment[0].gate) ** 2
    signs = np.array([1, -1, 1, -1] * 4)  # X and Y on qubit 0 anticommute with Z
    value, error = sample_paths(short, PauliString.on({0: "X"}), 40_000, seed=2).otoc(Z0)
    assert abs(value - chances @ signs) < 4 * error
    exact = infinite_temperature_otoc(propagate_paulis(short, PauliString.on({0: "X"})), Z0)
    assert abs(value - exact) > 10 * error  # the interference that a walk leaves out


def test_a_clifford_circuit_has_one_path():
    chip = willow()
    circuit = clifford_echo_circuit(chip, 6, seed=3)
    struck = PauliString.on({52: "X"})
    values, errors = sample_paths(circuit, struck, 3, seed=0).otoc_map()
    np.testing.assert_array_equal(values, otoc_signs(circuit, struck))
    np.testing.assert_array_equal(errors, 0)


def test_off_diagonal_loops_are_estimated_without_bias(circuit):
    # Few strings, so that four errors are small beside the value.
    evolved = propagate_paulis(circuit[-6:], STRUCK)
    for qubit in range(4):
        other = PauliString.on({qubit: "Z"})
        exact = sum_loops(evolved, other).off_diagonal
        value, error = sample_off_diagonal(evolved, other, 100_000, seed=qubit)
        assert abs(value - exact) < 4 * error < 0.1


def test_the_variance_of_off_diagonal_loops_grows_with_the_number_of_strings():
    # N like strings that form a group: each draw closes a loop of weight L^3 b = N, so the variance is near N^2.
    for n in (2, 3):
        words = np.arange(4**n, dtype=np.uint64)[:, None]
        like = PauliSum(n, words, np.full(4**n, 2.0**-n))
        _, error = sample_off_diagonal(like, Z0, 4000, seed=0)
        assert 0.5 * 4**n / 2**0.5 < error * 4000**0.5 < 4**n


def test_signs_drown_the_second_order_but_not_the_first():
    noise, signs = [], []
    for lattice, cycles in ((rectangle(2, 2), 5), (rectangle(1, 5), 8)):
        last = PauliString.on({lattice.n_qubits - 1: "X"})
        sums = [
            propagate_paulis(random_circuit(lattice, cycles, seed=seed), last) for seed in range(4)
        ]
        errors = [sample_off_diagonal(evolved, Z0, 10_000, seed=0)[1] for evolved in sums]
        noise.append(100 * np.mean(errors))
        signs.append(np.mean([abs(sum_loops(evolved, Z0).mean_sign) for evolved in sums]))
    # One draw of the first order has a standard deviation of at most 1; here it grows with the strings, 240 to 770,
    # about as their square, (770 / 240)^2 = 10; circuits differ by a factor of two.
    assert 5 < noise[0] < noise[1] / 3
    assert signs[1] < signs[0] < 0.1


def test_bad_input_is_named(circuit, evolved):
    with pytest.raises(ValueError, match="`n_samples` must be at least 1, but is 0"):
        sample_paths(circuit, STRUCK, 0, seed=0)
    big = propagate_paulis(random_circuit(willow(), 1, seed=0), STRUCK)
    with pytest.raises(ValueError, match="`evolved` must have at most 32 qubits, but has 105"):
        sample_off_diagonal(big, Z0, 10, seed=0)
    many = PauliSum(6, np.arange(4096, dtype=np.uint64)[:, None], np.full(4096, 1 / 64))
    with pytest.raises(ValueError, match="`evolved` must hold at most 3000 strings"):
        pauli_paths.sum_loops(many, Z0)

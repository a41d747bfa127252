import itertools

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate
from quantum.circuits.lattice import rectangle
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.interference import (
    Interference,
    diagonal,
    draw_insertions,
    exact_diagonal,
    measure_interference,
    off_diagonal,
    pauli_weights,
)
from quantum.echoes.otoc import Echo, correlator, make_echo
from quantum.echoes.otoc_batch import correlators
from quantum.engines.statevector import run

MATRICES = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0, -1.0]),
}


def two_qubit_echo(order, cut, butterfly="X"):
    unitary = random_circuit(rectangle(1, 2), 4, seed=1, order="AB")
    return Echo(unitary, 0, (1,), order, butterfly=butterfly, cut=cut)


def all_strings(n):
    return [PauliString.parse("".join(letters)) for letters in itertools.product("IXYZ", repeat=n)]


def mean_over_all_strings(echo):
    every = all_strings(echo.unitary.n_qubits)
    insertions = list(itertools.product(every, repeat=echo.order))
    return correlators([echo], insertions, engine="reference", precision="double").mean()


@pytest.mark.parametrize(("order", "cut", "butterfly"), [(1, 3, "X"), (2, 0, "Z"), (2, 3, "Y")])
def test_mean_over_all_strings_is_the_diagonal_sum(order, cut, butterfly):
    echo = two_qubit_echo(order, cut, butterfly)
    # Both exact: 256 runs of the circuit with gates inserted, against the Pauli channel of the weights.
    assert mean_over_all_strings(echo) == pytest.approx(exact_diagonal(echo), abs=1e-12)


def test_the_kept_pairs_are_the_outer_and_the_inner_one():
    # The four-fold sum over Pauli strings, written out with plain matrices.
    echo = two_qubit_echo(2, 5)
    paulis = np.array(
        [np.kron(MATRICES[p], MATRICES[q]) for p, q in itertools.product("IXYZ", repeat=2)]
    )
    before, after = (matrix(echo.unitary[part]) for part in (slice(5), slice(5, None)))
    butterfly = after.conj().T @ np.kron(MATRICES["I"], MATRICES["X"]) @ after
    b = np.einsum("aij,ji->a", paulis, butterfly).real / 4
    measured = before @ np.kron(MATRICES["Z"], MATRICES["I"]) @ before.conj().T
    psi = before[:, 0]
    right = np.einsum("cij,jk,dkl,l->cdi", paulis, measured, paulis, psi)
    left = np.einsum("i,aij,jk,bkm->abm", psi.conj(), paulis, measured, paulis)
    terms = np.einsum("abi,ij,cdj,a,b,c,d->abcd", left, measured, right, b, b, b, b)
    # <P_a M' P_b M' P_c M' P_d>; M acts on |0> as 1.
    np.testing.assert_allclose(terms.sum(), correlator(echo, engine="reference"), atol=1e-12)
    np.testing.assert_allclose(np.einsum("abba", terms), exact_diagonal(echo), atol=1e-12)
    # The other two pairings differ, so the test tells them apart.
    assert abs(np.einsum("aabb", terms) - exact_diagonal(echo)) > 1e-3
    assert abs(np.einsum("abab", terms) - exact_diagonal(echo)) > 1e-3


def matrix(circuit):
    columns = []
    for bits in range(4):
        flips = PauliString.on({q: "X" for q in range(2) if bits >> (1 - q) & 1})
        columns.append(run(Circuit(2, (flips.moment(),)) + circuit))
    return np.stack(columns, axis=1)


def test_first_order_at_the_start_averages_over_initial_states():
    # A string before all gates only flips and rephases |0...0>, so the mean over all is the trace over initial states.
    echo = two_qubit_echo(1, 0)
    unitary = matrix(echo.unitary)
    butterfly = unitary.conj().T @ np.kron(MATRICES["I"], MATRICES["X"]) @ unitary
    measured = np.kron(MATRICES["Z"], MATRICES["I"])
    trace = np.trace(butterfly @ measured @ butterfly @ measured).real / 4
    assert exact_diagonal(echo) == pytest.approx(trace, abs=1e-12)


def test_weights_are_probabilities_inside_the_cone():
    unitary = random_circuit(rectangle(2, 3), 3, seed=0)
    weights = pauli_weights(Echo(unitary, 0, (5,), cut=4))
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    # One cycle after the cut: the butterfly sits on qubit 5 and at most the one coupled to it.
    reached = {q for q in range(6) if weights.take(range(1, 4), axis=q).sum() > 1e-12}
    assert 5 in reached
    assert len(reached) <= 2


def test_strings_do_not_touch_a_clifford_echo():
    unitary = random_circuit(rectangle(2, 3), 6, seed=3, angles=(np.pi / 2,))
    clifford = [
        [
            Operation(Gate("h" if q % 2 else "s"), op.qubits)
            if len(op.qubits) == 1
            else Operation(Gate("fsim", (np.pi / 2, 0.0)), op.qubits)
            for q, op in enumerate(moment)
        ]
        for moment in unitary.moments
    ]
    circuit = Circuit(6, tuple(tuple(moment) for moment in clifford))
    found = measure_interference([Echo(circuit, 0, (5,), cut=5)], 4, seed=0, engine="reference")
    # B at the cut is one string, which an insertion can only give a sign, twice.
    np.testing.assert_allclose(found.inserted, np.full((1, 4), found.total[0]), atol=1e-12)
    assert abs(found.total[0]) == pytest.approx(1, abs=1e-12)


def test_without_butterfly_nothing_interferes():
    echo = Echo(random_circuit(rectangle(1, 3), 4, seed=0), 0, (), cut=2)
    found = measure_interference([echo], 3, seed=0, engine="reference")
    np.testing.assert_allclose(found.off_diagonal, 0, atol=1e-12)
    np.testing.assert_allclose(found.diagonal, 1, atol=1e-12)


@pytest.fixture(scope="module")
def sampled():
    layout = rectangle_layout(2, 3, 6)
    echoes = [make_echo(layout, random_circuit(layout.lattice, 6, seed=seed)) for seed in range(4)]
    return echoes, measure_interference(echoes, 30, seed=2, engine="reference")


def test_random_strings_agree_with_the_exact_diagonal(sampled):
    echoes, found = sampled
    exact = np.array([exact_diagonal(echo) for echo in echoes])
    # Four standard errors on each of four circuits.
    assert np.all(abs(found.diagonal - exact) < 4 * found.stderr + 1e-6)
    assert np.any(found.stderr > 1e-3)
    np.testing.assert_allclose(found.diagonal + found.off_diagonal, found.total, atol=1e-15)


def test_strings_of_a_circuit_do_not_depend_on_the_ensemble(sampled):
    echoes, found = sampled
    # On qsim, in single precision, against the reference.
    one = diagonal(echoes[0], 30, seed=2)
    assert one.value == pytest.approx(found.diagonal[0], abs=1e-5)
    assert one.stderr == pytest.approx(found.stderr[0], abs=1e-5)
    rest = off_diagonal(echoes[0], 30, seed=2, engine="reference")
    assert rest.value == pytest.approx(found.off_diagonal[0], abs=1e-12)
    assert rest.stderr == pytest.approx(found.stderr[0], abs=1e-12)


def test_loops_carry_independent_strings():
    echo = two_qubit_echo(2, 3)
    pairs = draw_insertions(echo, 400, seed=0)
    assert all(len(pair) == 2 for pair in pairs)
    # Equal by chance in 1 of 16; 5 standard deviations of 400 draws are 24.
    assert abs(sum(a == b for a, b in pairs) - 25) < 24


def test_sd_is_freed_from_the_noise_of_the_strings():
    rng = np.random.default_rng(0)
    true = 0.02 * rng.normal(size=4000)
    noise = 0.05 * rng.normal(size=(4000, 3))
    ensemble = Interference(true, noise)
    # Spread of a sample sd: about sd / sqrt(2 n), times (0.02^2 + 0.05^2 / 3) / 0.02^2 for the noise taken off.
    assert ensemble.off_diagonal_sd() == pytest.approx(0.02, abs=4 * 0.02 / np.sqrt(8000) * 3.1)
    assert ensemble.off_diagonal.std() > 0.03


def test_ensembles_are_joined_circuit_by_circuit():
    parts = [Interference(np.full(n, n), n * np.arange(2.0 * n).reshape(n, 2)) for n in (1, 2)]
    found = Interference.joined(iter(parts))
    np.testing.assert_array_equal(found.total, [1, 2, 2])
    np.testing.assert_array_equal(found.inserted, [[0, 1], [0, 2], [4, 6]])


def test_bad_input_is_named():
    echo = two_qubit_echo(2, 3)
    with pytest.raises(ValueError, match="`n_strings` must be at least 2"):
        measure_interference([echo], 1, seed=0)
    with pytest.raises(ValueError, match="`echoes` must be at least 1"):
        measure_interference([], 4, seed=0)
    with pytest.raises(ValueError, match="`cut` of the echo must be set"):
        measure_interference([Echo(echo.unitary, 0, (1,))], 2, seed=0)
    with pytest.raises(ValueError, match="`cut` of the echo must be set"):
        exact_diagonal(Echo(echo.unitary, 0, (1,)))
    with pytest.raises(ValueError, match="at most 10 qubits"):
        exact_diagonal(Echo(random_circuit(rectangle(1, 11), 2, seed=0), 0, (5,), cut=1))
    with pytest.raises(ValueError, match="`inserted` must be"):
        Interference(np.zeros(3), np.zeros((2, 4)))

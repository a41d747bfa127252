import numpy as np
import pytest
import scipy.linalg

from quantum.compiling.trotter import (
    pair_matrix,
    round_robin,
    spin_matrix,
    sweeps,
    trotter_circuit,
)
from quantum.spins.hamiltonian import dense, make_hamiltonian
from tests.exact.random_circuits import unitary


def random_hamiltonian(n, seed=0, *, fields=True):
    rng = np.random.default_rng(seed)
    tensor = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(i):
            tensor[i, j] = rng.normal(size=(3, 3))
            tensor[j, i] = tensor[i, j].T
    return make_hamiltonian(tensor, rng.normal(size=(n, 3)) if fields else None)


def error(hamiltonian, time, steps, order):
    exact = scipy.linalg.expm(-1j * dense(hamiltonian) * time)
    return np.linalg.norm(
        unitary(trotter_circuit(hamiltonian, time, steps, order=order)) - exact, 2
    )


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_error_falls_with_the_order_of_the_formula(order):
    steps = np.array([8, 16, 32])
    errors = [error(random_hamiltonian(4), 1.0, int(n), order) for n in steps]
    slopes = -np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert slopes[-1] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_commuting_terms_are_exact(order):
    tensor = np.zeros((4, 4, 3, 3))
    tensor[..., 2, 2] = 1 - np.eye(4)
    tensor[..., 2, 2] *= np.add.outer(np.arange(4), np.arange(4))
    hamiltonian = make_hamiltonian(tensor, np.outer(np.arange(4), [0, 0, 1.0]))
    assert error(hamiltonian, 1.3, 1, order) < 1e-12


@pytest.mark.parametrize("order", [2, 4])
def test_symmetric_formulas_are_undone_by_time_reversed_ones(order):
    there = trotter_circuit(random_hamiltonian(3), 0.7, 2, order=order)
    back = trotter_circuit(random_hamiltonian(3), -0.7, 2, order=order)
    np.testing.assert_allclose(unitary(there + back), np.eye(8), atol=1e-12)
    first = trotter_circuit(random_hamiltonian(3), 0.7, 2, order=1)
    undone = trotter_circuit(random_hamiltonian(3), -0.7, 2, order=1)
    assert np.abs(unitary(first + undone) - np.eye(8)).max() > 1e-3


def test_one_term_is_its_exponential_on_the_right_spins():
    rng = np.random.default_rng(1)
    tensor, field = rng.normal(size=(3, 3)), rng.normal(size=3)
    couplings = np.zeros((3, 3, 3, 3))
    couplings[2, 0], couplings[0, 2] = tensor, tensor.T
    hamiltonian = make_hamiltonian(couplings)
    exact = scipy.linalg.expm(-0.4j * dense(hamiltonian))
    circuit = trotter_circuit(hamiltonian, 0.4, 1, order=1, pairs=[(2, 0)])
    np.testing.assert_allclose(unitary(circuit), exact, atol=1e-12)
    alone = make_hamiltonian(np.zeros((1, 1, 3, 3)), field[None])
    np.testing.assert_allclose(
        spin_matrix(field, 0.4), scipy.linalg.expm(-0.4j * dense(alone)), atol=1e-12
    )
    assert pair_matrix(tensor, 0.0) == pytest.approx(np.eye(4))


def test_fractions_add_up_and_every_pair_meets_once():
    for order in (1, 2, 4):
        assert sum(s.fraction for s in sweeps(order)) == pytest.approx(1, abs=1e-14)
    for n in (1, 2, 5, 8):
        met = [pair for layer in round_robin(n) for pair in layer]
        assert sorted(met) == [(i, j) for i in range(n) for j in range(i + 1, n)]


def test_sweeps_share_the_gate_where_they_meet():
    # Without fields: 2 (pairs - 1) gates a step, and one more at each turning point of all steps.
    circuit = trotter_circuit(random_hamiltonian(4, fields=False), 1.0, 3, order=2)
    assert circuit.n_two_qubit == 3 * 2 * 5 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 3}, "`order` must be 1, 2 or 4"),
        ({"n_steps": 0}, "`n_steps` must be at least 1"),
        ({"time": np.nan}, "`time` must be finite"),
        ({"pairs": [(0, 1)]}, "`pairs` must name every coupled pair"),
        ({"pairs": [(0, 1), (1, 0)]}, "`pairs` must name every pair at most once"),
        ({"pairs": [(0, 5)]}, "`pairs` must name different spins"),
    ],
)
def test_bad_input_is_named(arguments, message):
    given = {"time": 1.0, "n_steps": 1} | arguments
    with pytest.raises(ValueError, match=message):
        trotter_circuit(random_hamiltonian(3), **given)

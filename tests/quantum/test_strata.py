import numpy as np
import pytest

from quantum import density_matrix
from quantum.circuit import random_circuit
from quantum.lattice import rectangle_layout
from quantum.noise import NoiseModel, add_noise, willow_rcs
from quantum.otoc import echo_circuit, make_echo
from quantum.pauli import PauliString
from quantum.strata import faults_beside, stratified, stratum_weight
from quantum.trajectories import error_tables

N_SEEDS = 150


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 2, 6)
    return make_echo(layout, random_circuit(layout.lattice, 6, 3))


@pytest.fixture(scope="module")
def circuits(echo):
    circuit = echo_circuit(echo)
    return [add_noise(circuit, willow_rcs().scaled(factor)) for factor in (6, 3)]


@pytest.fixture(scope="module")
def runs(echo, circuits):
    return [stratified(circuits, echo.observable, 40, seed) for seed in range(N_SEEDS)]


def test_estimates_are_unbiased_and_their_errors_right(echo, circuits, runs):
    states = [density_matrix.run(c.twirled()) for c in circuits]
    true = np.array([density_matrix.expectation(s, echo.observable) for s in states])
    values = np.array([r.values for r in runs])
    said = np.mean([np.diag(r.covariance) for r in runs], axis=0)
    # Mean pull over all seeds within 4 of its errors; a variance from N normal draws is known to sqrt(2 / N).
    assert np.all(np.abs(values.mean(axis=0) - true) < 4 * np.sqrt(said / N_SEEDS))
    np.testing.assert_allclose(values.var(axis=0, ddof=1), said, rtol=4 * np.sqrt(2 / N_SEEDS))
    assert np.all(np.abs(true - runs[0].clean) > 10 * np.sqrt(said / N_SEEDS))


def test_strata_and_the_clean_run_hold_all_the_weight(echo, circuits):
    seen = circuits[0].seen_from(echo.observable.qubits).twirled()
    table, beside = error_tables(seen), faults_beside(seen, echo.observable)
    elsewhere = frozenset(table) - beside
    clean = np.prod([p[0] for p in table.values()])
    strata = ((beside, elsewhere), (elsewhere, frozenset()))
    assert clean + sum(stratum_weight(table, *s) for s in strata) == pytest.approx(1, abs=1e-12)


def test_faults_beside_lie_around_the_measured_pauli(echo, circuits):
    beside = faults_beside(circuits[0], echo.observable)
    steps = circuits[0].steps
    z = [k for k, s in enumerate(steps) if getattr(getattr(s, "gate", None), "name", "") == "z"]
    assert len(z) == 1
    assert min(beside) < z[0] < max(beside)
    assert all(echo.measured in steps[k].qubits for k in beside)
    assert sorted(len(steps[k].qubits) for k in beside) == [1, 1, 2, 2]


def test_bad_input_is_named(echo, circuits):
    z = echo.observable
    quiet = add_noise(echo_circuit(echo), NoiseModel())
    two = PauliString.on({0: "Z", 1: "Z"})
    cases = [
        (lambda: stratified(circuits, z, 3, 0), "`n_trajectories` must be at least 4"),
        (lambda: stratified(circuits, z, 8, 0, share=2), "`share` must"),
        (lambda: stratified([circuits[0], quiet], z, 8, 0), "`circuits` must be one circuit"),
        (lambda: stratified(circuits, two, 8, 0), "`observable` must be a Pauli of one qubit"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()

import numpy as np
import pytest

from quantum.circuits.circuit import Operation
from quantum.circuits.gates import rz
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.noisy_circuit import NoisyCircuit
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix
from quantum.noise.model import NoiseModel, add_noise, willow_rcs
from quantum.noise.strata import (
    _draw,
    _weighted_means,
    faults_beside,
    strata_of,
    stratified,
    stratum_weight,
)
from quantum.noise.trajectories import error_tables

N_SEEDS = 150


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 2, 6)
    return make_echo(layout, random_circuit(layout.lattice, 6, seed=3))


@pytest.fixture(scope="module")
def circuits(echo):
    circuit = echo_circuit(echo)
    return [add_noise(circuit, willow_rcs().scaled(factor)) for factor in (6, 3)]


@pytest.fixture(scope="module")
def runs(echo, circuits):
    return [stratified(circuits, echo.observable, 40, seed=seed) for seed in range(N_SEEDS)]


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
    clean = np.prod([p[0] for p in table.values()])
    strata = strata_of(table, beside)
    assert len(strata) == 2
    assert clean + sum(stratum_weight(table, *s) for s in strata) == pytest.approx(1, abs=1e-12)


def test_faults_beside_lie_around_the_measured_pauli(echo, circuits):
    beside = faults_beside(circuits[0], echo.observable)
    steps = circuits[0].steps
    z = [k for k, s in enumerate(steps) if getattr(getattr(s, "gate", None), "name", "") == "z"]
    assert len(z) == 1
    assert min(beside) < z[0] < max(beside)
    assert all(echo.measured in steps[k].qubits for k in beside)
    assert sorted(len(steps[k].qubits) for k in beside) == [1, 1, 2, 2]


def test_errors_are_drawn_as_often_as_they_strike():
    rates = {3: 0.5, 7: 0.2, 8: 0.4}
    table = {k: np.array([1 - r, r / 2, 0, r / 2]) for k, r in rates.items()}
    n = 20_000
    drawn = _draw(table, frozenset((3, 7)), frozenset((8,)), n, np.random.default_rng(4))
    some = 1 - 0.5 * 0.8
    for places, chance in (
        ((3,), 0.5 / some),
        ((7,), 0.2 / some),
        ((3, 7), 0.1 / some),
        ((8,), 0.4),
    ):
        share = np.mean([set(places) <= set(errors) for errors in drawn])
        assert abs(share - chance) < 4 * np.sqrt(chance * (1 - chance) / n)
    assert {e for errors in drawn for e in errors.values()} == {1, 3}


def test_a_value_that_no_error_changes_is_exact_under_every_model(echo, circuits):
    tables = [error_tables(c.seen_from(echo.observable.qubits).twirled()) for c in circuits]
    stratum = strata_of(tables[0], faults_beside(circuits[0], echo.observable))[0]
    drawn = _draw(tables[0], *stratum, 20, np.random.default_rng(1))
    means, spread = _weighted_means(tables, stratum, np.full(20, 0.3), drawn)
    np.testing.assert_allclose(means, 0.3, atol=1e-12)
    np.testing.assert_allclose(spread, 0, atol=1e-12)


def test_the_measured_pauli_is_known_by_its_matrix(echo, circuits):
    def renamed(step):
        named = isinstance(step, Operation) and step.gate.name == "z"
        return Operation(rz(np.pi), step.qubits) if named else step

    other = NoisyCircuit(circuits[0].n_qubits, tuple(map(renamed, circuits[0].steps)))
    beside = faults_beside(circuits[0], echo.observable)
    assert beside
    assert faults_beside(other, echo.observable) == beside


def test_bad_input_is_named(echo, circuits):
    z = echo.observable
    quiet = add_noise(echo_circuit(echo), NoiseModel())
    two = PauliString.on({0: "Z", 1: "Z"})
    cases = [
        (lambda: stratified(circuits, z, 3, seed=0), "`n_trajectories` must be at least 4"),
        (lambda: stratified(circuits, z, 8, seed=0, share=2), "`share` must"),
        (lambda: stratified([circuits[0], quiet], z, 8, seed=0), "`circuits` must be one circuit"),
        (lambda: stratified(circuits, two, 8, seed=0), "`observable` must be a Pauli of one qubit"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()

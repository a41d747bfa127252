from dataclasses import replace

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import pauli_gate
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.noisy_circuit import NoisyCircuit
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix
from quantum.engines.statevector import expectation as exact_expectation
from quantum.engines.statevector import run
from quantum.noise.mitigation import with_decoupling
from quantum.noise.model import NoiseModel, add_noise, willow_qec, willow_rcs
from quantum.noise.trajectories import (
    draw_errors,
    expectation,
    reweighted,
    run_batch,
    with_errors,
)

MODEL = replace(willow_rcs().scaled(5), relax_in_gates=True)


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 2, 6)
    return make_echo(layout, random_circuit(layout.lattice, 6, seed=3))


@pytest.fixture(scope="module")
def noisy(echo):
    return add_noise(echo_circuit(echo), MODEL)


def exact(noisy, observable):
    return density_matrix.expectation(density_matrix.run(noisy), observable)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pauli_trajectories_average_to_the_density_matrix(echo, noisy, seed):
    found = expectation(noisy, echo.observable, 1000, seed=seed)
    true = exact(noisy.twirled(), echo.observable)
    assert abs(found.value - true) < 4 * found.stderr
    clean = exact(
        NoisyCircuit(noisy.n_qubits, tuple(s for s in noisy.steps if isinstance(s, Operation))),
        echo.observable,
    )
    assert found.stderr < 0.05 * abs(true - clean)  # so that the effect of the noise is tested


@pytest.mark.parametrize("seed", [0, 1])
def test_jumps_average_to_the_density_matrix_without_a_twirl(seed):
    # The end of a chain idles for long, where the twirl forgets the fall towards |0> and is far off.
    unitary = random_circuit(rectangle_layout(1, 3, 4).lattice, 4, seed=2, order="AB")
    noisy = add_noise(unitary, NoiseModel(0.01, 0.02, 3e-7, 5e-7))
    z = PauliString.on({0: "Z"})
    found = expectation(noisy, z, 4000, seed=seed, kind="jumps", precision="double")
    true, twirled = exact(noisy, z), exact(noisy.twirled(), z)
    assert abs(found.value - true) < 4 * found.stderr
    assert abs(twirled - true) > 10 * found.stderr


def test_every_trajectory_is_an_ordinary_circuit(echo, noisy):
    twirled = noisy.twirled()
    _, drawn = draw_errors(twirled, 5, seed=0)
    assert min(len(errors) for errors in drawn) >= 1
    batch = run_batch(twirled, drawn, echo.observable, np.complex128)
    plain = [exact_expectation(run(with_errors(twirled, e)), echo.observable) for e in drawn]
    np.testing.assert_allclose(batch, plain, atol=1e-12)
    assert np.ptp(plain) > 1e-3


def test_engines_agree_on_the_same_draw(echo, noisy):
    values = [
        expectation(noisy, echo.observable, 8, seed=1, engine=engine).value
        for engine in ("batch", "reference", "cirq")
    ]
    np.testing.assert_allclose(values, values[0], atol=1e-5)


def test_batches_that_do_not_fit_at_once_give_the_same(echo, noisy, monkeypatch):
    whole = expectation(noisy, echo.observable, 10, seed=1, precision="double")
    monkeypatch.setattr("quantum.noise.trajectories._BATCH_AMPLITUDES", 3 * 2**4)
    parts = expectation(noisy, echo.observable, 10, seed=1, precision="double")
    assert parts.value == pytest.approx(whole.value, abs=1e-13)


def test_first_errors_strike_as_often_as_they_should():
    # Two faults with errors a and b: given at least one error, the first is struck in a / (1 - (1 - a)(1 - b)) of all.
    rates = {1: 0.3, 2: 0.5}
    gates = tuple((Operation(pauli_gate("X"), (q,)),) for q in (0, 1))
    models = [NoiseModel(one_qubit_error=rate) for rate in rates.values()]
    steps = [add_noise(Circuit(2, (g,)), m).steps for g, m in zip(gates, models, strict=True)]
    weight, drawn = draw_errors(NoisyCircuit(2, steps[0] + steps[1]), 20000, seed=0)
    assert weight == pytest.approx(0.7 * 0.5)
    share = np.mean([1 in errors for errors in drawn])
    both = np.mean([len(errors) == 2 for errors in drawn])
    # 4 standard errors, sqrt(p (1 - p) / n).
    assert share == pytest.approx(0.3 / 0.65, abs=0.014)
    assert both == pytest.approx(0.15 / 0.65, abs=0.012)
    kinds = np.bincount([e for errors in drawn for e in errors.values()], minlength=4)
    assert kinds[0] == 0
    np.testing.assert_allclose(kinds[1:] / kinds.sum(), 1 / 3, atol=0.013)


def test_without_noise_the_value_is_exact(echo):
    circuit = echo_circuit(echo)
    found = expectation(
        add_noise(circuit, NoiseModel()), echo.observable, 4, seed=0, precision="double"
    )
    assert found.stderr == 0
    assert found.value == pytest.approx(exact_expectation(run(circuit), echo.observable), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_reweighted_trajectories_average_to_each_models_density_matrix(echo, seed):
    circuit, model = echo_circuit(echo), willow_rcs()
    models = [model.scaled(3), model.scaled(2), model, with_decoupling(model), willow_qec()]
    circuits = [add_noise(circuit, m) for m in models]
    found = reweighted(circuits, echo.observable, 1000, seed=seed)
    true = [exact(c.twirled(), echo.observable) for c in circuits]
    pairs = zip(found.estimates, true, strict=True)
    assert all(abs(one.value - wanted) < 4 * one.stderr for one, wanted in pairs)
    assert np.ptp(true) > 4 * max(one.stderr for one in found.estimates)


def test_reweighted_errors_are_those_seen_between_draws(echo):
    circuit, model = echo_circuit(echo), willow_rcs()
    circuits = [add_noise(circuit, m) for m in (model.scaled(3), model)]
    runs = [reweighted(circuits, echo.observable, 60, seed=seed) for seed in range(60)]
    seen = np.cov(np.array([r.values for r in runs]).T)
    said = np.mean([r.covariance for r in runs], axis=0)
    # A variance from 60 draws is known to sqrt(2 / 59) = 18 %; 4 of these.
    np.testing.assert_allclose(seen, said, rtol=0.75)


def test_bad_input_is_named(echo, noisy):
    z = echo.observable
    quiet = add_noise(echo_circuit(echo), NoiseModel())
    cases = [
        (lambda: expectation(noisy, z, 1, seed=0), "`n_trajectories` must be at least 2"),
        (
            lambda: expectation(noisy, z, 4, seed=0, kind="exact"),
            "`kind` must be one of pauli, jumps",
        ),
        (
            lambda: expectation(noisy, z, 4, seed=0, kind="jumps", engine="cirq"),
            "`engine` must be one",
        ),
        (lambda: draw_errors(noisy, 4, seed=0), "`circuit` must hold Pauli channels only"),
        (lambda: reweighted([noisy, quiet], z, 4, seed=0), "`circuits` must be one circuit"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_reweighting_is_right_for_strong_noise_too():
    # Three flips, each followed by depolarisation that shrinks <Z> by 1 - 4 e / 3.
    flips = Circuit(1, ((Operation(pauli_gate("X"), (0,)),),) * 3)
    rates = np.array([0.6, 0.4, 0.1])
    circuits = [add_noise(flips, NoiseModel(one_qubit_error=rate)) for rate in rates]
    found = reweighted(circuits, PauliString.on({0: "Z"}), 4000, seed=1)
    stderr = np.sqrt(np.diag(found.covariance))
    assert np.all(np.abs(found.values + (1 - 4 * rates / 3) ** 3) < 4 * stderr)
    assert stderr.max() < 0.02

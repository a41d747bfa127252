from dataclasses import replace

import numpy as np
import pytest

from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.echoes.reference import reference_circuit
from quantum.engines import density_matrix
from quantum.engines.dispatch import expectation
from quantum.estimates import Estimate
from quantum.noise.extrapolation import extrapolate_to_zero, fit_extrapolation
from quantum.noise.mitigation import (
    correct_readout,
    fit_rescale,
    normalise,
    read_means,
    rescale_exponent,
    with_decoupling,
)
from quantum.noise.model import NoiseModel, add_noise, willow_pink, willow_rcs


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 3, 6)
    return make_echo(layout, random_circuit(layout.lattice, 6, seed=3))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("inserted", [False, True])
def test_reference_echo_is_one_with_all_gates_but_the_butterflies(echo, order, inserted):
    this = replace(echo, order=order)
    strings = random_paulis(6, order, seed=1) if inserted else ()
    full, reference = echo_circuit(this, strings), reference_circuit(this, strings)
    assert full.n_operations - reference.n_operations == order
    assert full.n_two_qubit == reference.n_two_qubit
    value = expectation(reference, this.observable, engine="reference")
    if not inserted:
        assert value == pytest.approx(1, abs=1e-12)
    else:
        assert abs(value) == pytest.approx(1, abs=1e-12)  # each S S cancels through U_2 U_2^dagger
    assert abs(expectation(full, this.observable, engine="reference")) < 0.99


def test_normalisation_is_a_ratio_with_the_error_of_one():
    found = normalise(Estimate(0.4 * 0.02, 0.001), Estimate(0.4, 0.02))
    assert found.value == pytest.approx(0.02)
    draws = np.random.default_rng(0).normal([0.008, 0.4], [0.001, 0.02], size=(100000, 2))
    assert found.stderr == pytest.approx(np.std(draws[:, 0] / draws[:, 1]), rel=0.02)


def test_normalisation_brings_noisy_echoes_closer():
    noisy, ideal, layout = [], [], rectangle_layout(2, 2, 5)
    for seed in range(6):
        this = make_echo(layout, random_circuit(layout.lattice, 5, seed=seed))
        circuits = [echo_circuit(this), reference_circuit(this)]
        channels = [add_noise(c, willow_rcs().scaled(2)) for c in circuits]
        noisy.append(density_matrix.expectations(channels, [this.observable])[:, 0])
        ideal.append(expectation(circuits[0], this.observable, engine="reference"))
    raw, reference = np.array(noisy).T
    assert np.std(raw / reference - ideal) < 0.6 * np.std(raw - ideal)


def test_readout_correction_undoes_readout():
    model = willow_pink()
    read = Estimate(model.read_out(0.321), 0.01)
    found = correct_readout(read, model)
    assert found.value == pytest.approx(0.321, rel=1e-12)
    assert found.stderr > 0.01


def test_means_are_read_with_flips_and_the_noise_of_the_shots():
    model = NoiseModel(readout_zero=0.1, readout_one=0.3)
    means, errors = np.full(20_000, 0.5), np.full(20_000, 0.1)
    found = read_means(means, errors, model, 100, seed=0)
    # z = 0.6 x 0.5 + 0.2, of variance (1 - z^2) / 100; their mean is known to 0.0866 / sqrt(20,000).
    assert found.read.mean() == pytest.approx(0.5, abs=4 * 0.0866 / 141)
    assert found.read.std() == pytest.approx(0.0866, rel=4 / 200)
    np.testing.assert_allclose(found.corrected, (found.read - 0.2) / 0.6, rtol=1e-12)
    np.testing.assert_allclose(found.read_error, 0.06, rtol=1e-12)
    np.testing.assert_array_equal(found.error, errors)
    # No mean is read beyond 1, where shots have no spread.
    assert read_means(np.ones(1), errors[:1], NoiseModel(), 1, seed=0).read == pytest.approx(1)


def test_decoupling_leaves_relaxation_and_slows_dephasing():
    model = willow_rcs()
    quiet = with_decoupling(model, 0.1)
    plain, better = model.idle_channel(1e-6), quiet.idle_channel(1e-6)
    rho = np.full((2, 2), 0.5)
    after = [np.einsum("kij,jl,kml->im", c.kraus, rho, c.kraus.conj()) for c in (plain, better)]
    assert after[1][1, 1] == pytest.approx(after[0][1, 1], rel=1e-12)
    gain = np.log(np.abs(after[1][0, 1] / after[0][0, 1]))
    assert gain == pytest.approx(0.9 * 1e-6 / model.t_phi, rel=1e-9)


def test_rescale_is_the_least_squares_slope_with_its_spread():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        estimate = rng.normal(size=40)
        exact = 2.5 * estimate + 0.3 * rng.normal(size=40)
        found.append(fit_rescale(exact, estimate))
    values = np.array([f.value for f in found])
    assert abs(values.mean() - 2.5) < 4 * values.std() / 20
    assert np.mean([f.stderr for f in found]) == pytest.approx(values.std(), rel=0.15)


def test_rescale_exponent_is_recovered():
    fidelities = [0.8, 0.6, 0.3]
    factors = [Estimate(f**-0.7, 0.02) for f in fidelities]
    found = rescale_exponent(factors, fidelities)
    assert found.value == pytest.approx(0.7, rel=1e-12)
    assert 0 < found.stderr < 0.1


def test_bad_input_is_named(echo):
    one = Estimate(1.0, 0.1)
    cases = [
        (lambda: normalise(one, Estimate(0.1, 0.1)), "`reference` must stand clear of 0"),
        (lambda: with_decoupling(willow_rcs(), 1.5), "`factor` must lie between 0 and 1"),
        (lambda: correct_readout(one, NoiseModel(readout_zero=0.5, readout_one=0.5)), "`model` must"),
        (lambda: read_means(np.ones(2), np.ones(2), NoiseModel(), 0, seed=0), "`shots` must be at least 1"),
        (lambda: fit_rescale(np.ones(2), np.zeros(2)), "`exact` and `estimate` must pair up"),
        (lambda: rescale_exponent([one], [1.0]), "`factors` must be positive"),
        (lambda: fit_extrapolation([1, 2], np.ones((3, 2)), "gaussian"), "`scales` must be 3 or more"),
        (lambda: extrapolate_to_zero([1, 2], np.ones(2), np.ones(2), "cubic"), "`law` must be one of"),
        (lambda: extrapolate_to_zero([1, 2], np.array([1, -1]), np.ones(2), "exponential"), "`values`"),
        (lambda: extrapolate_to_zero([1, 2], np.ones(2), np.zeros(2), "linear"), "`errors` must be positive"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()

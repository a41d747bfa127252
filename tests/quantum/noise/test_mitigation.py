from dataclasses import replace

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, iswap_like
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.echoes.reference import reference_circuit
from quantum.engines import density_matrix
from quantum.engines.dispatch import expectation
from quantum.estimates import Estimate
from quantum.noise.mitigation import (
    correct_readout,
    extrapolate_to_zero,
    fit_extrapolation,
    fit_rescale,
    frames,
    normalise,
    pauli_frame,
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


def test_decoupling_leaves_relaxation_and_slows_dephasing():
    model = willow_rcs()
    quiet = with_decoupling(model, 0.1)
    plain, better = model.idle_channel(1e-6), quiet.idle_channel(1e-6)
    rho = np.full((2, 2), 0.5)
    after = [np.einsum("kij,jl,kml->im", c.kraus, rho, c.kraus.conj()) for c in (plain, better)]
    assert after[1][1, 1] == pytest.approx(after[0][1, 1], rel=1e-12)
    gain = np.log(np.abs(after[1][0, 1] / after[0][0, 1]))
    assert gain == pytest.approx(0.9 * 1e-6 / model.t_phi, rel=1e-9)


@pytest.mark.parametrize(
    ("gate", "number"),
    [(Gate("cz"), 16), (fsim(np.pi / 2, 0), 16), (iswap_like(), 8), (iswap_like().inverse(), 8), (fsim(0.3, 0.2), 4)],
)  # fmt: skip
def test_frames_leave_the_gate_as_it_is(gate, number):
    valid = frames(gate)
    assert len(valid) == number
    for letters, undo in valid:
        before = np.kron(*(Gate(p.lower()).matrix() for p in letters))
        played = np.kron(*(g.matrix() for g in undo)) @ gate.matrix() @ before
        overlap = np.trace(gate.matrix().conj().T @ played) / 4
        assert abs(overlap) == pytest.approx(1, abs=1e-12)


def test_frames_leave_the_echo_as_it_is(echo):
    circuit = echo_circuit(echo)
    framed = add_noise(circuit, NoiseModel(), frame=pauli_frame(seed=4))
    assert len(framed.steps) == circuit.n_operations + 4 * circuit.n_two_qubit
    plain = density_matrix.expectations([circuit, framed], [echo.observable])[:, 0]
    assert plain[0] == pytest.approx(plain[1], abs=1e-12)


def average_error(gate, angles):
    """chi matrix, in the Pauli basis, of the error that is left after averaging over all frames."""
    valid = frames(gate)
    error = fsim(*angles).matrix()
    paulis = [np.kron(Gate(a).matrix(), Gate(b).matrix()) for a in "ixyz" for b in "ixyz"]
    chi = np.zeros((16, 16), complex)
    for letters, undo in valid:
        before = np.kron(*(Gate(p.lower()).matrix() for p in letters))
        after = np.kron(*(g.matrix() for g in undo))
        total = after @ error @ gate.matrix() @ before @ gate.matrix().conj().T
        c = np.array([np.trace(p @ total) / 4 for p in paulis])
        chi += np.outer(c, c.conj()) / len(valid)
    return chi


def test_twirling_makes_all_errors_of_a_clifford_gate_stochastic():
    chi = average_error(Gate("cz"), (0.1, 0.2))
    np.testing.assert_allclose(chi, np.diag(np.diag(chi)), atol=1e-14)


def test_twirling_makes_the_swap_angle_but_not_the_zz_error_of_iswap_like_stochastic():
    swap = average_error(iswap_like(), (0.1, 0.0))
    # The ideal amplitude and that of ZZ, which a real swap angle has in second order, may stay coherent; nothing else.
    first_order = np.abs(swap[0, 1:15])
    assert first_order.max() < 1e-14
    phase = average_error(iswap_like(), (0.0, 0.2))
    assert abs(phase[0, 15]) > 0.04  # ZZ, about 0.2 / 4
    np.testing.assert_allclose(phase[0, 1:15], 0, atol=1e-14)  # the one-qubit phases are twirled


def test_coherent_error_becomes_linear_in_the_error_probability():
    # n equal over-rotations by d: coherent error of the population (n d)^2, twirled n d^2.
    n, d = 10, 0.02
    pulses = tuple((Operation(fsim(np.pi / 2, 0), (0, 1)),) for _ in range(2 * n))
    flip = Circuit(2, ((Operation(Gate("x"), (0,)),), *pulses))
    model = NoiseModel(two_qubit_error=0.0, theta_error=d, seed=1)
    z = PauliString.on({0: "Z"})
    ideal = density_matrix.expectations([flip], [z])[0, 0]
    one = add_noise(Circuit(2, ((Operation(fsim(np.pi / 2, 0), (0, 1)),),)), model).steps[0]
    turn = one.gate.parameters[0] - np.pi / 2  # type: ignore[union-attr]
    plain = density_matrix.expectations([add_noise(flip, model)], [z])[0, 0]
    framed = [add_noise(flip, model, frame=pauli_frame(seed=s)) for s in range(60)]
    twirled = density_matrix.expectations(framed, [z])[:, 0]
    # <Z> of |10> under fsim(theta) is -cos(2 theta).
    assert ideal == pytest.approx(-1, abs=1e-12)
    assert 1 + plain == pytest.approx(1 - np.cos(2 * 2 * n * turn), rel=1e-6)
    expected = 1 - np.cos(2 * turn) ** (2 * n)  # every sign equally likely
    assert abs(1 + twirled.mean() - expected) < 4 * twirled.std() / np.sqrt(60)


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


@pytest.mark.parametrize(
    ("law", "signal"),
    [
        ("linear", lambda x: 0.4 - 0.05 * x),
        ("exponential", lambda x: -0.4 * np.exp(-0.7 * x)),
        ("gaussian", lambda x: 0.4 * np.exp(-0.9 * x + 0.1 * x**2)),
    ],
)
def test_extrapolation_is_exact_under_its_own_law(law, signal):
    scales = np.array([1.0, 1.5, 2.0, 3.0])
    found = extrapolate_to_zero(scales, signal(scales), np.full(4, 0.01), law)
    assert found.value == pytest.approx(signal(0.0), rel=1e-9)
    ensemble = np.array([0.3, -0.7, 1.1])[:, None] * signal(scales)
    fit = fit_extrapolation(scales, ensemble, law)
    zero = [fit.apply(row, np.eye(4)).value for row in ensemble]
    np.testing.assert_allclose(zero, np.array([0.3, -0.7, 1.1]) * signal(0.0), rtol=1e-5)


def test_gaussian_law_gives_mean_and_variance_of_the_path_weights():
    scales = np.array([1.0, 1.5, 2.0])
    values = np.outer([1.0, -0.2], np.exp(-0.9 * scales + 0.12 * scales**2 / 2))
    fit = fit_extrapolation(scales, values, "gaussian")
    np.testing.assert_allclose([fit.rate, fit.spread], [0.9, 0.12], rtol=1e-4)


def test_extrapolation_error_is_the_spread_of_repeats():
    scales, errors = np.array([1.0, 2.0, 3.0]), np.array([0.01, 0.02, 0.02])
    rng = np.random.default_rng(1)
    for law in ("linear", "exponential", "gaussian"):
        signal = np.exp(-0.2 * scales)
        found = [
            extrapolate_to_zero(scales, signal + errors * rng.normal(size=3), errors, law)
            for _ in range(400)
        ]
        spread = np.std([f.value for f in found])
        # 1 / sqrt(2 x 400) = 3.5 % from the draw, some percent from the logarithm.
        assert np.mean([f.stderr for f in found]) == pytest.approx(spread, rel=0.15)


def test_bad_input_is_named(echo):
    one = Estimate(1.0, 0.1)
    cases = [
        (lambda: normalise(one, Estimate(0.1, 0.1)), "`reference` must stand clear of 0"),
        (lambda: with_decoupling(willow_rcs(), 1.5), "`factor` must lie between 0 and 1"),
        (lambda: correct_readout(one, NoiseModel(readout_zero=0.5, readout_one=0.5)), "`model` must"),
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

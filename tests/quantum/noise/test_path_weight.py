from math import comb

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate, phased_x, rz
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import density_matrix
from quantum.estimates import Estimate
from quantum.noise.mitigation import extrapolate_to_zero
from quantum.noise.model import add_noise
from quantum.noise.path_weight import (
    PathWeights,
    fit_gaussian,
    matching_noise,
    path_weights,
    richardson,
)

SCALES = np.array([1.0, 1.5, 2.0, 3.0])


@pytest.fixture(scope="module")
def echo():
    layout = rectangle_layout(2, 2, 4)
    return make_echo(layout, random_circuit(layout.lattice, 4, seed=3), order=1)


@pytest.mark.parametrize("weights", [(0, 1), (1, 1), (1, 4)])
def test_path_weights_give_the_exact_noisy_signal(echo, weights):
    circuit = echo_circuit(echo)
    paths = path_weights(circuit, echo.observable, weights)
    for rate in (0.0, 0.03, 0.5):
        noisy = add_noise(circuit, matching_noise(rate, weights))
        wanted = density_matrix.expectation(density_matrix.run(noisy), echo.observable)
        assert paths.signal(rate) == pytest.approx(wanted, abs=1e-12)


def test_gates_with_their_qubits_swapped_and_virtual_gates_are_counted_right():
    turn = Operation(phased_x(0.7, 0.2), (1,))
    pair = Operation(Gate("fsim", (0.4, 1.1)), (2, 0))
    skew = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)) + 1j * np.eye(4))[0]
    other = Operation(matrix_gate(skew), (2, 1))  # changes when its qubits are swapped
    circuit = Circuit(3, ((turn,), (pair,), (Operation(rz(0.3), (2,)),), (other,),
                          (Operation(phased_x(1.1, -0.4), (2,)),)))  # fmt: skip
    observable = PauliString.parse("IXY")
    paths = path_weights(circuit, observable, (1, 2))
    noisy = add_noise(circuit, matching_noise(0.2, (1, 2)))
    wanted = density_matrix.expectation(density_matrix.run(noisy), observable)
    assert paths.signal(0.2) == pytest.approx(wanted, abs=1e-13)
    assert paths.amplitudes.size == 1 + 2 * 1 + 2 * 2


def test_mixed_qubits_are_the_average_over_their_states(echo):
    circuit = echo_circuit(echo)
    flips = [PauliString.on(dict(zip((1, 3), letters, strict=True)))
             for letters in ("II", "IX", "XI", "XX")]  # fmt: skip
    found = path_weights(circuit, echo.observable, mixed=(1, 3)).amplitudes
    each = [path_weights(Circuit(4, (f.moment(),)) + circuit, echo.observable) for f in flips]
    np.testing.assert_allclose(found, np.mean([p.amplitudes for p in each], axis=0), atol=1e-14)
    assert np.abs(each[0].amplitudes - found).max() > 1e-3


def test_a_clifford_circuit_is_one_path():
    half = Operation(Gate("h"), (0,))
    chain = Circuit(
        3, ((half,), (Operation(Gate("cz"), (0, 1)),), (Operation(Gate("cz"), (1, 2)),))
    )
    # Backwards from X Z I: CZ(1, 2) leaves it, CZ(0, 1) makes it X I I, H turns it to Z: two noisy pairs.
    paths = path_weights(chain, PauliString.parse("XZI"))
    np.testing.assert_allclose(paths.amplitudes, [0, 0, 1], atol=1e-15)
    assert paths.cumulants() == pytest.approx([2, 0, 0, 0], abs=1e-12)


def test_cumulants_are_derivatives_of_the_logarithm_of_the_signal(echo):
    paths = path_weights(echo_circuit(echo), echo.observable)
    step = 1e-3
    logs = np.log(np.abs(paths.signal(step * np.arange(-2, 3))))
    wanted = [(logs[1] - logs[3]) / (2 * step), (logs[1] - 2 * logs[2] + logs[3]) / step**2,
              (logs[0] - 2 * logs[1] + 2 * logs[3] - logs[4]) / (2 * step**3)]  # fmt: skip
    np.testing.assert_allclose(paths.cumulants()[:3], wanted, rtol=1e-3)


def binomial_paths(n, chance=0.4):
    return PathWeights(
        np.array([comb(n, h) * chance**h * (1 - chance) ** (n - h) for h in range(n + 1)]), (0, 1)
    )


def test_many_independent_gates_make_a_normal_law():
    few, many = binomial_paths(10), binomial_paths(160)
    mean, variance, third, fourth = many.cumulants()
    spread = 160 * 0.4 * 0.6
    assert [mean, variance] == pytest.approx([64, spread])
    assert third == pytest.approx(spread * (1 - 2 * 0.4))
    assert fourth == pytest.approx(spread * (1 - 6 * 0.24))
    # The distance falls with the square root of the number of gates.
    assert few.distance_from_normal() / many.distance_from_normal() == pytest.approx(4, rel=0.1)
    assert many.negative_share == 0


def test_weights_in_steps_are_compared_with_the_normal_law_in_steps():
    paths = binomial_paths(40)
    spread = np.zeros(81)
    spread[::2] = paths.amplitudes
    doubled = PathWeights(spread, (0, 2))
    assert doubled.distance_from_normal() == pytest.approx(paths.distance_from_normal())


def test_an_echo_has_paths_of_both_signs(echo):
    paths = path_weights(echo_circuit(echo), echo.observable)
    c = paths.amplitudes
    assert paths.negative_share == pytest.approx(
        np.abs(c[np.sign(c) != np.sign(c.sum())]).sum() / np.abs(c).sum()
    )
    assert 0 < paths.negative_share < 0.5


@pytest.mark.parametrize("sign", [1, -1])
def test_a_gaussian_decay_is_found_exactly(sign):
    values = sign * 0.6 * np.exp(-0.9 * SCALES + 0.08 * SCALES**2 / 2)
    found = fit_gaussian(SCALES, values, np.full(4, 1e-3))
    np.testing.assert_allclose(found.parameters, [sign * 0.6, 0.9, 0.08], rtol=1e-5)
    np.testing.assert_allclose(found(SCALES), values, rtol=1e-7)
    assert found.chi_squared < 1e-10
    assert found.degrees_of_freedom == 1


def test_without_a_bend_the_law_is_the_exponential_one():
    values = -0.6 * np.exp(-0.9 * SCALES)
    found = fit_gaussian(SCALES, values, np.full(4, 1e-3), law="exponential")
    np.testing.assert_allclose(found.parameters, [-0.6, 0.9, 0], rtol=1e-6, atol=1e-12)
    assert found.degrees_of_freedom == 2
    wanted = extrapolate_to_zero(SCALES, values, np.full(4, 1e-3), "exponential")
    assert found.start.stderr == pytest.approx(wanted.stderr, rel=1e-3)


def test_small_errors_give_what_the_logarithm_gives():
    values = 0.6 * np.exp(-0.9 * SCALES + 0.08 * SCALES**2) + np.array([2, -3, 4, -1]) * 1e-5
    errors = np.array([1.0, 2.0, 1.0, 3.0]) * 1e-4
    direct = fit_gaussian(SCALES, values, errors).start
    logarithm = extrapolate_to_zero(SCALES, values, errors)
    assert direct.value == pytest.approx(logarithm.value, rel=1e-3)
    assert direct.stderr == pytest.approx(logarithm.stderr, rel=0.02)


def test_stated_errors_are_the_spread_over_draws():
    values = 0.6 * np.exp(-0.5 * SCALES + 0.1 * SCALES**2 / 2)
    rng = np.random.default_rng(0)
    fits = [fit_gaussian(SCALES, values + 2e-3 * rng.normal(size=4), np.full(4, 2e-3)) for _ in range(150)]  # fmt: skip
    starts = np.array([found.start.value for found in fits])
    # 150 draws: 6 % of the standard deviation, and 8 % of it for the mean; four of each.
    assert starts.std(ddof=1) == pytest.approx(fits[0].start.stderr, rel=0.3)
    assert abs(starts.mean() - 0.6) < 0.33 * starts.std()


def test_a_prior_weighs_as_much_as_its_error_says():
    # Errors of 1 % at 1 and 3 know mu to 0.01 / sqrt 2; a prior as sharp beside it moves mu by half of what it is off.
    x, error = np.array([1.0, 3.0]), 0.01 / 2**0.5
    y = 2 * np.exp(-0.3 * x)
    prior = Estimate(0.3 + 2e-4, error), Estimate(0.0, 1.0)
    found = fit_gaussian(x, y, 0.01 * y, law="exponential", prior=prior)
    assert found.parameters[1] == pytest.approx(0.3 + 1e-4, abs=1e-6)
    assert found.covariance[1, 1] == pytest.approx(error**2 / 2, rel=1e-3)
    assert found.degrees_of_freedom == 1  # two points and a prior for two numbers


def test_noise_may_carry_a_point_across_zero():
    values = np.array([0.02, 0.004, -0.003, 0.001])
    found = fit_gaussian(SCALES, values, np.full(4, 5e-3), prior=(Estimate(1.5, 0.1), Estimate(0.1, 0.05)))  # fmt: skip
    assert found.start.value > 0
    assert 0 < found.start.stderr < 0.1


def test_limits_keep_a_signal_near_zero_from_running_away():
    values, errors = np.array([0.05, -0.02, 0.03, -0.04]), np.full(4, 1e-3)
    free = fit_gaussian(SCALES, values, errors)
    kept = fit_gaussian(SCALES, values, errors, most_damping=1.2, most_signal=1)
    assert abs(free.parameters[0]) > 1.5
    start, rate, spread = kept.parameters
    assert abs(start) <= 1
    assert 0 <= rate <= 1.2
    assert 0 <= spread <= 0.36 + 1e-12
    # A bend beyond what weights between 0 and 1.2 can have ends at a quarter of 1.2 squared.
    bent = 0.1 * np.exp(-1.1 * SCALES + 0.8 * SCALES**2 / 2)
    found = fit_gaussian(SCALES, bent, errors, most_damping=1.2, most_signal=1)
    assert found.parameters[2] == pytest.approx(0.36, rel=1e-3)


def test_limits_do_not_touch_what_lies_within():
    values = 0.6 * np.exp(-0.9 * SCALES + 0.08 * SCALES**2 / 2)
    found = fit_gaussian(SCALES, values, np.full(4, 1e-3), most_damping=2, most_signal=1)
    np.testing.assert_allclose(found.parameters, [0.6, 0.9, 0.08], rtol=1e-5)


def test_a_prior_narrows_the_error_and_is_obeyed():
    values = 0.6 * np.exp(-0.9 * SCALES + 0.08 * SCALES**2 / 2)
    free = fit_gaussian(SCALES, values, np.full(4, 1e-2))
    known = (Estimate(0.9, 1e-6), Estimate(0.08, 1e-6))
    tied = fit_gaussian(SCALES, values, np.full(4, 1e-2), prior=known)
    assert tied.start.stderr < free.start.stderr / 5
    g = np.exp(-0.9 * SCALES + 0.04 * SCALES**2)
    assert tied.start.stderr == pytest.approx(1e-2 / np.linalg.norm(g), rel=1e-4)


def test_richardson_is_exact_for_polynomials_up_to_its_points():
    for degree in range(4):
        assert richardson(SCALES).coefficients @ SCALES**degree == pytest.approx(
            float(degree == 0), abs=1e-12
        )
    assert richardson(SCALES).coefficients @ SCALES**4 == pytest.approx(-9.0)  # -prod of the scales


def test_the_normal_law_is_off_by_the_third_cumulant():
    # ln S_0 of a quadratic through three points misses k_3 x_1 x_2 x_3 / 6 of the cubic term.
    paths, x = binomial_paths(60), np.array([1.0, 2.0, 3.0]) * 0.01
    found = fit_gaussian(x, paths.signal(x), np.full(3, 1e-6)).start.value
    wanted = -paths.cumulants()[2] * np.prod(x) / 6
    assert np.log(found) == pytest.approx(wanted, rel=0.1)
    linear = extrapolate_to_zero(x, paths.signal(x), np.full(3, 1e-6), "exponential").value
    assert abs(linear - 1) > 30 * abs(found - 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, o: path_weights(c, o, (0, 0)), "`weights` must not both be 0"),
        (lambda c, o: path_weights(c, o, (-1, 1)), "`weights` must be at least 0"),
        (lambda c, o: path_weights(c, o, (10**6, 1)), "`circuit` must need at most 3e\\+07"),
        (lambda c, o: PathWeights(np.array([1.0, -1.0]), (0, 1)).cumulants(), "must not cancel"),
        (lambda c, o: PathWeights(np.array([0.0, 1.0]), (0, 1)).distance_from_normal(), "positive var"),
        (lambda c, o: matching_noise(-1), "`rate` must lie between"),
        (lambda c, o: richardson([1.0]), "`scales` must be 2 or more"),
        (lambda c, o: richardson([1.0, 1.0]), "`scales` must be 2 or more different"),
        (lambda c, o: fit_gaussian([1, 2], np.ones(2), np.ones(2)), "`scales` must be 3 or more"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(2), np.ones(3)), "`values` must be 3 finite"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.zeros(3)), "`covariance` must be 3"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.ones(3), law="linear"), "`law` must be"),
        (lambda c, o: fit_gaussian([1, 2, 3], np.ones(3), np.ones(3), most_damping=0), "`most_damping` and"),
    ],
)  # fmt: skip
def test_bad_input_is_named(echo, call, message):
    with pytest.raises(ValueError, match=message):
        call(echo_circuit(echo), echo.observable)

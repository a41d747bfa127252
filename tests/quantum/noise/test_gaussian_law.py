import numpy as np
import pytest

from quantum.estimates import Estimate
from quantum.noise.extrapolation import extrapolate_to_zero, fit_gaussian, richardson

SCALES = np.array([1.0, 1.5, 2.0, 3.0])


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


def test_a_prior_weighs_as_much_as_its_error_says():
    # Errors of 1 % at 1 and 3 know mu to 0.01 / sqrt 2; a prior as sharp beside it moves mu by half of what it is off.
    x, error = np.array([1.0, 3.0]), 0.01 / 2**0.5
    y = 2 * np.exp(-0.3 * x)
    prior = Estimate(0.3 + 2e-4, error), Estimate(0.0, 1.0)
    found = fit_gaussian(x, y, 0.01 * y, law="exponential", prior=prior)
    assert found.parameters[1] == pytest.approx(0.3 + 1e-4, abs=1e-6)
    assert found.covariance[1, 1] == pytest.approx(error**2 / 2, rel=1e-3)
    assert found.degrees_of_freedom == 1  # two points and a prior for two numbers

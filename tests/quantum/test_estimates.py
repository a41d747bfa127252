import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from quantum import estimates as statistics
from quantum.inference import decays

N_SETS = 400


def covered(estimates, truth, sigmas=1.0):
    """Share of estimates within so many of their own standard errors of the truth."""
    found = np.array([(e.value - truth) / e.stderr for e in estimates])
    return np.mean(np.abs(found) < sigmas)


def test_the_error_of_a_mean_is_that_of_the_textbook():
    found = statistics.mean_with_error(np.array([1.0, 2.0, 3.0, 6.0]))
    assert found.value == 3
    assert found.stderr == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))


@pytest.mark.parametrize("name", ["normal", "uniform", "laplace"])
def test_errors_of_a_standard_deviation_cover_the_truth_whatever_the_distribution(name):
    rng = np.random.default_rng(1)
    draw = {
        "normal": (lambda: rng.normal(size=200), 1.0),
        "uniform": (lambda: rng.uniform(-1, 1, size=200), 1 / math.sqrt(3)),
        "laplace": (lambda: rng.laplace(size=200), math.sqrt(2)),
    }
    sample, truth = draw[name]
    found = [statistics.std_with_error(sample()) for _ in range(N_SETS)]
    # One sigma covers 68 %; the binomial error of 400 sets is 2.3 %, and heavy tails cost a few per cent at n = 200.
    assert 0.60 < covered(found, truth) < 0.75


def test_the_error_of_a_normal_standard_deviation_has_its_closed_form():
    found = statistics.std_with_error(3 * np.random.default_rng(2).normal(size=100_000))
    assert found.stderr == pytest.approx(3 / math.sqrt(2 * 99_999), rel=0.03)


def test_samples_that_do_not_vary_have_no_spread_and_no_error():
    assert statistics.std_with_error(np.ones(5)) == statistics.Estimate(0.0, 0.0)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.9])
def test_errors_of_a_correlation_cover_the_truth(rho):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(N_SETS):
        x, z = rng.normal(size=(2, 150))
        found.append(statistics.correlation_with_error(x, rho * x + math.sqrt(1 - rho**2) * z + 5))
    assert 0.61 < covered(found, rho) < 0.75
    assert found[0].stderr == pytest.approx((1 - rho**2) / math.sqrt(150), rel=0.35)


def test_correlation_is_that_of_numpy():
    x, y = np.random.default_rng(4).normal(size=(2, 20)) + np.linspace(0, 2, 20)
    assert statistics.correlation_with_error(x, y).value == pytest.approx(
        np.corrcoef(x, y)[0, 1], abs=1e-14
    )


def noisy_ensemble(rng, signal, noise, n=200):
    exact = 0.3 + signal * rng.normal(size=n)
    return exact, exact + noise * rng.normal(size=n)


def test_raw_signal_to_noise_is_the_ratio_that_went_in_and_its_error_covers_it():
    rng = np.random.default_rng(5)
    found = [statistics.signal_to_noise(*noisy_ensemble(rng, 0.02, 0.005)) for _ in range(N_SETS)]
    assert np.mean([f.value for f in found]) == pytest.approx(4, rel=0.02)
    assert 0.61 < covered(found, 4.0) < 0.75


def test_noise_in_proportion_to_the_signal_leaves_its_ratio_without_error():
    rng = np.random.default_rng(5)
    exact = rng.normal(size=50)
    noise = (exact - exact.mean()) * rng.choice([-0.25, 0.25], size=50)
    found = statistics.signal_to_noise(exact, exact + noise)
    assert found.value == pytest.approx(4, rel=1e-12)
    assert found.stderr < 1e-12


def test_rescaled_signal_to_noise_is_the_raw_one_after_the_best_scale_and_offset():
    exact, estimate = noisy_ensemble(np.random.default_rng(6), 0.02, 0.01)
    damped = 0.1 * estimate - 3
    line = np.polyfit(damped, exact, 1)
    wanted = statistics.signal_to_noise(exact, np.polyval(line, damped)).value
    found = statistics.signal_to_noise(exact, damped, kind="rescaled")
    assert found.value == pytest.approx(wanted, rel=1e-10)
    assert statistics.signal_to_noise(exact, damped).value < 0.01


def test_correlated_signal_to_noise_is_zero_for_noise_where_the_rescaled_one_is_one():
    rng = np.random.default_rng(7)
    exact, estimate = rng.normal(size=(2, 5000))
    found = statistics.signal_to_noise(exact, estimate, kind="correlated")
    assert abs(found.value) < 4 * found.stderr < 0.1
    rescaled = statistics.signal_to_noise(exact, estimate, kind="rescaled")
    assert rescaled.value == pytest.approx(1, abs=0.01)


def test_errors_of_correlation_ratios_cover_the_truth():
    rng = np.random.default_rng(8)
    # rho^2 = 9 / 10, and 1 / 4, where the slope of the ratio is half of what it is for a correlation near 1.
    for noise, truths in (
        (1 / 3, (math.sqrt(10), 3.0)),
        (math.sqrt(3), (2 / math.sqrt(3), 1 / math.sqrt(3))),
    ):
        sets = [noisy_ensemble(rng, 0.02, 0.02 * noise) for _ in range(N_SETS)]
        for kind, truth in zip(("rescaled", "correlated"), truths, strict=True):
            found = [statistics.signal_to_noise(*pair, kind=kind) for pair in sets]
            assert 0.61 < covered(found, truth) < 0.75


def test_bootstrap_agrees_with_the_delta_method_and_keeps_pairs_together():
    x, z = np.random.default_rng(9).normal(size=(2, 300))
    y = 0.8 * x + 0.6 * z
    drawn = statistics.bootstrap(lambda a, b: np.corrcoef(a, b)[0, 1], x, y, n_resamples=600)
    direct = statistics.correlation_with_error(x, y)
    assert drawn.estimate.value == pytest.approx(direct.value, abs=1e-12)
    # The error of an error from 600 draws is 3 %.
    assert drawn.estimate.stderr == pytest.approx(direct.stderr, rel=0.12)
    assert drawn.low < drawn.estimate.value < drawn.high
    assert drawn.high - drawn.low == pytest.approx(2 * 1.96 * drawn.estimate.stderr, rel=0.1)


def test_bootstrap_is_the_same_for_the_same_seed():
    x = np.arange(10.0)
    first, second = (statistics.bootstrap(np.median, x, n_resamples=50, seed=3) for _ in "12")
    assert first == second


TIMES = np.arange(4.0, 21.0)
TRUE_RATE = {"exponential": 1 / 3.0, "power_law": 1.5}


def synthetic(law, rng, floor=0.0, relative=0.1):
    model = {"exponential": np.exp(-TIMES / 3.0), "power_law": TIMES**-1.5}[law]
    value = np.sqrt((2 * model) ** 2 + floor**2)
    return value * np.exp(relative * rng.normal(size=TIMES.size)), relative * value


@pytest.mark.parametrize("floor", [0.0, 0.01])
@pytest.mark.parametrize("law", ["exponential", "power_law"])
def test_fits_find_what_went_in_with_errors_that_cover_it(law, floor):
    rng = np.random.default_rng(10)
    fits = [
        decays.fit_decay(TIMES, *synthetic(law, rng, floor), law, floor=floor) for _ in range(150)
    ]
    # The binomial error of 150 sets is 4 %.
    assert 0.57 < covered([f.rate for f in fits], TRUE_RATE[law]) < 0.80
    assert 0.57 < covered([f.amplitude for f in fits], 2.0) < 0.80
    # chi^2 of 15 degrees of freedom: mean 15, error of the mean sqrt(30 / 150).
    assert np.mean([f.chi_squared for f in fits]) == pytest.approx(15, abs=2.0)
    assert np.mean([f.p_value for f in fits]) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("law", ["exponential", "power_law"])
def test_the_fit_is_the_weighted_one_of_scipy_in_the_logarithm(law):
    value, error = synthetic(law, np.random.default_rng(11))
    error = error * np.linspace(0.5, 2, TIMES.size)
    fit = decays.fit_decay(TIMES, value, error, law)
    x = TIMES if law == "exponential" else np.log(TIMES)
    found, covariance = curve_fit(
        lambda x, a, b: a - b * x, x, np.log(value), sigma=error / value, absolute_sigma=True
    )
    assert fit.rate.value == pytest.approx(found[1], rel=1e-6)
    assert fit.rate.stderr == pytest.approx(math.sqrt(covariance[1, 1]), rel=1e-4)
    assert math.log(fit.amplitude.value) == pytest.approx(found[0], abs=1e-6)
    np.testing.assert_allclose(np.log(fit(TIMES)), found[0] - found[1] * x, atol=1e-6)


@pytest.mark.parametrize("law", ["exponential", "power_law"])
def test_the_law_that_made_the_data_wins(law):
    rng = np.random.default_rng(12)
    weights = []
    for _ in range(20):
        comparison = decays.compare_decays(TIMES, *synthetic(law, rng, 0.005), floor=0.005)
        weights.append(comparison.power_law_weight)
        assert comparison.power_law.degrees_of_freedom == 15
    wins = np.array(weights) if law == "power_law" else 1 - np.array(weights)
    assert (wins > 0.99).mean() >= 0.95


def test_an_ignored_floor_makes_an_exponential_look_like_a_power_law():
    # The trap that a finite register sets, and why the floor is an argument.
    value, error = synthetic("exponential", np.random.default_rng(13), floor=0.03)
    assert decays.compare_decays(TIMES, value, error).power_law_weight > 0.99
    assert decays.compare_decays(TIMES, value, error, floor=0.03).power_law_weight < 0.01


def test_the_weight_is_that_of_akaike_softened_by_scatter_beyond_the_errors():
    value, error = synthetic("power_law", np.random.default_rng(16), relative=0.3)
    fair = decays.compare_decays(TIMES, value, error)
    assert fair.exponential.akaike == pytest.approx(fair.exponential.chi_squared + 2 * 2)
    odds = math.exp(fair.difference / fair.excess / 2)
    assert fair.power_law_weight == pytest.approx(odds / (1 + odds), rel=1e-9)
    # Errors five times too small: chi^2 grows by 25, and so does the excess; the verdict stays.
    vain = decays.compare_decays(TIMES, value, error / 5)
    assert vain.difference == pytest.approx(25 * fair.difference, rel=1e-6)
    assert vain.excess == pytest.approx(25 * fair.power_law.chi_squared / 15, rel=1e-6)
    assert abs(math.log(vain.power_law_weight / fair.power_law_weight)) < 0.1


def test_time_constant_is_the_inverse_rate_with_its_error():
    fit = decays.fit_decay(
        TIMES, *synthetic("exponential", np.random.default_rng(14)), "exponential"
    )
    tau = fit.time_constant
    assert tau.value == pytest.approx(1 / fit.rate.value)
    assert tau.stderr / tau.value == pytest.approx(fit.rate.stderr / fit.rate.value)
    power = decays.fit_decay(TIMES, *synthetic("power_law", np.random.default_rng(14)), "power_law")
    with pytest.raises(ValueError, match="`time_constant` must be asked of an exponential"):
        _ = power.time_constant


def test_scrambled_states_have_the_spread_of_the_haar_measure():
    rng = np.random.default_rng(15)
    states = rng.normal(size=(4000, 32)) + 1j * rng.normal(size=(4000, 32))
    weight = np.abs(states) ** 2 / np.sum(np.abs(states) ** 2, axis=1, keepdims=True)
    found = statistics.std_with_error(weight[:, :16].sum(axis=1) - weight[:, 16:].sum(axis=1))
    assert abs(found.value - decays.scrambled_std(5)) < 4 * found.stderr


ONES = np.ones(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.mean_with_error(np.ones(1)), "`samples` must hold at least 2"),
        (lambda: statistics.std_with_error(np.array([1, np.nan])), "`samples` must be finite"),
        (lambda: statistics.correlation_with_error(np.arange(4.0), ONES), "`second` must vary"),
        (lambda: statistics.correlation_with_error(ONES, np.ones(3)), "`second` must hold 4"),
        (lambda: statistics.signal_to_noise(ONES, ONES, kind="best"), "`kind` must be raw"),
        (lambda: statistics.bootstrap(np.mean, ONES, n_resamples=1), "`n_resamples` must be"),
        (lambda: statistics.bootstrap(np.mean, ONES, confidence=1.0), "`confidence` must lie"),
        (lambda: statistics.bootstrap(np.mean, ONES, np.ones(3)), "`samples` must hold the same"),
        (lambda: decays.fit_decay(ONES, ONES, ONES, "linear"), "`law` must be one of"),
        (lambda: decays.fit_decay(ONES, 0 * ONES, ONES, "power_law"), "`value` must be pos"),
        (lambda: decays.fit_decay(ONES[:2], ONES[:2], ONES[:2], "power_law"), "3 or more"),
        (lambda: decays.compare_decays(ONES, ONES, ONES, floor=-1), "`floor` must be finite"),
        (lambda: decays.scrambled_std(0), "`n_qubits` must be at least 1"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_points_that_fix_no_rate_are_named():
    with pytest.raises(FloatingPointError, match="`value` must stand clear of `floor`"):
        decays.fit_decay(2 * ONES, ONES, ONES, "exponential")


def test_an_exact_estimate_has_no_noise_to_divide_by():
    x = np.arange(5.0)
    for kind in ("raw", "rescaled", "correlated"):
        with pytest.raises(FloatingPointError, match="`estimate` must differ from `exact`"):
            statistics.signal_to_noise(x, x, kind=kind)

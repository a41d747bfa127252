import numpy as np
import pytest
from scipy.stats import binom, multivariate_normal

from quantum.inference.likelihood import (
    Binomial,
    Gaussian,
    combination_error,
    cramer_rao,
    identify,
    say_combination,
)

COVARIANCE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 0.7]])
DATA = np.array([0.2, -0.4, 0.9])
JACOBIAN = np.array([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.1]])
OTHER = np.array([0.1, 0.3, 0.4])


def both():
    return [
        pytest.param(Gaussian(DATA, COVARIANCE), id="gaussian"),
        pytest.param(Binomial(DATA, np.array([10, 20, 20])), id="binomial"),
    ]


def test_gaussian_differences_are_those_of_the_normal_density():
    likelihood = Gaussian(DATA, COVARIANCE)
    density = multivariate_normal(DATA, COVARIANCE)  # type: ignore[arg-type]
    wanted = density.logpdf(OTHER) - density.logpdf(0 * OTHER)
    found = likelihood.log_likelihood(OTHER) - likelihood.log_likelihood(0 * OTHER)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_binomial_differences_are_those_of_the_counts():
    shots = np.array([10, 20, 20])
    ups = np.array([6, 6, 19])
    likelihood = Binomial(2 * ups / shots - 1, shots)

    def wanted(m):
        return binom.logpmf(ups, shots, (1 + m) / 2).sum()

    found = likelihood.log_likelihood(OTHER) - likelihood.log_likelihood(0 * OTHER)
    assert found == pytest.approx(wanted(OTHER) - wanted(0 * OTHER), rel=1e-9)


@pytest.mark.parametrize("likelihood", both())
def test_gradient_is_the_slope_of_the_log_likelihood(likelihood):
    step = 1e-6
    for k in range(2):
        up, down = (likelihood.log_likelihood(OTHER + s * JACOBIAN[:, k]) for s in (step, -step))
        gradient = likelihood.gradient(OTHER, JACOBIAN)[k]
        assert gradient == pytest.approx((up - down) / (2 * step), rel=1e-7)


@pytest.mark.parametrize("likelihood", both())
def test_half_the_squared_residuals_are_what_is_missing_from_the_best(likelihood):
    missing = likelihood.log_likelihood(likelihood.data) - likelihood.log_likelihood(OTHER)
    assert np.sum(likelihood.residuals(OTHER) ** 2) / 2 == pytest.approx(missing, rel=1e-9)


@pytest.mark.parametrize("likelihood", both())
@pytest.mark.parametrize("off", [0.2, 1e-7])
def test_residuals_have_the_derivative_they_state(likelihood, off):
    at = likelihood.data - off
    step = 1e-5 if off > 0.1 else 1e-3
    numeric = (likelihood.residuals(at + step) - likelihood.residuals(at - step)) / (2 * step)
    stated = likelihood.residual_jacobian(at, np.ones((3, 1)))[:, 0]
    # Around the data the slope of the binomial residual varies by about the step over 1 - d^2.
    np.testing.assert_allclose(stated, numeric, rtol=1e-6 if off > 0.1 else 5e-3)


@pytest.mark.parametrize("likelihood", both())
def test_fisher_is_the_covariance_of_the_gradient_at_the_truth(likelihood):
    rng = np.random.default_rng(0)
    draws = np.array(
        [likelihood.redrawn(OTHER, rng).gradient(OTHER, JACOBIAN) for _ in range(4000)]
    )
    wanted = likelihood.fisher(OTHER, JACOBIAN)
    # Mean 0 and covariance F, each within five standard errors of 4000 draws.
    error = np.sqrt(np.diag(wanted) / 4000)
    assert np.all(np.abs(draws.mean(0)) < 5 * error)
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    assert np.all(np.abs(np.cov(draws.T) - wanted) < 5 * np.sqrt(2 / 4000) * scale)


def test_standard_errors_are_a_diagonal_covariance():
    few = Gaussian(DATA, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(few.covariance, np.diag([1.0, 4.0, 9.0]))


def test_weights_of_two_count_points_twice():
    twice = Gaussian(np.r_[DATA, DATA[:1]], np.r_[1.0, 2.0, 3.0, 1.0])
    heavy = Gaussian(DATA, np.array([1.0, 2.0, 3.0])).weighted(np.array([2.0, 1.0, 1.0]))
    again = np.r_[OTHER, OTHER[:1]]
    assert heavy.log_likelihood(OTHER) == pytest.approx(twice.log_likelihood(again))
    rows = np.r_[JACOBIAN, JACOBIAN[:1]]
    np.testing.assert_allclose(heavy.fisher(OTHER, JACOBIAN), twice.fisher(again, rows))


def test_only_the_sum_of_dipolar_and_half_the_scalar_coupling_is_identifiable():
    jacobian = np.outer([0.3, -1.2, 0.5], [1.0, 0.5])  # everything depends on D + J / 2
    fisher = Gaussian(DATA, COVARIANCE).fisher(OTHER, jacobian)
    found = identify(fisher, ("D", "J"))
    assert found.rank == 1
    assert found.unidentifiable == ("D - 2 J",)
    with pytest.raises(ValueError, match="do not determine D - 2 J; hold one"):
        cramer_rao(fisher, ("D", "J"))
    sum_only = combination_error(fisher, ("D", "J"), {"D": 1, "J": 0.5})
    assert sum_only == pytest.approx(fisher[0, 0] ** -0.5)
    assert combination_error(fisher, ("D", "J"), {"D": 1}) == np.inf


def test_rank_does_not_depend_on_units():
    fisher = Gaussian(DATA, COVARIANCE).fisher(OTHER, JACOBIAN)
    unit = np.diag([1e9, 1e-6])
    assert identify(unit @ fisher @ unit, ("a", "b")).rank == 2
    np.testing.assert_allclose(
        cramer_rao(unit @ fisher @ unit, ("a", "b")),
        np.linalg.inv(unit) @ cramer_rao(fisher, ("a", "b")) @ np.linalg.inv(unit),
    )


def test_cramer_rao_is_the_inverse_and_gives_the_error_of_a_combination():
    fisher = Gaussian(DATA, COVARIANCE).fisher(OTHER, JACOBIAN)
    covariance = cramer_rao(fisher, ("a", "b"))
    np.testing.assert_allclose(covariance @ fisher, np.eye(2), atol=1e-12)
    vector = np.array([2.0, -1.0])
    found = combination_error(fisher, ("a", "b"), {"a": 2, "b": -1})
    assert found == pytest.approx(np.sqrt(vector @ covariance @ vector))


def test_a_parameter_without_any_effect_is_named():
    found = identify(np.diag([4.0, 0.0]), ("x", "y"))
    assert found.unidentifiable == ("y",)


def test_directions_are_put_into_words():
    assert say_combination(np.array([0.0, -2.0, 1.0]), ("a", "b", "c")) == "b - 0.5 c"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(np.array([]), np.array([])), "`data` must be a list of points"),
        (lambda: Gaussian(np.array([0, np.nan]), np.ones(2)), "`data` must be finite, but 1 of 2"),
        (lambda: Gaussian(DATA, np.ones(2)), "`covariance` must be 3 standard errors"),
        (lambda: Gaussian(DATA, np.array([1, 0, 1.0])), "`covariance` must hold positive errors"),
        (lambda: Gaussian(DATA, np.ones((3, 3))), "`covariance` must be symmetric and positive"),
        (lambda: Gaussian(DATA, np.triu(COVARIANCE)), "`covariance` must be symmetric and pos"),
        (lambda: Gaussian(DATA, COVARIANCE).weighted(np.arange(3.0)), "`groups` must keep"),
        (lambda: Binomial(DATA * 2, np.ones(())), "`data` must lie between -1 and 1"),
        (lambda: Binomial(DATA, np.zeros(())), "`shots` must be at least 1"),
        (lambda: Binomial(DATA, np.ones(())).residuals(2 * DATA), "`prediction` must lie between"),
        (lambda: identify(np.eye(2), ("a",)), "`fisher` must be a finite"),
        (lambda: combination_error(np.eye(1), ("a",), {"b": 1}), "`combination` must hold a"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from quantum.inference.curve_emulator import CurveEmulator
from quantum.inference.fitting import ForwardModel
from quantum.inference.normalised_curve import draw_normalised, fit_normalised, profile_normalised

GRID = (401, 121)
LEVEL = ForwardModel(lambda p: p[0] * jnp.ones(4), ("level",), (0.1,), (5.0,))


def test_the_profile_takes_the_best_of_the_other_parameter():
    """A model that is a line in both: -2 log L is a parabola, whose profile is known."""
    lines = np.zeros((2, 2, 3))
    lines[1, 0], lines[0, 1] = [0.1, 0, 0], [0.05, 0.1, 0]
    emulator = CurveEmulator(("a", "b"), (-1, -1), (1, 1), lines)
    exact = 0.2 * lines[1, 0] + 0.3 * lines[0, 1]
    at, found = profile_normalised(emulator, [exact], 1e-3, GRID)
    # m is small, so that the covariance is sigma^2; b makes up for the part along its own line.
    free = lines[1, 0] - lines[0, 1] * (lines[1, 0] @ lines[0, 1]) / (lines[0, 1] @ lines[0, 1])
    expected = (at - 0.2) ** 2 * (free @ free) / 1e-6
    near = np.abs(at - 0.2) < 0.3
    np.testing.assert_allclose(found[0][near], expected[near], rtol=0.05, atol=2)


def test_the_profile_is_that_of_the_normal_law_with_the_line_in_its_covariance():
    """Noise as large as the signal, so that the determinant counts: scipy's density on the same grid."""
    lines = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -0.5]])
    emulator = CurveEmulator(("a",), (-1,), (1,), lines)
    data, sigma = np.array([0.7, 0.1, 0.2]), 0.8
    at, found = profile_normalised(emulator, [data], sigma, GRID)
    means = np.asarray([emulator(np.array([a])) for a in at])
    cost = [
        -2 * multivariate_normal(m, sigma**2 * (np.eye(3) + np.outer(m, m))).logpdf(data)
        for m in means
    ]
    np.testing.assert_allclose(found[0], np.array(cost) - min(cost), atol=1e-9)


def test_the_divisor_adds_its_share_of_the_level_to_the_error():
    # sigma^2 / n, and sigma^2 of the common factor times the level 1 squared.
    found, likelihood = fit_normalised(
        LEVEL, np.array([0.9, 1.0, 1.0, 1.1]), np.full(4, 0.05), 2, seed=0
    )
    assert found.values[0] == pytest.approx(1, abs=1e-3)
    assert found.covariance[0, 0] == pytest.approx(0.05**2 * (1 / 4 + 1), rel=1e-2)
    line = LEVEL.predict(found.values)
    at_line = multivariate_normal(line, 0.05**2 * (np.eye(4) + np.outer(line, line))).logpdf(
        likelihood.data
    )
    assert np.isfinite(at_line)


def test_estimates_scatter_by_the_stated_error():
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(60):
        curve = (1 + 0.05 * rng.normal(size=4)) / (1 + 0.05 * rng.normal())
        found, _ = fit_normalised(LEVEL, curve, np.full(4, 0.05), 1, seed=0)
        pulls.append((found.values[0] - 1) / np.sqrt(found.covariance[0, 0]))
    # 60 pulls of variance 1 +- 0.18; independent errors alone would make it 5.
    assert np.var(pulls) == pytest.approx(1, abs=0.75)


def test_drawn_curves_have_the_covariance_that_a_noisy_divisor_gives():
    line, sigma, n = np.array([0.5, -0.8, 0.0]), 0.01, 20_000
    found = draw_normalised(np.tile(line, (n, 1)), sigma, seed=0)
    expected = sigma**2 * (np.eye(3) + np.outer(line, line))
    # To second order in sigma; a covariance of n draws is known to 2 / sqrt(n) of the largest entry.
    np.testing.assert_allclose(np.cov(found.T), expected, atol=3e-2 * sigma**2 * 1.64)
    np.testing.assert_allclose(found.mean(axis=0), line, atol=4 * sigma * 1.3 / n**0.5 + sigma**2)

"""Errors of two or three numbers, worked out by hand, for functions that return one: statistics and inference.

Every case names the function, calls it on the least input that tells an error from a wrong one, and gives the error in
closed form. Where trajectories or states are drawn, their values are put in by hand and the arithmetic alone is tested.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from quantum import estimates
from quantum.estimates import Estimate
from quantum.inference import decays, errors, likelihood
from quantum.inference import fitting as hamiltonian_learning


class Case(NamedTuple):
    """One function and one error.

    Attributes:
        of: The function, method or property.
        error: Gives the error, a number or an array.
        expected: The error by hand.
    """

    of: Any
    error: Callable[[], Any]
    expected: Any


# Correlation 1/2, and by hand a b - rho (a^2 + b^2) / 2 = (3, -1.5, -1.5) / 4: an error of 3/8.
HALF = np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 1.0, 0.0])


def stderr(function, *arguments, **options) -> Callable[[], float]:
    """Error of a call; lists stand for arrays."""
    given = [np.array(a, float) if isinstance(a, list) else a for a in arguments]
    return lambda: function(*given, **options).stderr


def _counted(*values: float) -> Callable[..., float]:
    """A statistic that gives these values one after the other, whatever is drawn."""
    left = iter(values)
    return lambda _: next(left)


def _drawn() -> list[float]:
    found = estimates.bootstrap(_counted(1, 3, 7), np.arange(2.0), n_resamples=2, confidence=0.5)
    return [found.estimate.stderr, found.low, found.high]


FALL = np.exp([-1.0, -2, -3])


def _errors_of(fit: decays.DecayFit) -> list[float]:
    return [fit.rate.stderr, fit.amplitude.stderr]


STATISTICS = (
    # s = sqrt 2, over sqrt 2.
    Case(estimates.mean_with_error, stderr(estimates.mean_with_error, [1.0, 3.0]), 1),
    # Half the relative influences (-1, -1, 2) / 4 have the error 1/4 as a mean; s = sqrt 3.
    Case(estimates.std_with_error, stderr(estimates.std_with_error, [0.0, 0.0, 3.0]), 3**0.5 / 4),
    Case(estimates.correlation_with_error, stderr(estimates.correlation_with_error, *HALF), 3 / 8),
    # Means of 1 and 9: their error 4 over twice the root of 5.
    Case(estimates.root_mean_with_error, stderr(estimates.root_mean_with_error, np.array([1.0, 9.0])), 2 / 5**0.5),
    # 6 +- 3 over -2 +- 1, half each: 3 sqrt(1/4 + 1/4).
    Case(
        estimates.ratio_with_error,
        stderr(estimates.ratio_with_error, Estimate(6.0, 3.0), Estimate(-2.0, 1.0)),
        3 / 2**0.5,
    ),
    Case(estimates.ratio_error, lambda: estimates.ratio_error(-3.0, 3.0, -2.0, 1.0), 3 / 2**0.5),
    # The jackknife of a mean is its s / sqrt n.
    Case(
        estimates.jackknife,
        stderr(estimates.jackknife, lambda keep: np.array([0.0, 0, 3])[keep].mean(), 3),
        1,
    ),
    # Ratio sqrt(2 / (1/3)) times the error of the mean of (-2.5, 0.5, 2) / 2, sqrt(7) / 4.
    Case(
        estimates.signal_to_noise,
        stderr(estimates.signal_to_noise, [0.0, 0.0, 3.0], [1.0, 0.0, 3.0]),
        6**0.5 * 7**0.5 / 4,
    ),
    # d/drho of 1 / sqrt(1 - rho^2) is rho / (3/4)^1.5, of rho / sqrt(1 - rho^2) it is 1 / (3/4)^1.5.
    Case(
        estimates.signal_to_noise,
        stderr(estimates.signal_to_noise, *HALF, kind="rescaled"),
        0.5 * 0.75**-1.5 * 3 / 8,
    ),
    Case(
        estimates.signal_to_noise,
        stderr(estimates.signal_to_noise, *HALF, kind="correlated"),
        0.75**-1.5 * 3 / 8,
    ),
    # Two resamples that give 1 and 3, however drawn: s = sqrt 2, and quantiles a straight line between them.
    Case(
        estimates.bootstrap,
        _drawn,
        [2**0.5, 1.5, 2.5],
    ),
    # |d(1/rate)| = d rate / rate^2.
    Case(
        decays.DecayFit.time_constant,
        lambda: decays.DecayFit("exponential", Estimate(1.0, 0.0), Estimate(2.0, 0.4), 0.0, 3).time_constant.stderr,
        0.1,
    ),
    # A line through (1, 2, 3) with errors r of the logarithm: r / sqrt 2 of its slope, r sqrt(1/3 + 4/2) at 0.
    Case(
        decays.fit_decay,
        lambda: _errors_of(decays.fit_decay(np.arange(1.0, 4), FALL, 0.1 * FALL, "exponential")),
        [0.1 / 2**0.5, 0.1 * (7 / 3) ** 0.5],
    ),
    # The same in the logarithm of the time, at times 1, e and e^2: the line is at 0, 1, 2, its amplitude at time 1.
    Case(
        decays.compare_decays,
        lambda: _errors_of(decays.compare_decays(np.exp([0, 1, 2]), np.e * FALL, 0.1 * np.e * FALL).power_law),
        [0.1 / 2**0.5, 0.1 * (1 / 3 + 1 / 2) ** 0.5],
    ),
)  # fmt: skip

# (d a, d b) with F = [[2, 1], [1, 1]], whose inverse is [[1, -1], [-1, 2]].
FISHER = np.array([[2.0, 1.0], [1.0, 1.0]])
FIT = hamiltonian_learning.Fit(("a", "b"), np.zeros(2), 0.0, 0.0, 1, FISHER, 1.0)
LEVEL = hamiltonian_learning.ForwardModel(lambda p: p[0] * jnp.ones(4), ("level",), (-5.0,), (5.0,))
FLAT = likelihood.Gaussian(np.array([0.0, 1.0, 1.0, 2.0]), np.full(4, 0.4))
JOINT = likelihood.Gaussian(np.zeros(2), np.array([[4.0, 2.0], [2.0, 5.0]]))
COVERAGE = errors.Coverage(
    ("a",), np.array([1.0]), np.array([[3.0], [0.5]]), np.array([[0.5], [2.0]])
)

INFERENCE = (
    Case(hamiltonian_learning.Fit.covariance, lambda: FIT.covariance, [[1, -1], [-1, 2]]),
    Case(hamiltonian_learning.Fit.estimate, lambda: FIT.estimate("b").stderr, 2**0.5),
    # Four points of error 0.4 on one level.
    Case(
        hamiltonian_learning.fit,
        lambda: hamiltonian_learning.fit(LEVEL, FLAT, 1).estimate("level").stderr,
        0.2,
    ),
    Case(likelihood.cramer_rao, lambda: likelihood.cramer_rao(FISHER, ("a", "b")), [[1, -1], [-1, 2]]),
    # Var(a + b) = 1 - 2 + 2.
    Case(
        likelihood.combination_error,
        lambda: likelihood.combination_error(FISHER, ("a", "b"), {"a": 1, "b": 1}),
        1,
    ),
    # Weight 1 over error 1 squared, and weight 4 over error 2 squared.
    Case(
        likelihood.Gaussian.fisher,
        lambda: likelihood.Gaussian(np.zeros(2), np.array([1.0, 2.0]), np.array([1.0, 4.0])).fisher(
            np.zeros(2), np.ones((2, 1))
        ),
        [[2]],
    ),
    # A drawn normal number times its error, by the Cholesky factor [[2, 0], [1, 2]] of [[4, 2], [2, 5]].
    Case(
        likelihood.Gaussian.redrawn,
        lambda: JOINT.redrawn(np.array([1.0, 0.0]), Fixed(np.random.PCG64())).data,
        [1 + 2, 0 + 1 + 6],
    ),
    # n / (1 - m^2) = 64 / 0.64, doubled by a weight of 2.
    Case(
        likelihood.Binomial.fisher,
        lambda: likelihood.Binomial(np.zeros(1), np.array(64), np.array(2.0)).fisher(np.array([0.6]), np.ones((1, 1))),
        [[200]],
    ),
    Case(errors.Coverage.pulls, lambda: COVERAGE.pulls, [[4], [-0.25]]),
    # Of a count of two that hits with chance 0.6.
    Case(
        errors.Coverage.fraction,
        lambda: COVERAGE.fraction("a", 0.6).stderr,
        (0.6 * 0.4 / 2) ** 0.5,
    ),
    Case(
        errors.coverage,
        lambda: errors.coverage(LEVEL, FLAT, np.array([1.0]), 2, seed=0, starts=1).errors,
        [[0.2], [0.2]],
    ),
)  # fmt: skip


class Fixed(np.random.Generator):
    """A generator of the numbers that are put in."""

    values = (1.0, 3.0)

    def normal(self, *_, size):
        assert size == 2
        return np.array(self.values)


CASES = (*STATISTICS, *INFERENCE)

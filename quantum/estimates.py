"""A number with its standard error, and how errors come about: of samples, of functions of samples, of ratios.

A sample is one value per circuit. Errors of means, standard deviations, correlations and signal-to-noise ratios come
from the influence of each sample on the statistic (the delta method): no normal distribution is assumed, which matters
because correlators of few cycles are far from normal. `bootstrap` gives the error of any other statistic by drawing
circuits with replacement, `jackknife` by leaving one out at a time. All are right for many circuits and somewhat too
small for few (a dozen).

Signal to noise, our definition (the formula of the echo paper is unknown to us): `raw` is the standard deviation over
circuits of the exact value over the root mean square of (estimate - exact). After the best rescale and offset of the
estimate this becomes `rescaled` = 1 / sqrt(1 - rho^2) with the Pearson correlation rho, which is 1 for pure noise;
`correlated` = rho / sqrt(1 - rho^2) counts only the part of the estimate that follows the circuit.

Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, Chapman and Hall (1993), chapters 6 and 13.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error.

    Attributes:
        value: The number.
        stderr: One standard deviation of the number.
    """

    value: float
    stderr: float


@dataclass(frozen=True)
class Bootstrap:
    """An estimate whose error stems from resampling.

    Attributes:
        estimate: The statistic, and the standard deviation of its resampled values.
        low: Lower end of the percentile interval.
        high: Upper end.
    """

    estimate: Estimate
    low: float
    high: float


def mean_with_error(samples: np.ndarray) -> Estimate:
    """Mean of independent samples.

    Raises:
        ValueError: If there are fewer than two samples, or one is not finite.
    """
    x = _samples(samples, "samples")
    return Estimate(float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)))


def root_mean_with_error(squares: np.ndarray) -> Estimate:
    """Root of the mean of independent samples that cannot be negative, such as squared misses.

    Raises:
        ValueError: If there are fewer than two samples, one is not finite, or their mean is not positive.
    """
    mean = mean_with_error(squares)
    if not mean.value > 0:
        raise ValueError(f"`squares` must have a positive mean, but it is {mean.value:g}.")
    root = math.sqrt(mean.value)
    return Estimate(root, mean.stderr / (2 * root))


def std_with_error(samples: np.ndarray) -> Estimate:
    """Standard deviation (n - 1 in the variance) of independent samples, whatever their distribution.

    For normal samples the error is the value over sqrt(2 (n - 1)); constant samples give 0 with error 0.

    Raises:
        ValueError: If there are fewer than two samples, or one is not finite.
    """
    x = _samples(samples, "samples")
    value = float(x.std(ddof=1))
    if value == 0:
        return Estimate(0.0, 0.0)
    return Estimate(value, value * _error_of_mean(_square_influence(x) / 2))


def correlation_with_error(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Pearson correlation of two values per circuit; (1 - rho^2) / sqrt(n) is its error for normal ones.

    Raises:
        ValueError: If the samples do not pair up, are fewer than two or not finite, or one side is constant.
    """
    x, y = _pairs(first, second, "first", "second")
    a, b = _standardised(x, "first"), _standardised(y, "second")
    rho = float(np.clip(np.mean(a * b), -1, 1))
    return Estimate(rho, _error_of_mean(a * b - rho * (a**2 + b**2) / 2))


def ratio_with_error(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Quotient of two independent estimates, to first order in their errors.

    Raises:
        ValueError: If the denominator is 0.
    """
    if not denominator.value:
        raise ValueError("`denominator` must not be 0, but is.")
    ratio = numerator.value / denominator.value
    error = ratio_error(ratio, numerator.stderr, denominator.value, denominator.stderr)
    return Estimate(ratio, float(error))


def ratio_error(ratio, error, denominator, denominator_error):
    """Standard error of ratio = numerator / denominator, numbers or arrays; `error` is that of the numerator."""
    return np.hypot(error, ratio * denominator_error) / np.abs(denominator)


def signal_to_noise(exact: np.ndarray, estimate: np.ndarray, *, kind: str = "raw") -> Estimate:
    """Signal-to-noise ratio of an ensemble of circuits; definitions of ours, in the module's docstring.

    Args:
        exact: Noiseless value of every circuit.
        estimate: Measured or approximated value of every circuit.
        kind: raw, rescaled or correlated.

    Raises:
        ValueError: If the kind is unknown, the samples do not pair up, or one side is constant.
        FloatingPointError: If the estimate is exact, which has no noise to divide by.
    """
    if kind not in ("raw", "rescaled", "correlated"):
        raise ValueError(f"`kind` must be raw, rescaled or correlated, but is {kind!r}.")
    x, y = _pairs(exact, estimate, "exact", "estimate")
    _standardised(x, "exact")
    if kind == "raw":
        error = y - x
        noise = np.mean(error**2)
        _check_noise(float(noise / np.var(x)))
        ratio = math.sqrt(np.var(x) / noise)
        influence = (_square_influence(x) - (error**2 / noise - 1)) / 2
        return Estimate(ratio, ratio * _error_of_mean(influence))
    rho = correlation_with_error(x, y)
    missing = 1 - rho.value**2
    _check_noise(missing)
    slope = 1.0 if kind == "correlated" else abs(rho.value)
    value = (rho.value if kind == "correlated" else 1.0) / math.sqrt(missing)
    return Estimate(value, slope * missing**-1.5 * rho.stderr)


def bootstrap(
    statistic: Callable[..., float],
    *samples: np.ndarray,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Bootstrap:
    """Standard error and percentile interval of any statistic of circuits.

    Args:
        statistic: Function of the samples, such as `numpy.median`.
        *samples: Arrays whose first axis counts circuits; the same circuits are drawn from all of them.
        n_resamples: Number of draws with replacement.
        confidence: Share of the resampled values inside the interval.
        seed: Seed of the draws.

    Raises:
        ValueError: If the samples do not pair up or there are fewer than two, fewer than two resamples are asked for,
            or the confidence is not between 0 and 1.
    """
    if n_resamples < 2:
        raise ValueError(f"`n_resamples` must be at least 2, but is {n_resamples}.")
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1, but is {confidence:g}.")
    arrays = [np.asarray(sample) for sample in samples]
    sizes = {array.shape[0] if array.ndim else 0 for array in arrays}
    if len(sizes) != 1 or min(sizes) < 2:
        raise ValueError(
            f"`samples` must hold the same circuits, at least 2, but hold {sorted(sizes)}."
        )
    n = sizes.pop()
    draws = np.random.default_rng(seed).integers(n, size=(n_resamples, n))
    found = np.array([statistic(*(array[draw] for array in arrays)) for draw in draws])
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    value = float(statistic(*arrays))
    return Bootstrap(Estimate(value, float(found.std(ddof=1))), float(low), float(high))


def jackknife(statistic: Callable[[np.ndarray], float], n: int) -> Estimate:
    """Any smooth statistic of n independent samples, its error by leaving out one at a time.

    Args:
        statistic: Function of the numbers (0 to n - 1) of the samples to use.
        n: Number of samples, at least 3.

    Raises:
        ValueError: If there are fewer than 3 samples.
    """
    if n < 3:
        raise ValueError(f"`n` must be at least 3 for one to be left out, but is {n}.")
    everything = np.arange(n)
    left_out = np.array([statistic(np.delete(everything, k)) for k in range(n)])
    error = math.sqrt((n - 1) * np.mean((left_out - left_out.mean()) ** 2))
    return Estimate(float(statistic(everything)), error)


def _error_of_mean(influence: np.ndarray) -> float:
    return float(influence.std(ddof=1) / math.sqrt(influence.size))


def _square_influence(samples: np.ndarray) -> np.ndarray:
    """Relative influence of each sample on the variance."""
    return (samples - samples.mean()) ** 2 / samples.var() - 1


def _standardised(samples: np.ndarray, name: str) -> np.ndarray:
    if not np.ptp(samples) > 0:
        raise ValueError(f"`{name}` must vary between circuits, but is {samples[0]:g} for all.")
    return (samples - samples.mean()) / samples.std()


def _check_noise(share: float) -> None:
    # Sixteen roundings of a double; below, the ratio says nothing but how the sums were rounded.
    if not share > 16 * np.finfo(float).eps:
        raise FloatingPointError(
            "`estimate` must differ from `exact`, for noise of 0 has no ratio."
        )


def _samples(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(
            f"`{name}` must hold at least 2 values on one axis, but its shape is {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, but holds {array[~np.isfinite(array)][0]}.")
    return array


def _pairs(first, second, first_name: str, second_name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = _samples(first, first_name), _samples(second, second_name)
    if x.shape != y.shape:
        raise ValueError(
            f"`{second_name}` must hold {x.size} values like `{first_name}`, but holds {y.size}."
        )
    return x, y

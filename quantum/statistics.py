"""Estimates with standard errors for ensembles of circuits, and what decays faster: an exponential or a power law.

A sample is one value per circuit. Errors of means, standard deviations, correlations and signal-to-noise ratios come
from the influence of each sample on the statistic (the delta method): no normal distribution is assumed, which matters
because correlators of few cycles are far from normal. `bootstrap` gives the error of any other statistic by drawing
circuits with replacement. Both are right for many circuits and somewhat too small for few (a dozen).

Signal to noise, our definition (the formula of the echo paper is unknown to us): `raw` is the standard deviation over
circuits of the exact value over the root mean square of (estimate - exact). After the best rescale and offset of the
estimate this becomes `rescaled` = 1 / sqrt(1 - rho^2) with the Pearson correlation rho, which is 1 for pure noise;
`correlated` = rho / sqrt(1 - rho^2) counts only the part of the estimate that follows the circuit.

Decays. A fit of two parameters in the logarithm of the values, weighted with their relative errors,

    exponential  A exp(-t / tau),        power law  A t^(-alpha),        both optionally  sqrt(model^2 + floor^2)

with a known floor, such as the 2^(-n/2) to which the standard deviation of a scrambled register of n qubits saturates.
Both laws have two parameters, so chi^2 alone ranks them; the Akaike weight says how clearly. Where even the better law
misses the points by more than their errors, chi^2 is divided by its excess per degree of freedom (quasi-likelihood), so
that a bad fit of both is not taken for a clear verdict; the parameters' errors do not contain that excess.

Sources: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, Chapman and Hall (1993), chapters 6 and 13;
H. Akaike, IEEE Trans. Autom. Control 19, 716 (1974), DOI 10.1109/TAC.1974.1100705;
K. P. Burnham and D. R. Anderson, Model Selection and Multimodel Inference, Springer (2002), on quasi-likelihood.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import chdtrc

# Logarithm of each law per unit of its rate: 1 / tau or alpha.
_LAWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": lambda time: -time,
    "power_law": lambda time: -np.log(time),
}
_N_PARAMETERS = 2


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
class Bootstrap(Estimate):
    """An estimate whose error stems from resampling.

    Attributes:
        low: Lower end of the percentile interval.
        high: Upper end.
    """

    low: float
    high: float


def mean_with_error(samples: np.ndarray) -> Estimate:
    """Mean of independent samples.

    Raises:
        ValueError: If there are fewer than two samples, or one is not finite.
    """
    x = _samples(samples, "samples")
    return Estimate(float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size)))


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
    return Bootstrap(value, float(found.std(ddof=1)), float(low), float(high))


@dataclass(frozen=True)
class DecayFit:
    """A fitted decay of two parameters.

    Attributes:
        law: exponential or power_law.
        amplitude: A.
        rate: 1 / tau in inverse units of the time, or alpha.
        chi_squared: Weighted sum of squares in the logarithm.
        n_points: Number of points fitted.
        floor: Known floor, added in quadrature.
    """

    law: str
    amplitude: Estimate
    rate: Estimate
    chi_squared: float
    n_points: int
    floor: float = 0.0

    @property
    def time_constant(self) -> Estimate:
        """Time over which an exponential falls by e, in the unit of the times fitted."""
        if self.law != "exponential":
            raise ValueError(f"`time_constant` must be asked of an exponential, not of {self.law}.")
        return Estimate(1 / self.rate.value, self.rate.stderr / self.rate.value**2)

    @property
    def degrees_of_freedom(self) -> int:
        """Points less parameters."""
        return self.n_points - _N_PARAMETERS

    @property
    def p_value(self) -> float:
        """Chance of a chi^2 this large or larger if the law were true and the errors right; 1 with none to spare."""
        free = self.degrees_of_freedom
        return float(chdtrc(free, self.chi_squared)) if free else 1.0

    @property
    def akaike(self) -> float:
        """Akaike information criterion, chi^2 + 4 up to a constant of the data."""
        return self.chi_squared + 2 * _N_PARAMETERS

    def __call__(self, time: np.ndarray) -> np.ndarray:
        """Fitted values."""
        parameters = np.array([math.log(self.amplitude.value), self.rate.value])
        return np.exp(_log_model(self.law, np.asarray(time, dtype=float), parameters, self.floor))


def fit_decay(
    time: np.ndarray, value: np.ndarray, error: np.ndarray, law: str, *, floor: float | int = 0.0
) -> DecayFit:
    """Fits a decay to independent points by weighted least squares in the logarithm.

    Args:
        time: Times or cycles, positive.
        value: Values, positive.
        error: Standard errors of the values, positive and small enough that error / value is that of the logarithm.
        law: exponential or power_law.
        floor: Known floor, added in quadrature.

    Raises:
        ValueError: If the law is unknown, there are fewer than three points, or a number is not positive and finite.
        FloatingPointError: If the points do not fix both parameters, such as when all lie on the floor.
    """
    if law not in _LAWS:
        raise ValueError(f"`law` must be one of {', '.join(_LAWS)}, but is {law!r}.")
    if not (math.isfinite(floor) and floor >= 0):
        raise ValueError(f"`floor` must be finite and not negative, but is {floor:g}.")
    t, y, e = (
        _positive(array, name)
        for array, name in ((time, "time"), (value, "value"), (error, "error"))
    )
    if not t.shape == y.shape == e.shape or t.size <= _N_PARAMETERS:
        raise ValueError(
            f"`time`, `value`, `error` must hold the same 3 or more points, but hold {t.size}, {y.size}, {e.size}."
        )
    weight, target = y / e, np.log(y)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        return weight * (_log_model(law, t, parameters, float(floor)) - target)

    # Without a floor the problem is linear and this start is already its solution.
    design = np.stack([np.ones_like(t), _LAWS[law](t)], axis=1)
    start = np.linalg.lstsq(weight[:, None] * design, weight * target, rcond=None)[0]
    found = least_squares(residuals, start, method="lm", x_scale="jac", xtol=1e-12, ftol=1e-12)
    if np.linalg.matrix_rank(found.jac) < _N_PARAMETERS:
        raise FloatingPointError(
            "`value` must stand clear of `floor` at three or more different times, or the points fix no rate."
        )
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    log_error, rate_error = np.sqrt(np.diag(covariance))
    amplitude = math.exp(found.x[0])
    return DecayFit(
        law,
        Estimate(amplitude, amplitude * float(log_error)),
        Estimate(float(found.x[1]), float(rate_error)),
        float(2 * found.cost),
        t.size,
        float(floor),
    )


@dataclass(frozen=True)
class DecayComparison:
    """Both laws on the same points.

    Attributes:
        exponential: Fit of the exponential.
        power_law: Fit of the power law.
    """

    exponential: DecayFit
    power_law: DecayFit

    @property
    def difference(self) -> float:
        """Akaike criterion of the exponential less that of the power law: positive where the power law fits better."""
        return self.exponential.akaike - self.power_law.akaike

    @property
    def excess(self) -> float:
        """Chi^2 per degree of freedom of the better law, at least 1: how far the points scatter beyond their errors."""
        free = self.power_law.degrees_of_freedom
        return max(1.0, min(self.exponential.chi_squared, self.power_law.chi_squared) / free)

    @property
    def power_law_weight(self) -> float:
        """Akaike weight of the power law against the exponential, 0 to 1; 1/2 says that the data cannot tell."""
        return float(0.5 * (1 + math.tanh(self.difference / self.excess / 4)))


def compare_decays(
    time: np.ndarray, value: np.ndarray, error: np.ndarray, *, floor: float | int = 0.0
) -> DecayComparison:
    """Fits both laws to the same points with the same weights; arguments and errors are those of `fit_decay`."""
    return DecayComparison(
        fit_decay(time, value, error, "exponential", floor=floor),
        fit_decay(time, value, error, "power_law", floor=floor),
    )


def scrambled_std(n_qubits: int) -> float:
    """Standard deviation of a Pauli's expectation over Haar-random states, 1 / sqrt(2^n + 1).

    The floor of every correlator measured on one qubit of a fully scrambled register: no finite register decays below.
    """
    if n_qubits < 1:
        raise ValueError(f"`n_qubits` must be at least 1, but is {n_qubits}.")
    return 1 / math.sqrt(2.0**n_qubits + 1)


def _log_model(law: str, time: np.ndarray, parameters: np.ndarray, floor: float) -> np.ndarray:
    logarithm = parameters[0] + parameters[1] * _LAWS[law](time)
    return np.logaddexp(2 * logarithm, 2 * math.log(floor)) / 2 if floor > 0 else logarithm


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


def _positive(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    bad = ~(np.isfinite(array) & (array > 0))
    if array.ndim != 1 or bad.any():
        shown = f"holds {array[bad][0]:g}" if bad.any() else f"its shape is {array.shape}"
        raise ValueError(f"`{name}` must be positive and finite on one axis, but {shown}.")
    return array

"""What decays faster over the cycles of an ensemble of circuits: an exponential or a power law.

A fit of two parameters in the logarithm of the values, weighted with their relative errors,

    exponential  A exp(-t / tau),        power law  A t^(-alpha),        both optionally  sqrt(model^2 + floor^2)

with a known floor, such as the 2^(-n/2) to which the standard deviation of a scrambled register of n qubits saturates.
Both laws have two parameters, so chi^2 alone ranks them; the Akaike weight says how clearly. Where even the better law
misses the points by more than their errors, chi^2 is divided by its excess per degree of freedom (quasi-likelihood), so
that a bad fit of both is not taken for a clear verdict; the parameters' errors do not contain that excess.

Sources: H. Akaike, IEEE Trans. Autom. Control 19, 716 (1974), DOI 10.1109/TAC.1974.1100705;
K. P. Burnham and D. R. Anderson, Model Selection and Multimodel Inference, Springer (2002), on quasi-likelihood.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import chdtrc

from quantum.estimates import Estimate, ratio_with_error

# Logarithm of each law per unit of its rate: 1 / tau or alpha.
_LAWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": lambda time: -time,
    "power_law": lambda time: -np.log(time),
}


_N_PARAMETERS = 2


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
        return ratio_with_error(Estimate(1.0, 0.0), self.rate)

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


def _positive(values: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    bad = ~(np.isfinite(array) & (array > 0))
    if array.ndim != 1 or bad.any():
        shown = f"holds {array[bad][0]:g}" if bad.any() else f"its shape is {array.shape}"
        raise ValueError(f"`{name}` must be positive and finite on one axis, but {shown}.")
    return array

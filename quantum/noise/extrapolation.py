"""Zero-noise extrapolation: signals at amplified noise lambda, continued to lambda = 0.

A signal that is a sum over Pauli paths of weight h, each damped by exp(-lambda h), with weights normally distributed
(mean mu, variance s^2), decays as S_0 exp(-mu lambda + s^2 lambda^2 / 2): the gaussian law, exact up to the third
cumulant of the weights (`path_weight`). Two ways to it, and to others:

- `fit_extrapolation` takes from an ensemble of circuits the rate and spread that they share, `extrapolate_to_zero` from
  one circuit: fits of the logarithm; linear and exponential laws too.
- `fit_gaussian` fits the law to one signal as it stands, so that noise may carry a point across zero and s^2 may be
  negative; `richardson` is a polynomial through all points.

Sources: law as described second-hand for the NMR companion, arXiv 2510.19550, Eq. 2, its exact form to be checked;
L. F. Richardson, Phil. Trans. R. Soc. A 210, 307 (1911), DOI 10.1098/rsta.1911.0009, for noise K. Temme, S. Bravyi,
J. M. Gambetta, Phys. Rev. Lett. 119, 180509 (2017), DOI 10.1103/PhysRevLett.119.180509.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from quantum._checks import check_choice
from quantum.estimates import Estimate

LAWS = ("linear", "exponential", "gaussian")


@dataclass(frozen=True)
class Extrapolation:
    """How signals at several noise scales are combined into the one at zero: S_0 = sum_i coefficients_i S_i.

    Attributes:
        coefficients: One for each scale.
        rate: mu of the law, 0 for the linear one.
        spread: s^2 of the law, 0 unless it is gaussian.
    """

    coefficients: np.ndarray
    rate: float = 0.0
    spread: float = 0.0

    def apply(self, values: np.ndarray, covariance: np.ndarray) -> Estimate:
        """Zero-noise value of one circuit from its values at all scales and their covariance."""
        c = self.coefficients
        return Estimate(float(c @ values), float(np.sqrt(c @ covariance @ c)))


def fit_extrapolation(
    scales: Sequence[float | int] | np.ndarray, values: np.ndarray, law: str = "gaussian"
) -> Extrapolation:
    """Learns the law of decay from an ensemble, which all its circuits share, each with an S_0 of its own.

    One circuit alone hardly fixes a curvature, and OTOC(2) signals have either sign, so a logarithm of each is no way.
    The linear law has nothing to share; its coefficients are those of the straight line through the scales.

    Args:
        scales: Noise scales lambda, 1 for the device as it is.
        values: Signals, (circuits, scales).
        law: linear, exponential or gaussian.

    Raises:
        ValueError: If the law is unknown, scales are too few or repeat, or shapes do not fit.
    """
    check_choice(law, "law", LAWS)
    x, y = np.asarray(scales, float), np.atleast_2d(np.asarray(values, float))
    needed = 3 if law == "gaussian" else 2
    if x.ndim != 1 or len(np.unique(x)) != x.size or x.size < needed or y.shape[1] != x.size:
        raise ValueError(
            f"`scales` must be {needed} or more different noise scales, one for each column of `values`, "
            f"but are {list(scales)} for shape {y.shape}."
        )
    if law == "linear":
        return Extrapolation(np.linalg.pinv(np.stack([np.ones_like(x), x], axis=1))[0])

    def shape(parameters: np.ndarray) -> np.ndarray:
        rate, spread = parameters if law == "gaussian" else (parameters[0], 0.0)
        return np.exp(-rate * x + spread * x**2 / 2)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        g = shape(parameters)
        # For a given shape the best S_0 of every circuit is a projection, so only the shape is searched.
        return (y - np.outer(y @ g / (g @ g), g)).ravel() / np.abs(y).max()

    found = least_squares(residuals, [0.5, 0.0] if law == "gaussian" else [0.5]).x
    g = shape(found)
    return Extrapolation(
        g / (g @ g), float(found[0]), float(found[1]) if law == "gaussian" else 0.0
    )


def extrapolate_to_zero(
    scales: Sequence[float | int] | np.ndarray,
    values: np.ndarray,
    errors: np.ndarray,
    law: str = "gaussian",
) -> Estimate:
    """Zero-noise value of one signal of constant sign: log S is a polynomial in lambda, weighted by the errors.

    Args:
        scales: Noise scales lambda.
        values: Signals, all of one sign unless the law is linear.
        errors: Their standard errors, independent of one another, positive.
        law: linear (in S), exponential (log S linear) or gaussian (log S quadratic).

    Raises:
        ValueError: If the law is unknown, there are too few points, an error is not positive or the sign changes.
    """
    check_choice(law, "law", LAWS)
    x, y, e = (np.asarray(a, float) for a in (scales, values, errors))
    degree = 2 if law == "gaussian" else 1
    if not x.shape == y.shape == e.shape or x.ndim != 1 or len(np.unique(x)) <= degree:
        raise ValueError(
            f"`scales` must hold {degree + 1} or more different scales like `values`, but is {x.shape}."
        )
    if not np.all(e > 0):
        raise ValueError(f"`errors` must be positive, but the least is {e.min():g}.")
    if law != "linear":
        if np.ptp(np.sign(y)) > 0 or not np.all(y):
            raise ValueError(
                "`values` must have one sign for a law in the logarithm, but have two."
            )
        x, y, e, sign = x, np.log(np.abs(y)), e / np.abs(y), np.sign(y[0])
    design = np.vander(x, degree + 1, increasing=True) / e[:, None]
    covariance = np.linalg.inv(design.T @ design)
    start = float((covariance @ design.T @ (y / e))[0])
    error = float(np.sqrt(covariance[0, 0]))
    if law == "linear":
        return Estimate(start, error)
    return Estimate(float(sign * np.exp(start)), float(np.exp(start)) * error)


# The law is sought as a rate per largest scale; a sum of paths can hardly fall or bend faster (our choice).
_STEEPEST = 50.0


def richardson(scales: Sequence[float | int] | np.ndarray) -> Extrapolation:
    """Coefficients of the polynomial through all points at noise 0, prod_(j != i) x_j / (x_j - x_i).

    Raises:
        ValueError: If there are fewer than two scales, or two are equal.
    """
    x = _scales(scales, 2)
    apart = x[None, :] - x[:, None] + np.eye(x.size)
    ratio = np.where(np.eye(x.size, dtype=bool), 1, x[None, :] / apart)
    return Extrapolation(ratio.prod(axis=1))


@dataclass(frozen=True, eq=False)
class GaussianDecay:
    """The law S_0 exp(-mu lambda + s^2 lambda^2 / 2) as fitted to one signal.

    Attributes:
        parameters: S_0, mu and s^2 in units of the scales.
        covariance: Their covariance, (3, 3); nothing for s^2 under the exponential law.
        chi_squared: Of the fit, with `degrees_of_freedom` degrees.
        degrees_of_freedom: Points and priors minus free parameters.
    """

    parameters: np.ndarray
    covariance: np.ndarray
    chi_squared: float
    degrees_of_freedom: int

    @property
    def start(self) -> Estimate:
        """S_0 with its error."""
        return Estimate(float(self.parameters[0]), float(np.sqrt(self.covariance[0, 0])))

    def __call__(self, scales: np.ndarray) -> np.ndarray:
        """The law at some noise scales."""
        return self.parameters[0] * _shape(np.asarray(scales, float), *self.parameters[1:])


def fit_gaussian(
    scales: Sequence[float | int] | np.ndarray,
    values: np.ndarray,
    covariance: np.ndarray,
    *,
    law: str = "gaussian",
    prior: tuple[Estimate, Estimate] | None = None,
    most_damping: float | int | None = None,
    most_signal: float | int = np.inf,
) -> GaussianDecay:
    """Weighted least squares in the signal itself, so that values of either sign and values near 0 are welcome.

    Args:
        scales: Noise scales lambda, three or more (two for the exponential law).
        values: Signal at each.
        covariance: Covariance of the values, or their standard errors.
        law: "gaussian", or "exponential" for s^2 = 0.
        prior: What is known beforehand of mu and s^2, such as from an ensemble of like circuits.
        most_damping: Lambda times the number of noisy gates at scale 1. Weights of a true distribution lie between 0
            and that, so mu does, and s^2 stays below its square over 4 (T. Popoviciu, Mathematica 9, 129 (1935)).
            None leaves both free, which a signal near 0 does not survive.
        most_signal: Largest |S_0|, 1 for a Pauli string.

    Raises:
        ValueError: If the law is unknown, scales are too few or repeat, shapes do not fit, or an error is not positive.
    """
    check_choice(law, "law", ("gaussian", "exponential"))
    n_free = 3 if law == "gaussian" else 2
    x, y = _scales(scales, n_free), np.asarray(values, float)
    root = _root(covariance, x.size)
    if y.shape != x.shape or not np.isfinite(y).all():
        raise ValueError(
            f"`values` must be {x.size} finite numbers like `scales`, but are {values}."
        )
    unit = x.max()
    known = list(enumerate(prior or ()))[: n_free - 1]

    def residuals(free: np.ndarray) -> np.ndarray:
        start, *bends = free
        mismatch = np.linalg.solve(root, start * _shape(x / unit, *bends) - y)
        pulls = [(bends[k] / unit ** (1 + k) - e.value) / e.stderr for k, e in known]
        return np.concatenate([mismatch, pulls])

    def slopes(free: np.ndarray) -> np.ndarray:
        shape = _shape(x / unit, *free[1:])
        columns = [shape, -free[0] * shape * x / unit, free[0] * shape * (x / unit) ** 2 / 2]
        pulls = np.zeros((len(known), n_free))
        for k, e in known:
            pulls[k, 1 + k] = 1 / (unit ** (1 + k) * e.stderr)
        return np.concatenate([np.linalg.solve(root, np.stack(columns[:n_free], axis=1)), pulls])

    low, high = _limits(unit, most_damping, most_signal)
    starts = [
        np.clip([y[0] * math.exp(mu * x[0] / unit), mu, bend], low, high)
        for mu, bend in ((0.3, 0.0), (1.5, 0.5))
    ]
    bounds = (low[:n_free], high[:n_free])
    ends = [
        least_squares(residuals, s[:n_free], slopes, bounds=bounds, x_scale="jac")  # type: ignore[arg-type]
        for s in starts
    ]
    best = min(ends, key=lambda end: end.cost)
    back = np.array([1, 1 / unit, 1 / unit**2])
    parameters, spread = np.zeros(3), np.zeros((3, 3))
    parameters[:n_free] = best.x
    spread[:n_free, :n_free] = np.linalg.pinv(best.jac.T @ best.jac, rcond=1e-14, hermitian=True)
    freedom = x.size - n_free + len(known)
    return GaussianDecay(
        back * parameters, back[:, None] * spread * back, 2 * float(best.cost), freedom
    )


def _shape(x: np.ndarray, rate: float, spread: float = 0.0) -> np.ndarray:
    return np.exp(-rate * x + spread * x**2 / 2)


def _limits(
    unit: float, most_damping: float | int | None, most_signal: float | int
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of S_0, and of mu and s^2 in units of the largest scale."""
    if not most_signal > 0 or (most_damping is not None and not most_damping > 0):
        raise ValueError(
            f"`most_damping` and `most_signal` must be positive, but are {most_damping} and {most_signal}."
        )
    if most_damping is None:
        high = np.array([most_signal, _STEEPEST, _STEEPEST])
        return -high, high
    damping = float(most_damping * unit)
    return np.array([-most_signal, 0, 0]), np.array([most_signal, damping, damping**2 / 4])


def _scales(scales, needed: int) -> np.ndarray:
    x = np.asarray(scales, float)
    if x.ndim != 1 or x.size < needed or len(np.unique(x)) != x.size or not (x >= 0).all():
        raise ValueError(
            f"`scales` must be {needed} or more different noise scales from 0 on, but are {list(x.ravel())}."
        )
    return x


def _root(covariance: np.ndarray, n: int) -> np.ndarray:
    given = np.asarray(covariance, float)
    matrix = np.diag(given**2) if given.ndim == 1 else given
    try:
        if matrix.shape != (n, n) or (given.ndim == 1 and not (given > 0).all()):
            raise np.linalg.LinAlgError
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"`covariance` must be {n} positive errors or a positive definite ({n}, {n}) matrix, but is not."
        ) from error

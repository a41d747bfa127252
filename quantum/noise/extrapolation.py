"""Zero-noise extrapolation: signals at amplified noise lambda, continued to lambda = 0.

A signal that is a sum over Pauli paths of weight h, each damped by exp(-lambda h), with weights normally distributed
(mean mu, variance s^2), decays as S_0 exp(-mu lambda + s^2 lambda^2 / 2): the gaussian law, exact up to the third
cumulant of the weights (`path_weight`). Two ways to it, and to others:

- `fit_extrapolation` takes from an ensemble of circuits the rate and spread that they share, `extrapolate_to_zero` from
  one circuit: fits of the logarithm; linear and exponential laws too.
- a signal that decays to something else than 0, as relaxation to |0> gives it, follows a + b exp(-mu lambda): the
  "asymptotic" law;
- `fit_gaussian` fits the law to one signal as it stands, so that noise may carry a point across zero and s^2 may be
  negative; `richardson` is a polynomial through all points.

What is continued is amplified: S_0 = sum_i c_i S_i for the coefficients of a law, so errors of the S_i may grow by
sum |c_i|. A law that makes more of them than `MOST_AMPLIFICATION` warns and says how much; take fewer scales, or a law
of fewer parameters.

Sources: law as described second-hand for the NMR companion, arXiv 2510.19550, Eq. 2, its exact form to be checked;
L. F. Richardson, Phil. Trans. R. Soc. A 210, 307 (1911), DOI 10.1098/rsta.1911.0009, for noise K. Temme, S. Bravyi,
J. M. Gambetta, Phys. Rev. Lett. 119, 180509 (2017), DOI 10.1103/PhysRevLett.119.180509.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from quantum._checks import check_array, check_choice
from quantum.estimates import Estimate

LAWS = ("linear", "exponential", "gaussian")
# With an asymptote: a law of its own, since it needs points that reach it.
_ALL_LAWS = (*LAWS, "asymptotic")
_PARAMETERS = {"linear": 2, "exponential": 2, "gaussian": 3, "asymptotic": 3}
# Beyond it a shot error of 1 % is ten times the largest signal (our choice).
MOST_AMPLIFICATION = 1000.0


@dataclass(frozen=True)
class Extrapolation:
    """How signals at several noise scales are combined into the one at zero: S_0 = sum_i coefficients_i S_i.

    Attributes:
        coefficients: One for each scale.
        rate: mu of the law, 0 for the linear one.
        spread: s^2 of the law, 0 unless it is gaussian.

    Warns:
        UserWarning: If errors are amplified by more than `MOST_AMPLIFICATION`.
    """

    coefficients: np.ndarray
    rate: float = 0.0
    spread: float = 0.0

    def __post_init__(self):
        _warn_of(self.amplification, len(self.coefficients))

    @property
    def amplification(self) -> float:
        """Most that errors of the values can grow, sum |c_i|; independent ones grow by the root of sum c_i^2."""
        return float(np.abs(self.coefficients).sum())

    def apply(self, values: np.ndarray, covariance: np.ndarray) -> Estimate:
        """Zero-noise value of one circuit from its values at all scales and their covariance, or standard errors.

        Raises:
            ValueError: If there is not one value for each scale, or the covariance does not fit them.
        """
        c = self.coefficients
        check_array(values, "values", c.shape)
        if np.ndim(covariance) == 1:
            check_array(covariance, "covariance", c.shape, hint="give an error for each scale")
            covariance = np.diag(np.square(covariance))
        check_array(covariance, "covariance", (c.size, c.size))
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
        law: linear, exponential, gaussian or asymptotic (every circuit has an asymptote of its own).

    Raises:
        ValueError: If the law is unknown, scales are too few or repeat, or shapes do not fit.

    Warns:
        UserWarning: If errors are amplified by more than `MOST_AMPLIFICATION`.
    """
    check_choice(law, "law", _ALL_LAWS)
    x, y = np.asarray(scales, float), np.atleast_2d(np.asarray(values, float))
    needed = _PARAMETERS[law]
    if x.ndim != 1 or len(np.unique(x)) != x.size or x.size < needed or y.shape[1] != x.size:
        raise ValueError(
            f"`scales` must be {needed} or more different noise scales, one for each column of `values`, "
            f"but are {list(scales)} for shape {y.shape}."
        )
    if law == "linear":
        return Extrapolation(np.linalg.pinv(np.stack([np.ones_like(x), x], axis=1))[0])

    def shapes(parameters: np.ndarray) -> np.ndarray:
        """What every signal is a sum of, (scales, 1), or 2 with an asymptote."""
        shape = _shape(x, *parameters)[:, None]
        return np.hstack([shape, np.ones_like(shape)]) if law == "asymptotic" else shape

    def residuals(parameters: np.ndarray) -> np.ndarray:
        # For given shapes the best signal of every circuit is a projection, so only the shapes are searched.
        basis = np.linalg.qr(shapes(parameters))[0]
        return (y - y @ basis @ basis.T).ravel() / np.abs(y).max()

    found = least_squares(residuals, [0.5, 0.0] if law == "gaussian" else [0.5], ftol=1e-12).x
    return Extrapolation(
        # At noise 0 every shape is 1.
        np.linalg.pinv(shapes(found)).sum(axis=0),
        float(found[0]),
        float(found[1]) if law == "gaussian" else 0.0,
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
        values: Signals, all of one sign unless the law is linear or asymptotic.
        errors: Their standard errors, independent of one another, positive.
        law: linear (in S), exponential (log S linear), gaussian (log S quadratic), or asymptotic (S - a exponential
            for an asymptote a that is fitted).

    Raises:
        ValueError: If the law is unknown, there are too few points, an error is not positive or the sign changes.

    Warns:
        UserWarning: If errors are amplified by more than `MOST_AMPLIFICATION`.
    """
    check_choice(law, "law", _ALL_LAWS)
    x, y, e = (np.asarray(a, float) for a in (scales, values, errors))
    degree = _PARAMETERS[law] - 1
    if not x.shape == y.shape == e.shape or x.ndim != 1 or len(np.unique(x)) <= degree:
        raise ValueError(
            f"`scales` must hold {degree + 1} or more different scales like `values`, but is {x.shape}."
        )
    if not np.all(e > 0):
        raise ValueError(f"`errors` must be positive, but the least is {e.min():g}.")
    if law == "asymptotic":
        return _to_asymptote(x, y, e)
    if law != "linear":
        if np.ptp(np.sign(y)) > 0 or not np.all(y):
            raise ValueError(
                "`values` must have one sign for a law in the logarithm, but have two."
            )
        x, y, e, sign = x, np.log(np.abs(y)), e / np.abs(y), np.sign(y[0])
    design = np.vander(x, degree + 1, increasing=True) / e[:, None]
    covariance = np.linalg.inv(design.T @ design)
    row = (covariance @ design.T)[0] / e
    _warn_of(float(np.abs(row).sum()), x.size)
    start = float(row @ y)
    error = float(np.sqrt(covariance[0, 0]))
    if law == "linear":
        return Estimate(start, error)
    return Estimate(float(sign * np.exp(start)), float(np.exp(start)) * error)


def _to_asymptote(x: np.ndarray, y: np.ndarray, e: np.ndarray) -> Estimate:
    """a + b of a + b exp(-mu x), fitted to values with errors."""

    def parts(rate: float) -> np.ndarray:
        return np.stack([np.ones_like(x), np.exp(-rate * x)], axis=1) / e[:, None]

    def residuals(rate: np.ndarray) -> np.ndarray:
        basis = np.linalg.qr(parts(rate[0]))[0]
        return y / e - basis @ (basis.T @ (y / e))

    unit = np.ptp(x)
    ends = [
        least_squares(residuals, [start / unit], bounds=(1e-3 / unit, _STEEPEST / unit), ftol=1e-12)
        for start in (0.3, 3.0)
    ]
    rate = float(min(ends, key=lambda end: end.cost).x[0])
    a, b = np.linalg.lstsq(parts(rate), y / e, rcond=None)[0]
    bend = -b * x * np.exp(-rate * x) / e
    row = np.linalg.pinv(np.hstack([parts(rate), bend[:, None]]))[:2].sum(axis=0) / e
    _warn_of(float(np.abs(row).sum()), x.size)
    return Estimate(float(a + b), float(np.linalg.norm(row * e)))


def _warn_of(amplification: float, n: int) -> None:
    if amplification > MOST_AMPLIFICATION:
        warnings.warn(
            f"errors of the values may grow {amplification:.1e} times on the way through {n} scales to zero "
            "noise; take fewer scales, or a law of fewer parameters.",
            stacklevel=4,
        )


# The law is sought as a rate per largest scale; a sum of paths can hardly fall or bend faster (our choice).
_STEEPEST = 50.0


def richardson(scales: Sequence[float | int] | np.ndarray) -> Extrapolation:
    """Coefficients of the polynomial through all points at noise 0, prod_(j != i) x_j / (x_j - x_i).

    Raises:
        ValueError: If there are fewer than two scales, or two are equal.

    Warns:
        UserWarning: If errors are amplified by more than `MOST_AMPLIFICATION`, as they are by many scales.
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

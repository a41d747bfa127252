"""Likelihoods of measured correlators, and what data can tell about parameters at all.

With data d and the predictions m(p) of a model, J = dm/dp,

    Gaussian    ln L = -1/2 (d - m)^T C^-1 (d - m) + const
    shots       n_up of n ~ Binomial(n, (1 + m) / 2),  d = 2 n_up / n - 1,  a mean of n outcomes +-1

    gradient    d ln L / dp = J^T s,   s = C^-1 (d - m)  or  s_i = n_i (d_i - m_i) / (1 - m_i^2)
    Fisher      F = J^T W J,           W = C^-1          or  W_ii = n_i / (1 - m_i^2)

No unbiased estimate has a covariance below F^-1 (Cramer-Rao). A direction v with F v = 0 changes no prediction to
first order: along it the data say nothing, and it is named rather than inverted. Eigenvalues are taken after every
parameter is measured in units of its own error, so that they do not depend on whether a coupling is in Hz or kHz.

Both likelihoods are written as residuals r with sum r^2 / 2 = ln L(d) - ln L(m), whitened residuals or square roots
of the deviance, so that one least-squares routine maximises either. Weights multiply the terms of ln L, as a bootstrap
over groups wants it. A pure model whose predictions touch +-1 has walls in ln L there, since one shot of the other
outcome would rule it out; a contrast below 1, which readout has anyway, takes them away.

Sources: C. R. Rao, Bull. Calcutta Math. Soc. 37, 81 (1945); P. McCullagh, J. A. Nelder, Generalized Linear Models,
2nd ed., Chapman and Hall (1989), chapter 2 (deviance). Leaves out priors and errors of the model itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import xlogy

# A prediction of +-1 leaves a binomial no chance of the other outcome; single precision cannot tell it from 1 - 1e-7.
_EDGE = 1e-9
_BEYOND = 1e-4  # rounding of a correlator in single precision, with room
_RANK_TOLERANCE = 1e-8  # of the largest eigenvalue of a scaled Fisher matrix; derivatives in single precision give 1e-7
_SMALL_COMPONENT = 1e-3  # of the largest, left out where a direction is put into words


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Data with a covariance.

    Attributes:
        data: d, (points,).
        covariance: C, (points, points), or standard errors of independent points, (points,).
        weights: Factor of each point's term in ln L, (points,); 1 by default.

    Raises:
        ValueError: If shapes do not fit, a value is not finite, or the covariance is not positive definite.
    """

    data: np.ndarray
    covariance: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.ones(()))

    def __post_init__(self):
        data = _vector(self.data, "data")
        given = np.asarray(self.covariance, float)
        if given.shape not in ((data.size,), (data.size, data.size)):
            raise ValueError(
                f"`covariance` must be {data.size} standard errors or ({data.size}, {data.size}) like `data`, "
                f"but its shape is {given.shape}."
            )
        if given.ndim == 1 and not (np.isfinite(given).all() and (given > 0).all()):
            raise ValueError(
                f"`covariance` must hold positive errors, but the least is {given.min():g}."
            )
        matrix = np.diag(given**2) if given.ndim == 1 else given
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "covariance", matrix)
        object.__setattr__(self, "weights", np.broadcast_to(self.weights, data.shape).astype(float))
        _ = self._root

    @cached_property
    def _root(self) -> np.ndarray:
        symmetric = np.allclose(self.covariance, self.covariance.T, rtol=1e-9, atol=0)
        try:
            if not symmetric:
                raise np.linalg.LinAlgError
            return np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "`covariance` must be symmetric and positive definite, but is not; "
                "points that repeat another one add nothing, leave them out."
            ) from error

    @property
    def n_points(self) -> int:
        """Number of data points."""
        return self.data.size

    def whiten(self, array: np.ndarray) -> np.ndarray:
        """Values (or columns) in units of their independent errors, sqrt(weight) included."""
        solved = solve_triangular(self._root, array, lower=True)
        return (np.sqrt(self.weights) * solved.T).T

    def residuals(self, prediction: np.ndarray) -> np.ndarray:
        """Whitened prediction minus data, (points,)."""
        return self.whiten(prediction - self.data)

    def residual_jacobian(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Derivative of the residuals, (points, parameters)."""
        del prediction
        return self.whiten(jacobian)

    def log_likelihood(self, prediction: np.ndarray) -> float:
        """ln L up to a constant that no parameter changes."""
        return -0.5 * float(np.sum(self.residuals(prediction) ** 2))

    def gradient(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """d ln L / dp, (parameters,)."""
        return -self.whiten(jacobian).T @ self.residuals(prediction)

    def fisher(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Fisher information F, (parameters, parameters)."""
        del prediction
        white = self.whiten(jacobian)
        return white.T @ white

    def redrawn(self, prediction: np.ndarray, rng: np.random.Generator) -> "Gaussian":
        """The same measurement done once more where `prediction` is the truth."""
        noise = self._root @ rng.normal(size=self.n_points)
        return replace(self, data=prediction + noise)

    def weighted(self, weights: np.ndarray) -> "Gaussian":
        """Other weights; points of different weight must not be correlated.

        Raises:
            ValueError: If they are.
        """
        apart = np.not_equal.outer(weights, weights)
        if np.any(self.covariance[apart]):
            raise ValueError(
                "`groups` must keep correlated points together, but the covariance joins two of them."
            )
        return replace(self, weights=np.asarray(weights, float))


@dataclass(frozen=True, eq=False)
class Binomial:
    """Means of outcomes +-1, as the shots of a Pauli observable give them.

    Attributes:
        data: d = 2 n_up / n - 1, (points,).
        shots: n, (points,) or one number for all.
        weights: Factor of each point's term in ln L, (points,); 1 by default.

    Raises:
        ValueError: If the data leave [-1, 1], are not finite, or there is less than one shot.
    """

    data: np.ndarray
    shots: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.ones(()))

    def __post_init__(self):
        data = _vector(self.data, "data")
        if np.abs(data).max() > 1:
            raise ValueError(
                f"`data` must lie between -1 and 1, but reach {np.abs(data).max():.6g}; give shots of a Pauli "
                "observable, or use `Gaussian`."
            )
        shots = np.asarray(self.shots, float)
        if shots.shape not in ((), data.shape) or not (shots >= 1).all():
            raise ValueError(
                f"`shots` must be at least 1 for each of {data.size} points, but the least is {shots.min():g} "
                f"in shape {shots.shape}."
            )
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "shots", np.broadcast_to(shots, data.shape))
        object.__setattr__(self, "weights", np.broadcast_to(self.weights, data.shape).astype(float))

    @property
    def n_points(self) -> int:
        """Number of data points."""
        return self.data.size

    def residuals(self, prediction: np.ndarray) -> np.ndarray:
        """Signed square roots of the deviance, (points,)."""
        m = _inside(prediction)
        terms = _entropy(self.data, self.data) - _entropy(self.data, m)
        size = np.sqrt(np.maximum(self.weights * self.shots * terms, 0))
        return np.sign(m - self.data) * size

    def residual_jacobian(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Derivative of the residuals, (points, parameters)."""
        m, r = _inside(prediction), self.residuals(prediction)
        weight = self.weights * self.shots / (1 - m**2)
        # r dr/dm = weight (m - d); where both vanish, dr/dm is the square root of the weight.
        near = np.abs(r) < 1e-4 * np.sqrt(self.weights)
        slope = np.where(near, np.sqrt(weight), weight * (m - self.data) / np.where(near, 1, r))
        return slope[:, None] * jacobian

    def log_likelihood(self, prediction: np.ndarray) -> float:
        """ln L up to the binomial coefficients, which no parameter changes."""
        terms = self.shots * _entropy(self.data, _inside(prediction)) / 2
        return float(self.weights @ terms)

    def gradient(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """d ln L / dp, (parameters,)."""
        m = _inside(prediction)
        return jacobian.T @ (self.weights * self.shots * (self.data - m) / (1 - m**2))

    def fisher(self, prediction: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Fisher information F, (parameters, parameters)."""
        weight = self.weights * self.shots / (1 - _inside(prediction) ** 2)
        return jacobian.T @ (weight[:, None] * jacobian)

    def redrawn(self, prediction: np.ndarray, rng: np.random.Generator) -> "Binomial":
        """The same measurement done once more where `prediction` is the truth."""
        chance = np.clip((1 + np.asarray(prediction, float)) / 2, 0, 1)
        ups = rng.binomial(self.shots.astype(int), chance)
        return replace(self, data=2 * ups / self.shots.astype(int) - 1)

    def weighted(self, weights: np.ndarray) -> "Binomial":
        """Other weights."""
        return replace(self, weights=np.asarray(weights, float))


Likelihood = Gaussian | Binomial


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Which combinations of parameters data determine.

    Attributes:
        names: Parameters.
        eigenvalues: Of the scaled Fisher matrix, falling; they add up to the number of parameters that matter.
        directions: Change of the parameters along each eigenvector in their own units, (parameters, parameters), rows.
        rank: Number of directions that are determined.
    """

    names: tuple[str, ...]
    eigenvalues: np.ndarray
    directions: np.ndarray
    rank: int

    @property
    def unidentifiable(self) -> tuple[str, ...]:
        """Changes that no prediction feels, such as "D - 2 J": D up by one unit and J down by two."""
        return tuple(say_combination(v, self.names) for v in self.directions[self.rank :])


def identify(fisher: np.ndarray, names: Sequence[str]) -> Identifiability:
    """Rank of a Fisher matrix and its directions, with every parameter in units of its own error.

    Args:
        fisher: F, (parameters, parameters).
        names: Parameters.

    Raises:
        ValueError: If the matrix is not square and finite, or there is not a name for each parameter.
    """
    matrix = np.asarray(fisher, float)
    n = len(names)
    if matrix.shape != (n, n) or not np.isfinite(matrix).all():
        raise ValueError(
            f"`fisher` must be a finite ({n}, {n}) matrix for {', '.join(names)}, but its shape is {matrix.shape}."
        )
    own = np.sqrt(np.maximum(np.diag(matrix), 0))
    unit = 1 / np.where(own > 0, own, 1)
    values, vectors = np.linalg.eigh(unit[:, None] * matrix * unit)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = int(np.count_nonzero(values > _RANK_TOLERANCE * max(values[0], 0)))
    return Identifiability(tuple(names), values, (unit[:, None] * vectors).T, rank)


def cramer_rao(fisher: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Least covariance of unbiased estimates, F^-1, (parameters, parameters).

    Raises:
        ValueError: If the data leave a direction undetermined; it is named.
    """
    found = identify(fisher, names)
    if found.rank < len(names):
        raise ValueError(
            f"`fisher` must have full rank for an error of every parameter, but the data do not determine "
            f"{'; '.join(found.unidentifiable)}; hold one of the parameters fixed."
        )
    scaled = found.directions / np.sqrt(found.eigenvalues)[:, None]
    return scaled.T @ scaled


def combination_error(
    fisher: np.ndarray,
    names: Sequence[str],
    combination: dict[str, float | int],
) -> float:
    """Cramer-Rao error of a linear combination such as {"D": 1, "J": 0.5}; infinite if the data do not determine it."""
    found = identify(fisher, names)
    unknown = set(combination) - set(names)
    if unknown:
        raise ValueError(
            f"`combination` must hold {', '.join(names)}, but holds {', '.join(sorted(unknown))}."
        )
    vector = np.array([combination.get(name, 0.0) for name in names])
    along = found.directions @ vector
    size = np.abs(found.directions) @ np.abs(vector)
    if np.any(np.abs(along[found.rank :]) > 1e-5 * size[found.rank :]):
        return float("inf")
    kept = slice(0, found.rank)
    return float(np.sqrt(np.sum(along[kept] ** 2 / found.eigenvalues[kept])))


def say_combination(direction: np.ndarray, names: Sequence[str]) -> str:
    """A direction in words, its largest component 1: "D - 2 J"."""
    first = int(np.argmax(np.abs(direction) > _SMALL_COMPONENT * np.abs(direction).max()))
    scaled = direction / direction[first]
    words = ""
    for value, name in zip(scaled, names, strict=True):
        if abs(value) > _SMALL_COMPONENT * np.abs(scaled).max():
            factor = "" if np.isclose(abs(value), 1, atol=5e-4) else f"{abs(value):.3g} "
            sign = ("- " if value < 0 else "+ ") if words else ""
            words += f" {sign}{factor}{name}" if words else f"{factor}{name}"
    return words


def _vector(values, name: str) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"`{name}` must be a list of points, but its shape is {array.shape}.")
    if not np.isfinite(array).all():
        missing = int((~np.isfinite(array)).sum())
        raise ValueError(
            f"`{name}` must be finite, but {missing} of {array.size} points are not; leave them out."
        )
    return array


def _entropy(data: np.ndarray, m: np.ndarray) -> np.ndarray:
    """2 ln L of one shot, (1 + d) ln((1 + m) / 2) + (1 - d) ln((1 - m) / 2)."""
    return xlogy(1 + data, (1 + m) / 2) + xlogy(1 - data, (1 - m) / 2)


def _inside(prediction: np.ndarray) -> np.ndarray:
    m = np.asarray(prediction, float)
    if np.abs(m).max() > 1 + _BEYOND:
        raise ValueError(
            f"`prediction` must lie between -1 and 1 for shots, but reaches {np.abs(m).max():.6g}; use `Gaussian`."
        )
    return np.clip(m, -1 + _EDGE, 1 - _EDGE)

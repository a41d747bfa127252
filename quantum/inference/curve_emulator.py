"""Interpolation of an expensive curve in its parameters, so that hundreds of fits cost what a few dozen curves do.

On a box of parameters p the curve c(p) is replaced by the Chebyshev series that equals it at (degree + 1) first-kind
nodes of each parameter,

    c(p) = sum_k  a_k  T_k1(x_1) ... T_kd(x_d),     x_i = (2 p_i - low_i - high_i) / (high_i - low_i),

whose error falls geometrically with the degree where c is analytic (L. N. Trefethen, Approximation Theory and
Approximation Practice, SIAM (2013), chapter 8). Echo curves are analytic in every coupling. The series is a JAX
function with derivatives, and `largest_error` says at fresh points what interpolation costs.

Left out: more than three parameters, where the number of nodes explodes; points outside the box, which are refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quantum._checks import check_count
from quantum.inference.fitting import ForwardModel

_MOST_PARAMETERS = 3
Curve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class CurveEmulator:
    """A Chebyshev series in the parameters for each point of a curve.

    Attributes:
        names: Name of each parameter.
        lower: Least value of each.
        upper: Largest value of each.
        coefficients: a_k, (degree + 1, ..., points), one axis a parameter.
    """

    names: tuple[str, ...]
    lower: tuple[float | int, ...]
    upper: tuple[float | int, ...]
    coefficients: Float[np.ndarray, "..."]

    def __call__(self, parameters):
        """The curve, (points,); traced by JAX, so it does not check that the parameters lie in the box."""
        low, high = jnp.asarray(self.lower), jnp.asarray(self.upper)
        inside = (2 * jnp.asarray(parameters) - low - high) / (high - low)
        found = jnp.asarray(self.coefficients)
        for k in range(len(self.names)):
            found = jnp.tensordot(_chebyshev(inside[k], found.shape[0]), found, 1)
        return found

    def model(self) -> ForwardModel:
        """The forward model of `hamiltonian_learning`, bounded by the box."""
        return ForwardModel(self.__call__, self.names, self.lower, self.upper)

    def largest_error(self, curve: Curve, n: int, *, seed: int) -> float:
        """Largest deviation from the curve itself at n random points of the box."""
        check_count(n, "n", 1)
        rng = np.random.default_rng(seed)
        points = rng.uniform(self.lower, self.upper, (n, len(self.names)))
        return max(float(np.abs(np.asarray(self(p)) - curve(p)).max()) for p in points)


def emulate(
    curve: Curve,
    names: tuple[str, ...],
    lower: tuple[float | int, ...],
    upper: tuple[float | int, ...],
    degree: int | tuple[int, ...] = 8,
    advance: Callable[[], None] = lambda: None,
) -> CurveEmulator:
    """Evaluates a curve at all nodes and makes the series.

    Args:
        curve: Parameters (parameters,) to a curve (points,).
        names: Name of each parameter, one to three.
        lower: Least value of each.
        upper: Largest value of each.
        degree: Degree in each parameter, or one for all.
        advance: Called after each of the (degree + 1)^parameters evaluations.

    Raises:
        ValueError: If there are too many parameters, bounds or degrees do not fit, or a degree is below 1.
        FloatingPointError: If the curve is not finite at a node.
    """
    degrees = (degree,) * len(names) if isinstance(degree, int) else degree
    if not 1 <= len(names) <= _MOST_PARAMETERS or len(degrees) != len(names):
        raise ValueError(
            f"`names` must name 1 to {_MOST_PARAMETERS} parameters with a degree each, but are {names} with "
            f"{len(degrees)} degrees."
        )
    for one in degrees:
        check_count(one, "degree", 1)
    ForwardModel(lambda p: p, names, lower, upper)  # checks the bounds
    nodes = [np.cos(np.pi * (np.arange(d + 1) + 0.5) / (d + 1)) for d in degrees]
    centre, half = (np.add(upper, lower) / 2, np.subtract(upper, lower) / 2)
    values = []
    for point in product(*nodes):
        values.append(_finite(curve, centre + half * np.array(point)))
        advance()
    table = np.array(values).reshape(*(d + 1 for d in degrees), -1)
    for axis, d in enumerate(degrees):
        table = np.moveaxis(np.tensordot(_transform(d), table, (1, axis)), 0, axis)
    return CurveEmulator(names, lower, upper, table)


def _finite(curve: Curve, point: np.ndarray) -> np.ndarray:
    values = np.asarray(curve(point), float)
    if not np.isfinite(values).all():
        raise FloatingPointError(f"`curve` must be finite, but is not at {point.tolist()}.")
    return values


def _transform(degree: int) -> np.ndarray:
    """Values at the nodes to coefficients: the discrete cosine transform as a matrix."""
    n = degree + 1
    angle = np.pi * (np.arange(n) + 0.5) / n
    matrix = 2 / n * np.cos(np.outer(np.arange(n), angle))
    matrix[0] /= 2
    return matrix


def _chebyshev(x, n: int):
    """T_0 to T_(n-1) by their recurrence, whose derivative is finite at the ends where that of arccos is not."""
    values = [jnp.ones_like(x), x]
    for _ in range(n - 2):
        values.append(2 * x * values[-1] - values[-2])
    return jnp.stack(values[:n])

"""Linear algebra of a few unknowns, unrolled: solve, least squares, characteristic polynomial, roots.

For systems of two to about eight unknowns that are solved thousands of times inside `vmap` and `scan`: no library call,
so it compiles fast, runs on any device, and has a derivative without a division by gaps of eigenvalues. Solving is
Gaussian elimination with row pivoting; least squares is the modified Gram-Schmidt method (A. Bjoerck, BIT 7, 1 (1967),
DOI 10.1007/BF01934122, who shows that the solution is as accurate as by Householder); the characteristic polynomial
is by Faddeev and LeVerrier; roots are by Aberth (Math. Comput. 27, 339 (1973), DOI 10.1090/S0025-5718-1973-0329236-7).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Inexact

from optics._numbers import takes_numbers

ABERTH_ROUNDS = (
    60  # A double root gains a factor of about 2 a round: 2^-60 is below double precision.
)


@takes_numbers
@functools.partial(jnp.vectorize, signature="(n,n),(n,m)->(n,m)")
def solve(
    matrix: Inexact[Array, "*batch n n"], right: Inexact[Array, "*batch n m"]
) -> Inexact[Array, "*batch n m"]:
    """Solution x of matrix x = right; a singular matrix gives NaN or infinity."""
    n = matrix.shape[0]
    table = jnp.concatenate([matrix, right], axis=1)
    for i in range(n):
        pivot = i + jnp.argmax(jnp.abs(table[i:, i]))
        rows = jnp.arange(n)
        table = table[jnp.where(rows == i, pivot, jnp.where(rows == pivot, i, rows))]
        row = table[i] / table[i, i]
        others = jnp.where(rows == i, 0, table[:, i])
        table = (table - others[:, None] * row[None]).at[i].set(row)
    return table[:, n:]


@takes_numbers
def orthonormal_columns(matrix: Inexact[Array, "row n"]):
    """Q and R of a tall matrix of full rank, by modified Gram-Schmidt."""
    columns, n = list(matrix.T), matrix.shape[1]
    r = [[jnp.zeros((), matrix.dtype)] * n for _ in range(n)]
    for i in range(n):
        length = jnp.sqrt(jnp.sum(jnp.abs(columns[i]) ** 2))
        r[i][i] = length.astype(matrix.dtype)
        columns[i] = columns[i] / length
        for j in range(i + 1, n):
            r[i][j] = jnp.vdot(columns[i], columns[j])
            columns[j] = columns[j] - r[i][j] * columns[i]
    return jnp.stack(columns, axis=1), jnp.stack([jnp.stack(row) for row in r])


@takes_numbers
def least_squares(
    matrix: Inexact[Array, "row n"], wanted: Inexact[Array, "row m"]
) -> Inexact[Array, "n m"]:
    """The x that minimises |matrix x - wanted|, for a matrix of full column rank."""
    q, r = orthonormal_columns(matrix)
    return solve(r, q.conj().T @ wanted)


@takes_numbers
def characteristic_polynomial(matrix: Complex[Array, "n n"]) -> Complex[Array, " n"]:
    """Coefficients (c_0, ..., c_{n-1}) of det(x - matrix) = x^n + c_{n-1} x^{n-1} + ... + c_0."""
    n = matrix.shape[0]
    identity = jnp.eye(n, dtype=matrix.dtype)
    coefficients, adjugate = [], identity
    for i in range(1, n + 1):
        product = matrix @ adjugate
        coefficients.append(-jnp.trace(product) / i)
        adjugate = product + coefficients[-1] * identity
    return jnp.stack(coefficients[::-1])


@jax.custom_jvp
def polynomial_roots(coefficients: Complex[Array, " n"]) -> Complex[Array, " n"]:
    """Roots of x^n + c_{n-1} x^{n-1} + ... + c_0 from (c_0, ..., c_{n-1}), in no particular order."""
    n = coefficients.size
    if n == 1:
        return -coefficients
    mean = -coefficients[-1] / n
    if n == 2:
        half = jnp.sqrt(mean**2 - coefficients[0])
        return jnp.stack([mean + half, mean - half])
    full = jnp.append(coefficients, jnp.ones(1, coefficients.dtype))
    # Fujiwara's bound on the distance of the roots from 0, about the mean; an odd turn avoids symmetric stand-offs.
    size = 2 * jnp.max(jnp.abs(coefficients) ** (1 / (n - jnp.arange(n))))
    circle = np.exp(2j * np.pi * np.arange(n) / n + 0.4j)
    start = mean + size * jnp.asarray(circle, coefficients.dtype)
    off = jnp.asarray(1 - np.eye(n), coefficients.real.dtype)

    def refine(roots, _):
        value, slope = _evaluate(full, roots)
        newton = value / jnp.where(slope == 0, 1, slope)
        gaps = roots[:, None] - roots[None]
        gaps = jnp.where((gaps == 0) | (off == 0), 1, gaps)
        step = newton / (1 - newton * jnp.sum(off / gaps, axis=1))
        return jnp.where(jnp.isfinite(step) & (value != 0), roots - step, roots), None

    roots, _ = jax.lax.scan(refine, start, length=ABERTH_ROUNDS)
    finite = jnp.all(jnp.isfinite(coefficients))
    return jnp.where(finite, roots, jnp.nan)


def _evaluate(full, x):
    """Value and slope of a polynomial by Horner's rule."""
    value, slope = jnp.zeros_like(x), jnp.zeros_like(x)
    for coefficient in full[::-1]:
        value, slope = value * x + coefficient, slope * x + value
    return value, slope


@polynomial_roots.defjvp
def _roots_jvp(primals, tangents):
    # Implicit: dx = -sum_k dc_k x^k / d'(x); eigenvectors, which run together at a multiple root, are not needed.
    (coefficients,), (change,) = primals, tangents
    roots = polynomial_roots(coefficients)
    n = roots.size
    slope = jnp.prod(roots[:, None] - roots[None] + jnp.eye(n, dtype=roots.dtype), axis=1)
    return roots, -(roots[:, None] ** jnp.arange(n)[None] @ change) / slope

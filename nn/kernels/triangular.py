"""Inverses of many small unit lower triangular matrices, by substitution, all side by side.

Row i of the inverse of 1 + L follows from those above it, and a corner from the halves beside it, where n is over 4:

    T_i = e_i - sum_{j<i} L_ij T_j,     T_21 = -T_22 L_21 T_11.

This is forward substitution on the columns of the unit matrix: what it loses does not grow with powers of L, as it
does in the product (1 - L)(1 + L^2)(1 + L^4)... (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
2002, sections 8.1 and 14.2, DOI 10.1137/1.9780898718027). The matrices lie along the last axis, so that a processor
takes several in one instruction.

`jax.lax.linalg.triangular_solve` takes one matrix after the other, on a CPU by the BLAS that SciPy brings, whose
threads wait for each other at sizes like these: with two the gated delta rule took four times the CPU time of one.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_jvp
def unit_lower_inverse(strictly_lower: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Inverts 1 + L.

    Args:
        strictly_lower: L; what stands on and above the diagonal is not read.

    Returns:
        The inverses, unit lower triangular.
    """
    n = strictly_lower.shape[-1]
    side_by_side = jnp.moveaxis(strictly_lower.reshape(-1, n, n), 0, -1)
    return jnp.moveaxis(_inverse(side_by_side), -1, 0).reshape(strictly_lower.shape)


def _inverse(lower):
    """The inverses of 1 + L, (n, n, matrices)."""
    n, half = len(lower), len(lower) // 2
    if n <= 4:
        return _substitute(lower)
    top, bottom = lower[:half, :half], lower[half:, half:]
    if top.shape == bottom.shape:
        top, bottom = jnp.split(_inverse(jnp.concatenate([top, bottom], -1)), 2, -1)
    else:
        top, bottom = _inverse(top), _inverse(bottom)
    corner = -_product(bottom, _product(lower[half:, :half], top))
    return jnp.concatenate(
        [jnp.pad(top, ((0, 0), (0, n - half), (0, 0))), jnp.concatenate([corner, bottom], 1)]
    )


def _substitute(lower):
    rows = []
    for i, unit in enumerate(jnp.eye(len(lower), dtype=lower.dtype)):
        row = jnp.broadcast_to(unit[:, None], lower.shape[1:])
        for j in range(i):
            row = row - lower[i, j][None, :] * rows[j]
        rows.append(row)
    return jnp.stack(rows)


def _product(left, right):
    return (left[:, :, None] * right[None]).sum(1)


@unit_lower_inverse.defjvp
def _inverse_jvp(primals, tangents):
    inverse = unit_lower_inverse(*primals)
    return inverse, -(inverse @ jnp.tril(tangents[0], -1) @ inverse)

"""Inverses of many small unit lower triangular matrices, by substitution, all side by side.

Row i of the inverse of 1 + L follows from those above it,

    T_i = e_i - sum_{j<i} L_ij T_j,

which is forward substitution on the columns of the unit matrix: what it loses does not grow with powers of L, as it
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
        strictly_lower: L; what stands on and above the diagonal is not read. The program grows with n^2: for n to 32.

    Returns:
        The inverses, unit lower triangular.
    """
    n = strictly_lower.shape[-1]
    side_by_side = jnp.moveaxis(strictly_lower.reshape(-1, n, n), 0, -1)
    unit = jnp.eye(n, dtype=strictly_lower.dtype)
    rows = []
    for i in range(n):
        row = jnp.broadcast_to(unit[i][:, None], side_by_side.shape[1:])
        for j in range(i):
            row = row - side_by_side[i, j][None, :] * rows[j]
        rows.append(row)
    return jnp.moveaxis(jnp.stack(rows), -1, 0).reshape(strictly_lower.shape)


@unit_lower_inverse.defjvp
def _inverse_jvp(primals, tangents):
    inverse = unit_lower_inverse(*primals)
    return inverse, -(inverse @ jnp.tril(tangents[0], -1) @ inverse)

"""Learning without labels: VICReg, which keeps two views of a picture alike and their numbers varied and unlike.

    loss = 25 mean |z - z'|^2 + 25 [v(z) + v(z')] + [c(z) + c(z')]
    v(z) = mean_j max(0, 1 - sqrt(var_j + 1e-4)),   c(z) = sum_{i != j} cov_ij^2 / d

The mean in the first term is over the batch, the square over the d numbers divided by d, as in the release. Variances
are those of the sample, n - 1. Source: A. Bardes, J. Ponce, Y. LeCun, arXiv 2105.04906, equations 1 to 6.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nn._checks import check_at_least


def vicreg_loss(
    first: Float[Array, "batch numbers"],
    second: Float[Array, "batch numbers"],
    *,
    alike: float | int = 25.0,
    varied: float | int = 25.0,
    unlike: float | int = 1.0,
) -> Float[Array, ""]:
    """Loss of the projections of two views of the same pictures.

    Args:
        first: Projections of the first views.
        second: Of the second views, row by row.
        alike: Weight of the first term.
        varied: Weight of the variances.
        unlike: Weight of the covariances.

    Raises:
        ValueError: If there are fewer than two rows.
    """
    check_at_least(first.shape[0], 2, "first", "A variance needs two rows.")
    loss = alike * jnp.mean((first - second) ** 2)
    for z in (first, second):
        z = z - z.mean(axis=0, keepdims=True)
        covariance = z.T @ z / (len(z) - 1)
        variances = jnp.diag(covariance)
        loss += varied * jnp.mean(jnp.maximum(0, 1 - jnp.sqrt(variances + 1e-4)))
        loss += unlike * (jnp.sum(covariance**2) - jnp.sum(variances**2)) / z.shape[1]
    return loss

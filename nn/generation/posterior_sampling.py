"""What a measurement leaves open of a picture whose prior is a flow: exact posteriors, and flows steered by likelihood.

For a mixture of Gaussians N(m_k, C_k) and a linear camera y = A z + noise of variance s^2 the posterior is again one.
With C_k = R R^T, M = 1 + R^T A^T A R / s^2 and b = R^T A^T (y - A m_k) / s^2,

    C_k' = R M^-1 R^T,   m_k' = m_k + R M^-1 b,   ln p_k' = ln p_k - (|y - A m_k|^2 / s^2 - b M^-1 b + ln det M) / 2,

so a covariance may be singular. For any camera the velocity of a flow gains the gradient
of the likelihood (noise at 0):

    v' = v + w (1 - t) / t  grad_x ln p(y | x_t),      ln p(y | x_t) ~ L(E[data | x_t]; r^2),
    r^2 = c (1 - t)^2 / (c t^2 + (1 - t)^2)            of data of variance c

(H. Chung et al., arXiv 2209.14687, put r = 0; the width r keeps early steps from trusting a guess of the data; J. Song
et al., ICLR 2023, "Pseudoinverse-guided diffusion models"). It is exact for one Gaussian of covariance c, and else
biased: compare the intervals of its samples with those of the exact posterior.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_axis, check_finite, check_in_range, check_positive
from nn.generation.exact_flow import GaussianMixture, make_gaussian_flow
from nn.generation.flow_matching import Velocity


def linear_posterior(
    prior: GaussianMixture,
    matrix: Float[Array, "measured numbers"],
    measured: Float[Array, " _"],
    variance: float | int,
) -> GaussianMixture:
    """Posterior of data after a linear measurement with Gaussian noise, exactly.

    Args:
        prior: Mixture that the data come from.
        matrix: A.
        measured: y.
        variance: Variance s^2 of the noise of each number of y.

    Raises:
        ValueError: If a size does not fit, a number is not finite, or the variance is not positive.
    """
    check_positive(variance, "variance")
    check_axis(matrix, "matrix", 1, prior.means.shape[1], "The prior has that many numbers.")
    check_axis(measured, "measured", 0, matrix.shape[0], "The matrix has that many rows.")
    check_finite(measured, "measured")
    camera = np.asarray(matrix, float)
    seen = camera.T @ camera / variance
    means, covariances, logs = [], [], []
    parts = zip(prior.log_weights, prior.means, prior.variances, prior.axes, strict=True)
    for log_weight, mean, spread, axes in parts:
        mean = np.asarray(mean, float)
        root = np.asarray(axes, float) * np.sqrt(np.asarray(spread, float))
        inner = np.eye(len(mean)) + root.T @ seen @ root
        missed = np.asarray(measured, float) - camera @ mean
        pulled = root.T @ (camera.T @ missed) / variance
        solved = np.linalg.solve(inner, np.concatenate([pulled[:, None], root.T], axis=1))
        means.append(mean + root @ solved[:, 0])
        covariance = root @ solved[:, 1:]
        covariances.append((covariance + covariance.T) / 2)
        square = missed @ missed / variance - pulled @ solved[:, 0]
        logs.append(float(log_weight) - (square + np.linalg.slogdet(inner)[1]) / 2)
    weights = np.exp(np.array(logs) - max(logs))
    kind = prior.means.dtype
    return make_gaussian_flow(
        jnp.asarray(np.stack(means), kind),
        jnp.asarray(np.stack(covariances), kind),
        jnp.asarray(weights, kind),
    )


def draw_mixture(
    mixture: GaussianMixture, n_draws: int, *, key: PRNGKeyArray
) -> Float[Array, "draws numbers"]:
    """Independent draws from a mixture of Gaussians, without following its flow.

    Args:
        mixture: The mixture.
        n_draws: Draws.
        key: PRNG key.

    Raises:
        ValueError: If there is no draw.
    """
    check_at_least(n_draws, 1, "n_draws")
    # NumPy: nothing to compile for each number of draws.
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), np.uint32)))
    shares = np.exp(np.asarray(mixture.log_weights, float))
    chosen = rng.choice(len(shares), n_draws, p=shares / shares.sum())
    found = np.asarray(mixture.means)[chosen]
    for k in np.unique(chosen):
        own = chosen == k
        scaled = rng.normal(size=(own.sum(), found.shape[1])) * np.sqrt(mixture.variances[k])
        found[own] += scaled @ np.asarray(mixture.axes[k]).T
    return jnp.asarray(found)


class SteeredFlow(eqx.Module):
    """A flow steered by a likelihood; made by `steer_flow`, followed by `sample_flow`.

    Attributes:
        velocity: The flow of the prior.
        log_likelihood: ln L of data (batch, numbers), told the variance r^2 (batch,) that the data may still have.
        weight: w; 0 leaves the flow as it is.
        variance: Variance c of the prior's data.
        reach: Root mean square by which steering may move the expected data.
    """

    velocity: Velocity
    log_likelihood: Callable[..., Array]
    weight: Float[Array, ""]
    variance: Float[Array, ""]
    reach: Float[Array, ""]

    def __call__(
        self, x: Float[Array, "batch numbers"], t: Float[Array, " batch"], condition=None
    ) -> Float[Array, "batch numbers"]:
        """v'(x, t)."""
        times = t.astype(x.dtype)[:, None]
        left = (1 - times) ** 2
        c = self.variance.astype(x.dtype)
        width = c * left / (c * times**2 + left)

        def likelihood(x):
            v = self.velocity(x, t, condition)
            return jnp.sum(self.log_likelihood(x + (1 - times) * v, width[:, 0])), v

        slope, v = jax.grad(likelihood, has_aux=True)(x)
        # At t = 0 the data do not depend on x: the slope is 0, and the quotient of the two stays finite.
        pull = (1 - times) / jnp.maximum(times, 1e-3) * slope
        moved = (1 - times) * jnp.sqrt(jnp.mean(pull**2, axis=1, keepdims=True))
        pull = pull * jnp.minimum(1, self.reach.astype(x.dtype) / jnp.maximum(moved, 1e-30))
        return v + self.weight.astype(x.dtype) * pull


def steer_flow(
    velocity: Velocity,
    log_likelihood: Callable[..., Array],
    *,
    variance: float | int,
    weight: float | int = 1.0,
    reach: float | int = 1e6,
) -> SteeredFlow:
    """A flow towards data that a measurement speaks for.

    Args:
        velocity: The flow of the prior, noise at 0.
        log_likelihood: `log_likelihood(data, spread)`, (batch, numbers) and (batch,) to (batch,): ln of the probability
            of what was measured, each row's own, where the data are known up to the variance `spread`. A module is
            data; a plain function compiles once for each.
        variance: Variance of a number of the prior's data.
        weight: Weight of the likelihood.
        reach: Largest root mean square by which a step may move the expected data: keeps few steps stable.

    Raises:
        ValueError: If the variance or reach is not positive, or the weight negative.
    """
    check_positive(variance, "variance")
    check_positive(reach, "reach")
    check_in_range(weight, "weight", 0, 1e6)
    numbers = (jnp.asarray(number, float) for number in (weight, variance, reach))
    return SteeredFlow(velocity, log_likelihood, *numbers)

"""Exact flows without a network: the best velocity field for a finite set of points, and for a mixture of Gaussians.

What flow matching learns is v(x, t) = E[data - noise | x_t = x] (`nn.generation.flow_matching`, noise at 0). For points
z_i, all equally probable,

    v(x, t) = (sum_i w_i z_i - x) / (1 - t),   w = softmax_i(-|x - t z_i|^2 / (2 (1 - t)^2)),

so that v(x, 0) = mean - x exactly: one step from pure noise gives the mean. For components N(m_k, C_k) with
probabilities p_k, x_t has components N(t m_k, S_k), S_k = t^2 C_k + (1 - t)^2, and

    v(x, t) = sum_k r_k(x) [m_k + (t C_k - (1 - t)) S_k^-1 (x - t m_k)],   r_k = probability of k given x.

A trained network can be no better than these on its training set; a sampler, a guidance rule or an inversion can be
tested on them to rounding.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_finite, is_concrete
from nn.generation.flow_time import check_times


class FinitePoints(eqx.Module):
    """The exact flow to a finite set of points; made by `make_finite_flow`.

    Attributes:
        points: z_i.
        labels: Class of each; None where there are none.
        n_classes: Classes; the label of this number is the null label, and stands for all points.
    """

    points: Float[Array, "points numbers"]
    labels: Int[Array, " points"] | None
    n_classes: int = eqx.field(static=True)

    def __call__(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Int[Array, " batch"] | None = None,
    ) -> Float[Array, "batch numbers"]:
        """v(x, t), of the points of a class where one is given.

        Args:
            x: Points on the path.
            t: Times in [0, 1), noise at 0; at 1, where a finite set has no velocity, traced ones give NaN.
            condition: Class of each; `n_classes` stands for all points, as None does.

        Raises:
            ValueError: If a time lies outside or a class does not exist.
        """
        check_times(t)
        if is_concrete(t) and np.any(np.asarray(t) == 1):
            raise ValueError(
                "`t` must be below 1, where a finite set has no velocity. End the grid before."
            )
        left = (1 - t).astype(x.dtype)[:, None]
        mean = self.weights(x, t, condition) @ self.points
        return (mean - x) / left

    def weights(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Int[Array, " batch"] | None = None,
    ) -> Float[Array, "batch points"]:
        """Probability of each point given x_t = x."""
        t = t.astype(x.dtype)[:, None]
        # Without |x|^2, which all points share: less cancels.
        squares = 0.5 * jnp.sum(self.points**2, axis=-1)[None]
        logits = (t * (x @ self.points.T) - t**2 * squares) / (1 - t) ** 2
        if condition is not None:
            logits = jnp.where(self._of(condition), logits, -jnp.inf)
        return jax.nn.softmax(logits, axis=-1)

    def _of(self, condition):
        if self.labels is None:
            raise ValueError(
                "`condition` must be None for points without labels; a flow without classes cannot be guided."
            )
        if (
            is_concrete(condition)
            and not ((np.asarray(condition) >= 0) & (np.asarray(condition) <= self.n_classes)).all()
        ):
            raise ValueError(
                f"`condition` must lie between 0 and {self.n_classes}, the null label, "
                f"but is {np.asarray(condition).tolist()}."
            )
        everything = condition[:, None] == self.n_classes
        return everything | (self.labels[None] == condition[:, None])


def make_finite_flow(
    points: Float[Array, "points numbers"], labels: Int[Array, " points"] | None = None
) -> FinitePoints:
    """The exact flow to a finite set of points.

    Args:
        points: The points, all equally probable.
        labels: Classes 0, 1, ..., none of them empty.

    Raises:
        ValueError: If there is no point, one is not finite, or a class is empty.
    """
    check_at_least(points.shape[0], 1, "points")
    check_finite(points, "points")
    if labels is None:
        return FinitePoints(points, None, 0)
    counts = np.bincount(np.asarray(labels))
    if not counts.all():
        raise ValueError(f"`labels` must fill every class, but has no {int(np.argmin(counts))}.")
    return FinitePoints(points, labels, len(counts))


class GaussianMixture(eqx.Module):
    """The exact flow to a mixture of Gaussians; made by `make_gaussian_flow`.

    Attributes:
        log_weights: ln p_k.
        means: m_k.
        variances: Eigenvalues of C_k.
        axes: Eigenvectors of C_k, in columns.
    """

    log_weights: Float[Array, " components"]
    means: Float[Array, "components numbers"]
    variances: Float[Array, "components numbers"]
    axes: Float[Array, "components numbers numbers"]

    def __call__(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Float[Array, "batch components"] | None = None,
    ) -> Float[Array, "batch numbers"]:
        """v(x, t).

        Args:
            x: Points on the path.
            t: Times in [0, 1], noise at 0; below 1 where a variance is 0.
            condition: ln p_k of each row, in place of the flow's own; a class is one with -inf for all others.

        Raises:
            ValueError: If a time lies outside.
        """
        check_times(t)
        along, parts = self._parts(x, t, condition)
        t = t.astype(x.dtype)[:, None, None]
        slope = (t * self.variances[None] - (1 - t)) / self._spread(t)
        moved = jnp.einsum("kij,bkj->bki", self.axes, slope * along)
        chances = jax.nn.softmax(parts, axis=-1)
        return jnp.sum(chances[..., None] * (self.means[None] + moved), axis=1)

    def data(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Float[Array, "batch components"] | None = None,
    ) -> Float[Array, "batch numbers"]:
        """E[data | x_t = x]: the denoised points."""
        return x + (1 - t).astype(x.dtype)[:, None] * self(x, t, condition)

    def log_density(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Float[Array, "batch components"] | None = None,
    ) -> Float[Array, " batch"]:
        """ln of the density of x_t."""
        _, parts = self._parts(x, t, condition)
        weights = self.log_weights[None] if condition is None else condition
        total = jax.nn.logsumexp(weights, axis=-1)
        return jax.nn.logsumexp(parts, axis=-1) - total - 0.5 * x.shape[-1] * jnp.log(2 * jnp.pi)

    def responsibilities(
        self,
        x: Float[Array, "batch numbers"],
        t: Float[Array, " batch"],
        condition: Float[Array, "batch components"] | None = None,
    ) -> Float[Array, "batch components"]:
        """Probability of each component given x_t = x."""
        return jax.nn.softmax(self._parts(x, t, condition)[1], axis=-1)

    def transport(self, noise: Float[Array, "batch numbers"]) -> Float[Array, "batch numbers"]:
        """Where the flow of a single Gaussian carries noise: m + C^(1/2) noise, exactly.

        Raises:
            ValueError: If there are several components; their flow has no closed form.
        """
        if len(self.means) != 1:
            raise ValueError(
                f"`transport` is known for one Gaussian, but the mixture has {len(self.means)}."
            )
        turned = jnp.sqrt(self.variances) * (noise @ self.axes[0])
        return self.means + turned @ self.axes[0].T

    def _parts(self, x, t, condition):
        """Deviations along the axes, and ln p_k - ln N(x; t m_k, S_k) but for a constant."""
        t = t.astype(x.dtype)[:, None, None]
        along = jnp.einsum("kij,bki->bkj", self.axes, x[:, None] - t * self.means[None])
        spread = self._spread(t)
        weights = self.log_weights[None] if condition is None else condition
        return along, weights - 0.5 * jnp.sum(along**2 / spread + jnp.log(spread), axis=-1)

    def _spread(self, t):
        return t**2 * self.variances[None] + (1 - t) ** 2


def make_gaussian_flow(
    means: Float[Array, "components numbers"],
    covariances: Float[Array, "components numbers numbers"],
    weights: Float[Array, " components"] | None = None,
) -> GaussianMixture:
    """The exact flow to a mixture of Gaussians.

    Args:
        means: m_k.
        covariances: C_k, symmetric with no negative eigenvalue.
        weights: Probabilities p_k up to a factor; None makes all equal.

    Raises:
        ValueError: If a number is not finite, a weight negative, or a covariance not symmetric or not positive.
    """
    check_finite(means, "means")
    check_finite(covariances, "covariances")
    matrices = np.asarray(covariances)
    size = np.abs(matrices).max() + np.finfo(matrices.dtype).tiny
    slack = 1e3 * np.finfo(matrices.dtype).eps * size
    if np.abs(matrices - matrices.swapaxes(1, 2)).max() > slack:
        raise ValueError("`covariances` must be symmetric, but are not.")
    variances, axes = np.linalg.eigh(matrices)
    if variances.min() < -slack * len(matrices[0]):
        raise ValueError(
            f"`covariances` must have no negative eigenvalue, but have {variances.min():g}."
        )
    shares = np.ones(len(matrices)) if weights is None else np.asarray(weights)
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError(
            f"`weights` must be finite and not negative, not all 0, but are {shares.tolist()}."
        )
    with np.errstate(divide="ignore"):
        logs = np.log(shares / shares.sum()).astype(matrices.dtype)
    arrays = (logs, np.asarray(means), np.maximum(variances, 0), axes)
    return GaussianMixture(*(jnp.asarray(array, matrices.dtype) for array in arrays))

"""Gradients from measured losses alone: SPSA, finite differences, score function.

None of them needs a model, a derivative or the phase of the last field. They pay with frames: each estimate takes
several runs of the whole hardware, and its noise grows with the number of weights. `superpixel` (see
`optics.learning.superpixels`) trades resolution for noise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from optics._checks import check_positive
from optics.learning.passes import frames_per_output
from optics.learning.protocols import AbstractLearningRule, GradientEstimate, require_bench
from optics.learning.superpixels import (
    check_count,
    coarse_zeros,
    from_vector,
    n_offsets,
    share,
    trial,
)


class Spsa(AbstractLearningRule):
    """Simultaneous perturbation: all weights by +-`size` at once, a random sign each.

    g_i = [L(w + c D) - L(w - c D)] / (2 c D_i); J. C. Spall, IEEE Trans. Autom. Control 37, 332 (1992), DOI
    10.1109/9.119632. Unbiased up to c^2 times third derivatives; the variance of a component is the sum of the squares
    of all others.

    Attributes:
        size: Perturbation c, rad (and transmission, where amplitudes train).
        n_pairs: Pairs of opposite perturbations averaged in a step.
        superpixel: Side of the blocks that move together, in weights.
    """

    size: float = 0.1
    n_pairs: int = 1
    superpixel: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_positive(self.size, "size", "rad")
        check_count(self.n_pairs, "n_pairs")
        check_count(self.superpixel, "superpixel")

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "SPSA")
        zeros, unravel = ravel_pytree(coarse_zeros(network, self.superpixel))

        def pair(index):
            sign_key, plus_key, minus_key = jax.random.split(jax.random.fold_in(key, index), 3)
            signs = jax.random.rademacher(sign_key, zeros.shape, zeros.dtype)

            def run(direction, noise_key, passes):
                offsets = unravel(direction * self.size * signs)
                when = time + (2 * index + passes) * network.n_layers
                return trial(
                    network, bench, field, labels, offsets, self.superpixel, key=noise_key, time=when
                )  # fmt: skip

            above, output = run(1, plus_key, 0)
            below, _ = run(-1, minus_key, 1)
            return (above - below) / (2 * self.size) * signs, (above + below) / 2, output

        slopes, losses, outputs = jax.lax.map(pair, jnp.arange(self.n_pairs))
        gradient = share(unravel(slopes.mean(axis=0)), network, self.superpixel)
        return GradientEstimate(losses.mean(), gradient, outputs[0])

    def measurements_per_sample(self, n_layers: int) -> int:
        """Two runs of all layers for every pair."""
        return 2 * self.n_pairs * n_layers

    def frames_per_sample(self, n_layers: int) -> int:
        """The last layer needs an intensity only."""
        return 2 * self.n_pairs * frames_per_output(n_layers)


class FiniteDifference(AbstractLearningRule):
    """Central differences of some coordinates a step, drawn anew each time; the others get zero.

    Exact up to h^2 / 6 times the third derivative. All coordinates of a panel would take twice as many runs of the
    hardware as it has pixels: for 2 layers of 64 x 64 px, 16,384 runs for one gradient.

    Attributes:
        n_coordinates: Coordinates measured in a step; None measures all.
        size: Step h, rad (and transmission, where amplitudes train).
        superpixel: Side of the blocks that move together, in weights.
    """

    n_coordinates: int | None = 32
    size: float = 0.3
    superpixel: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_positive(self.size, "size", "rad")
        check_count(self.superpixel, "superpixel")
        if self.n_coordinates is not None:
            check_count(self.n_coordinates, "n_coordinates")

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required.

        Raises:
            ValueError: If there is no bench, or fewer coordinates than are asked for.
        """
        bench = require_bench(bench, "finite-difference")
        total = n_offsets(network, self.superpixel)
        count = total if self.n_coordinates is None else self.n_coordinates
        if count > total:
            raise ValueError(
                f"`n_coordinates` must be at most the {total} that there are, but is {count}; lower it or `superpixel`."
            )
        choice_key, noise_key = jax.random.split(key)
        chosen = jax.random.choice(choice_key, total, (count,), replace=False)
        zeros = jnp.zeros(total, network.phase.dtype)

        def coordinate(_, inputs):
            index, which = inputs

            def run(step, passes):
                offsets = from_vector(network, self.superpixel, zeros.at[which].set(step))
                number = 2 * index + passes
                return trial(
                    network, bench, field, labels, offsets, self.superpixel,
                    key=jax.random.fold_in(noise_key, number), time=time + number * network.n_layers,
                )  # fmt: skip

            above, output = run(self.size, 0)
            below, _ = run(-self.size, 1)
            # One output is enough for the report: that of the last coordinate.
            return output, ((above - below) / (2 * self.size), (above + below) / 2)

        output, (slopes, losses) = jax.lax.scan(
            coordinate, jnp.zeros_like(field), (jnp.arange(count), chosen)
        )
        coarse = from_vector(network, self.superpixel, zeros.at[chosen].set(slopes))
        return GradientEstimate(losses.mean(), share(coarse, network, self.superpixel), output)

    def measurements_per_sample(self, n_layers: int) -> int:
        """Two runs of all layers for every coordinate."""
        return 2 * self._count() * n_layers

    def frames_per_sample(self, n_layers: int) -> int:
        """The last layer needs an intensity only."""
        return 2 * self._count() * frames_per_output(n_layers)

    def _count(self) -> int:
        if self.n_coordinates is None:
            raise ValueError(
                "`n_coordinates` must be a number for frames to be counted, but is None (all); "
                "give `n_offsets(network, superpixel)`."
            )
        return self.n_coordinates


class ScoreFunction(AbstractLearningRule):
    """Score-function estimate (REINFORCE) over Gaussian weights: model-free optimisation of an optical system.

    g = mean_k (L_k - b_k) (m_k - mu) / sigma^2 with m_k ~ N(mu, sigma^2); R. J. Williams, Machine Learning 8, 229
    (1992), DOI 10.1007/BF00992696; for optics G. Zhao, X. Shu, R. Zhou, arXiv 2307.11957 (2023), whose published
    settings are 128 masks and sigma 0.05. The baseline b_k is the mean of the other losses, which keeps the estimate
    unbiased for the gradient of the loss smoothed by the Gaussian. The mean mu is what is deployed.

    Attributes:
        sigma: Standard deviation of the weights tried, rad (and transmission, where amplitudes train).
        n_masks: Trials a step, at least 2.
        superpixel: Side of the blocks that move together, in weights.
    """

    sigma: float = 0.05
    n_masks: int = 128
    superpixel: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_positive(self.sigma, "sigma", "rad")
        check_count(self.n_masks, "n_masks", 2)
        check_count(self.superpixel, "superpixel")

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "score-function")
        zeros, unravel = ravel_pytree(coarse_zeros(network, self.superpixel))
        draw_key, noise_key = jax.random.split(key)

        def draw(index):
            return jax.random.normal(jax.random.fold_in(draw_key, index), zeros.shape, zeros.dtype)

        def mask(_, index):
            loss, output = trial(
                network, bench, field, labels, unravel(self.sigma * draw(index)), self.superpixel,
                key=jax.random.fold_in(noise_key, index), time=time + index * network.n_layers,
            )  # fmt: skip
            return output, loss

        count = self.n_masks
        output, losses = jax.lax.scan(mask, jnp.zeros_like(field), jnp.arange(count))
        # L_k minus the mean of the others.
        advantages = (losses - losses.mean()) * count / (count - 1)

        # Masks are drawn again rather than kept: 128 of a large panel would not fit.
        def add(total, inputs):
            index, advantage = inputs
            return total + advantage.astype(zeros.dtype) * draw(index) / self.sigma / count, None

        slopes, _ = jax.lax.scan(add, zeros, (jnp.arange(count), advantages))
        gradient = share(unravel(slopes), network, self.superpixel)
        return GradientEstimate(losses.mean(), gradient, output)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One run of all layers for every mask."""
        return self.n_masks * n_layers

    def frames_per_sample(self, n_layers: int) -> int:
        """The last layer needs an intensity only."""
        return self.n_masks * frames_per_output(n_layers)

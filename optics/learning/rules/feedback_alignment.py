"""Direct feedback alignment: every hidden layer hears the error at the end through a fixed random map of its own.

    c_{y_l} = f'^T(y_l) [B_l c_{y_L}],        last layer: c_{y_L} itself

A. Nokland, "Direct feedback alignment provides learning in deep neural networks", NeurIPS 2016, arXiv 1609.01596. The
weights of a layer follow from c_{y_l} by the ideal model of that layer alone; no error crosses two layers.
Random unitary B_l are drawn as D F D F D (F the Fourier transform, D random phases): N log N work and 3 N numbers in
place of N^2. That choice is ours.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics.learning.passes import chain_pass, measure_data_pass
from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    Network,
    require_bench,
)
from optics.waves.field import over_batch


class DenseFeedback(eqx.Module):
    """Any linear maps, one per hidden layer.

    Attributes:
        matrix: B_l for flattened fields, l = 1 .. L - 1.
    """

    matrix: Complex[Array, "hidden out in"]

    def weights(self) -> Array:
        """What belongs to each hidden layer, layer first."""
        return self.matrix

    def send(self, error, weights) -> Array:
        """B_l applied to an error."""
        flat = error.reshape(error.shape[0], -1)
        return (flat @ weights.T.astype(error.dtype)).reshape(error.shape)


class RandomFeedback(eqx.Module):
    """Random unitary maps; `make_random_feedback` draws them.

    Attributes:
        phase: Three phase screens per hidden layer, rad.
    """

    phase: Float[Array, "hidden three ..."]

    def weights(self) -> Array:
        """What belongs to each hidden layer, layer first."""
        return self.phase

    def send(self, error, weights) -> Array:
        """B_l applied to an error."""
        axes = tuple(range(1, error.ndim))
        screens = jnp.exp(1j * weights).astype(error.dtype)
        for i, screen in enumerate(screens):
            error = over_batch(screen, error) * error
            if i < len(screens) - 1:
                error = jnp.fft.fftn(error, axes=axes, norm="ortho")
        return error


def make_random_feedback(
    network: Network, signal_shape: tuple[int, ...], *, key: PRNGKeyArray
) -> RandomFeedback:
    """Draws one random unitary map for every hidden layer.

    Args:
        network: Network to train.
        signal_shape: Shape of one field, such as (ny, nx), or (ports,).
        key: PRNG key of the draw.
    """
    shape = (network.n_layers - 1, 3, *signal_shape)
    return RandomFeedback(jax.random.uniform(key, shape, network.phase.dtype, maxval=2 * jnp.pi))


class FeedbackAlignment(AbstractLearningRule):
    """DFA rule: measured forward, random feedback.

    Attributes:
        feedback: Maps from the error at the end to the hidden layers.
    """

    feedback: DenseFeedback | RandomFeedback

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required.

        Raises:
            ValueError: If there is no bench, or not one map for every hidden layer.
        """
        bench = require_bench(bench, "feedback-alignment")
        weights = self.feedback.weights()
        if weights.shape[0] != network.n_layers - 1:
            raise ValueError(
                f"`feedback` must have {network.n_layers - 1} maps, one per hidden layer, but has {weights.shape[0]}."
            )
        # A row for the last layer too, which never uses it: all layers run in one scan.
        rows = jnp.concatenate([weights, jnp.zeros((1, *weights.shape[1:]), weights.dtype)])
        data = measure_data_pass(network, bench, field, key=key, time=time)
        return chain_pass(
            network, data, labels, lambda _, last, row: self.feedback.send(last, row), rows
        )

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data pass per layer; the feedback is electronic."""
        return n_layers

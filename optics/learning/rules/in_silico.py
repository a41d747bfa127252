"""In-silico training: automatic differentiation of the ideal model; the hardware is met only when the weights are used.

X. Lin et al., "All-optical machine learning using diffractive deep neural networks", Science 361, 1004-1008 (2018),
DOI 10.1126/science.aat8084.
"""

import jax

from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    weights_of,
    with_weights,
)


class InSilico(AbstractLearningRule):
    """Back-propagation through the model; ignores the bench."""

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`."""
        del bench, key, time

        def loss(weights):
            output = with_weights(network, weights)(field)
            return network.readout.loss(output, labels), output

        (value, output), gradient = jax.value_and_grad(loss, has_aux=True)(weights_of(network))
        return GradientEstimate(value, gradient, output)

    def measurements_per_sample(self, n_layers: int) -> int:
        """Nothing is measured."""
        del n_layers
        return 0

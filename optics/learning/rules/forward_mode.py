"""Fully forward mode: the error goes through the same hardware, in the same direction, as the data.

Z. Xue, T. Zhou, Z. Xu, S. Yu, Q. Dai, L. Fang, "Fully forward mode training for optical neural networks", Nature 632,
280-286 (2024), DOI 10.1038/s41586-024-07687-4. The gradient needs H^T acting on the error; where H = H^T, running the
bench forward on the error is that. No model of the bench is used: only the commanded weights, the measured fields, and
the loss and activation, both computed in electronics.
"""

import cmath
import math

import jax
import jax.numpy as jnp

from optics.learning.passes import error_pass, measure_data_pass
from optics.learning.protocols import AbstractLearningRule, GradientEstimate, require_bench


class ForwardMode(AbstractLearningRule):
    """FFM training rule; needs a bench whose flat-weight operator is symmetric for its gradient to be exact.

    Attributes:
        flat_phase: Phase of the flat modulator while the error passes, rad. Mid-range by default: an error of the
            phase stroke then turns the error field as far one way as the other (our choice; the paper's is unknown).
    """

    flat_phase: float = math.pi

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "forward-mode")
        data_key, error_key = jax.random.split(key)
        data = measure_data_pass(network, bench, field, key=data_key, time=time)
        flat = jnp.full_like(network.phase[0], self.flat_phase)
        # Commanded flat phase, known to electronics, is taken off again.
        untwist = cmath.exp(-1j * self.flat_phase)

        def transport(error, layer_key, passes):
            when = time + network.n_layers + passes
            return untwist * bench.measure_field(error, flat, key=layer_key, time=when)

        return error_pass(network, data, labels, transport, key=error_key)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data and one error pass per layer."""
        return 2 * n_layers

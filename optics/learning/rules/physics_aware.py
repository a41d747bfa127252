"""Physics-aware training: data through the hardware, error through the model.

L. G. Wright et al., "Deep physical neural networks trained with backpropagation", Nature 601, 549-555 (2022),
DOI 10.1038/s41586-021-04223-6. The backward pass is the ideal model's, evaluated at the fields the hardware gave and
turned by the common phase between the two (`optics.learning.passes.chain_pass`).
"""

import jax

from optics.learning.passes import chain_pass, measure_data_pass
from optics.learning.protocols import AbstractLearningRule, GradientEstimate, require_bench


class PhysicsAware(AbstractLearningRule):
    """PAT rule: measured forward, modelled backward; for any network."""

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "physics-aware")
        data_key, _ = jax.random.split(key)
        data = measure_data_pass(network, bench, field, key=data_key, time=time)
        return chain_pass(network, data, labels)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data pass per layer."""
        return n_layers

"""In-situ back-propagation of a diffractive network: the error really travels backwards through the hardware.

T. Zhou et al., "In situ optical backpropagation training of diffractive optical neural networks", Photonics Research 8,
940 (2020), DOI 10.1364/PRJ.389553. A beam is sent from the camera plane to the modulator and its field is measured
there: by reciprocity that is H^T on the error, whatever H is, so that no symmetry of the hardware is needed (dL/dphi =
-Im[u H^T c], as in `optics.learning.forward_mode` with H^T in place of H). The price is a second beam path that
must be registered with the first; `OpticalBench.backward_shift_px` is its error. For meshes of interferometers, where
the light goes back through the same waveguides, see the rule that belongs to them.
"""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array

from optics.learning.rule import (
    AbstractLearningRule,
    GradientEstimate,
    error_pass,
    measure_data_pass,
    require_bench,
)


@runtime_checkable
class BidirectionalBench(Protocol):
    """A bench that can send light from the camera plane back to the modulator."""

    def measure_field_backward(self, field: Any, *, key: Any, time: Any = 0) -> Array:
        """Field at the modulator for light that starts at the camera plane."""
        ...


class InSituBackprop(AbstractLearningRule):
    """Measured forward, measured backward."""

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench that sends light backwards is required.

        Raises:
            ValueError: If there is no bench.
            TypeError: If the bench has no backward path.
        """
        bench = require_bench(bench, "in-situ")
        if not isinstance(bench, BidirectionalBench):
            raise TypeError(
                f"`bench` must have `measure_field_backward` for in-situ training, but is a {type(bench).__name__}."
            )
        data_key, error_key = jax.random.split(key)
        data = measure_data_pass(network, bench, field, key=data_key, time=time)

        def transport(error, layer_key, passes):
            when = time + network.n_layers + passes
            return bench.measure_field_backward(error, key=layer_key, time=when)

        return error_pass(network, data, labels, transport, key=error_key)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data and one backward pass per layer."""
        return 2 * n_layers

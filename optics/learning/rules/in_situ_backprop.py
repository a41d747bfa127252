"""In-situ back-propagation of a diffractive network: the error really travels backwards through the hardware.

T. Zhou et al., "In situ optical backpropagation training of diffractive optical neural networks", Photonics Research 8,
940 (2020), DOI 10.1364/PRJ.389553. A beam is sent from the camera plane to the modulator and its field is measured
behind it: by reciprocity that is M H^T on the error c, whatever transport H and modulator M are, so that neither a
symmetry of the hardware nor a calibrated modulator is needed:

    c_x = M H^T c,    dL/dphi = -Im[x c_x],    dL/da = Re[x c_x] / a

with x the loaded field; a stroke error scales the gradient. The price is a second beam path that must be registered
with the first; the bench's `backward_shift_px` is its error. For meshes of interferometers, where the light goes back
through the same waveguides, see the rule that belongs to them.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from optics.learning.passes import measure_data_pass
from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    Weights,
    require_bench,
)


@runtime_checkable
class BidirectionalBench(Protocol):
    """A bench that can send light from the camera plane back to the modulator."""

    def measure_field_backward(
        self, field: Any, phase: Any, amplitude: Any = None, *, key: Any, time: Any = 0
    ) -> Array:
        """Field behind the modulator for light that starts at the camera plane."""
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

        output = data.measured[-1]
        loss, error = jax.value_and_grad(network.readout.loss)(output, labels)
        last = network.n_layers - 1

        def step(carry, inputs):
            layer, (phase, amplitude), x, y, layer_key = inputs
            c_y = jnp.where(layer < last, jax.vjp(network.activate, y)[1](carry)[0], carry)
            when = time + network.n_layers + last - layer
            c_x = bench.measure_field_backward(c_y, phase, amplitude, key=layer_key, time=when)
            product = jnp.sum(x * c_x, axis=0)
            if amplitude is None:
                return c_x, (-jnp.imag(product), None)
            # A closed pixel sends nothing back: its gradient cannot be seen.
            open_ = jnp.where(amplitude > 0, amplitude, jnp.inf)
            return c_x, (-jnp.imag(product), jnp.real(product) / open_)

        keys = jax.random.split(error_key, network.n_layers)
        weights = (network.phase, network.amplitude)
        layers = (jnp.arange(network.n_layers), weights, data.loaded, data.measured, keys)
        _, (phase, amplitude) = jax.lax.scan(step, error, layers, reverse=True)
        return GradientEstimate(loss, Weights(phase, amplitude), output)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data and one backward pass per layer."""
        return 2 * n_layers

"""The true gradient on a piece of hardware: what every estimate is judged by, and what no learner may ask for.

A bench hides its drawn errors and refuses a derivative. The experimenter, who drew them, may look behind the counter
(`reveal()` of a bench, or the twin it was made of) and differentiate the very map that light meets. Rules and methods
never import this module, and the test of the layout holds them to it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from optics.learning.protocols import GradientEstimate, Network, weights_of, with_weights

Layer = Callable[
    ..., Array
]  # (field, phase, amplitude) -> field, `HardwareTwin.run` or `MeshTwin.run`


def true_gradient(network: Network, run: Layer, field, labels) -> GradientEstimate:
    """Loss and gradient of a network whose every layer is the given hardware, by automatic differentiation.

    Args:
        network: Supplies weights, activation and readout; its model of a layer is not used.
        run: One layer of the hardware without noise, `(field, phase, amplitude)` -> field.
        field: Input fields, batch first.
        labels: What the readout's loss wants of each.
    """
    last = network.n_layers - 1

    def loss(weights):
        trial = with_weights(network, weights)

        def step(x, inputs):
            layer, phase, amplitude = inputs
            y = run(x, phase, amplitude)
            return jnp.where(layer < last, trial.activate(y), y), None

        layers = (jnp.arange(network.n_layers), *weights)
        output, _ = jax.lax.scan(step, field, layers)
        return trial.readout.loss(output, labels), output

    (value, output), gradient = jax.value_and_grad(loss, has_aux=True)(weights_of(network))
    return GradientEstimate(value, gradient, output)


def true_phase_gradient(
    run: Callable[[Any, Any], Array], loss: Callable[[Array], Array], field, phase
) -> Float[Array, "..."]:
    """The same for a single modulator and a loss of the field behind the hardware.

    Args:
        run: `(field, phase)` -> field.
        loss: Field -> loss.
        field: Light on the modulator.
        phase: Phase, rad.
    """
    return jax.grad(lambda trial: loss(run(field, trial)))(phase)

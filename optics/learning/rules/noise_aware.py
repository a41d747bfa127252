"""Noise-aware ("vaccinated") training: in silico, but every step on another randomly wrong model; no hardware.

D. Mengu et al., "Misalignment resilient diffractive optical networks", Nanophotonics 9, 4207 (2020), DOI
10.1515/nanoph-2020-0291. The loss is averaged over random errors, so that the weights found stand them. Which errors
and how large is what the trainer guesses: here a phase error of every weight, a common stroke error, and a lateral
displacement of the camera, one draw for the whole of a simulated bench.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from optics._checks import check_in_range
from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    Weights,
    weights_of,
)
from optics.learning.superpixels import check_count
from optics.waves.shifts import displaced


class NoiseAware(AbstractLearningRule):
    """Back-propagation through randomly perturbed models; ignores the bench.

    Attributes:
        phase_error: Static error of every weight, rad rms, the same in all layers of a draw as on a shared modulator.
        stroke_error: Relative error of all phases, standard deviation.
        stroke_offset: Mean of that error, where the trainer knows its sign.
        shift_px: Displacement of the camera along each axis, standard deviation in pixels; for fields (y, x) only.
        n_draws: Models averaged in a step.
    """

    phase_error: float = 0.3
    stroke_error: float = 0.1
    stroke_offset: float = 0.0
    shift_px: float = 0.0
    n_draws: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_in_range(self.phase_error, "phase_error", 0, 100, "rad")
        check_in_range(self.stroke_error, "stroke_error", 0, 10)
        check_in_range(self.shift_px, "shift_px", 0, 100, "px")
        check_count(self.n_draws, "n_draws")

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`."""
        del bench, time

        def one(draw_key):
            def loss(weights):
                output = self.simulate(network, weights, field, key=draw_key)
                return network.readout.loss(output, labels), output

            return jax.value_and_grad(loss, has_aux=True)(weights_of(network))

        (losses, outputs), gradients = jax.lax.map(one, jax.random.split(key, self.n_draws))
        gradient = jax.tree.map(lambda g: g.mean(axis=0), gradients)
        return GradientEstimate(losses.mean(), gradient, outputs[0])

    def simulate(self, network, weights: Weights, field, *, key):
        """Output of one randomly wrong model."""
        phase_key, stroke_key, shift_key = jax.random.split(key, 3)
        phase, amplitude = weights
        error = self.phase_error * jax.random.normal(phase_key, phase.shape[1:], phase.dtype)
        stroke = 1 + self.stroke_offset
        stroke = stroke + self.stroke_error * jax.random.normal(stroke_key, (), phase.dtype)
        # A wrong stroke scales the wrapped phase, as a modulator does.
        wrong = stroke * jnp.mod(phase, 2 * jnp.pi) + error[None]
        shift = self.shift_px * jax.random.normal(shift_key, (2,), phase.dtype)
        last = network.n_layers - 1

        def step(x, inputs):
            layer, one = inputs
            y = network.layer(x, *one)
            y = displaced(y, shift) if self.shift_px else y
            return jnp.where(layer < last, network.activate(y), y), None

        return jax.lax.scan(step, field, (jnp.arange(network.n_layers), (wrong, amplitude)))[0]

    def measurements_per_sample(self, n_layers: int) -> int:
        """Nothing is measured."""
        del n_layers
        return 0

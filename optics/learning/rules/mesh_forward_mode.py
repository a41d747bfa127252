"""Fully forward mode on meshes: the error enters the same inputs as the data and runs the same way.

Z. Xue et al., "Fully forward mode training for optical neural networks", Nature 632, 280-286 (2024), DOI
10.1038/s41586-024-07687-4, Fig. 5. The core must be its own transpose, A = A^T: a mesh behind its mirror image with
tied phases, or one mesh crossed twice (`optics.meshes.symmetric`). A folded core is symmetric whatever its errors, a
mirrored one as far as both halves have the same. Taps measure the light at every phase shifter. A shifter of one half
sees in the error run the light that its twin of the other half would see from the error sent backwards, so a tied phase
gets

    dL/dphi = -Im sum over samples of (u_first c_second + u_second c_first),

u from the data run and c from the run of c = dL/d(Re y) - i dL/d(Im y); A c is the error of the layer before. No model
of the chip enters: only its layout, commanded phases, and the loss and activation, both in electronics.
"""

import jax
import jax.numpy as jnp

from optics.learning.protocols import AbstractLearningRule, GradientEstimate, Weights
from optics.learning.rules.mesh_in_situ import require_core
from optics.meshes.symmetric import SymmetricCore, tied_gradient


class MeshForwardMode(AbstractLearningRule):
    """FFM rule for networks whose core is a `SymmetricCore`; exact on hardware that is symmetric."""

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench with taps is required.

        Raises:
            ValueError: If there is no bench.
            TypeError: If the core is not a `SymmetricCore`, or the bench has no taps.
        """
        core, bench = require_core(network, bench, SymmetricCore, "forward-mode")
        n_layers = network.n_layers

        def data_step(x, inputs):
            layer, phase, keys = inputs
            y = bench.measure_field(x, phase, key=keys[0], time=time + layer)
            taps = bench.measure_taps(x, phase, key=keys[1], time=time + layer)
            return network.activate(y), (y, taps)

        keys = jax.random.split(key, (2, n_layers, 2))
        layers = jnp.arange(n_layers)
        _, (measured, data) = jax.lax.scan(data_step, field, (layers, network.phase, keys[0]))
        loss, error = jax.value_and_grad(network.readout.loss)(measured[-1], labels)

        def error_step(c_y, inputs):
            layer, phase, y_before, data, keys = inputs
            when = time + 2 * n_layers - 1 - layer
            error = bench.measure_taps(c_y, phase, key=keys[1], time=when)
            gradient = tied_gradient(data, error, gain=core.gain, pack=core.mesh.pack_fields).phases
            c_x = bench.measure_field(c_y, phase, key=keys[0], time=when)
            # Nothing stands before the first layer.
            _, pull_back = jax.vjp(network.activate, y_before)
            return jnp.where(layer > 0, pull_back(c_x)[0], c_x), gradient

        before = jnp.concatenate([field[None], measured[:-1]])
        inputs = (layers, network.phase, before, data, keys[1])
        _, phase = jax.lax.scan(error_step, error, inputs, reverse=True)
        return GradientEstimate(loss, Weights(phase, None), measured[-1])

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data and one error pass per layer; ports and taps are read in the same exposures."""
        return 2 * n_layers

"""In-situ back-propagation on meshes: gradients from intensities at the phase shifters.

T. W. Hughes et al., "Training of photonic neural networks through in situ backpropagation and gradient measurement",
Optica 5, 864 (2018), DOI 10.1364/OPTICA.5.000864; S. Pai et al., "Experimentally realized in situ backpropagation for
deep learning in photonic neural networks", Science 380, 398 (2023), DOI 10.1126/science.ade8450. Per layer:

1. data x run forwards: I_data = |u|^2 at each shifter;
2. the error c = dL/d(Re y) - i dL/d(Im y) runs backwards from the outputs, I_error = |c|^2 at each shifter, and leaves
   the inputs as b = M^T c, which is the error of the layer before;
3. x - i s conj(b) runs forwards, s a real scale. conj(b) retraces the way of the error, so that light at a shifter is
   u - i s conj(c): I_sum = |u|^2 + s^2 |c|^2 - 2 s Im(u c).

    dL/dphi = -Im(u c) = (I_sum - I_data - s^2 I_error) / (2 s), summed over samples.

Exact for any splitter and phase error, since waveguides are reciprocal. Step 3 needs time reversal besides, so loss
inside the mesh spoils it: retraced light is then dimmed twice.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

from optics.hardware.holography import FRAMES_PER_FIELD
from optics.hardware.mesh_bench import MeshBench
from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    Weights,
    require_bench,
)
from optics.meshes.mesh import Mesh
from optics.networks.mesh_network import MeshNetwork
from optics.waves.field import intensity

_MEASUREMENTS = 3  # Data, error, and both together.


class MeshInSitu(AbstractLearningRule):
    """In-situ rule for networks whose core is a `Mesh`, on a bench with taps and light in both directions."""

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench with taps is required.

        Raises:
            ValueError: If there is no bench.
            TypeError: If the core is not a `Mesh`, or the bench has no taps.
        """
        mesh, bench = require_core(network, bench, Mesh, "in-situ")
        n_layers = network.n_layers

        def intensities(light, phase, key, when, *, backward=False):
            taps = bench.measure_taps(light, phase, key=key, time=when, backward=backward)
            return jax.tree.map(intensity, taps)

        def data_step(x, inputs):
            layer, phase, keys = inputs
            y = bench.measure_field(x, phase, key=keys[0], time=time + layer)
            return network.activate(y), (x, y, intensities(x, phase, keys[1], time + layer))

        keys = jax.random.split(key, (2, n_layers, 3))
        layers = jnp.arange(n_layers)
        _, (loaded, measured, data) = jax.lax.scan(
            data_step, field, (layers, network.phase, keys[0])
        )
        loss, error = jax.value_and_grad(network.readout.loss)(measured[-1], labels)

        def error_step(c_y, inputs):
            layer, phase, x, y_before, data, keys = inputs
            when = time + n_layers + 2 * (n_layers - 1 - layer)
            c_x = bench.measure_field_backward(c_y, phase, key=keys[0], time=when)
            adjoint = intensities(c_y, phase, keys[1], when, backward=True)
            # As bright as the data, so that neither drowns in the other.
            scale = _norm(x) / jnp.maximum(_norm(c_x), 1e-30)
            together = x - 1j * scale[:, None] * jnp.conj(c_x)
            both = intensities(together, phase, keys[2], when + 1)

            def difference(i_both, i_data, i_error):
                s = scale.reshape(-1, *[1] * (i_both.ndim - 1))
                return jnp.sum((i_both - i_data - s**2 * i_error) / (2 * s), axis=0) + 0j

            gradient = jnp.real(mesh.pack_fields(jax.tree.map(difference, both, data, adjoint)))
            _, pull_back = jax.vjp(network.activate, y_before)
            return jnp.where(layer > 0, pull_back(c_x)[0], c_x), gradient

        before = jnp.concatenate([field[None], measured[:-1]])
        inputs = (layers, network.phase, loaded, before, data, keys[1])
        _, phase = jax.lax.scan(error_step, error, inputs, reverse=True)
        return GradientEstimate(loss, Weights(phase, None), measured[-1])

    def measurements_per_sample(self, n_layers: int) -> int:
        """Data, error, and both together, for each layer."""
        return _MEASUREMENTS * n_layers

    def frames_per_sample(self, n_layers: int) -> int:
        """Complex fields at the ports for data and error, one exposure of the taps for both together."""
        return (2 * FRAMES_PER_FIELD + 1) * n_layers


_Core = TypeVar("_Core")


def require_core(network, bench, kind: type[_Core], method: str) -> tuple[_Core, MeshBench]:
    """The core of a network of meshes and a bench with taps, or an error where they are something else.

    Raises:
        ValueError: If there is no bench.
        TypeError: If the core is not of the kind the method needs, or the bench has no taps.
    """
    bench = require_bench(bench, method)
    if not isinstance(bench, MeshBench):
        raise TypeError(
            f"`bench` must be a MeshBench for {method} training on meshes, but is a {type(bench).__name__}."
        )
    core = network.core if isinstance(network, MeshNetwork) else network
    if not isinstance(core, kind):
        raise TypeError(
            f"`network.core` must be a {kind.__name__} for {method} training, but is a {type(core).__name__}."
        )
    return core, bench


def _norm(fields):
    return jnp.sqrt(jnp.sum(intensity(fields), axis=-1))

"""Diffractive network: stacked phase (and amplitude) masks, propagation between them, detector regions at the end.

    u_l = a_l exp(i phi_l) x_l,    y_l = T u_l,    x_{l+1} = f(y_l),    p_j = sum over region j of |y_L|^2

after Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4 (principle: Fig. 1; the form is ours). This is
the model of the hardware, with its nominal geometry and no error; every learning rule in `optics.learning` starts from
it. Input encoding, detector layout and loss gain are unknown in the paper: they are parameters, the defaults our
choice.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics._checks import check_shape
from optics._numbers import takes_numbers
from optics.media.free_space import FreeSpace
from optics.media.geometry import Geometry
from optics.networks.layers import check_layer_count, over_layers
from optics.networks.readout import IntensityTarget, Readout
from optics.waves.elements import modulation
from optics.waves.field import over_batch

Activation = Callable[[Array], Array]


class DiffractiveNetwork(eqx.Module):
    """Layers of phase (and amplitude) weights with one propagation between planes.

    Attributes:
        phase: Commanded phases, rad.
        amplitude: Commanded transmissions in [0, 1], or None for phase-only layers.
        free_space: Nominal propagation, the same after every layer.
        readout: Detector regions and loss, or a wanted pattern.
        activation: Function of the measured field applied between layers; None for a linear network.
        n_lit: Number of layers that light passes, the first ones; None for all. See `first`.

    Raises:
        ValueError: If `n_lit` does not lie between 1 and the number of layers.
    """

    phase: Float[Array, "layer y x"]
    amplitude: Float[Array, "layer y x"] | None
    free_space: FreeSpace
    readout: Readout | IntensityTarget
    activation: Activation | None = eqx.field(static=True, default=None)
    n_lit: Int[Array, ""] | None = None

    def __check_init__(self):
        if self.n_lit is not None:
            check_layer_count(self.n_lit, "n_lit", self.phase.shape[0])

    @property
    def n_layers(self) -> int | Array:
        """Number of layers that light passes; an array, perhaps traced, where that is not all."""
        return self.phase.shape[0] if self.n_lit is None else self.n_lit

    def first(self, n_layers: int) -> "DiffractiveNetwork":
        """The same network with light passing its first layers only, so that networks of any depth share programs.

        The layers behind are skipped, at the cost of a copy of the field each, and training leaves them as they are.
        Forward mode, in-silico training, passes of data and evaluation take it; what needs the number of layers while
        it compiles refuses it.

        Args:
            n_layers: Layers that light passes.

        Raises:
            ValueError: If it does not lie between 1 and the number of layers.
        """
        check_layer_count(n_layers, "n_layers", self.phase.shape[0])
        n_lit = jax.device_put(np.int32(n_layers))
        return eqx.tree_at(lambda net: net.n_lit, self, n_lit, is_leaf=lambda leaf: leaf is None)

    @takes_numbers
    def activate(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Field loaded into the next layer."""
        return field if self.activation is None else self.activation(field)

    @takes_numbers
    def layer(
        self,
        field: Complex[Array, "*batch y x"],
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
    ) -> Complex[Array, "*batch y x"]:
        """Ideal model of one layer: modulation, then propagation to the next plane."""
        return self.free_space(over_batch(modulation(phase, amplitude), field) * field)

    @takes_numbers
    def __call__(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Field at the camera after the last layer, in the ideal model."""
        return run_layers(self, field, lambda x, weights: self.layer(x, *weights))


def run_layers(network: DiffractiveNetwork, field, layer: Callable) -> Array:
    """Sends a field through all layers by one scan; `layer(x, (phase, amplitude))` is one plane to the next.

    Activation stands between layers, not after the last one.
    """

    def step(carry, inputs):
        weights, is_last = inputs
        y = layer(carry, weights)
        if network.activation is None:
            return y, None
        return jnp.where(is_last, y, network.activate(y)), None

    weights = (network.phase, network.amplitude)
    is_last = jnp.arange(network.phase.shape[0]) == network.n_layers - 1
    return over_layers(step, field, (weights, is_last), network.n_layers)[0]


def trainable(network: DiffractiveNetwork) -> DiffractiveNetwork:
    """Filter for `equinox.partition`: phases, and amplitudes where there are any."""
    spec = jax.tree.map(lambda _: False, network)
    spec = eqx.tree_at(lambda n: n.phase, spec, True)
    if network.amplitude is not None:
        spec = eqx.tree_at(lambda n: n.amplitude, spec, True)
    return spec


def make_network(
    geometry: Geometry,
    n_layers: int,
    readout: Readout | IntensityTarget,
    *,
    key: PRNGKeyArray,
    activation: Activation | None = None,
    train_amplitude: bool = False,
    initial_phase_range: float = 2 * np.pi,
    dtype=jnp.complex64,
    **free_space_options,
) -> DiffractiveNetwork:
    """Builds a network with random phases and full transmission.

    Args:
        geometry: Nominal geometry.
        n_layers: Number of layers.
        readout: What the output is used for.
        key: PRNG key of the initial phases.
        activation: See `optics.networks.activations`; None for a linear network.
        train_amplitude: Adds amplitude weights, started at 1.
        initial_phase_range: Phases start uniform on [0, range), rad; our choice.
        dtype: complex64 or complex128.
        **free_space_options: `kernel` and `method` of `make_free_space`.

    Raises:
        ValueError: If `n_layers` is below 1 or the readout has another grid.
    """
    if n_layers < 1:
        raise ValueError(f"`n_layers` must be at least 1, but is {n_layers}.")
    if isinstance(readout, Readout):
        check_shape(
            readout.regions,
            "readout.regions",
            geometry.shape,
            "Build the readout for this geometry.",
        )
    real = jnp.finfo(dtype).dtype
    shape = (n_layers, *geometry.shape)
    phase = jax.random.uniform(key, shape, real) * initial_phase_range
    return DiffractiveNetwork(
        phase=phase.astype(real),
        amplitude=jnp.ones(shape, real) if train_amplitude else None,
        free_space=geometry.free_space(dtype, **free_space_options),
        readout=jax.tree.map(
            lambda a: jnp.asarray(a, real) if eqx.is_inexact_array(a) else a, readout
        ),
        activation=activation,
    )

"""Diffractive network: stacked phase (and amplitude) masks, propagation between them, detector regions at the end.

    u_l = a_l exp(i phi_l) x_l,    y_l = T u_l,    x_{l+1} = f(y_l),    p_j = sum over region j of |y_L|^2

as in Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4 (fact sheet, section 3.1). This is the model of
the hardware, with its nominal geometry and no error; every learning rule in `optics.learning` starts from it.
Input encoding, detector layout and loss gain are unknown in the paper: they are parameters, the defaults our choice.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics._checks import check_positive, check_shape
from optics.media.free_space import FreeSpace
from optics.media.geometry import Geometry
from optics.waves.field import computed_once, intensity, over_batch

Activation = Callable[[Array], Array]


class Readout(eqx.Module):
    """Detector regions and the softmax behind them.

    Attributes:
        regions: Region masks, one per class, each with values in [0, 1].
        gain: Factor from relative region power to logits; our choice, the paper's loss scale is unknown.
    """

    regions: Float[Array, "classes y x"]
    gain: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def powers(self, field: Complex[Array, "*batch y x"]) -> Float[Array, "*batch classes"]:
        """Power in each region."""
        power = intensity(field)
        flat = power.reshape(*power.shape[:-2], -1)
        return flat @ self.regions.reshape(self.regions.shape[0], -1).T

    def logits(self, field: Complex[Array, "*batch y x"]) -> Float[Array, "*batch classes"]:
        """Gain times the share of each region in the power of all regions; free of the brightness of the input."""
        powers = self.powers(field)
        return self.gain * powers / (jnp.sum(powers, axis=-1, keepdims=True) + 1e-12)

    def loss(
        self, field: Complex[Array, "*batch y x"], labels: Int[Array, "*batch"]
    ) -> Float[Array, ""]:
        """Mean softmax cross-entropy."""
        log_shares = jax.nn.log_softmax(self.logits(field))
        return -jnp.mean(jnp.take_along_axis(log_shares, labels[..., None], axis=-1))

    def correct(self, field: Complex[Array, "*batch y x"], labels: Int[Array, "*batch"]) -> Array:
        """True where the brightest region is that of the label."""
        return jnp.argmax(self.powers(field), axis=-1) == labels


class IntensityTarget(eqx.Module):
    """Readout for pattern formation: squared difference between measured and wanted intensity."""

    def loss(
        self, field: Complex[Array, "batch y x"], targets: Float[Array, "batch y x"]
    ) -> Float[Array, ""]:
        """Mean over the batch of sum (|y|^2 - t)^2 (fact sheet, section 3.4, with s = 1)."""
        return jnp.mean(jnp.sum((intensity(field) - targets) ** 2, axis=(-2, -1)))


class DiffractiveNetwork(eqx.Module):
    """Layers of phase (and amplitude) weights with one propagation between planes.

    Attributes:
        phase: Commanded phases, rad.
        amplitude: Commanded transmissions in [0, 1], or None for phase-only layers.
        free_space: Nominal propagation, the same after every layer.
        readout: Detector regions and loss, or a wanted pattern.
        activation: Function of the measured field applied between layers; None for a linear network.
    """

    phase: Float[Array, "layer y x"]
    amplitude: Float[Array, "layer y x"] | None
    free_space: FreeSpace
    readout: Readout | IntensityTarget
    activation: Activation | None = eqx.field(static=True, default=None)

    @property
    def n_layers(self) -> int:
        """Number of modulated layers."""
        return self.phase.shape[0]

    def activate(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Field loaded into the next layer."""
        return field if self.activation is None else self.activation(field)

    def layer(
        self,
        field: Complex[Array, "*batch y x"],
        phase: Float[Array, "y x"],
        amplitude: Float[Array, "y x"] | None = None,
    ) -> Complex[Array, "*batch y x"]:
        """Ideal model of one layer: modulation, then propagation to the next plane."""
        return self.free_space(over_batch(modulation(phase, amplitude), field) * field)

    def __call__(self, field: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Field at the camera after the last layer, in the ideal model."""
        return run_layers(self, field, lambda x, weights: self.layer(x, *weights))


def modulation(phase, amplitude=None) -> Array:
    """A exp(i phi)."""
    weights = jax.lax.complex(jnp.cos(phase), jnp.sin(phase))
    return computed_once(weights if amplitude is None else amplitude * weights)


def run_layers(network: DiffractiveNetwork, field, layer: Callable) -> Array:
    """Sends a field through all layers by `lax.scan`; `layer(x, (phase, amplitude))` is one plane to the next.

    Activation stands between layers, not after the last one.
    """

    def step(carry, inputs):
        weights, is_last = inputs
        y = layer(carry, weights)
        if network.activation is None:
            return y, None
        return jnp.where(is_last, y, network.activate(y)), None

    weights = (network.phase, network.amplitude)
    is_last = jnp.arange(network.n_layers) == network.n_layers - 1
    return jax.lax.scan(step, field, (weights, is_last))[0]


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
        readout=jax.tree.map(lambda a: jnp.asarray(a, real), readout),
        activation=activation,
    )


def make_readout(
    shape: tuple[int, int],
    n_classes: int,
    *,
    fill: float = 0.5,
    extent: float = 0.8,
    gain: float = 15.0,
) -> Readout:
    """Square detector regions in centred rows, as even as the class count allows (4 -> 2 + 2, 10 -> 3 + 4 + 3).

    Args:
        shape: Camera grid.
        n_classes: Number of regions.
        fill: Side of a region relative to the distance between region centres, in (0, 1].
        extent: Part of the window that the layout spans, in (0, 1].
        gain: See `Readout`.

    Raises:
        ValueError: If a region would be smaller than one pixel.
    """
    check_positive(gain, "gain")
    n_rows = max(1, round(np.sqrt(n_classes)))
    per_row = [n_classes // n_rows] * n_rows
    # The surplus goes to the middle rows first, which keeps the layout symmetric for ten classes.
    order = sorted(range(n_rows), key=lambda row: abs(row - (n_rows - 1) / 2))
    for row in order[: n_classes - sum(per_row)]:
        per_row[row] += 1
    pitch = extent * min(shape) / max(n_rows, *per_row)
    side = round(fill * pitch)
    if side < 1 or n_classes < 1:
        raise ValueError(
            f"`n_classes` = {n_classes} regions do not fit on a {shape} grid with fill {fill:g}; use a larger grid."
        )
    regions = np.zeros((n_classes, *shape))
    index = 0
    for row, count in enumerate(per_row):
        for column in range(count):
            y = shape[0] / 2 + (row - (n_rows - 1) / 2) * pitch
            x = shape[1] / 2 + (column - (count - 1) / 2) * pitch
            y0, x0 = round(y - side / 2), round(x - side / 2)
            regions[index, y0 : y0 + side, x0 : x0 + side] = 1
            index += 1
    return Readout(jnp.asarray(regions), gain)


def encode_images(
    images: Array, shape: tuple[int, int], *, fill: float = 0.85, dtype=jnp.complex64
) -> Complex[Array, "*batch y x"]:
    """Loads images as amplitudes of flat phase: each pixel becomes a square block, the rest of the panel is dark.

    The mean intensity over the panel is set to 1, so that every sample carries the same power. Encoding and up-sampling
    of the paper are unknown; this is our choice.

    Args:
        images: Grey values `(..., h, w)`, any non-negative scale.
        shape: Panel grid.
        fill: Largest part of the panel that the enlarged image may take.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If the image does not fit on the panel.
    """
    height, width = images.shape[-2:]
    factor = int(min(shape[0] * fill / height, shape[1] * fill / width))
    if factor < 1:
        raise ValueError(
            f"`images` of {height} x {width} do not fit on {fill:g} of a {shape} panel; use a larger panel."
        )
    real = jnp.finfo(dtype).dtype
    amplitude = jnp.repeat(jnp.repeat(images.astype(real), factor, axis=-2), factor, axis=-1)
    top, left = (shape[0] - factor * height) // 2, (shape[1] - factor * width) // 2
    widths = [(0, 0)] * (images.ndim - 2)
    widths += [(top, shape[0] - factor * height - top), (left, shape[1] - factor * width - left)]
    amplitude = jnp.pad(amplitude, widths)
    mean = jnp.mean(amplitude**2, axis=(-2, -1), keepdims=True)
    return (amplitude / jnp.sqrt(jnp.maximum(mean, 1e-12))).astype(dtype)

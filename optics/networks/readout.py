"""From the light at the end of a network to classes, pictures and their loss: detector regions, ports, wanted patterns.

A readout sees intensities only. Scores are shares of the power that all detectors catch, so that a brighter input gives
no other answer. Layout, gain and loss of the papers are unknown: they are parameters, the defaults our choice.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from optics._checks import check_positive
from optics._numbers import as_real, into, takes_numbers
from optics.waves.field import intensity, middle_block, over_batch


@takes_numbers
def cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, ""]:
    """Mean of minus the log softmax at the labels, in nats."""
    log_shares = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_shares, labels[..., None], axis=-1))


class Readout(eqx.Module):
    """Detector regions and the softmax behind them.

    Attributes:
        regions: Region masks, one per class, each with values in [0, 1].
        gain: Factor from relative region power to logits; our choice, the paper's loss scale is unknown.
        n_classes: Number of classes, whose regions are the first; None for one to each region. See `padded`.
    """

    regions: Float[Array, "classes y x"] = eqx.field(converter=into(as_real, "regions"))
    gain: Float[Array, ""] = eqx.field(converter=into(as_real, "gain"))
    n_classes: Int[Array, ""] | None = None

    def padded(self, n_regions: int) -> "Readout":
        """The same readout with empty regions behind it, so that tasks of any class count share compiled programs.

        Args:
            n_regions: Regions in all, at least those there are.

        Raises:
            ValueError: If the readout is padded already or has more.
        """
        n_classes = self.regions.shape[0]
        if self.n_classes is not None or n_regions < n_classes:
            raise ValueError(
                f"`n_regions` must be at least the {n_classes} regions of a readout that is not padded yet, but is "
                f"{n_regions}."
            )
        empty = np.zeros((n_regions - n_classes, *self.regions.shape[1:]), self.regions.dtype)
        regions = np.concatenate([self.regions, empty])
        return Readout(*jax.device_put((regions, self.gain, np.int32(n_classes))))

    @takes_numbers
    def powers(self, field: Complex[Array, "*batch y x"]) -> Float[Array, "*batch classes"]:
        """Power in each region."""
        power = intensity(field)
        flat = power.reshape(*power.shape[:-2], -1)
        return flat @ self.regions.reshape(self.regions.shape[0], -1).T

    @takes_numbers
    def logits(self, field: Complex[Array, "*batch y x"]) -> Float[Array, "*batch classes"]:
        """Gain times the share of each region in the power of all regions; free of the brightness of the input."""
        powers = self.powers(field)
        logits = self.gain * powers / (jnp.sum(powers, axis=-1, keepdims=True) + 1e-12)
        if self.n_classes is None:
            return logits
        # An empty region is no class: its share of the softmax is none, where a logit of zero would have some.
        is_class = over_batch(jnp.arange(logits.shape[-1]) < self.n_classes, logits)
        return jnp.where(is_class, logits, -jnp.inf)

    @takes_numbers
    def loss(
        self, field: Complex[Array, "*batch y x"], labels: Int[Array, "*batch"]
    ) -> Float[Array, ""]:
        """Mean softmax cross-entropy."""
        return cross_entropy(self.logits(field), labels)

    @takes_numbers
    def correct(self, field: Complex[Array, "*batch y x"], labels: Int[Array, "*batch"]) -> Array:
        """True where the brightest region is that of the label."""
        return jnp.argmax(self.powers(field), axis=-1) == labels


class IntensityTarget(eqx.Module):
    """Readout for pattern formation: squared difference between measured and wanted intensity."""

    @takes_numbers
    def loss(
        self, field: Complex[Array, "batch y x"], targets: Float[Array, "batch y x"]
    ) -> Float[Array, ""]:
        """Mean over the batch of sum (|y|^2 - t)^2."""
        return jnp.mean(jnp.sum((intensity(field) - targets) ** 2, axis=(-2, -1)))


@takes_numbers
def read_pictures(
    field: Complex[Array, "*batch y x"], side: int, pool: int
) -> Float[Array, "*batch side side"]:
    """Pictures on the camera: mean intensity over squares of pixels in the middle of the window.

    Args:
        field: Field at the camera.
        side: Pixels of a picture along a side.
        pool: Camera pixels along a side of each of them.

    Raises:
        ValueError: If the pictures are larger than the camera.
    """
    shape = field.shape[-2:]
    if side < 1 or pool < 1 or side * pool > min(shape):
        raise ValueError(
            f"`side` times `pool` must lie between 1 and the {min(shape)} pixels of the camera, but is {side} x {pool}."
        )
    top, left = (middle_block(n, side * pool) for n in shape)
    window = intensity(field)[..., top : top + side * pool, left : left + side * pool]
    squares = window.reshape(*window.shape[:-2], side, pool, side, pool)
    return squares.mean(axis=(-3, -1))


def make_readout(
    shape: tuple[int, int],
    n_classes: int,
    *,
    fill: float = 0.5,
    extent: float = 0.8,
    gain: float = 15.0,
) -> Readout:
    """Square detector regions in centred rows, as even as the class count allows (4 -> 2 + 2, 10 -> 3 + 4 + 3).

    Centred on the middle of the window (`optics.waves.field.middle_axis`), between samples for even N, so that the
    layout is its own mirror image; the optical axis, sample N // 2, is half a pixel beside it.

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
            y0 = middle_block(shape[0], side, (row - (n_rows - 1) / 2) * pitch)
            x0 = middle_block(shape[1], side, (column - (count - 1) / 2) * pitch)
            regions[index, y0 : y0 + side, x0 : x0 + side] = 1
            index += 1
    return Readout(jnp.asarray(regions), gain)


class PortReadout(eqx.Module):
    """Detectors behind the ports: the first ones stand for the classes.

    Attributes:
        gain: Factor from the class intensities, over the root of the sum of all squared intensities, to logits.
        n_classes: Number of classes.
    """

    gain: Float[Array, ""] = eqx.field(converter=into(as_real, "gain"))
    n_classes: int = eqx.field(static=True)

    @takes_numbers
    def powers(self, field: Complex[Array, "*batch port"]) -> Float[Array, "*batch classes"]:
        """Power at each class port."""
        return intensity(field)[..., : self.n_classes]

    @takes_numbers
    def logits(self, field: Complex[Array, "*batch port"]) -> Float[Array, "*batch classes"]:
        """Class powers over the norm of all powers, times the gain; free of the brightness of the input."""
        power = intensity(field)
        norm = jnp.sqrt(jnp.sum(power**2, axis=-1, keepdims=True) + 1e-24)
        return self.gain * power[..., : self.n_classes] / norm

    @takes_numbers
    def loss(
        self, field: Complex[Array, "*batch port"], labels: Int[Array, "*batch"]
    ) -> Float[Array, ""]:
        """Mean softmax cross-entropy."""
        return cross_entropy(self.logits(field), labels)

    @takes_numbers
    def correct(self, field: Complex[Array, "*batch port"], labels: Int[Array, "*batch"]) -> Array:
        """True where the brightest class port is that of the label."""
        return jnp.argmax(self.powers(field), axis=-1) == labels

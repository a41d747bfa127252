"""Phase-only spatial light modulator: from a commanded phase to what the panel shows.

A phase is wrapped, rounded to a drive level, bent by the response of each pixel and smeared over
its neighbours; a part of the light is not modulated at all. A perfect panel is `phase_mask` of
`quantise_phase`. Left out: flicker, the dependence on polarisation and angle, and the mesh between
pixels beyond its share of unmodulated light.
"""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from optics._checks import check_finite, check_in_range, check_positive, check_shape, is_concrete
from optics._numbers import takes_numbers
from optics.waves.elements import amplitude_mask
from optics.waves.field import Field

Sampling = Literal["area", "centre"]


@takes_numbers
def wrap_phase(phase: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Brings a phase into [0, 2 pi) radians."""
    wrapped = jnp.mod(phase, 2 * jnp.pi)
    # The remainder of a tiny negative number rounds to 2 pi itself.
    return jnp.where(wrapped < 2 * jnp.pi, wrapped, 0)


@takes_numbers
def quantise_phase(phase: Float[Array, "*shape"], n_levels: int) -> Float[Array, "*shape"]:
    """Wraps and rounds a phase to the nearest multiple of 2 pi / n_levels, level n being level 0.

    Args:
        phase: Phase in radians.
        n_levels: Number of levels, at least 2; 256 for 8 bits.

    Returns:
        Phase in [0, 2 pi). The derivative is zero: rounding is real.
    """
    if n_levels < 2:
        raise ValueError(f"`n_levels` must be at least 2, but is {n_levels}.")
    return drive_of(phase, n_levels) * (2 * jnp.pi)


def drive_of(phase: Array, n_levels: int | None, *, trainable: bool = False) -> Array:
    """Share of a full drive, in [0, 1), that a driver sets for a phase in radians.

    Args:
        phase: Commanded phase.
        n_levels: Number of drive levels; None for a continuous drive.
        trainable: Rounding has no derivative; True lets the identity stand in for it, as in every gradient of a
            quantised modulator.
    """
    turns = wrap_phase(phase) / (2 * jnp.pi)
    if n_levels is None:
        return turns
    rounded = jnp.mod(jnp.round(turns * n_levels), n_levels) / n_levels
    return turns + jax.lax.stop_gradient(rounded - turns) if trainable else rounded


def bent_by(drive: Array, gamma: Array) -> Array:
    """drive^gamma; a power has a slope of zero or infinity at zero, where the response is taken linear."""
    lit = drive > 0
    return jnp.where(lit, jnp.where(lit, drive, 1) ** gamma, drive)


def gaussian_weights(offsets, sigma: float, sampling: Sampling) -> np.ndarray:
    """Crosstalk of a Gaussian of standard deviation `sigma` pixels, by offset in pixels; not normalised.

    "area" integrates the Gaussian over each pixel, which adds the 1/12 of a pixel to its variance; "centre" takes it at
    the centres of pixels, which holds for the phase that a panel of samples stands for.
    """
    check_positive(sigma, "sigma", "px", "Leave the crosstalk out for none.")
    offsets = np.asarray(offsets)
    if sampling == "centre":
        return np.exp(-0.5 * (offsets / sigma) ** 2)
    edges = np.stack([offsets + 0.5, offsets - 0.5]) / (math.sqrt(2) * sigma)
    above, below = np.vectorize(math.erf)(edges)
    return above - below


def gaussian_crosstalk(sigma: float) -> Float[Array, "k k"]:
    """Kernel of a phase smeared by a Gaussian, for `SpatialLightModulator`, whose rim is repeated outwards.

    Sampling "area", see `gaussian_weights`, on 2 ceil(4 sigma) + 1 pixels, with sum 1.
    """
    check_positive(sigma, "sigma", "px", "Leave `crosstalk` out for none.")
    reach = math.ceil(4 * sigma)
    weights = gaussian_weights(np.arange(-reach, reach + 1), sigma, "area")
    weights /= weights.sum()
    return jnp.asarray(np.outer(weights, weights))


def crosstalk_matrix(n: int, sigma: float) -> Float[np.ndarray, "n n"]:
    """The same smear along an axis of `n` pixels as a matrix, fast for `HardwareTwin`; rows have sum 1 at the rim too.

    Sampling "centre", see `gaussian_weights`: a pixel at the rim takes more of its neighbours, none from outside.
    """
    weights = gaussian_weights(np.subtract.outer(np.arange(n), np.arange(n)), sigma, "centre")
    return weights / weights.sum(axis=1, keepdims=True)


def _no_crosstalk() -> Array:
    return jnp.ones((1, 1))


def _as_real(value) -> Array:
    return jnp.asarray(value, dtype=float)


class SpatialLightModulator(eqx.Module):
    """Phase-only modulator whose pixels are the samples of the field.

    A commanded phase is wrapped, rounded to a drive level g of n, and turned into

        phase = crosstalk * [phase_range (g / n)^gamma],
        u_out = sqrt(eta) u_in exp(i phase) + sqrt(1 - eta) u_in,

    * being a convolution over pixels and eta the modulated fraction. The driver believes
    phase_range to be 2 pi and gamma 1. g / n instead of g / (n - 1) makes n levels tile 2 pi, so
    that a perfect device obeys `quantise_phase`. The unmodulated part interferes with the rest:
    power is conserved on average over phases, not for each pattern.

    Attributes:
        phase_range: Phase of a full drive in radians, 2 pi nominally; one number or one per pixel.
        gamma: Exponent of the response; one number or one per pixel.
        modulated_fraction: Power fraction eta that is modulated (fill factor, zero order), from 0
            to 1. The design SLM of Xue et al., Nature 632, 280 (2024), has 0.91.
        crosstalk: Kernel of the smearing between pixels, odd sizes, sum 1; see
            `gaussian_crosstalk`.
        n_levels: Number of drive levels, or None for a continuous drive.
    """

    phase_range: Float[Array, "..."] = eqx.field(default=2 * math.pi, converter=_as_real)
    gamma: Float[Array, "..."] = eqx.field(default=1.0, converter=_as_real)
    modulated_fraction: Float[Array, ""] = eqx.field(default=1.0, converter=_as_real)
    crosstalk: Float[Array, "ky kx"] = eqx.field(default_factory=_no_crosstalk, converter=_as_real)
    n_levels: int | None = eqx.field(default=256, static=True)

    def __check_init__(self):
        check_in_range(self.modulated_fraction, "modulated_fraction", 0.0, 1.0)
        for value, name, unit in (
            (self.phase_range, "phase_range", "rad"),
            (self.gamma, "gamma", ""),
        ):
            check_finite(value, name)
            if is_concrete(value):
                check_positive(value.min(), name, unit)
        if self.crosstalk.shape[0] % 2 == 0 or self.crosstalk.shape[1] % 2 == 0:
            raise ValueError(
                f"`crosstalk` must have odd sizes, but its shape is {self.crosstalk.shape}."
            )
        if is_concrete(self.crosstalk):
            total = float(np.sum(np.asarray(self.crosstalk)))
            if not abs(total - 1) < 1e-3:
                raise ValueError(
                    f"`crosstalk` must have the sum 1, or it scales every phase, but its sum is {total:g}; "
                    "divide by it."
                )
        if self.n_levels is not None and self.n_levels < 2:
            raise ValueError(f"`n_levels` must be at least 2 or None, but is {self.n_levels}.")

    @takes_numbers
    def response(self, phase: Float[Array, "*mask y x"]) -> Float[Array, "*mask y x"]:
        """Phase that the panel really shows for a commanded phase, radians."""
        bent = bent_by(drive_of(phase, self.n_levels), _per_pixel(self.gamma, phase))
        shown = _per_pixel(self.phase_range, phase) * bent
        return _smear(shown, self.crosstalk.astype(phase.dtype))

    @takes_numbers
    def __call__(self, field: Field, phase: Float[Array, "*mask y x"]) -> Field:
        """Modulates a field with a commanded phase in radians, one image or one per batch element."""
        check_shape(phase, "phase", field.shape, "The panel has one pixel per sample of the field.")
        shown = jnp.exp(1j * self.response(phase))
        eta = self.modulated_fraction
        return amplitude_mask(field, jnp.sqrt(eta) * shown + jnp.sqrt(1 - eta))


def _per_pixel(value: Array, phase: Array) -> Array:
    if value.ndim:
        check_shape(phase, "phase", value.shape, "The panel's response is given per pixel.")
    return jnp.broadcast_to(value, phase.shape).astype(phase.dtype)


def _smear(phase: Array, kernel: Array) -> Array:
    """Convolves the last two axes with a small kernel; the rim of the panel is repeated outwards."""
    if kernel.shape == (1, 1):
        return phase * kernel[0, 0]
    reach = [size // 2 for size in kernel.shape]
    n_y, n_x = phase.shape[-2:]
    widths = [(0, 0)] * (phase.ndim - 2) + [(r, r) for r in reach]
    padded = jnp.pad(phase, widths, mode="edge")
    flipped = kernel[::-1, ::-1]
    smeared = jnp.zeros_like(phase)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            smeared = smeared + flipped[i, j] * padded[..., i : i + n_y, j : j + n_x]
    return smeared

"""Light to start from: plane, Gaussian and spherical waves, fringes, uniform patches.

All give a `Field` of peak intensity about 1 (stated where it differs); `with_power` sets the power.
Positions and angles are given as (y, x), like the axes of the arrays.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from optics._checks import check_positive
from optics._phase import carrier, host_or_traced
from optics.field import Field


def plane_wave(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    *,
    tilt: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Plane wave exp(i k (y sin tilt_y + x sin tilt_x)).

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        tilt: Angles (tilt_y, tilt_x) in radians; positive tilts travel towards larger y, x. Below
            asin(wavelength / (2 pitch)) the phase ramp is sampled well enough.
        dtype: complex64 or complex128.

    Returns:
        Field of modulus 1.
    """
    xp, y, x, (wavelength_, tilt_y, tilt_x) = _grid(shape, wavelength, pixel_pitch, *tilt)
    cycles_y = y * (xp.sin(tilt_y) / wavelength_)
    cycles_x = x * (xp.sin(tilt_x) / wavelength_)
    return _field(xp.exp(2j * np.pi * (cycles_y + cycles_x)), wavelength, pixel_pitch, dtype)


def gaussian_beam(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    waist: ArrayLike,
    *,
    position: ArrayLike = 0.0,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Paraxial Gaussian beam, q0 / q exp(i k z + i k r^2 / (2 q)).

    Here q = z + q0 and q0 = -i pi waist^2 / wavelength.
    Saleh and Teich, Fundamentals of Photonics, section 3.1, for exp(-i omega t). Relative error of
    the paraxial form about (divergence / 2)^2, divergence = wavelength / (pi waist).

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        waist: 1/e^2 intensity radius at the waist in metres.
        position: Distance z past the waist in metres; negative before it.
        centre: Beam axis (y, x) in metres.
        dtype: complex64 or complex128.

    Returns:
        Field of peak modulus 1 at the waist; its power is pi waist^2 / 2 at every position.

    Raises:
        ValueError: If the waist is not positive.
    """
    check_positive(waist, "waist", "m")
    xp, y, x, values = _grid(shape, wavelength, pixel_pitch, waist, position, *centre)
    wavelength_, waist_, z, y0, x0 = values
    q0 = -1j * np.pi * waist_**2 / wavelength_
    radius_squared = (y - y0) ** 2 + (x - x0) ** 2
    transverse = xp.exp(1j * np.pi * radius_squared / (wavelength_ * (q0 + z)))
    amplitude = carrier(xp, z, wavelength_) * (q0 / (q0 + z)) * transverse
    return _field(amplitude, wavelength, pixel_pitch, dtype)


def _grid(shape: tuple[int, int], wavelength, pixel_pitch, *others):
    """Checks, then axes y as a column and x as a row, and all values on the host or traced."""
    check_positive(wavelength, "wavelength", "m")
    check_positive(pixel_pitch, "pixel_pitch", "m")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"`shape` must be (ny, nx) with at least one sample each, but is {tuple(shape)}."
        )
    xp, (pitch, *values) = host_or_traced(pixel_pitch, wavelength, *others)
    y = (np.arange(shape[0]) - shape[0] // 2)[:, None] * pitch
    x = (np.arange(shape[1]) - shape[1] // 2)[None, :] * pitch
    return xp, y, x, values


def _field(amplitude, wavelength, pixel_pitch, dtype) -> Field:
    return Field(jnp.asarray(amplitude, dtype=dtype), wavelength, pixel_pitch)

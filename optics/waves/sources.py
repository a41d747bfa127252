"""Light to start from: plane, Gaussian and spherical waves, fringes, uniform patches.

All give a `Field` of peak modulus 1; `with_power` sets the power.
Positions and angles are given as (y, x), like the axes of the arrays.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from optics._checks import check_in_range, check_positive, is_concrete
from optics._dark import root
from optics.waves._phase import as_stored, carrier, host_or_traced
from optics.waves.field import Field
from optics.waves.sampling import warn_if_swapped


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
    amplitude = carrier(xp, position, wavelength_) * (q0 / (q0 + z)) * transverse
    return _field(amplitude, wavelength, pixel_pitch, dtype)


def point_source(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    distance: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Spherical wave (|z| / R) exp(i k R) of a point at distance z before the plane.

    R = sqrt(r^2 + z^2). With a negative distance the wave converges to a point that far behind the
    plane: the complex conjugate.

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        distance: Distance from the point to the plane in metres, not zero.
        centre: Position (y, x) of the point in metres.
        dtype: complex64 or complex128.

    Returns:
        Field of modulus 1 at the foot of the point.

    Raises:
        ValueError: If the distance is zero or not finite.
    """
    if is_concrete(distance):
        check_positive(abs(distance), "abs(distance)", "m")
    xp, y, x, values = _grid(shape, wavelength, pixel_pitch, distance, *centre)
    wavelength_, z, y0, x0 = values
    depth, sign = xp.abs(z), xp.where(z < 0, -1.0, 1.0)
    radius_squared = (y - y0) ** 2 + (x - x0) ** 2
    radius = xp.sqrt(radius_squared + depth**2)
    # R - |z| without cancellation.
    cycles = radius_squared / (radius + depth) / wavelength_
    amplitude = (
        carrier(xp, distance, wavelength_) * xp.exp(2j * np.pi * sign * cycles) * (depth / radius)
    )
    return _field(amplitude, wavelength, pixel_pitch, dtype)


def fringes(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    period: ArrayLike,
    *,
    angle: ArrayLike = 0.0,
    phase: ArrayLike = 0.0,
    visibility: ArrayLike = 1.0,
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Structured light: two plane waves with the intensity (1 + V cos(2 pi s / period + phase)) / 2.

    s = x cos(angle) + y sin(angle). The waves have spatial frequencies +-1 / (2 period) along s and
    moduli a, b with a^2 + b^2 = 1/2 and 2 a b = V / 2, so the fringes move and fade with distance
    as those of a real interferometer do.

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        period: Period of the intensity in metres.
        angle: Direction of s, from the x axis towards the y axis, in radians.
        phase: Phase of the intensity pattern at the centre, in radians.
        visibility: V = (max - min) / (max + min), from 0 to 1.
        dtype: complex64 or complex128.

    Returns:
        Field with peak intensity (1 + V) / 2.

    Raises:
        ValueError: If the period is not positive or the visibility not in [0, 1].
    """
    check_positive(period, "period", "m")
    check_in_range(visibility, "visibility", 0.0, 1.0)
    values = _grid(shape, wavelength, pixel_pitch, period, angle, phase, visibility)
    xp, y, x, (_, period_, angle_, phase_, visibility_) = values
    bright, dim = xp.sqrt(1 + visibility_), xp.sqrt(1 - visibility_)
    position = x * xp.cos(angle_) + y * xp.sin(angle_)
    wave = xp.exp(1j * (np.pi * position / period_ + phase_ / 2))
    amplitude = ((bright + dim) * wave + (bright - dim) * xp.conj(wave)) / np.sqrt(8)
    return _field(amplitude, wavelength, pixel_pitch, dtype)


def uniform_rectangle(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    size: tuple[ArrayLike, ArrayLike],
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Uniform rectangle; an edge pixel has the share of its area that is lit, so sizes are exact.

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        size: Sides (y, x) in metres.
        centre: Middle (y, x) of the rectangle in metres.
        dtype: complex64 or complex128.

    Returns:
        Field of modulus 1 inside and 0 outside.

    Raises:
        ValueError: If a side is not positive.
    """
    for side in size:
        check_positive(side, "size", "m")
    values = _grid(shape, wavelength, pixel_pitch, pixel_pitch, *size, *centre)
    xp, y, x, (_, pitch, height, width, y0, x0) = values
    rows, columns = _lit(xp, y - y0, height, pitch), _lit(xp, x - x0, width, pitch)
    return _field(rows * columns, wavelength, pixel_pitch, dtype)


def uniform_disc(
    shape: tuple[int, int],
    wavelength: ArrayLike,
    pixel_pitch: ArrayLike,
    radius: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: DTypeLike = jnp.complex64,
) -> Field:
    """Uniform disc whose edge falls off linearly over one pixel, about the lit share of each pixel.

    Args:
        shape: Grid size (ny, nx).
        wavelength: Wavelength in metres.
        pixel_pitch: Distance between samples in metres.
        radius: Radius in metres.
        centre: Middle (y, x) of the disc in metres.
        dtype: complex64 or complex128.

    Returns:
        Field of modulus 1 inside and 0 outside.

    Raises:
        ValueError: If the radius is not positive.
    """
    check_positive(radius, "radius", "m")
    values = _grid(shape, wavelength, pixel_pitch, pixel_pitch, radius, *centre)
    xp, y, x, (_, pitch, radius_, y0, x0) = values
    distance = (np.sqrt if xp is np else root)((y - y0) ** 2 + (x - x0) ** 2)
    return _field(
        xp.clip((radius_ - distance) / pitch + 0.5, 0.0, 1.0),
        wavelength,
        pixel_pitch,
        dtype,
    )


def with_power(field: Field, power: ArrayLike) -> Field:
    """Scales a field to a power sum |u|^2 pitch^2, each batch entry by itself.

    Args:
        field: Field that is not dark.
        power: Power wanted, in the unit of intensity times square metre.

    Returns:
        Scaled field.

    Raises:
        ValueError: If the power is not positive, or a field is dark.
    """
    check_positive(power, "power")
    lowest = jnp.min(field.power)
    if is_concrete(lowest) and not float(lowest) > 0:
        raise ValueError("`field` must hold light to be scaled, but its power is 0.")
    scale = jnp.sqrt(power / field.power)[..., None, None]
    return field.with_amplitude((field.amplitude * scale).astype(field.amplitude.dtype))


def _grid(shape: tuple[int, int], wavelength, pixel_pitch, *others):
    """Checks, then axes y as a column and x as a row, and all values on the host or traced."""
    check_positive(wavelength, "wavelength", "m")
    check_positive(pixel_pitch, "pixel_pitch", "m")
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"`shape` must be (ny, nx) with at least one sample each, but is {tuple(shape)}."
        )
    # Rounded as the field will store them, or its own propagation would take another wavelength.
    stored = as_stored(pixel_pitch), as_stored(wavelength)
    xp, (pitch, *values) = host_or_traced(*stored, *others)
    if xp is np:
        warn_if_swapped(float(pitch), float(values[0]))
    y = (np.arange(shape[0]) - shape[0] // 2)[:, None] * pitch
    x = (np.arange(shape[1]) - shape[1] // 2)[None, :] * pitch
    return xp, y, x, values


def _field(amplitude, wavelength, pixel_pitch, dtype) -> Field:
    return Field(jnp.asarray(amplitude, dtype=dtype), wavelength, pixel_pitch)


def _lit(xp, position, side, pitch):
    """Share of each pixel inside [-side / 2, side / 2]."""
    upper = xp.clip((side / 2 - position) / pitch, -0.5, 0.5)
    lower = xp.clip((-side / 2 - position) / pitch, -0.5, 0.5)
    return upper - lower

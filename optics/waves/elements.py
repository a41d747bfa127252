"""Thin elements: what multiplies a field in one plane.

Every element is a transmission t(y, x) with u_out = t u_in. Signs follow exp(-i omega t): a longer
optical path adds phase, so a converging lens has phase -k r^2 / (2 f) and a phase ramp exp(+i k x
sin a) sends light towards +x. Lens, grating: Goodman, Introduction to Fourier Optics, 4th ed.
(2017), chapters 4 and 6.

Edges are weighted by the area of the pixel that lies inside, so that integrals of the AMPLITUDE over an aperture are
exact whatever the grid. The power is not: an edge pixel lit by half has half the amplitude and a quarter of the power,
so a rectangle of 12.5 pixels passes 5.9 % less, and a pinhole far below a pixel its share of the pixel squared.
Each pixel of a mask is one sample of the field; elements have no
thickness. Modulators are in `optics.hardware.modulator`.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from optics._checks import check_choice, check_in_range, check_positive, check_shape, is_concrete
from optics._dark import quotient, root
from optics._numbers import takes_numbers
from optics.waves._phase import (
    cycles_of,
    fractional_cycles,
    host_or_traced,
    ratio_product,
    sqrt_excess,
)
from optics.waves.field import Field, centred_axis, computed_once
from optics.waves.sampling import SamplingWarning

Axis = Literal["y", "x"]


@takes_numbers
def phase_mask(field: Field, phase: Float[Array | np.ndarray, "*mask y x"]) -> Field:
    """Multiplies by exp(+i phase); `phase` in radians, one image or one per batch element."""
    xp = np if isinstance(phase, np.ndarray) else jnp
    return _transmit(field, xp.exp(1j * phase), "phase")


@takes_numbers
def amplitude_mask(
    field: Field, transmission: Float[Array, "*mask y x"] | Complex[Array, "*mask y x"]
) -> Field:
    """Multiplies by an amplitude transmission; the intensity is multiplied by its square."""
    return _transmit(field, transmission, "transmission")


@takes_numbers
def path_mask(
    field: Field, optical_path_difference: Float[Array | np.ndarray, "*mask y x"]
) -> Field:
    """Adds an optical path difference in metres, phase +2 pi OPD / wavelength.

    The wavelength is that of the field, in its medium: an OPD that is referred to the vacuum, refractive index times
    length, has to be divided by the refractive index of the medium first.
    """
    xp, (path, wavelength) = host_or_traced(optical_path_difference, field.wavelength)
    return _transmit(
        field, xp.exp(2j * np.pi * cycles_of(xp, path, wavelength)), "optical_path_difference"
    )


def thin_lens(field: Field, focal_length: ArrayLike) -> Field:
    """Paraxial lens, exp(-i k r^2 / (2 f)): perfect with Fresnel propagation.

    Args:
        field: Field at the lens.
        focal_length: Focal length in metres; negative for a diverging lens.

    Returns:
        Field behind the lens. Warns if the phase turns by more than pi between lit neighbours.
    """
    focal_length = _focal_length(focal_length)
    _warn_if_aliased(field, "focal_length", focal_length, "m", lambda r, f: r / f)
    xp, cycles, _ = _parabola(field, focal_length)
    return _transmit(field, xp.exp(-2j * np.pi * cycles))


def spherical_lens(field: Field, focal_length: ArrayLike) -> Field:
    """Ideal lens that turns a plane wave into an exact spherical one, at any aperture.

    Phase -k sign(f) (sqrt(r^2 + f^2) - |f|): free of spherical aberration with exact propagation.

    Args:
        field: Field at the lens.
        focal_length: Focal length in metres; negative for a diverging lens.

    Returns:
        Field behind the lens. Warns if the phase turns by more than pi between lit neighbours.
    """
    focal_length = _focal_length(focal_length)
    _warn_if_aliased(field, "focal_length", focal_length, "m", lambda r, f: r / math.hypot(r, f))
    xp, cycles, (w, dx, f) = _parabola(field, focal_length)
    y, x = _indices(field)
    # The parabola and what the sphere has beyond it; the signed f brings in sign(f).
    _, excess = sqrt_excess(xp, (y * (dx / f)) ** 2 + (x * (dx / f)) ** 2)
    return _transmit(field, xp.exp(-2j * np.pi * (cycles + excess * (f / w))))


def tilt(field: Field, angle_y: ArrayLike, angle_x: ArrayLike) -> Field:
    """Turns the wave by small mirror-like angles: phase k (y sin angle_y + x sin angle_x).

    Args:
        field: Field to tilt.
        angle_y: Angle towards +y in radians.
        angle_x: Angle towards +x in radians.

    Returns:
        Tilted field. Warns if the ramp exceeds pi per pixel.
    """
    for angle, name in ((angle_y, "angle_y"), (angle_x, "angle_x")):
        _warn_if_aliased(field, name, angle, "rad", lambda _, a: math.sin(a))
    values = (field.wavelength, field.pixel_pitch, angle_y, angle_x)
    xp, (w, dx, *angles) = host_or_traced(*values)
    cycles = 0.0
    for angle, index in zip(angles, _indices(field), strict=True):
        rate = ratio_product(dx, w, xp.sin(angle), xp.ones_like(angle))
        cycles = cycles + fractional_cycles(xp, rate, index)
    return _transmit(field, xp.exp(2j * np.pi * cycles))


def circular_aperture(
    field: Field, radius: ArrayLike, *, centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0)
) -> Field:
    """Passes a disc; lengths in metres, `centre` is (y, x)."""
    return _transmit(field, disc_coverage(field.shape, field.pixel_pitch, radius, centre=centre))


def annular_aperture(
    field: Field,
    inner_radius: ArrayLike,
    outer_radius: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
) -> Field:
    """Passes the ring between two radii; lengths in metres, `centre` is (y, x). An inner radius of 0 is a disc."""
    if is_concrete(inner_radius) and is_concrete(outer_radius):
        check_in_range(inner_radius, "inner_radius", 0.0, float(np.asarray(outer_radius)), "m")
    outer = disc_coverage(field.shape, field.pixel_pitch, outer_radius, centre=centre)
    return _transmit(field, outer - _disc(field.shape, field.pixel_pitch, inner_radius, centre))


def rectangular_aperture(
    field: Field,
    height: ArrayLike,
    width: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
) -> Field:
    """Passes a rectangle of `height` along y and `width` along x; metres, `centre` is (y, x)."""
    mask = rectangle_coverage(field.shape, field.pixel_pitch, height, width, centre=centre)
    return _transmit(field, mask)


def square_aperture(
    field: Field, width: ArrayLike, *, centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0)
) -> Field:
    """Passes a square of side `width`; metres, `centre` is (y, x)."""
    return rectangular_aperture(field, width, width, centre=centre)


def sinusoidal_amplitude_grating(
    field: Field, period: ArrayLike, *, modulation: ArrayLike = 1.0, axis: Axis = "x"
) -> Field:
    """Amplitude transmission (1 + modulation cos(2 pi x / period)) / 2.

    Efficiencies are 1/4 in order 0 and modulation^2 / 16 in orders +-1 (Goodman, eq. 4-36).

    Args:
        field: Field at the grating.
        period: Period in metres.
        modulation: Modulation between 0 and 1.
        axis: Axis along which the grating varies.

    Returns:
        Field behind the grating.
    """
    check_in_range(modulation, "modulation", 0.0, 1.0)
    wave = jnp.cos(_grating_phase(field, period, axis))
    return _transmit(field, (1 + jnp.asarray(modulation) * wave) / 2)


def sinusoidal_phase_grating(
    field: Field, period: ArrayLike, *, amplitude: ArrayLike, axis: Axis = "x"
) -> Field:
    """Phase amplitude * sin(2 pi x / period); order q has efficiency J_q(amplitude)^2.

    Args:
        field: Field at the grating.
        period: Period in metres.
        amplitude: Zero-to-peak phase in radians (m / 2 in Goodman, eq. 4-40).
        axis: Axis along which the grating varies.

    Returns:
        Field behind the grating.
    """
    wave = jnp.sin(_grating_phase(field, period, axis))
    return _transmit(field, jnp.exp(1j * jnp.asarray(amplitude) * wave))


def ronchi_grating(
    field: Field, period: ArrayLike, *, duty: ArrayLike = 0.5, axis: Axis = "x"
) -> Field:
    """Opaque and clear bars, a clear one centred on the axis.

    Order q has efficiency (sin(pi q duty) / (pi q))^2, times sinc^2(q pitch / period) from
    averaging over pixels.

    Args:
        field: Field at the grating.
        period: Period in metres.
        duty: Clear fraction of the period, between 0 and 1.
        axis: Axis along which the grating varies.

    Returns:
        Field behind the grating.
    """
    check_in_range(duty, "duty", 0.0, 1.0)
    # In periods, shifted so that a clear bar starts at each whole number.
    turns = _grating_phase(field, period, axis) / (2 * jnp.pi) + jnp.asarray(duty) / 2
    half = field.pixel_pitch / jnp.asarray(period) / 2

    def clear_up_to(u):
        whole = jnp.floor(u)
        return whole * jnp.asarray(duty) + jnp.minimum(u - whole, jnp.asarray(duty))

    return _transmit(field, (clear_up_to(turns + half) - clear_up_to(turns - half)) / (2 * half))


def rectangle_coverage(
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    height: ArrayLike,
    width: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
) -> Float[Array, "y x"]:
    """Fraction of each pixel that lies inside a rectangle; lengths in metres, `centre` (y, x)."""
    check_positive(height, "height", "m")
    check_positive(width, "width", "m")
    sides = []
    for n, size, middle in zip(shape, (height, width), centre, strict=True):
        axis = centred_axis(n, 1.0) - middle / jnp.asarray(pixel_pitch)
        half = jnp.asarray(size) / jnp.asarray(pixel_pitch) / 2
        sides.append(jnp.clip(axis + 0.5, -half, half) - jnp.clip(axis - 0.5, -half, half))
    return sides[0][:, None] * sides[1][None, :]


def disc_coverage(
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    radius: ArrayLike,
    *,
    centre: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
) -> Float[Array, "y x"]:
    """Fraction of each pixel that lies inside a disc, exact to rounding; metres, `centre` (y, x).

    A pixel is split along the axes of the disc into rectangles of one quadrant each; there the
    circle is cut into a full column, a trapezium and a circular segment, which avoids differences
    of large areas.
    """
    check_positive(radius, "radius", "m")
    return _disc(shape, pixel_pitch, radius, centre)


# Compiled whole where it is called as it is: a hundred operations, each of which would compile for every shape.
@partial(jax.jit, static_argnums=0, inline=True)
def _disc(shape, pixel_pitch, radius, centre) -> Float[Array, "y x"]:
    """`disc_coverage` of any radius from 0, where it is dark."""
    radius = jnp.asarray(radius) / jnp.asarray(pixel_pitch)
    # Lower and upper rims of the part of each pixel on either side of the centre, distances in
    # pixels.
    rims = []
    for n, middle in zip(shape, centre, strict=True):
        axis = centred_axis(n, 1.0) - middle / jnp.asarray(pixel_pitch)
        sides = [(axis - 0.5, axis + 0.5), (-axis - 0.5, -axis + 0.5)]
        rims.append([(jnp.maximum(low, 0), jnp.maximum(high, 0)) for low, high in sides])
    parts = [
        _quadrant_area(y[0][:, None], y[1][:, None], x[0][None, :], x[1][None, :], radius)
        for y in rims[0]
        for x in rims[1]
    ]
    return jnp.clip(sum(parts[1:], parts[0]), 0, 1)


def _quadrant_area(y0, y1, x0, x1, radius):
    """Area common to [y0, y1] x [x0, x1], all at least 0, and the disc about the origin."""
    # Beyond `start` the circle has come below y1, beyond `stop` below y0.
    start = jnp.clip(root(radius**2 - y1**2), x0, x1)
    stop = jnp.clip(root(radius**2 - y0**2), x0, x1)
    top_start, top_stop = root(radius**2 - start**2), root(radius**2 - stop**2)
    chord = root((stop - start) ** 2 + (top_start - top_stop) ** 2)
    angle = 2 * jnp.arcsin(jnp.minimum(quotient(chord, 2 * radius), 1))
    segment = radius**2 * (angle - jnp.sin(angle)) / 2
    trapezium = (stop - start) * ((top_start + top_stop) / 2 - y0)
    return (start - x0) * (y1 - y0) + trapezium + segment


def _transmit(field: Field, transmission: Array | np.ndarray, name: str = "transmission") -> Field:
    check_shape(transmission, name, field.shape, "Masks have one value per sample of the field.")
    try:
        shape = np.broadcast_shapes(transmission.shape, field.amplitude.shape)
    except ValueError:
        raise ValueError(
            f"`{name}` must be one image or one per field of the batch {field.amplitude.shape[:-2]}, but its shape is "
            f"{transmission.shape}."
        ) from None
    factor = jnp.broadcast_to(transmission.astype(field.amplitude.dtype), shape)
    return field.with_amplitude(jnp.broadcast_to(field.amplitude, shape) * factor)


def _focal_length(focal_length: ArrayLike) -> ArrayLike:
    if not is_concrete(focal_length):
        return jnp.asarray(focal_length, float)
    value = float(np.asarray(focal_length))
    if not np.isfinite(value) or value == 0:
        raise ValueError(f"`focal_length` must be finite and not zero, but is {value:g} m.")
    return value


def _indices(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Sample numbers from the axis, y as a column and x as a row."""
    y, x = (np.arange(n) - float(n // 2) for n in field.shape)
    return y[:, None], x[None, :]


def _parabola(field: Field, focal_length: ArrayLike):
    """Cycles r^2 / (2 f wavelength) without the whole ones, by the module and the numbers (wavelength, pitch, f)."""
    xp, (w, dx, f) = host_or_traced(field.wavelength, field.pixel_pitch, focal_length)
    y, x = _indices(field)
    rate = ratio_product(dx, w, dx, 2.0 * f)
    return xp, fractional_cycles(xp, rate, y**2) + fractional_cycles(xp, rate, x**2), (w, dx, f)


def _grating_phase(field: Field, period: ArrayLike, axis: Axis) -> Float[Array, "y x"]:
    check_positive(period, "period", "m")
    check_choice(axis, "axis", get_args(Axis))
    if is_concrete(period) and is_concrete(field.pixel_pitch):
        number, limit = float(np.asarray(period)), 2 * float(field.pixel_pitch)
        if number < limit:
            rule = f"`period` {number:g} m is below two pixels, {limit:g} m"
            warnings.warn(f"{rule}: the grating aliases.", SamplingWarning, stacklevel=3)
    xp, (dx, length) = host_or_traced(field.pixel_pitch, period)
    index = _indices(field)["yx".index(axis)]
    rate = ratio_product(dx, length, xp.ones_like(dx), xp.ones_like(dx))
    return jnp.broadcast_to(2 * np.pi * fractional_cycles(xp, rate, index), field.shape)


def _warn_if_aliased(
    field: Field, name: str, value: ArrayLike, unit: str, sine_at: Callable[[float, float], float]
) -> None:
    """Warns if the ray angle at the rim of the lit area exceeds what the pitch can carry."""
    if not all(is_concrete(v) for v in (value, *jax.tree.leaves(field))):
        return
    modulus = np.abs(np.asarray(field.amplitude)).reshape(-1, *field.shape).max(axis=0)
    # A thousandth of the peak is a millionth of the intensity: what aliases there is not seen.
    lit = np.argwhere(modulus > 1e-3 * modulus.max())
    if not lit.size:
        return
    pitch, number = float(field.pixel_pitch), float(np.asarray(value))
    reach = float(np.abs(lit - np.array(field.shape) // 2).max() * pitch)
    sine, limit = abs(sine_at(reach, number)), float(field.wavelength) / (2 * pitch)
    if sine > limit:
        warnings.warn(
            f"`{name}` of {number:g} {unit} bends light by sin(angle) = {sine:.3g} at {reach:.3g} m "
            f"from the axis, beyond wavelength / (2 pitch) = {limit:.3g}: the phase aliases, unless "
            "what follows cancels it.",
            SamplingWarning,
            stacklevel=3,
        )


@takes_numbers
def modulation(
    phase: Float[Array, "*shape"], amplitude: Float[Array, "*shape"] | None = None
) -> Complex[Array, "*shape"]:
    """Transmission a exp(i phi) of a modulator, for fields as plain arrays.

    Args:
        phase: Phase phi, rad, of any shape.
        amplitude: Transmission a of the same shape; None for a phase-only modulator.
    """
    weights = jax.lax.complex(jnp.cos(phase), jnp.sin(phase))
    return computed_once(weights if amplitude is None else amplitude * weights)

"""Paraxial propagation, and output grids other than the input grid.

Fresnel: u(X) = exp(i k z) / (i w z) sum u(x) exp(i pi (X - x)^2 / (w z)) dx^2, w the wavelength.
Fraunhofer drops x^2: u(X) = exp(i k z) exp(i pi X^2 / (w z)) / (i w z) sum u(x) exp(-2 pi i X x /
(w z)) dx^2. A lens of focal length f makes the same sum in its back focal plane, without the phase
over X. Relative to the exact kernel Fresnel neglects a phase k z a^4 / 8 at an angle a to the axis.
A negative distance gives the adjoint, T(-z) u = conj(T(z) conj(u)). Sources: J. Goodman,
Introduction to Fourier Optics, sections 4.2, 4.3 and 5.2; L. Bluestein, IEEE Trans. Audio
Electroacoust. 18, 451 (1970), DOI 10.1109/TAU.1970.1162132 (chirp-z); R. Soummer et al., Opt.
Express 15, 15935 (2007), DOI 10.1364/OE.15.015935 (matrix DFT).
"""

from functools import partial
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex
from scipy.fft import next_fast_len

from optics._checks import check_positive, is_concrete
from optics.waves._phase import (
    Number,
    carrier,
    fractional_cycles,
    frequency_indices,
    host_or_traced,
    ratio_product,
)
from optics.waves.field import Field
from optics.waves.propagation import (
    check_distance,
    check_pad,
    concrete_geometry,
    convolve,
    warn_transfer_function,
)
from optics.waves.sampling import warn_below

Centre = tuple[ArrayLike, ArrayLike]


def fresnel_transfer(field: Field, distance: ArrayLike, *, pad: int = 2) -> Field:
    """Propagates a field by the Fresnel transfer function exp(i k z - i pi w z f^2).

    For short distances; not band-limited, so it warns when the transfer function aliases. What the response
    has beyond the padded window wraps around, which `recommend_propagator` estimates;
    `optics.media.make_free_space` has none of it.

    Args:
        field: Field at the input plane.
        distance: Propagation distance in metres; negative values propagate backwards.
        pad: Factor by which the grid is zero-padded; 1 makes the grid periodic.

    Returns:
        Field at the output plane on the input grid.

    Raises:
        ValueError: If the distance is not finite or `pad` is below 1.
    """
    check_distance(distance)
    check_pad(pad)
    warn_transfer_function("fresnel_transfer", field, distance, pad)
    padded = (pad * field.shape[0], pad * field.shape[1])
    return field.with_amplitude(convolve(field, distance, padded, fresnel_kernel))


def fresnel_kernel(shape: tuple[int, int], wavelength: Number, pitch: Number, distance: Number):
    """Fresnel transfer function in FFT order; see `fresnel_transfer`."""
    whole = distance
    xp, (wavelength, pitch, distance) = host_or_traced(wavelength, pitch, distance)
    axes = []
    for n in shape:
        rate = ratio_product(distance, pitch, wavelength, 2 * pitch, count=n**2)
        axes.append(_turn(xp, -fractional_cycles(xp, rate, frequency_indices(n) ** 2)))
    return carrier(xp, whole, wavelength) * axes[0][:, None] * axes[1][None, :]


def fresnel_single_fft(field: Field, distance: ArrayLike) -> Field:
    """Propagates a square field by one FFT; the output pitch is wavelength z / (N pitch).

    Exact sum of the Fresnel integral on that grid, without padding: light that leaves the output
    window of side wavelength z / pitch folds back. For long distances.

    Args:
        field: Field at the input plane, with as many rows as columns.
        distance: Propagation distance in metres, not zero; negative values propagate backwards.

    Returns:
        Field at the output plane, on its own pitch.

    Raises:
        ValueError: If the grid is not square, or the distance is zero or not finite.
    """
    _check_far_distance(distance, "distance")
    n = field.shape[0]
    if field.shape[1] != n:
        raise ValueError(
            f"`field` must have a square grid, but its shape is {field.shape}. Use fresnel_chirp_z."
        )
    _warn_short("fresnel_single_fft", field, distance, n * field.pixel_pitch / 2, "input chirp")
    xp, (w, dx, z) = host_or_traced(field.wavelength, field.pixel_pitch, distance)
    depth, squares = xp.abs(z), (np.arange(n) - n // 2.0) ** 2
    before = _turn(xp, fractional_cycles(xp, ratio_product(dx, w, dx, 2 * depth), squares))
    rate = ratio_product(w, dx, depth, 2 * dx, count=n**2)
    after = _turn(xp, fractional_cycles(xp, rate, squares))
    factor = carrier(xp, abs(distance), w) * (dx / w) * (dx / depth) * -1j
    amplitude = _conjugate_if(z < 0, field.amplitude)
    shifted = jnp.fft.ifftshift(_scale(amplitude, before, before), axes=(-2, -1))
    spectrum = jnp.fft.fftshift(jnp.fft.fft2(shifted), axes=(-2, -1))
    amplitude = _conjugate_if(z < 0, _scale(spectrum, factor * after, after))
    return Field(amplitude, field.wavelength, w * depth / (n * dx))


def fresnel_chirp_z(
    field: Field,
    distance: ArrayLike,
    *,
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    centre: Centre = (0.0, 0.0),
) -> Field:
    """Propagates a field to any output pitch and window with Bluestein's chirp-z transform.

    Gives the Fresnel sum exactly at every output sample. Products of input and output index are
    written as m n = (m^2 + n^2 - (m - n)^2) / 2, which turns each axis into a convolution.

    Args:
        field: Field at the input plane.
        distance: Propagation distance in metres, not zero; negative values propagate backwards.
        shape: Output grid size (ny, nx).
        pixel_pitch: Output pitch in metres.
        centre: Position (y, x) of the output sample N // 2, in metres.

    Returns:
        Field at the output plane on the wanted grid; its coordinates count from `centre`.

    Raises:
        ValueError: If the distance is zero or not finite, the pitch not positive or the window
        empty.
    """
    _check_far_distance(distance, "distance")
    _check_window(shape, pixel_pitch)
    _warn_window("fresnel_chirp_z", field, distance, shape, pixel_pitch, centre, with_input=True)
    values = (field.wavelength, field.pixel_pitch, distance, pixel_pitch, *centre)
    xp, (w, dx, z, pitch, *offsets) = host_or_traced(*values)
    depth = xp.abs(z)
    amplitude = _conjugate_if(z < 0, field.amplitude)
    for axis, (n_out, offset) in enumerate(zip(shape, offsets, strict=True)):
        amplitude = _chirp_z(xp, amplitude, axis - 2, n_out, (w, dx, depth, pitch, offset))
    factor = carrier(xp, abs(distance), w) * (dx / w) * (dx / depth) * -1j
    amplitude = _conjugate_if(z < 0, amplitude * jnp.asarray(factor).astype(amplitude.dtype))
    return Field(amplitude, field.wavelength, pixel_pitch)


def _chirp_z(xp: ModuleType, amplitude: Array, axis: int, n_out: int, geometry) -> Array:
    w, dx, z, pitch, offset = geometry
    n_in, dtype = amplitude.shape[axis], amplitude.dtype
    inner, outer = np.arange(n_in) - n_in // 2.0, np.arange(n_out) - n_out // 2.0
    length = int(next_fast_len(n_in + n_out - 1))  # pyright: ignore[reportArgumentType] (stub says None)
    # Differences m - n in FFT order: 0 ... n_out - 1, padding, -(n_in - 1) ... -1.
    steps = np.arange(length, dtype=float)
    steps = np.where(steps < n_out, steps, steps - length) + (outer[0] - inner[0])

    def cycles(a, b, counts):  # a b / (wavelength z) times counts, without the whole cycles
        return fractional_cycles(xp, ratio_product(a, w, b, z), counts)

    before = (
        cycles(dx, dx / 2, inner**2) - cycles(dx, pitch / 2, inner**2) - cycles(dx, offset, inner)
    )
    between = cycles(dx, pitch / 2, steps**2)
    after = cycles(pitch, pitch / 2, outer**2) - cycles(dx, pitch / 2, outer**2)
    after = after + cycles(pitch, offset, outer) + cycles(offset, offset / 2, 1.0)
    kernel = jnp.asarray(xp.fft.fft(_turn(xp, between))).astype(dtype)
    before, after = (jnp.asarray(_turn(xp, turns)).astype(dtype) for turns in (before, after))
    return _convolved(amplitude, before, kernel, after, axis=axis)


# Compiled whole where it is called as it is; inside of another program it is written out there.
@partial(jax.jit, static_argnames="axis", inline=True)
def _convolved(amplitude, before, kernel, after, *, axis: int) -> Array:
    line = jnp.moveaxis(amplitude, axis, -1)
    lead = (1,) * (line.ndim - 1)
    before, kernel, after = (f.reshape((*lead, -1)) for f in (before, kernel, after))
    spectrum = jnp.fft.fft(line * before, kernel.shape[-1], axis=-1) * kernel
    line = jnp.fft.ifft(spectrum, axis=-1)[..., : after.shape[-1]] * after
    return jnp.moveaxis(line, -1, axis)


def fraunhofer(
    field: Field,
    distance: ArrayLike,
    *,
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    centre: Centre = (0.0, 0.0),
) -> Field:
    """Propagates a field into the far zone by a matrix Fourier transform, to any output grid.

    Neglects the phase pi r^2 / (wavelength z) over the input, so the Fresnel number of what is lit
    must be far below 1; `recommend_propagator` gives the number.

    Args:
        field: Field at the input plane.
        distance: Propagation distance in metres, not zero; negative values propagate backwards.
        shape: Output grid size (ny, nx).
        pixel_pitch: Output pitch in metres.
        centre: Position (y, x) of the output sample N // 2, in metres.

    Returns:
        Field at the output plane on the wanted grid; its coordinates count from `centre`.

    Raises:
        ValueError: If the distance is zero or not finite, the pitch not positive or the window
        empty.
    """
    _check_far_distance(distance, "distance")
    _check_window(shape, pixel_pitch)
    _warn_window("fraunhofer", field, distance, shape, pixel_pitch, centre, with_input=False)
    values = (field.wavelength, distance, pixel_pitch, *centre)
    xp, (w, z, pitch, *offsets) = host_or_traced(*values)
    depth, chirps = xp.abs(z), []
    for n, offset in zip(shape, offsets, strict=True):
        counts = np.arange(n) - n // 2.0
        turns = fractional_cycles(xp, ratio_product(pitch, w, pitch, 2 * depth), counts**2)
        turns = turns + fractional_cycles(xp, ratio_product(pitch, w, offset, depth), counts)
        turns = turns + fractional_cycles(xp, ratio_product(offset, w, offset, 2 * depth), 1.0)
        chirps.append(_turn(xp, turns))
    amplitude = _conjugate_if(z < 0, field.amplitude)
    amplitude = _matrix_dft(field, amplitude, depth, shape, pixel_pitch, centre)
    amplitude = _scale(amplitude, carrier(xp, abs(distance), w) * chirps[0], chirps[1])
    return Field(_conjugate_if(z < 0, amplitude), field.wavelength, pixel_pitch)


def focal_plane(
    field: Field,
    focal_length: ArrayLike,
    *,
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    centre: Centre = (0.0, 0.0),
) -> Field:
    """Gives the field in the back focal plane of an ideal lens, from that in the front focal plane.

    u(X) = exp(2 i k f) / (i w f) sum u(x) exp(-2 pi i X x / (w f)) dx^2, by a matrix Fourier
    transform. Paraxial, without vignetting by the lens (Goodman, section 5.2.2).

    Args:
        field: Field in the front focal plane.
        focal_length: Focal length in metres, positive.
        shape: Output grid size (ny, nx).
        pixel_pitch: Output pitch in metres.
        centre: Position (y, x) of the output sample N // 2, in metres.

    Returns:
        Field in the back focal plane on the wanted grid; its coordinates count from `centre`.

    Raises:
        ValueError: If the focal length or the pitch is not positive, or the window is empty.
    """
    check_positive(focal_length, "focal_length", "m")
    _check_window(shape, pixel_pitch)
    _warn_window("focal_plane", field, focal_length, shape, pixel_pitch, centre, with_input=False)
    xp, (w, f) = host_or_traced(field.wavelength, focal_length)
    amplitude = _matrix_dft(field, field.amplitude, f, shape, pixel_pitch, centre)
    phase = jnp.asarray(carrier(xp, 2 * focal_length, w)).astype(amplitude.dtype)
    return Field(amplitude * phase, field.wavelength, pixel_pitch)


def _matrix_dft(field: Field, amplitude: Array, depth, shape, pixel_pitch, centre: Centre) -> Array:
    """Sum of u(x) exp(-2 pi i X x / (w z)) dx^2 / (i w z)."""
    values = (field.wavelength, field.pixel_pitch, depth, pixel_pitch, *centre)
    xp, (w, dx, z, pitch, *offsets) = host_or_traced(*values)
    matrices = []
    for n_in, n_out, offset in zip(field.shape, shape, offsets, strict=True):
        inner, outer = np.arange(n_in) - n_in // 2.0, np.arange(n_out) - n_out // 2.0
        turns = fractional_cycles(
            xp, ratio_product(dx, w, pitch, z), outer[:, None] * inner[None, :]
        )
        shift = fractional_cycles(xp, ratio_product(dx, w, offset, z), inner)
        matrix = _turn(xp, -turns) * _turn(xp, -shift)[None, :] * (dx / xp.sqrt(w * z))
        matrices.append(jnp.asarray(matrix).astype(amplitude.dtype))
    rows, columns = matrices
    return -1j * jnp.einsum("my,...yx,nx->...mn", rows, amplitude, columns)


def _turn(xp: ModuleType, cycles: Number) -> Number:
    return xp.exp(2j * np.pi * cycles)


@partial(jax.jit, inline=True)
def _scale(amplitude: Array, rows: Number, columns: Number) -> Complex[Array, "*batch y x"]:
    """Multiplies by one factor along y and one along x, in the type of the field."""
    lead = (1,) * (amplitude.ndim - 2)
    rows, columns = (jnp.asarray(factor).astype(amplitude.dtype) for factor in (rows, columns))
    return amplitude * rows.reshape((*lead, -1, 1)) * columns.reshape((*lead, 1, -1))


def _conjugate_if(condition, amplitude: Array) -> Array:
    if is_concrete(condition):
        return jnp.conj(amplitude) if condition else amplitude
    return jnp.where(condition, jnp.conj(amplitude), amplitude)


def _check_far_distance(distance, name: str) -> None:
    check_distance(distance)
    if is_concrete(distance) and float(np.asarray(distance)) == 0:
        raise ValueError(f"`{name}` must not be 0 m for this method. Use propagate.")


def _check_window(shape: tuple[int, int], pixel_pitch) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"`shape` must be (ny, nx) with at least one sample each, but is {shape}.")
    check_positive(pixel_pitch, "pixel_pitch", "m")


def _warn_window(method, field, distance, shape, pixel_pitch, centre, *, with_input: bool) -> None:
    if not concrete_geometry(field, distance, pixel_pitch, *centre):
        return
    reach = 0.0
    for n_in, n_out, offset in zip(field.shape, shape, centre, strict=True):
        inner = n_in * float(field.pixel_pitch) / 2 if with_input else 0.0
        reach = max(reach, inner + n_out * float(pixel_pitch) / 2 + abs(float(offset)))
    if with_input and is_concrete(field.amplitude):
        limit = 2 * float(field.pixel_pitch) * reach / float(field.wavelength)
        z = float(np.asarray(distance))
        if abs(z) < limit and _turns_slowly(field, z, shape, float(pixel_pitch), centre):
            return
    _warn_short(method, field, distance, reach, "phase at the edge of the output window")


def _turns_slowly(field: Field, distance: float, shape, pixel_pitch: float, centre) -> bool:
    """Tells whether field times chirp turns by less than pi between lit neighbours, as behind a lens near its focus.

    Of the sampled product, so that a lens and a chirp that cancel may each alias.
    """
    values, pitch = np.asarray(field.amplitude), float(field.pixel_pitch)
    values = values if distance > 0 else values.conj()
    reach = float(field.wavelength) * abs(distance)
    lit = np.abs(values) > 1e-3 * np.abs(values).max()
    for axis, (n_out, offset) in zip((-2, -1), zip(shape, centre, strict=True), strict=True):
        n = values.shape[axis]
        chirp = np.exp(1j * np.pi * ((np.arange(n) - n // 2) * pitch) ** 2 / reach)
        product = np.moveaxis(values, axis, -1) * chirp
        both = np.moveaxis(lit, axis, -1)
        both = both[..., 1:] & both[..., :-1]
        steps = np.abs(np.angle(product[..., 1:] * product[..., :-1].conj()))
        ramp = 2 * np.pi * pitch * (n_out * pixel_pitch / 2 + abs(float(offset))) / reach
        if np.max(steps, where=both, initial=0.0) + ramp > np.pi:
            return False
    return True


def _warn_short(method: str, field: Field, distance, reach, what: str) -> None:
    """Warns unless the local frequency reach / (w z) is at most 1 / (2 pitch)."""
    if not concrete_geometry(field, distance, reach):
        return
    pitch, wavelength = float(field.pixel_pitch), float(field.wavelength)
    limit = 2 * pitch * float(reach) / wavelength
    rule = f"samples of {pitch:.4g} m resolve the {what} at {wavelength:.4g} m"
    warn_below(method, float(np.asarray(distance)), limit, rule, "See recommend_propagator.")

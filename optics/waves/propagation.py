"""Exact scalar propagation in free space between parallel planes, on one and the same grid.

Angular spectrum: U(f) -> U(f) exp(i 2 pi z sqrt(1/wavelength^2 - f^2)).
Rayleigh-Sommerfeld, first kind: u(r) -> sum u(r') h(r - r') dx^2 with
h = (1 / 2 pi) (z / R) (1 / R - i k) exp(i k R) / R and R = sqrt(r^2 + z^2).
They are one operator; they differ in what is sampled, and so in the range where sampling is good
(`optics.waves.sampling`). Paraxial forms and other output grids are in `optics.waves.fresnel`. A negative
distance gives the adjoint: it undoes the propagation of all waves that travel, and damps evanescent
ones instead of amplifying them. The kernels are even, so every operator T here is symmetric, T^T =
T. Sources: J. Goodman, Introduction to Fourier Optics, sections 3.5 and 3.10; K. Matsushima, T.
Shimobaba, Opt. Express 17, 19662 (2009), DOI 10.1364/OE.17.019662. Left out: polarisation, and
media other than one homogeneous.
"""

from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex

from optics._checks import check_finite, is_concrete
from optics._dark import root
from optics._numbers import takes_numbers
from optics.waves._phase import (
    Number,
    carrier,
    fractional_cycles,
    frequency_indices,
    host_or_traced,
    ratio_product,
    sqrt_excess,
)
from optics.waves.band import LARGEST_BAND, band_nodes, needs_fine_nodes, plane_response
from optics.waves.field import Field
from optics.waves.sampling import (
    impulse_response_limit,
    padding_needed,
    transfer_function_limit,
    warn_below,
    warn_beyond,
    warn_if_swapped,
)

_CHEAP_FINE_BAND = 64  # samples; our choice

# (padded shape, wavelength, pixel pitch, distance) -> transfer function in FFT order
Kernel = Callable[[tuple[int, int], Number, Number, Number], Number]


def propagate(field: Field, distance: ArrayLike, *, method: str = "auto", pad: int = 2) -> Field:
    """Propagates a field through free space with the exact kernel.

    "auto" is a linear convolution with the response between all samples, to rounding. Where the
    Rayleigh-Sommerfeld impulse response is sampled well enough that is the sum over samples as point
    sources; at shorter distances it is the angular spectrum of an endless grid (`optics.waves.band`).
    When distance or wavelength are traced, the choice is made at run time.

    Args:
        field: Field at the input plane.
        distance: Propagation distance in metres; negative values propagate backwards.
        method: "auto", "angular_spectrum" or "rayleigh_sommerfeld".
        pad: Factor of zero-padding for "angular_spectrum", and for "auto" at short distances on
            sides above `LARGEST_BAND` samples, which wraps at most 2 % (`optics.waves.sampling`); at
            least 2 for "auto".

    Returns:
        Field at the output plane on the input grid.

    Raises:
        ValueError: If the method is unknown, the distance is not finite or `pad` is too small.
    """
    if method == "angular_spectrum":
        return angular_spectrum(field, distance, pad=pad)
    if method == "rayleigh_sommerfeld":
        return rayleigh_sommerfeld(field, distance)
    if method != "auto":
        known = '"auto", "angular_spectrum" or "rayleigh_sommerfeld"'
        raise ValueError(f"`method` must be {known}, but is {method!r}.")
    check_distance(distance)
    check_pad(pad, lowest=2)
    longer = max(field.shape)
    padded = (2 * field.shape[0], 2 * field.shape[1])
    if longer > LARGEST_BAND:
        padded = (pad * longer, pad * longer)
    return field.with_amplitude(convolve(field, distance, padded, _automatic_kernel(longer)))


def angular_spectrum(field: Field, distance: ArrayLike, *, pad: int = 2) -> Field:
    """Propagates a field by the band-limited angular spectrum with the exact transfer function.

    Frequencies at which the sampled transfer function would alias are dropped: those with
    |d phase / d f| > pi per frequency step (Matsushima and Shimobaba 2009, eq. 9), that is, the
    waves that leave the padded window. Warns when this touches the band of the grid. What the response
    has beyond the padded window wraps around: `recommend_propagator` estimates it, `propagate` has none.

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
    warn_transfer_function("angular_spectrum", field, distance, pad)
    padded = (pad * field.shape[0], pad * field.shape[1])
    return field.with_amplitude(convolve(field, distance, padded, angular_spectrum_kernel))


def rayleigh_sommerfeld(field: Field, distance: ArrayLike) -> Field:
    """Propagates a field by convolution with the first Rayleigh-Sommerfeld impulse response.

    The grid is padded 2x, so the convolution is linear; every sample acts as a point source of area
    pitch^2. Right for long distances; warns when the impulse response is too steep for the pitch.

    Args:
        field: Field at the input plane.
        distance: Propagation distance in metres, not zero; negative values propagate backwards.

    Returns:
        Field at the output plane on the input grid.

    Raises:
        ValueError: If the distance is zero or not finite.
    """
    check_distance(distance)
    if is_concrete(distance) and float(np.asarray(distance)) == 0:
        rule = "`distance` must not be 0 m, where the impulse response is a delta"
        raise ValueError(f"{rule}. Use angular_spectrum.")
    _warn_impulse_response(field, distance)
    padded = (2 * field.shape[0], 2 * field.shape[1])
    return field.with_amplitude(convolve(field, distance, padded, rayleigh_sommerfeld_kernel))


def angular_spectrum_kernel(
    shape: tuple[int, int], wavelength: Number, pitch: Number, distance: Number
):
    """Band-limited exact transfer function in FFT order; see `angular_spectrum`."""
    axes = tuple(_frequency_axes(shape))
    waves, sine_squared = _plane_waves(axes, wavelength, pitch, distance)
    xp, (wavelength, pitch, distance) = host_or_traced(wavelength, pitch, distance)
    drift = 0.0
    for n, column in axes:
        # Walk-off in half windows: the band limit is walk_off <= cos(angle).
        sine = column * (wavelength / (n * pitch))
        drift = xp.maximum(drift, (sine * (2 * distance / (n * pitch))) ** 2)
    kept = (drift <= 1 - sine_squared) | (sine_squared >= 1)
    return xp.where(kept, waves, 0.0)


def _plane_waves(axes, wavelength: Number, pitch: Number, distance: Number):
    """Exact transfer function at frequencies column / (n pitch) of both axes, and squared sines of the angles."""
    whole = distance
    xp, (wavelength, pitch, distance) = host_or_traced(wavelength, pitch, distance)
    sine_squared, cycles = 0.0, 0.0
    for n, column in axes:
        sine_squared = sine_squared + (column * (wavelength / (n * pitch))) ** 2
        rate = ratio_product(distance, pitch, wavelength, 2 * pitch, count=n**2)
        cycles = cycles - fractional_cycles(xp, rate, column**2)
    travels = sine_squared < 1
    _, excess = sqrt_excess(xp, xp.where(travels, -sine_squared, 0.0))
    wave = carrier(xp, whole, wavelength) * xp.exp(
        2j * np.pi * (cycles + excess * (distance / wavelength))
    )
    # The grazing wave, on the grid where the wavelength is a whole number of half pitches, has no slope.
    square = xp.where(travels, 1.0, sine_squared - 1)
    decay = (xp.sqrt if xp is np else root)(square) * xp.abs(distance)
    return xp.where(travels, wave, xp.exp(-2 * np.pi * decay / wavelength)), sine_squared


def whole_band_kernel(shape: tuple[int, int], wavelength: Number, pitch: Number, distance: Number):
    """Transform of the response of an endless grid, cut to the lags of a grid padded twice; see `optics.waves.band`."""
    xp, numbers = host_or_traced(wavelength, pitch, distance)
    n = max(shape) // 2
    # A traced pitch may be fine: where that is cheap it is taken for such, so that jit changes nothing.
    fine = needs_fine_nodes(numbers[1], numbers[0]) if xp is np else n <= _CHEAP_FINE_BAND
    nodes, weights = band_nodes(n, fine)
    axes = ((1, nodes[:, None]), (1, nodes[None, :]))
    transfer, _ = _plane_waves(axes, wavelength, pitch, distance)
    lags = (frequency_indices(shape[0]), frequency_indices(shape[1]))
    return xp.fft.fft2(plane_response(xp, transfer, lags, nodes, weights))


def rayleigh_sommerfeld_kernel(
    shape: tuple[int, int], wavelength: Number, pitch: Number, distance: Number
):
    """Transform of the sampled impulse response in FFT order; see `rayleigh_sommerfeld`."""
    whole = distance
    xp, (wavelength, pitch, distance) = host_or_traced(wavelength, pitch, distance)
    sign, depth = xp.where(distance < 0, -1.0, 1.0), xp.abs(distance)
    tangent_squared, cycles = 0.0, 0.0
    for _, column in _frequency_axes(shape):
        tangent_squared = tangent_squared + (column * (pitch / depth)) ** 2
        rate = ratio_product(pitch, wavelength, pitch, 2.0 * depth)
        cycles = cycles + fractional_cycles(xp, rate, column**2)
    secant, excess = sqrt_excess(xp, tangent_squared)
    wave = carrier(xp, whole, wavelength) * xp.exp(
        2j * np.pi * sign * (cycles + excess * (depth / wavelength))
    )
    near, far = 1 / (2 * np.pi * depth * secant), sign / wavelength
    impulse = wave * (near - 1j * far) * (pitch / secant) * (pitch / (depth * secant))
    return xp.fft.fft2(impulse)


@lru_cache
def _automatic_kernel(longer: int) -> Kernel:
    """Kernel that chooses for grids of this longer side; one object a side, so that its results are kept."""
    near_kernel = whole_band_kernel if longer <= LARGEST_BAND else angular_spectrum_kernel

    def kernel(shape, wavelength, pitch, distance):
        xp, values = host_or_traced(wavelength, pitch, distance)
        near = abs(values[2]) < impulse_response_limit(longer, values[1], values[0], xp)
        if xp is np:
            return (near_kernel if near else rayleigh_sommerfeld_kernel)(shape, *values)
        return jax.lax.cond(
            near,
            lambda: near_kernel(shape, wavelength, pitch, distance),
            lambda: rayleigh_sommerfeld_kernel(shape, wavelength, pitch, distance),
        )

    return kernel


def _frequency_axes(shape: tuple[int, int]):
    for axis, n in enumerate(shape):
        column = frequency_indices(n)
        yield n, column[:, None] if axis == 0 else column[None, :]


def convolve(
    field: Field, distance, padded: tuple[int, int], kernel: Kernel
) -> Complex[Array, "*batch y x"]:
    """Filters a field with a kernel on a padded grid; known kernels are made on the host, kept."""
    values = (field.wavelength, field.pixel_pitch, distance)
    dtype = field.amplitude.dtype
    if concrete_geometry(field, distance):
        numbers = [float(np.asarray(value)) for value in values]
        transfer = jnp.asarray(_host_kernel(kernel, padded, *numbers, str(dtype)))
    else:
        transfer = jnp.asarray(kernel(padded, *values)).astype(dtype)
    return filter_frequencies(field.amplitude, transfer)


@lru_cache(maxsize=4)
def _host_kernel(kernel: Kernel, padded, wavelength, pitch, distance, dtype: str) -> np.ndarray:
    warn_if_swapped(pitch, wavelength)
    return kernel(padded, wavelength, pitch, distance).astype(dtype)


# Compiled whole where it is called as it is; inside of another program it is written out there.
@takes_numbers
@partial(jax.jit, inline=True)
def filter_frequencies(
    amplitude: Complex[Array, "*batch y x"], transfer: Complex[Array, "Y X"]
) -> Complex[Array, "*batch y x"]:
    """Multiplies the zero-padded spectrum by a transfer function in FFT order and crops back.

    Axis by axis, so that the transforms of rows that hold only padding are never made.
    """
    ny, nx = amplitude.shape[-2:]
    spectrum = jnp.fft.fft(
        jnp.fft.fft(amplitude, transfer.shape[1], axis=-1), transfer.shape[0], axis=-2
    )
    spectrum = spectrum * transfer.reshape((1,) * (amplitude.ndim - 2) + transfer.shape)
    columns = jnp.fft.ifft(spectrum, axis=-2)[..., :ny, :]
    return jnp.fft.ifft(columns, axis=-1)[..., :nx]


def check_distance(distance) -> None:
    """Raises unless the distance is one finite number."""
    if not isinstance(distance, int | float | np.generic | np.ndarray | jax.Array):
        kind = type(distance).__name__
        raise TypeError(f"`distance` must be a number in metres, but is of type {kind}.")
    shape = jnp.shape(distance)
    if shape != ():
        raise ValueError(
            f"`distance` must be one number in metres, but its shape is {shape}. Use jax.vmap."
        )
    if is_concrete(distance):
        check_finite(np.asarray(distance), "distance")


def check_pad(pad: int, lowest: int = 1) -> None:
    """Raises ValueError unless the padding factor is at least `lowest`."""
    if pad < lowest:
        raise ValueError(f"`pad` must be at least {lowest}, but is {pad}.")


def warn_transfer_function(method: str, field: Field, distance, pad: int) -> None:
    """Warns when a transfer function on the padded grid would alias inside the band of the grid."""
    if not concrete_geometry(field, distance):
        return
    n, pitch, wavelength = min(field.shape), float(field.pixel_pitch), float(field.wavelength)
    z = float(np.asarray(distance))
    limit = transfer_function_limit(pad * n, pitch, wavelength)
    grid = f"{pad * n} padded samples of {pitch:.4g} m"
    enough = padding_needed(n, pitch, wavelength, z)
    remedy = f"Use propagate or rayleigh_sommerfeld, or pad={enough}."
    what = f"{grid} carry the whole band at {wavelength:.4g} m"
    warn_beyond(method, z, limit, what, remedy)


def _warn_impulse_response(field: Field, distance) -> None:
    if not concrete_geometry(field, distance):
        return
    n, pitch, wavelength = max(field.shape), float(field.pixel_pitch), float(field.wavelength)
    limit = impulse_response_limit(n, pitch, wavelength)
    grid = f"{n} samples of {pitch:.4g} m"
    what = f"{grid} resolve the impulse response at {wavelength:.4g} m"
    remedy = "Use propagate or angular_spectrum."
    warn_below("rayleigh_sommerfeld", float(np.asarray(distance)), limit, what, remedy)


def concrete_geometry(field: Field, *values) -> bool:
    """Tells whether wavelength, pitch and the given values can be looked at now."""
    return all(is_concrete(value) for value in (field.wavelength, field.pixel_pitch, *values))

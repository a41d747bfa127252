"""Scattering media: random phase screens, layers of them in free space, their transmission matrix and their speckle.

A screen multiplies a field by exp(i phi(y, x)), phi Gaussian with zero mean and the correlation

    <phi(r) phi(r')> = sd^2 exp(-|r - r'|^2 / l^2),

so that l is the 1/e correlation length. The part of the light that keeps its phase has the mean amplitude
<exp(i phi)> = exp(-sd^2 / 2), hence the ballistic share of power exp(-sd^2) (J. W. Goodman, Statistical Optics, 2nd
ed., Wiley 2015, section 8.3 on random screens). A phase plate is one screen; a tape is one of larger l; a thick
medium is several screens with free space between them.

With P_d free space over d and D_k the screens, T = P_b D_n P_s ... P_s D_1 P_a. All factors are symmetric, so
T^T = P_a D_1 P_s ... D_n P_b: the medium read backwards. T^T = T holds if a = b and the screens are a palindrome.
Left out: absorption, polarisation, reflections between layers, light beyond the grid's band of angles.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from optics._checks import (
    check_finite,
    check_in_range,
    check_positive,
    is_concrete,
)
from optics._numbers import refuse_traced_key, takes_numbers
from optics.media import free_space_kernels as kernels
from optics.media.free_space import FreeSpace, make_free_space
from optics.metrics import full_width_at_half_maximum
from optics.waves.field import over_batch


def phase_screen(
    shape: tuple[int, int],
    pixel_pitch: float | int,
    standard_deviation: float | int,
    correlation_length: float | int,
    *,
    key: PRNGKeyArray,
    dtype=jnp.float32,
) -> Float[Array, "y x"]:
    """Draws one Gaussian-correlated random phase screen.

    Circulant embedding: white noise filtered on a torus that is longer than the window by six correlation lengths,
    so that every lag inside the window has the stated correlation to exp(-36) and no lag wraps around.

    Args:
        shape: Grid (ny, nx).
        pixel_pitch: Pixel pitch, m.
        standard_deviation: Standard deviation of the phase, rad; not below 0.
        correlation_length: Lag at which the correlation has fallen to 1/e, m. Far below the pitch the screen is white.
        key: PRNG key; the draw is made on the host in double precision and does not depend on `dtype`.
        dtype: float32 or float64.

    Returns:
        Phase in rad, not wrapped.

    Raises:
        ValueError: If a size is out of range.
    """
    refuse_traced_key(key)
    check_positive(pixel_pitch, "pixel_pitch", "m")
    check_positive(correlation_length, "correlation_length", "m")
    check_in_range(standard_deviation, "standard_deviation", 0, 1e6, "rad")
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
    filters = [_root_spectrum(n, correlation_length / pixel_pitch) for n in shape]
    noise = rng.standard_normal([f.size for f in filters])
    spectrum = np.fft.fft2(noise) * filters[0][:, None] * filters[1][None, :]
    screen = np.fft.ifft2(spectrum).real[: shape[0], : shape[1]]
    return jnp.asarray(standard_deviation * screen, dtype)


def _root_spectrum(n: int, length: float) -> np.ndarray:
    """Square root of the spectrum of exp(-m^2 / length^2) on a torus that holds n samples and six lengths."""
    size = scipy.fft.next_fast_len(n + math.ceil(6 * length)) or 0  # for the type: an int
    lag = np.minimum(np.arange(size), size - np.arange(size))
    spectrum = np.fft.fft(np.exp(-((lag / length) ** 2))).real
    return np.sqrt(
        np.maximum(spectrum, 0)
    )  # rounding leaves -1e-16 where the spectrum has died out


def scattering_angle(
    standard_deviation: float | int, correlation_length: float | int, wavelength: float | int
) -> float:
    """Rms deflection along each axis by a strong screen (sd well above 1): lambda sd sqrt(2) / (2 pi l), rad.

    The mean square slope of the phase is -C''(0) = 2 sd^2 / l^2; a slope s turns a ray by s lambda / (2 pi). A grid of
    pitch p carries angles up to lambda / (2 p).
    """
    slope = math.sqrt(2) * standard_deviation / correlation_length
    return wavelength * slope / (2 * math.pi)


class Scatterer(eqx.Module):
    """What stands in the light path: screens and where they are; `place_scatterer` makes one.

    Attributes:
        phase: Phase of each screen in the order in which light meets them, rad.
        first_distance: From the input face to the first screen, m.
        spacing: From one screen to the next, m.
    """

    phase: Float[Array, "layer y x"]
    first_distance: float = eqx.field(static=True)
    spacing: float = eqx.field(static=True)

    @property
    def thickness(self) -> float:
        """From the first to the last screen, m."""
        return (self.phase.shape[0] - 1) * self.spacing


@takes_numbers
def place_scatterer(
    phase: Float[Array, "layer y x"],
    distance: float | int,
    *,
    spacing: float | int = 0.0,
    offset: float | int = 0.0,
) -> Scatterer:
    """Puts screens into a free-space module of length `distance`.

    Args:
        phase: Screens in the order in which light meets them, rad.
        distance: Length of the module, m.
        spacing: From one screen to the next, m; needed for more than one.
        offset: Centre of the medium from mid-way, m, positive towards the camera. Only mid-way (0) leaves T symmetric.

    Raises:
        ValueError: If the medium does not fit between the two faces.
    """
    check_finite(phase, "phase")
    check_positive(distance, "distance", "m")
    if phase.shape[0] > 1:
        check_positive(spacing, "spacing", "m", "Screens in one plane add up to one screen.")
    thickness = (phase.shape[0] - 1) * spacing
    first = (distance - thickness) / 2 + offset
    if not 0 <= first <= distance - thickness:
        raise ValueError(
            f"`offset` must keep the medium of {thickness:g} m between the faces, {distance:g} m apart, but is "
            f"{offset:g} m."
        )
    return Scatterer(phase, float(first), float(spacing))


@takes_numbers
def mirrored(phase: Float[Array, "layer y x"]) -> Float[Array, "twice y x"]:
    """Adds the mirror image of the screens behind them: a palindrome, symmetric once it is placed mid-way."""
    return jnp.concatenate([phase, phase[::-1]])


class ScatteringMedium(eqx.Module):
    """Linear map of a free-space module with a scatterer in it; made by `make_medium`.

    Attributes:
        entry: Free space to the first screen.
        between: Free space from screen to screen; None for a single one.
        exit: Free space from the last screen to the camera.
        transmission: exp(i phi) of each screen.
    """

    entry: FreeSpace
    between: FreeSpace | None
    exit: FreeSpace
    transmission: Complex[Array, "layer y x"]

    @takes_numbers
    def __call__(self, amplitude: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Sends complex amplitudes `(..., y, x)` through the medium."""
        first, rest = self.transmission[0], self.transmission[1:]
        field = self.entry(amplitude)
        field = over_batch(first, field) * field
        between = self.between
        if between is not None:

            def step(u, screen):
                u = between(u)
                return over_batch(screen, u) * u, None

            field, _ = jax.lax.scan(step, field, rest)
        return self.exit(field)

    @takes_numbers
    def backward(self, amplitude: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Light from the camera back to the input face, T^T u; see `FreeSpace.backward`."""
        return self.transpose()(amplitude)

    @property
    def is_symmetric(self) -> bool:
        """Tells whether T^T = T: screens a palindrome, mid-way, camera in place. Not under `jit`."""
        # A property: as a static field it would recompile whatever a medium is moved through.
        screens = np.asarray(self.transmission)
        ends = (float(self.entry.distance), float(self.exit.distance))
        return (
            np.array_equal(screens, screens[::-1])
            and math.isclose(*ends, rel_tol=1e-12, abs_tol=1e-15)
            and self.exit.is_symmetric
        )

    @property
    def distance(self) -> np.ndarray | Array:
        """From the input face to the camera, m."""
        inside = 0.0 if self.between is None else self.between.distance
        return self.entry.distance + (self.transmission.shape[0] - 1) * inside + self.exit.distance

    def transpose(self) -> "ScatteringMedium":
        """Transposed operator T^T (no conjugate): the medium read backwards."""
        return ScatteringMedium(
            self.exit.transpose(),
            None if self.between is None else self.between.transpose(),
            self.entry.transpose(),
            self.transmission[::-1],
        )


def make_medium(
    scatterer: Scatterer,
    pixel_pitch: float | int,
    wavelength: float | int,
    distance: float | int,
    *,
    output_shift: tuple[float, float] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
    **options,
) -> ScatteringMedium:
    """Prepares free space with a scatterer in it, from an input face to a camera of the same window.

    Args:
        scatterer: Screens and their places.
        pixel_pitch: Pixel pitch, m.
        wavelength: Wavelength, m.
        distance: From the input face to the camera, m.
        output_shift: Lateral displacement (dy, dx) of the camera, m.
        dtype: complex64 or complex128.
        **options: `kernel` and `method` of `make_free_space`.

    Raises:
        ValueError: If the camera would stand inside the medium.
    """
    shape = (scatterer.phase.shape[1], scatterer.phase.shape[2])
    last = distance - scatterer.first_distance - scatterer.thickness
    if last < 0:
        raise ValueError(
            f"`distance` must reach beyond the last screen, at {distance - last:g} m, but is {distance:g} m."
        )

    def space(length, shift=(0.0, 0.0)):
        return make_free_space(
            shape, pixel_pitch, wavelength, length, output_shift=shift, dtype=dtype, **options
        )

    screens = np.asarray(scatterer.phase)
    return ScatteringMedium(
        entry=space(scatterer.first_distance),
        between=space(scatterer.spacing) if len(screens) > 1 else None,
        exit=space(last, output_shift),
        transmission=jnp.asarray(np.exp(1j * screens.astype(float)), dtype),
    )


@takes_numbers
def transmission_matrix(
    operator: Callable[[Array], Array],
    shape: tuple[int, int],
    *,
    inputs: Int[Array, " input"] | None = None,
    outputs: Int[Array, " output"] | None = None,
    block: int = 64,
    dtype: Any = jnp.complex64,
) -> Complex[Array, "output input"]:
    """Probes a linear operator on a grid with single lit pixels, a block of them at a time.

    Args:
        operator: Linear map of `(y, x)` fields that can be vectorised.
        shape: Grid (ny, nx).
        inputs: Flat indices (row-major) of the columns wanted; None for all.
        outputs: Flat indices of the rows wanted; None for all.
        block: Pixels probed at once: memory against speed.
        dtype: complex64 or complex128.
    """
    columns = jnp.arange(shape[0] * shape[1]) if inputs is None else inputs
    return _probed(operator, shape, columns, outputs, block, dtype)


# Compiled here, so that another medium with the same layers, a module and not a closure, does not compile again.
@eqx.filter_jit
def _probed(operator, shape, columns, outputs, block, dtype):
    def column(index):
        lit = jnp.zeros(shape[0] * shape[1], dtype).at[index].set(1).reshape(shape)
        answer = operator(lit).reshape(-1)
        return answer if outputs is None else answer[outputs]

    return jax.lax.map(column, columns, batch_size=min(block, columns.size)).T


def layered_matrix(
    scatterer: Scatterer, pixel_pitch: float | int, wavelength: float | int, distance: float | int
) -> np.ndarray:
    """Transmission matrix of screens in Fresnel free space as a product of dense matrices, for small grids.

    Free space is the Kronecker product of its two one-dimensional Toeplitz matrices, a screen is diagonal. Computed
    by numpy in double precision, apart from the operators of `make_medium`.

    Returns:
        Matrix over flat pixel indices (row-major), complex128.

    Raises:
        ValueError: If the grid has more than 4096 pixels (a matrix of 256 MiB).
    """
    n_layers, ny, nx = scatterer.phase.shape
    if ny * nx > 4096:
        raise ValueError(
            f"`scatterer` must have at most 4096 pixels for a dense product, but has {ny * nx}. "
            "Use transmission_matrix."
        )

    def space(length):
        geometry = kernels.Windows((ny, nx), pixel_pitch, wavelength, length, (0.0, 0.0))
        spectra = kernels.fresnel_spectra(geometry)
        return np.kron(kernels.toeplitz(spectra[0], ny), kernels.toeplitz(spectra[1], nx))

    screens = np.exp(1j * np.asarray(scatterer.phase, float)).reshape(n_layers, -1, 1)
    matrix = space(scatterer.first_distance)
    for layer in range(n_layers):
        matrix = screens[layer] * matrix
        last = distance - scatterer.first_distance - scatterer.thickness
        matrix = space(scatterer.spacing if layer < n_layers - 1 else last) @ matrix
    return matrix


@takes_numbers
def exponential_distance(intensity: Float[Array, "*batch y x"]) -> float:
    """Kolmogorov-Smirnov distance of the intensities from the law of developed speckle, P(I > a <I>) = exp(-a).

    J. W. Goodman, Speckle Phenomena in Optics, Roberts 2007, eq. 3-13. Means are taken over the whole array; 0 for
    perfect agreement, 1 - 1 / e for uniform light.
    """
    values = np.sort(np.asarray(intensity, float), axis=None)
    if not values.mean() > 0:
        raise ValueError(f"`intensity` must hold light, but its mean is {values.mean():g}.")
    law = 1 - np.exp(-values / values.mean())
    steps = np.arange(values.size + 1) / values.size
    return float(max(np.max(steps[1:] - law), np.max(law - steps[:-1])))


@takes_numbers
def speckle_correlation(intensity: Float[Array, "*batch y x"]) -> Float[Array, "y x"]:
    """Autocovariance of the intensity over its value at lag 0, lag 0 on sample N // 2; averaged over a batch.

    The window is continued with zeros and every lag divided by its number of pairs.

    Raises:
        ValueError: If the intensity is uniform.
    """
    if is_concrete(intensity) and np.ptp(np.asarray(intensity)) == 0:
        raise ValueError("`intensity` must vary for a correlation, but is the same at every pixel.")
    return _correlation(intensity)


@jax.jit
def _correlation(intensity):
    ny, nx = intensity.shape[-2:]
    deviation = intensity - jnp.mean(intensity)
    size = (2 * ny, 2 * nx)
    power = jnp.abs(jnp.fft.fft2(deviation, s=size)) ** 2
    pairs = jnp.abs(jnp.fft.fft2(jnp.ones((ny, nx), intensity.dtype), s=size)) ** 2
    mean_power = jnp.mean(power.reshape(-1, *size), axis=0)
    sums, counts = (jnp.fft.ifft2(p).real for p in (mean_power, pairs))
    # The far half of the lags rests on few pairs and is left out.
    rows, columns = (np.arange(n) - n // 2 for n in (ny, nx))
    picked = (sums / jnp.maximum(counts, 1))[jnp.ix_(rows, columns)]
    return picked / picked[ny // 2, nx // 2]


@takes_numbers
def speckle_size(intensity: Float[Array, "*batch y x"], pixel_pitch: float | int) -> float:
    """Full width at half maximum of the intensity autocovariance, mean of y and x, in metres.

    0.886 lambda z / D for a diffuser that a square aperture of side D lights evenly (Goodman, Speckle Phenomena in
    Optics, 2007, section 4.4: |sinc|^2).
    """
    check_positive(pixel_pitch, "pixel_pitch", "m")
    correlation = np.asarray(speckle_correlation(intensity))
    ny, nx = correlation.shape
    profiles = (correlation[:, nx // 2], correlation[ny // 2, :])
    return float(
        np.mean([full_width_at_half_maximum(jnp.asarray(p), pixel_pitch) for p in profiles])
    )

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

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Float, PRNGKeyArray

from optics._checks import check_in_range, check_positive


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

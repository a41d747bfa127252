"""What a focus behind a scattering medium is worth: enhancement, width, likeness to the ideal spot, speed.

For phase-only control of N independent circular Gaussian channels the target ends pi/4 (N - 1) + 1 times as bright as
the mean speckle before (Vellekoop and Mosk, Opt. Lett. 32, 2309 (2007), DOI 10.1364/OL.32.002309). The spot of a square
aperture D at distance z is sinc^2(y / w) sinc^2(x / w) with w = lambda z / D, 0.886 w wide at half maximum.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from optics._checks import check_in_range, check_positive, check_shape
from optics._numbers import takes_numbers
from optics.metrics import full_width_at_half_maximum

UPSAMPLING = 8  # Points a pixel where the width of a focus is read.


def ideal_enhancement(n_modes: int) -> float:
    """pi/4 (N - 1) + 1: peak over mean background for phase-only control of N independent Gaussian channels."""
    return math.pi / 4 * (n_modes - 1) + 1


@takes_numbers
def enhancement(
    after: Float[Array, "y x"], target: Float[Array, "y x"], before: Float[Array, "y x"]
) -> float:
    """Mean intensity on the target after, over the mean intensity of the speckle on the camera before."""
    check_shape(before, "before", after.shape)
    mask = np.asarray(target) > 0
    return float(np.asarray(after)[mask].mean() / np.asarray(before).mean())


def diffraction_limit(wavelength: float, distance: float, aperture: float) -> float:
    """lambda z / D, m: first zero of the focus of a square aperture; its FWHM is 0.886 of it."""
    return wavelength * distance / aperture


@takes_numbers
def focus_width(
    field: Complex[Array, "y x"],
    target: Float[Array, "y x"],
    pixel_pitch: float,
    *,
    search: float,
) -> float:
    """Full width at half maximum of the focus, mean of y and x, m.

    The measured field, not its intensity, is interpolated (Whittaker-Shannon, exact for a band below 1 / (2 pitch)), on
    a grid UPSAMPLING times finer around the target; profiles go through the brightest point.

    Args:
        field: Measured field at the camera.
        target: Target square.
        pixel_pitch: Camera pitch, m.
        search: The peak is looked for within this distance from the centre of the target, m; profiles reach four
            times as far.

    Raises:
        ValueError: If the intensity does not fall to half within reach.
    """
    check_positive(search, "search", "m")
    middle = np.argwhere(np.asarray(target) > 0).mean(axis=0)
    reach = int(np.ceil(4 * search / pixel_pitch)) * UPSAMPLING
    fine = np.arange(-reach, reach + 1) / UPSAMPLING
    samples = np.asarray(field)
    along_y, along_x = (
        np.sinc(centre + fine[:, None] - np.arange(n)[None, :])
        for centre, n in zip(middle, samples.shape, strict=True)
    )
    intensity = np.abs(along_y @ samples @ along_x.T) ** 2
    near = np.abs(fine) * pixel_pitch <= search
    inside = np.where(near[:, None] & near[None, :], intensity, -1.0)
    row, column = (int(i) for i in np.unravel_index(inside.argmax(), inside.shape))
    lines = ((intensity[:, column], row), (intensity[row, :], column))
    step = pixel_pitch / UPSAMPLING
    return float(
        np.mean([full_width_at_half_maximum(jnp.asarray(_one_peak(*line)), step) for line in lines])
    )


def _one_peak(profile: np.ndarray, top: int) -> np.ndarray:
    """The profile about index `top`, cut one sample after it has first fallen below half on either side."""
    below = profile < profile[top] / 2
    left = np.flatnonzero(below[:top])
    right = np.flatnonzero(below[top:])
    start = max(int(left[-1]) - 1, 0) if left.size else 0
    stop = min(top + int(right[0]) + 2, profile.size) if right.size else profile.size
    return profile[start:stop]


@takes_numbers
def focus_psnr(
    intensity: Float[Array, "y x"],
    target: Float[Array, "y x"],
    pixel_pitch: float,
    first_zero: float,
) -> float:
    """10 log10(peak^2 / mean squared error to the ideal spot) over the field, dB.

    Our definition; the paper's is unknown. Both pictures are scaled to a peak of 1, so peak = 1. The ideal spot is that
    of a square aperture, sinc^2(y / w) sinc^2(x / w) about the centre of the target, with w = `first_zero` (m).
    """
    check_positive(first_zero, "first_zero", "m")
    middle = np.argwhere(np.asarray(target) > 0).mean(axis=0)
    y, x = (
        np.sinc((np.arange(n) - centre) * pixel_pitch / first_zero) ** 2
        for n, centre in zip(intensity.shape, middle, strict=True)
    )
    picture, ideal = np.asarray(intensity, float), y[:, None] * x[None, :]
    error = np.mean((picture / picture.max() - ideal / ideal.max()) ** 2)
    return float(-10 * np.log10(error))


@takes_numbers
def iterations_to_converge(losses: Float[Array, " iteration"], tolerance: float = 0.01) -> int:
    """First iteration whose loss is within `tolerance` of the whole drop of the last loss (our definition)."""
    check_in_range(tolerance, "tolerance", 0, 1)
    values = np.asarray(losses, float)
    limit = values[-1] + tolerance * max(values[0] - values[-1], 0.0)
    return int(np.flatnonzero(values <= limit)[0])

"""Figures of merit for images, fields, spots and matrices.

Image metrics act on the last two axes and return one number per batch element. A leaf: anyone may
import it, and it imports only the checks.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Complex, Float, Inexact

from optics._checks import check_finite, check_positive, check_shape, is_concrete
from optics._dark import quotient, root
from optics._numbers import takes_numbers


@takes_numbers
def peak_signal_to_noise_ratio(
    image: Float[Array, "*batch y x"],
    reference: Float[Array, "*batch y x"],
    *,
    data_range: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """PSNR = 10 log10(data_range^2 / mean squared difference), in decibels.

    Args:
        image: Image to judge.
        reference: Image to reach.
        data_range: Largest possible value minus the smallest; maximum minus minimum of each
            reference if None.

    Returns:
        Decibels, infinite (with zero slope) for identical images.

    Raises:
        ValueError: If a reference is flat and `data_range` is None, so that there is no range, but the images differ.
    """
    _check_same_shape(image, reference)
    error = jnp.mean((image - reference) ** 2, axis=(-2, -1))
    span = _data_range(reference, data_range)
    if data_range is None and is_concrete(span) and is_concrete(error):
        flat = (np.asarray(span) == 0) & (np.asarray(error) > 0)
        if flat.any():
            raise ValueError(
                "`data_range` must be given where the reference is flat, but is None, and maximum minus minimum of "
                "the reference is 0."
            )
    differs = error > 0
    decibels = 10 * jnp.log10(span**2 / jnp.where(differs, error, 1))
    return jnp.where(differs, decibels, jnp.inf)


@takes_numbers
def structural_similarity(
    image: Float[Array, "*batch y x"],
    reference: Float[Array, "*batch y x"],
    *,
    data_range: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """Mean structural similarity (SSIM).

    Wang et al., IEEE Trans. Image Process. 13, 600 (2004), DOI 10.1109/TIP.2003.819861:
    SSIM = (2 m_a m_b + C1)(2 s_ab + C2) / ((m_a^2 + m_b^2 + C1)(s_a^2 + s_b^2 + C2)) with C1 =
    (0.01 L)^2, C2 = (0.03 L)^2 for data range L, and local moments under an 11 x 11 Gaussian window
    of standard deviation 1.5 of unit sum. Averaged over the positions where the window lies inside
    the image, as in the authors' program.

    Args:
        image: Image to judge.
        reference: Image to reach; at least 11 x 11.
        data_range: L; maximum minus minimum of each reference if None.

    Returns:
        Similarity from -1 to 1, 1 for identical images. Where both are flat and L is 0, C1 and C2 vanish and the
        factors in which they stand alone are 1.
    """
    _check_same_shape(image, reference)
    if min(image.shape[-2:]) < 11:
        raise ValueError(f"`image` must be at least 11 x 11, but its shape is {image.shape}.")
    return _similarity(image, reference, _data_range(reference, data_range)[..., None, None])


@jax.jit
def _similarity(image, reference, span):
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    # Centred first: variances from differences of squares lose digits on a large common level.
    level = jnp.mean(reference, axis=(-2, -1), keepdims=True)
    # The mean of equal numbers rounds; their common value does not.
    level = jnp.where(_is_flat(reference), reference[..., :1, :1], level)
    a, b = image - level, reference - level
    mean_a, mean_b = _gaussian_window(a), _gaussian_window(b)
    covariance = _gaussian_window(a * b) - mean_a * mean_b
    variance_a = _gaussian_window(a * a) - mean_a**2
    variance_b = _gaussian_window(b * b) - mean_b**2
    mean_a, mean_b = mean_a + level, mean_b + level
    # A flat image has no variance, whatever the difference of squares rounds to.
    flat_a, flat_b = _is_flat(image), _is_flat(reference)
    variance_a, variance_b = jnp.where(flat_a, 0, variance_a), jnp.where(flat_b, 0, variance_b)
    covariance = jnp.where(flat_a | flat_b, 0, covariance)
    similarity = quotient(2 * mean_a * mean_b + c1, mean_a**2 + mean_b**2 + c1, dark=1.0)
    similarity *= quotient(2 * covariance + c2, variance_a + variance_b + c2, dark=1.0)
    return jnp.mean(similarity, axis=(-2, -1))


@takes_numbers
def michelson_contrast(intensity: Float[Array, "*batch y x"]) -> Float[Array, "*batch"]:
    """Fringe visibility (max - min) / (max + min), from 0 to 1; 0 for a dark image."""
    high, low = jnp.max(intensity, axis=(-2, -1)), jnp.min(intensity, axis=(-2, -1))
    return quotient(high - low, high + low)


@takes_numbers
def speckle_contrast(intensity: Float[Array, "*batch y x"]) -> Float[Array, "*batch"]:
    """Standard deviation over mean; 1 for fully developed polarised speckle, 0 (with zero slope) for uniform light."""
    variance = jnp.where(_is_flat(intensity)[..., 0, 0], 0, jnp.var(intensity, axis=(-2, -1)))
    return quotient(root(variance), jnp.mean(intensity, axis=(-2, -1)))


@takes_numbers
def signal_to_background(
    intensity: Float[Array, "*batch y x"], signal: Bool[Array, "y x"]
) -> Float[Array, "*batch"]:
    """Mean intensity where `signal` is true over the mean where it is false.

    Infinite over a dark background, 0 for a dark image.
    """
    mask = _region(signal, intensity)
    if is_concrete(signal) and (not bool(signal.any()) or bool(signal.all())):
        raise ValueError("`signal` must be true somewhere and false elsewhere, but is uniform.")
    inside = jnp.mean(intensity, axis=(-2, -1), where=mask)
    outside = jnp.mean(intensity, axis=(-2, -1), where=~mask)
    return jnp.where(inside == 0, 0, inside / jnp.where((inside == 0) & (outside == 0), 1, outside))


@takes_numbers
def diffraction_efficiency(
    intensity: Float[Array, "*batch y x"],
    region: Bool[Array, "y x"],
    *,
    incident_power: ArrayLike | None = None,
) -> Float[Array, "*batch"]:
    """Share of the power that lands in a region.

    Args:
        intensity: Intensity in the observed plane.
        region: Where the light is wanted.
        incident_power: Sum of the intensity before the element, in the same units and pitch; the
            sum over the observed plane if None, which leaves out what was absorbed or missed the
            grid.

    Returns:
        Efficiency, 0 to 1 for a passive element.
    """
    inside = jnp.sum(intensity, axis=(-2, -1), where=_region(region, intensity))
    if incident_power is None:
        return quotient(inside, jnp.sum(intensity, axis=(-2, -1)))
    check_positive(incident_power, "incident_power")
    return inside / jnp.asarray(incident_power, intensity.dtype)


@takes_numbers
def field_fidelity(
    a: Complex[Array, "*batch y x"], b: Complex[Array, "*batch y x"]
) -> Float[Array, "*batch"]:
    """|<a, b>|^2 / (<a, a> <b, b>): 1 for fields equal up to a factor, 0 for orthogonal ones."""
    _check_same_shape(a, b)
    axes = (-2, -1)
    overlap = jnp.sum(jnp.conj(a) * b, axis=axes)
    powers = jnp.sum(jnp.abs(a) ** 2, axis=axes) * jnp.sum(jnp.abs(b) ** 2, axis=axes)
    return quotient(jnp.abs(overlap) ** 2, powers)


@takes_numbers
def intensity_overlap(
    a: Float[Array, "*batch y x"], b: Float[Array, "*batch y x"]
) -> Float[Array, "*batch"]:
    """(sum sqrt(a b))^2 / (sum a sum b): the best fidelity of fields with these intensities.

    A pixel that is dark in either adds nothing to the overlap, and has no slope there: in the dark image itself it
    would be infinite.
    """
    _check_same_shape(a, b)
    axes = (-2, -1)
    overlap = jnp.sum(root(a * b), axis=axes)
    return quotient(overlap**2, jnp.sum(a, axis=axes) * jnp.sum(b, axis=axes))


@takes_numbers
def cosine_similarity(a: Float[Array, "*shape"], b: Float[Array, "*shape"]) -> Float[Array, ""]:
    """<a, b> / (|a| |b|) over all elements, from -1 to 1; 0 if either is zero."""
    _check_same_shape(a, b)
    return quotient(jnp.sum(a * b), root(jnp.sum(a**2)) * root(jnp.sum(b**2)))


@takes_numbers
def unitary_fidelity(
    a: Inexact[Array, "*batch n n"], b: Inexact[Array, "*batch n n"]
) -> Float[Array, "*batch"]:
    """|tr(a^H b)|^2 / (tr(a^H a) tr(b^H b)), 1 if the matrices agree up to one complex factor.

    For unitaries this is |tr(a^H b) / n|^2. It forgives a uniform loss, as does the fidelity of
    Clements et al., Optica 3, 1460 (2016), DOI 10.1364/OPTICA.3.001460, which it equals for unitary
    a.
    """
    _check_same_shape(a, b)
    axes = (-2, -1)
    overlap = jnp.sum(jnp.conj(a) * b, axis=axes)
    norms = jnp.sum(jnp.abs(a) ** 2, axis=axes) * jnp.sum(jnp.abs(b) ** 2, axis=axes)
    return quotient(jnp.abs(overlap) ** 2, norms)


@takes_numbers
def full_width_at_half_maximum(profile: Float[Array, " n"], spacing: ArrayLike = 1.0) -> float:
    """Full width at half maximum of the highest peak, between samples.

    The peak height comes from the Gaussian through the three highest samples, the two crossings from
    cubics through four samples, of the logarithm unless one of them is dark; the error falls as
    spacing^4 for a smooth symmetric peak, and a Gaussian is exact. Three or more samples of the same height, or two
    that stand alone, are a flat top: a saturated peak is measured at half of its plateau, and a top hat of n samples
    is n wide. Background is not subtracted.

    Args:
        profile: Intensity along a line, with at least two samples on either side of its peak.
        spacing: Distance between samples; its unit is the unit of the result.

    Returns:
        Width in the unit of `spacing`. Works on values, not under `jit`.

    Raises:
        ValueError: If the profile does not fall below half of its maximum on both sides.
    """
    check_finite(profile, "profile")
    check_positive(spacing, "spacing")
    values = np.asarray(profile, dtype=float)
    top = int(values.argmax())
    peak = _peak_height(values, top)
    samples = _half_distance(values, top, peak / 2)
    samples += _half_distance(values[::-1], values.size - 1 - top, peak / 2)
    return samples * float(np.asarray(spacing))


def _peak_height(values: np.ndarray, top: int) -> float:
    """Height of the peak about the highest sample, between samples unless its top is flat."""
    highest = values[top]
    n_equal = int(np.sum(np.cumprod(values[top:] == highest)))
    outer = [values[i] for i in (top - 1, top + n_equal) if 0 <= i < values.size]
    # A Gaussian so narrow that it falls to a twentieth within a sample is not sampled; a top hat of two is.
    flat = n_equal > 2 or (n_equal == 2 and max(outer, default=0.0) < 0.05 * highest)
    if flat or not 0 < top < values.size - 1:
        return float(highest)
    left, right = values[top - 1], values[top + 1]
    if min(left, right) <= 0:
        curvature = 2 * highest - left - right
        return float(highest + (right - left) ** 2 / (8 * curvature) if curvature > 0 else highest)
    left, right = np.log(left / highest), np.log(right / highest)
    curvature = -left - right
    return float(
        highest * np.exp((right - left) ** 2 / (8 * curvature)) if curvature > 0 else highest
    )


def _half_distance(values: np.ndarray, top: int, half: float) -> float:
    """Samples from index `top` to the first crossing of `half` beyond it."""
    below = np.flatnonzero(values[top:] < half)
    if not below.size:
        raise ValueError(
            f"`profile` must fall below half of its maximum on both sides, but stays above {half:g} "
            f"on one side of its peak. Widen the window."
        )
    # The crossing lies in [last, last + 1]; its four neighbours, shifted inwards at an end of the
    # profile.
    last = top + int(below[0]) - 1
    first = min(max(last - 1, 0), max(values.size - 4, 0))
    offsets = np.arange(first, min(first + 4, values.size)) - last
    near = values[offsets + last]
    # The logarithm of a Gaussian is a parabola; near a zero, as behind a slit, it would run away.
    bent = near.min() > 1e-3 * values[top]
    heights = np.log(near / half) if bent else near - half
    cubic = np.polyfit(offsets, heights, offsets.size - 1)
    roots = np.roots(cubic)
    inside = (np.abs(roots.imag) < 1e-9) & (roots.real > -1e-9) & (roots.real < 1 + 1e-9)
    return last - top + float(roots.real[inside].min())


def _gaussian_window(image: Array) -> Array:
    """11 x 11 Gaussian average where the window fits; (..., y, x) -> (..., y - 10, x - 10)."""
    weights = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()
    n_y, n_x = image.shape[-2] - 10, image.shape[-1] - 10
    rows = jnp.zeros((*image.shape[:-2], n_y, image.shape[-1]), image.dtype)
    for k, weight in enumerate(weights):
        rows += float(weight) * image[..., k : k + n_y, :]
    average = jnp.zeros((*image.shape[:-2], n_y, n_x), image.dtype)
    for k, weight in enumerate(weights):
        average += float(weight) * rows[..., k : k + n_x]
    return average


def _data_range(reference: Array, data_range: ArrayLike | None) -> Array:
    if data_range is None:
        return jnp.max(reference, axis=(-2, -1)) - jnp.min(reference, axis=(-2, -1))
    check_positive(data_range, "data_range")
    return jnp.broadcast_to(jnp.asarray(data_range, reference.dtype), reference.shape[:-2])


def _is_flat(image: Array) -> Array:
    """True where an image has one value, with axes of size 1; (..., y, x) -> (..., 1, 1)."""
    high, low = (f(image, axis=(-2, -1), keepdims=True) for f in (jnp.max, jnp.min))
    return high == low


def _region(region: Array, intensity: Array) -> Array:
    check_shape(region, "region", intensity.shape[-2:])
    return jnp.broadcast_to(region, intensity.shape)


def _check_same_shape(a: Array, b: Array) -> None:
    if a.shape != b.shape:
        raise ValueError(f"Both arrays must have one shape, but they have {a.shape} and {b.shape}.")


@takes_numbers
def gradient_error(
    found: Inexact[Array, "*shape"], true: Inexact[Array, "*shape"]
) -> Float[Array, ""]:
    """Mean |found - true| over the largest |true|, after the real scale that brings them nearest."""
    scale = quotient(jnp.real(jnp.vdot(found, true)), jnp.real(jnp.vdot(found, found)))
    return quotient(jnp.mean(jnp.abs(scale * found - true)), jnp.max(jnp.abs(true)))

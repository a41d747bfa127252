"""Measuring a complex field with a camera: four-step phase shifting and off-axis holography.

A reference R from the same laser is added to the object E. Four frames with the object stepped by k
pi/2,

    I_k = |E|^2 + |R|^2 + 2 |E||R| cos(arg E - arg R + k pi/2),   k = 0..3,
    E conj(R) = ((I_0 - I_2) - i (I_1 - I_3)) / 4

give E exactly (Bruning et al., Applied Optics 13, 2693 (1974), DOI 10.1364/AO.13.002693); the sign
of i follows the direction of the step. Off axis, one frame with a tilted reference carries E on a
spatial carrier, which a Fourier filter isolates (Takeda, Ina, Kobayashi, JOSA 72, 156 (1982), DOI
10.1364/JOSA.72.000156).

An interferometer whose reference has drifted by an unknown phase d returns E exp(-i d); nothing in
the frames tells. These are functions of plain arrays, so that they serve any plane; the reference
is spatially coherent with E.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._checks import check_in_range, check_positive, is_concrete
from optics._numbers import takes_numbers
from optics.hardware.detectors import (
    Camera,
    electrons_per_count,
    expose,
    photons_from_counts,
)
from optics.hardware.normals import complex_normals
from optics.waves.field import intensity

FRAMES_PER_FIELD = 4  # Four-step holography: one camera frame per phase step.
Draws = Literal["frames", "differences"]


@takes_numbers
def four_step_frames(
    amplitude: Complex[Array, "*batch y x"],
    reference: ArrayLike,
    *,
    reference_phase: ArrayLike = 0.0,
    step_error: ArrayLike = 0.0,
) -> Float[Array, "*batch 4 y x"]:
    """Interferograms of the four phase steps, without noise.

    Args:
        amplitude: Object field E.
        reference: Reference field R: a scalar, one image, or one image per batch element.
        reference_phase: Unknown drift of the reference in radians, a scalar or one value per batch
            element.
        step_error: Error of each step in radians: step k is k (pi/2 + step_error).

    Returns:
        Intensities I_0 .. I_3.
    """
    drift = _per_batch(reference_phase, amplitude, "reference_phase")
    reference = _reference_like(reference, amplitude) * _phasor(drift, amplitude.dtype)
    step = jnp.pi / 2 + jnp.asarray(step_error)
    frames = [
        intensity(amplitude * _phasor(k * step, amplitude.dtype) + reference) for k in range(4)
    ]
    return jnp.stack(frames, axis=-3)


@takes_numbers
def reconstruct_four_step(
    frames: Float[Array, "*batch 4 y x"], reference: ArrayLike
) -> Complex[Array, "*batch y x"]:
    """Object field from four phase-shifted frames.

    Args:
        frames: Intensities of the steps 0, pi/2, pi, 3 pi/2 of the object.
        reference: Reference field believed to have been used. Where it is zero the field is unknown
            and set to zero.

    Returns:
        Object field in the units of `reference`.
    """
    if frames.shape[-3] != 4:
        raise ValueError(
            f"`frames` must have shape (..., 4, y, x), but its shape is {frames.shape}."
        )
    i0, i1, i2, i3 = (frames[..., k, :, :] for k in range(4))
    product = jax.lax.complex(i0 - i2, -(i1 - i3)) / 4
    return _divide_by_conjugate(product, _reference_like(reference, product))


@takes_numbers
def measure_four_step(
    amplitude: Complex[Array, "*batch y x"],
    camera: Camera,
    *,
    key: PRNGKeyArray,
    exposure: ArrayLike = 0.8,
    reference_ratio: ArrayLike = 1.0,
    reference_phase: ArrayLike = 0.0,
    draws: Draws = "frames",
) -> Complex[Array, "*batch y x"]:
    """Measures a field as a user would: four noisy frames, then the reconstruction.

    Each batch element is exposed on its own: reference_ratio times its peak modulus is the
    reference, and the brightest possible pixel, (peak + reference)^2, fills `exposure` of the full
    well. The noise therefore scales with the field, and a zero field is measured as exactly zero.

    draws="differences" makes no frames. The answer needs only I_0 - I_2 and I_1 - I_3, and two
    independent frames of n_a and n_b electrons differ by a normal variable of variance
    n_a + n_b + 2 s^2 + step^2 / 6 (s the read noise, step^2 / 12 the rounding of one frame), where
    n_0 + n_2 = n_1 + n_3 = 2 g (|E|^2 + |R|^2) for g electrons per unit intensity. Two normals a
    pixel then replace four. The law is that of the frames while no pixel is cut at zero or at the
    full well and s or the shot noise exceeds about half a step, so that rounding acts as noise.

    Args:
        amplitude: Field on the camera.
        camera: Camera that takes the frames.
        key: Random key of the camera noise.
        exposure: Fraction of the full well filled by the brightest possible pixel; above 1 it
            saturates.
        reference_ratio: Reference amplitude over the peak modulus of the field.
        reference_phase: Unknown drift of the reference in radians, a scalar or one value per batch
            element; it turns the result by exp(-i reference_phase).
        draws: "frames" exposes four frames; "differences" draws the noise of their two differences.

    Returns:
        Measured field in the units of `amplitude`.

    Raises:
        ValueError: If exposure or reference_ratio is not positive, a noisy camera has an infinite
            full well, or "differences" meets an exposure above 1 or Poisson shot noise.
    """
    check_positive(exposure, "exposure")
    check_positive(reference_ratio, "reference_ratio")
    _check_well(camera)
    _check_draws(draws, camera, exposure)
    dtype = _real_dtype(amplitude)
    peak = jnp.max(jnp.abs(amplitude), axis=(-2, -1), keepdims=True)
    ratio = jnp.asarray(reference_ratio, dtype)
    # Without noise an infinite well makes the photon number irrelevant: one electron then serves.
    well = jnp.where(jnp.isinf(camera.full_well), 1.0, camera.full_well)
    gain = jnp.asarray(exposure, dtype) * well.astype(dtype) / (1 + ratio) ** 2
    measure = _from_frames if draws == "frames" else _from_differences
    return measure(amplitude, peak, ratio, reference_phase, gain, camera, key)


@takes_numbers
def off_axis_frame(
    amplitude: Complex[Array, "*batch y x"],
    reference: ArrayLike,
    carrier: tuple[float, float],
    *,
    reference_phase: ArrayLike = 0.0,
) -> Float[Array, "*batch y x"]:
    """Interferogram with a tilted reference R exp(2 pi i (f_y y + f_x x)), without noise.

    Args:
        amplitude: Object field E.
        reference: Reference field R before the tilt: a scalar, one image, or one image per batch
            element.
        carrier: Carrier frequency (f_y, f_x) in cycles per pixel, each between -0.5 and 0.5.
        reference_phase: Unknown drift of the reference in radians, a scalar or one value per batch
            element.

    Returns:
        Intensity of the interferogram.
    """
    drift = _per_batch(reference_phase, amplitude, "reference_phase")
    tilt = _carrier_phasor(amplitude.shape, carrier, amplitude.dtype)
    tilted = _reference_like(reference, amplitude) * jnp.broadcast_to(tilt, amplitude.shape)
    return intensity(amplitude + tilted * _phasor(drift, amplitude.dtype))


@takes_numbers
def reconstruct_off_axis(
    frame: Float[Array, "*batch y x"],
    reference: ArrayLike,
    carrier: tuple[float, float],
    *,
    bandwidth: ArrayLike | None = None,
) -> Complex[Array, "*batch y x"]:
    """Object field from one off-axis frame, by keeping a disc of frequencies around the carrier.

    Exact when E lies within `bandwidth` B, R is uniform, the carrier falls on a bin of the Fourier
    transform (a whole number of fringes across the frame), and the orders do not meet: |f| >= 3 B,
    for |E|^2 fills a disc of radius 2 B, and 2 f stays B away from zero modulo one cycle per pixel.

    Args:
        frame: Intensity of the interferogram.
        reference: Reference field before the tilt.
        carrier: Carrier frequency (f_y, f_x) in cycles per pixel.
        bandwidth: Radius of the kept disc in cycles per pixel; a third of |carrier| if None.

    Returns:
        Object field in the units of `reference`.
    """
    radius = jnp.hypot(*map(jnp.asarray, carrier)) / 3 if bandwidth is None else bandwidth
    check_positive(radius, "bandwidth", "cycles per pixel", "A zero carrier separates nothing.")
    dtype = jnp.result_type(frame.dtype, jnp.complex64)
    shifted = frame * jnp.broadcast_to(_carrier_phasor(frame.shape, carrier, dtype), frame.shape)
    fy, fx = jnp.meshgrid(*map(jnp.fft.fftfreq, frame.shape[-2:]), indexing="ij")
    # Half a part in a million keeps bins on the rim whatever their rounding.
    keep = jnp.hypot(fy, fx) <= jnp.asarray(radius) * (1 + 5e-7)
    spectrum = jnp.where(jnp.broadcast_to(keep, frame.shape), jnp.fft.fft2(shifted), 0)
    product = jnp.fft.ifft2(spectrum)
    return _divide_by_conjugate(product, _reference_like(reference, product))


def random_walk_phase(n: int, step: ArrayLike, *, key: PRNGKeyArray) -> Float[Array, " n"]:
    """Phase drift of an interferometer over `n` measurements: a Gaussian random walk from zero.

    Args:
        n: Number of measurements.
        step: Standard deviation of one step in radians; measurement k has standard deviation
            sqrt(k) step.
        key: Random key.

    Returns:
        Phases in radians, the first one zero.
    """
    check_in_range(step, "step", 0.0, np.inf, "rad")
    steps = jnp.asarray(step, float) * jax.random.normal(key, (n,))
    return jnp.cumsum(steps.at[:1].set(0))


def _from_frames(amplitude, peak, reference, reference_phase, gain, camera, key) -> Array:
    """Measures by four exposures, `gain` electrons per unit intensity of the field over its peak."""
    normalised = amplitude / jnp.where(peak > 0, peak, 1)
    frames = four_step_frames(normalised, reference, reference_phase=reference_phase)
    photons = gain / camera.quantum_efficiency.astype(gain.dtype)
    measured = photons_from_counts(expose(frames * photons, camera, key=key), camera) / photons
    return reconstruct_four_step(measured, reference) * peak


def _from_differences(amplitude, peak, reference, reference_phase, gain, camera, key) -> Array:
    """Measures by drawing I_0 - I_2 and I_1 - I_3, each 4 R times a quadrature of E.

    In real numbers throughout: products of complex fields with real factors would cost twice as much.
    """
    drift = _per_batch(reference_phase, amplitude, "reference_phase")
    real, imag = jnp.real(amplitude), jnp.imag(amplitude)
    variance = 2 * camera.read_noise**2
    if camera.bit_depth is not None:
        variance = variance + electrons_per_count(camera) ** 2 / 6
    variance = variance.astype(gain.dtype)
    if camera.shot_noise == "gaussian":
        unit = 1 / jnp.where(peak > 0, peak, 1)
        normalised = (real * unit) ** 2 + (imag * unit) ** 2
        variance = variance + 2 * gain * reference**2 + 2 * gain * normalised
    size = jnp.sqrt(variance) * (peak / (4 * gain * reference))
    # A branch of its own, for XLA would draw the same numbers again in each loop that reads the result.
    noise = jax.lax.cond(
        jnp.any(peak > 0),
        lambda: complex_normals(amplitude.shape, amplitude.dtype, key=key),
        lambda: jnp.zeros(amplitude.shape, amplitude.dtype),
    )
    cosine, sine = jnp.cos(drift).astype(real.dtype), jnp.sin(drift).astype(real.dtype)
    return jax.lax.complex(
        cosine * real + sine * imag + size * jnp.real(noise),
        cosine * imag - sine * real + size * jnp.imag(noise),
    )


def _real_dtype(amplitude: Array):
    return jnp.finfo(amplitude.dtype).dtype


def _phasor(phase: ArrayLike, dtype) -> Array:
    return jnp.exp(1j * jnp.asarray(phase)).astype(dtype)


def _carrier_phasor(shape: tuple[int, ...], carrier: tuple[float, float], dtype) -> Array:
    for value, name in zip(carrier, ("carrier[0]", "carrier[1]"), strict=True):
        check_in_range(value, name, -0.5, 0.5, "cycles per pixel", "Faster fringes alias.")
    axes = [jnp.arange(n) - n // 2 for n in shape[-2:]]
    y, x = jnp.meshgrid(*axes, indexing="ij")
    return _phasor(2 * jnp.pi * (carrier[0] * y + carrier[1] * x), dtype)


def _reference_like(reference: ArrayLike, amplitude: Array) -> Array:
    reference = jnp.asarray(reference).astype(amplitude.dtype)
    try:
        return jnp.broadcast_to(reference, amplitude.shape)
    except ValueError:
        raise ValueError(
            f"`reference` must be a scalar or broadcast to the field {amplitude.shape}, but its "
            f"shape is {reference.shape}."
        ) from None


def _per_batch(value: ArrayLike, amplitude: Array, name: str) -> Array:
    """Gives a scalar or a per-batch array two trailing axes, so that it multiplies images."""
    value = jnp.asarray(value)
    batch = amplitude.shape[:-2]
    if value.ndim and value.shape != batch:
        raise ValueError(
            f"`{name}` must be a scalar or have the batch shape {batch}, but its shape is "
            f"{value.shape}."
        )
    return jnp.broadcast_to(value, batch)[..., None, None]


def _divide_by_conjugate(product: Array, reference: Array) -> Array:
    power = intensity(reference)
    return jnp.where(power > 0, product * reference / jnp.where(power > 0, power, 1), 0)


def _check_draws(draws: str, camera: Camera, exposure: ArrayLike) -> None:
    if draws not in get_args(Draws):
        allowed = ", ".join(get_args(Draws))
        raise ValueError(f"`draws` must be one of {allowed}, but is {draws!r}.")
    if draws == "frames":
        return
    fix = 'Use draws="frames".'
    check_in_range(exposure, "exposure", 0.0, 1.0, hint=f"Differences know no saturation. {fix}")
    if camera.shot_noise == "poisson":
        raise ValueError(
            "`shot_noise` must be gaussian or none for draws of differences, but is poisson. " + fix
        )


def _check_well(camera: Camera) -> None:
    if not (is_concrete(camera.full_well) and is_concrete(camera.read_noise)):
        return
    noisy = camera.shot_noise != "none" or float(camera.read_noise) > 0
    if noisy and np.isinf(float(camera.full_well)):
        raise ValueError(
            "`full_well` must be finite for a camera with noise, but is inf e-. "
            "The exposure is set as a fraction of the full well."
        )

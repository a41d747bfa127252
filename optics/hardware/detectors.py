"""Camera: expected photons in, digital numbers out.

Chain per pixel: photons -> electrons (quantum efficiency) -> shot noise -> full well -> Gaussian
read noise -> ADC. The converter has no black level and one step is full_well / (2^bits - 1)
electrons, so that the largest number means a full well. Rounding and clipping are real: their
derivative is zero, no straight-through surrogate is offered.

Conventions: photons are expected counts per pixel and exposure, not rates. EMVA Standard 1288
(release 4.0, 2021) names the same chain; dark current, fixed-pattern noise, gain non-linearity and
blooming are left out. `PhotonCounter` is the other kind of camera, for frames with less than a photon a pixel.
"""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from optics._checks import check_finite, check_in_range, check_positive, is_concrete
from optics._dark import root
from optics._numbers import takes_numbers

ShotNoise = Literal["poisson", "gaussian", "none"]


_LARGEST_MEAN = 1e9  # Below 2^31 with room for 36000 standard deviations.


def _as_scalar(value) -> Array:
    return jnp.asarray(value, dtype=float)


class Camera(eqx.Module):
    """Parameters of a monochrome camera.

    Attributes:
        quantum_efficiency: Electrons per incident photon, above 0 and at most 1.
        read_noise: Standard deviation of the noise of one readout, in electrons.
        full_well: Charge at which a pixel saturates, in electrons; infinity means that it never
            does.
        bit_depth: Bits of the converter (1 to 24), or None for an analogue output in electrons.
        shot_noise: "poisson" is exact and slow on a CPU. "gaussian" draws from a normal law of the
            same mean and variance, cut at zero; with n expected electrons it misses the skewness
            1/sqrt(n), so use it where n exceeds about 20 or where read noise dominates. It shares
            one draw with the read noise, see `expose`. "none" leaves shot noise out.

    Raises:
        ValueError: If a value is out of range, or a converter has no finite full well to span.
    """

    quantum_efficiency: Float[Array, ""] = eqx.field(converter=_as_scalar)
    read_noise: Float[Array, ""] = eqx.field(converter=_as_scalar)
    full_well: Float[Array, ""] = eqx.field(converter=_as_scalar)
    bit_depth: int | None = eqx.field(static=True)
    shot_noise: ShotNoise = eqx.field(static=True)

    def __check_init__(self):
        check_positive(self.quantum_efficiency, "quantum_efficiency")
        check_in_range(self.quantum_efficiency, "quantum_efficiency", 0.0, 1.0)
        check_in_range(self.read_noise, "read_noise", 0.0, np.inf, "e-")
        check_finite(self.read_noise, "read_noise")
        if self.shot_noise not in get_args(ShotNoise):
            allowed = ", ".join(get_args(ShotNoise))
            raise ValueError(f"`shot_noise` must be one of {allowed}, but is {self.shot_noise!r}.")
        # Whole numbers stay exact in float32 up to 2^24.
        if self.bit_depth is not None and not 1 <= self.bit_depth <= 24:
            rule = "`bit_depth` must lie between 1 and 24 bits or be None"
            raise ValueError(f"{rule}, but is {self.bit_depth}.")
        if is_concrete(self.full_well) and np.isposinf(float(self.full_well)):
            if self.bit_depth is not None:
                raise ValueError(
                    f"`full_well` must be finite when `bit_depth` is set, but is inf e- with "
                    f"{self.bit_depth} bits. Set `bit_depth` to None for an analogue output."
                )
        else:
            check_positive(self.full_well, "full_well", "e-")


def ideal_camera() -> Camera:
    """Counts every photon: no noise, no saturation, no quantisation."""
    return Camera(1.0, 0.0, np.inf, bit_depth=None, shot_noise="none")


# FLIR BFS-U3-89S6M at 532 nm; Xue et al., Nature 632, 280 (2024), Methods.
FIELD_CAMERA_EFFICIENCY = 0.6399


def flir_bfs_u3_89s6m(shot_noise: ShotNoise = "gaussian") -> Camera:
    """FLIR BFS-U3-89S6M, the camera for complex fields of Xue et al. (2024).

    Nature 632, 280, DOI 10.1038/s41586-024-07687-4, Methods. Quantum efficiency 63.99 % and read
    noise 2.47 e- are the paper's (at 532 nm). Full well 1e4 e- and 12 bits are our choice: the
    paper does not state them.

    Args:
        shot_noise: See `Camera`; Gaussian by default, for interferograms have thousands of
            electrons per pixel.
    """
    return Camera(FIELD_CAMERA_EFFICIENCY, 2.47, 1e4, bit_depth=12, shot_noise=shot_noise)


@takes_numbers
def expose(
    photons: Float[Array, "*batch y x"], camera: Camera, *, key: PRNGKeyArray
) -> Float[Array, "*batch y x"]:
    """Takes one exposure of an expected photon image.

    With a converter, dark pixels are cut at zero: read noise of rms s then lifts their mean by
    about s / sqrt(2 pi) electrons. Without one, electrons are returned and may be slightly
    negative.

    With "gaussian" shot noise one normal z serves both noises, at half the cost: n expected
    electrons and read noise s give the charge n + (sqrt(n + s^2) - s) z, cut to [0, full well], and
    the readout adds s z. Unless cut, their sum has the exact law, normal with variance n + s^2; a
    dark or a hopelessly saturated pixel keeps the exact read noise. Only pixels within a few
    standard deviations of either end, where cutting mixes the two, see an approximation.

    Args:
        photons: Expected photons per pixel over the exposure, not below zero.
        camera: Camera to expose.
        key: Random key; every pixel of every batch element gets its own noise.

    Returns:
        Whole numbers 0 .. 2^bits - 1 as floats, or electrons if `camera.bit_depth` is None.

    Raises:
        ValueError: If concrete photons are negative, NaN or infinite.
    """
    _check_photons(photons)
    key_shot, key_read = jax.random.split(key)
    dtype = photons.dtype
    full_well, read_noise = camera.full_well.astype(dtype), camera.read_noise.astype(dtype)
    normal = jax.random.normal(key_read, photons.shape, dtype)
    charge = photons * camera.quantum_efficiency.astype(dtype)
    if camera.shot_noise == "poisson":
        charge = _poisson(charge, full_well, key_shot)
    elif camera.shot_noise == "gaussian":
        spread = root(charge + read_noise**2) - read_noise
        charge = jnp.maximum(charge + spread * normal, 0)
    signal = jnp.minimum(jnp.minimum(charge, full_well) + read_noise * normal, full_well)
    if camera.bit_depth is None:
        return signal
    counts = jnp.round(signal / electrons_per_count(camera).astype(dtype))
    return jnp.maximum(counts, 0)


class PhotonCounter(eqx.Module):
    """Camera that resolves single photons: no read noise, but dark counts and a limit.

    Attributes:
        quantum_efficiency: Counts per incident photon, above 0 and at most 1.
        dark_counts: Expected counts of a pixel and frame without light (thermal or clock-induced).
        full_well: Photo-electrons of a pixel and frame that may not be exceeded; above, such a camera does not just
            saturate but misleads or ages, hence an error.
        multiplication: False counts photo-electrons one by one. True reads the amplified charge of an electron
            multiplier over its gain, which doubles the shot noise variance at high gain: n electrons become a Gamma
            variable of shape n (M. S. Robbins and B. J. Hadwen, IEEE Trans. Electron Devices 50, 1227 (2003), DOI
            10.1109/TED.2003.813462).
    """

    quantum_efficiency: Float[Array, ""] = eqx.field(converter=_as_scalar)
    dark_counts: Float[Array, ""] = eqx.field(converter=_as_scalar)
    full_well: Float[Array, ""] = eqx.field(converter=_as_scalar)
    multiplication: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_positive(self.quantum_efficiency, "quantum_efficiency")
        check_in_range(self.quantum_efficiency, "quantum_efficiency", 0.0, 1.0)
        check_in_range(self.dark_counts, "dark_counts", 0.0, np.inf)
        check_finite(self.dark_counts, "dark_counts")
        check_positive(self.full_well, "full_well", "e-")


@takes_numbers
def count_photons(
    photons: Float[Array, "*batch y x"], counter: PhotonCounter, *, key: PRNGKeyArray
) -> Float[Array, "*batch y x"]:
    """Takes one frame: Poisson counts of light and dark together, amplified where the camera does so.

    Args:
        photons: Expected photons per pixel and frame.
        counter: Camera.
        key: Random key; every pixel of every batch element gets its own noise.

    Returns:
        Counts; whole numbers unless the camera multiplies.

    Raises:
        ValueError: If photons are negative or not finite, or a pixel gets more than the full well; inside `jit` the
            latter is raised at run time by Equinox.
    """
    _check_photons(photons)
    electrons = photons * counter.quantum_efficiency.astype(photons.dtype)
    rule = "`photons` must not give any pixel more than the full well"
    fix = "shorten the exposure or attenuate the light."
    if is_concrete(photons) and is_concrete(counter.full_well) and photons.size:
        worst, well = float(electrons.max()), float(counter.full_well)
        if worst > well:
            raise ValueError(f"{rule} of {well:g} e-, but the brightest gets {worst:g} e-; {fix}")
    else:
        too_many = jnp.any(electrons > counter.full_well.astype(photons.dtype))
        electrons = eqx.error_if(electrons, too_many, f"{rule}; {fix}")
    key_count, key_gain = jax.random.split(key)
    expected = electrons + counter.dark_counts.astype(photons.dtype)
    counts = _counts(expected, counter.full_well, key_count)
    if not counter.multiplication:
        return counts
    amplified = jax.random.gamma(key_gain, jnp.maximum(counts, 1))
    return jnp.where(counts > 0, amplified, 0)


@takes_numbers
def photons_from_counts(
    counts: Float[Array, "*batch y x"], camera: Camera
) -> Float[Array, "*batch y x"]:
    """Estimates photons by undoing gain and quantum efficiency, the linear part of `expose`.

    Args:
        counts: Digital numbers, or electrons if `camera.bit_depth` is None.
        camera: Camera that took them.

    Returns:
        Photons per pixel; unbiased away from saturation and from the dark end.
    """
    scale = electrons_per_count(camera) / camera.quantum_efficiency
    return counts * scale.astype(counts.dtype)


def electrons_per_count(camera: Camera) -> Float[Array, ""]:
    """One step of the converter in electrons; 1 for an analogue output, which is in electrons."""
    if camera.bit_depth is None:
        return jnp.ones_like(camera.full_well)
    return camera.full_well / (2**camera.bit_depth - 1)


def _check_photons(photons) -> None:
    if not is_concrete(photons):
        return
    check_finite(photons, "photons")
    lowest = float(photons.min()) if photons.size else 0.0
    if lowest < 0:
        raise ValueError(
            f"`photons` must not be negative, but the lowest is {lowest:g} photons. "
            "Pass an intensity, not an amplitude."
        )


def _poisson(electrons: Array, full_well: Array, key: PRNGKeyArray) -> Array:
    # Capping a hopelessly saturated mean avoids large draws. A mean of 2 F + 100 falls below the full
    # well F with probability under 1e-25 for every F, so the cap changes nothing.
    return _counts(jnp.minimum(electrons, 2 * full_well + 100), full_well, key)


def _counts(expected: Array, full_well: Array, key: PRNGKeyArray) -> Array:
    """Poisson numbers as floats; JAX draws integers of 32 bits, so large means take the normal law, skewness 3e-5."""
    dtype = expected.dtype
    few = jax.random.poisson(key, jnp.minimum(expected, _LARGEST_MEAN)).astype(dtype)
    if is_concrete(full_well) and 2 * float(full_well) + 100 < _LARGEST_MEAN:
        return few

    def many():
        normal = jax.random.normal(jax.random.fold_in(key, 1), expected.shape, dtype)
        return jnp.where(
            expected > _LARGEST_MEAN, jnp.round(expected + jnp.sqrt(expected) * normal), few
        )

    return jax.lax.cond(jnp.any(expected > _LARGEST_MEAN), many, lambda: few)

"""Weak light: how many photons a frame holds, what they cost, and how many operations are counted for them.

Energy of n photons: n h c / lambda. Operations: one optical layer from N_in to N_out points counts as a matrix product
of 2 N_in N_out operations, and (our reading of the operations per second and watt in the abstract of Xue et al.,
Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4)

    OPS/W = 2 N_in N_out x layers x frame rate / optical power on the object = operations a frame / energy a frame.

The frame rate drops out: what counts is the energy of one frame. Which points count as inputs and outputs, and whether
the camera's energy counts, moves the result by many orders of magnitude; the paper's choice is unknown to us, so that
every function takes them as arguments. "Photons per pixel" is as open; `PhotonLevels` states three readings at once.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from optics._checks import check_in_range, check_positive, check_shape, is_concrete
from optics._dark import quotient
from optics._numbers import takes_numbers

PLANCK = 6.62607015e-34  # J s, exact in the SI
SPEED_OF_LIGHT = 299792458.0  # m/s, exact in the SI


def photon_energy(wavelength: float | int) -> float:
    """Energy of one photon, h c / lambda, in J."""
    check_positive(wavelength, "wavelength", "m")
    return PLANCK * SPEED_OF_LIGHT / wavelength


@dataclass(frozen=True)
class PhotonLevels:
    """One light level in three readings of "photons per pixel".

    Attributes:
        camera: Mean over all camera pixels.
        regions: Mean over the pixels of the detector regions.
        object: Photons that leave the object over the number of its pixels.
    """

    camera: float
    regions: float
    object: float


@takes_numbers
def photon_levels(
    intensity: Float[Array, "batch y x"],
    regions: Float[Array, "classes y x"],
    *,
    per_camera_pixel: float | int,
    power_from_object: float | int,
    object_pixels: int,
) -> PhotonLevels:
    """Translates a mean over the camera into the other readings.

    Args:
        intensity: Noise-free frames, any unit.
        regions: Detector regions.
        per_camera_pixel: Mean photons per camera pixel.
        power_from_object: Mean over the frames of the power that leaves the object, sum of intensity in the unit of
            `intensity`; what misses the camera counts here.
        object_pixels: Number of resolved pixels of the object.

    Raises:
        ValueError: If all frames are dark, a number is not positive or the grids differ.
    """
    check_positive(object_pixels, "object_pixels")
    check_shape(regions, "regions", tuple(intensity.shape[-2:]))
    _check_lit(jnp.mean(intensity))
    photons_per_unit = per_camera_pixel / float(jnp.mean(intensity))
    covered = jnp.sum(regions, axis=0)
    in_regions = jnp.mean(jnp.sum(intensity * covered[None], axis=(-2, -1))) / jnp.sum(covered)
    return PhotonLevels(
        camera=float(per_camera_pixel),
        regions=photons_per_unit * float(in_regions),
        object=photons_per_unit * power_from_object / object_pixels,
    )


@takes_numbers
def scale_to_photons(
    intensity: Float[Array, "batch y x"], per_camera_pixel: float | int | Array
) -> Float[Array, "batch y x"]:
    """Expected photons per pixel, the mean over all frames and pixels as wanted.

    One factor for the whole batch: the same lamp shines on every object, and a darker object stays darker.

    Raises:
        ValueError: If all frames are dark.
    """
    mean = jnp.mean(intensity)
    _check_lit(mean)
    return intensity * quotient(jnp.asarray(per_camera_pixel, mean.dtype), mean)


def _check_lit(mean) -> None:
    if is_concrete(mean) and not float(mean) > 0:
        raise ValueError(
            f"`intensity` must hold light to be scaled, but its mean is {float(mean):g}."
        )


def operations_per_frame(n_inputs: int, n_outputs: int) -> float:
    """2 N_in N_out: a multiplication and an addition for each pair of points."""
    check_positive(n_inputs, "n_inputs")
    check_positive(n_outputs, "n_outputs")
    return 2.0 * n_inputs * n_outputs


def operations_per_watt(
    operations: float | int, frame_rate: float | int, power: float | int
) -> float:
    """Operations per second and watt, which is operations per joule.

    Args:
        operations: Operations a frame.
        frame_rate: Frames per second, Hz.
        power: Power that is charged for, W: the light on the object, or with the camera's.
    """
    check_positive(operations, "operations")
    check_positive(frame_rate, "frame_rate", "Hz")
    check_positive(power, "power", "W")
    return operations * frame_rate / power


def optical_power(
    photons_per_frame: float | int, frame_rate: float | int, wavelength: float | int
) -> float:
    """Mean power of a photon number in every frame, W."""
    check_positive(photons_per_frame, "photons_per_frame")
    check_positive(frame_rate, "frame_rate", "Hz")
    return photons_per_frame * photon_energy(wavelength) * frame_rate


def reachable_frame_rate(
    photons_needed: float | int,
    *,
    power_on_object: float | int,
    efficiency: float | int,
    wavelength: float | int,
    camera_rate: float | int,
) -> float:
    """Frame rate at which light and camera both keep up: min(camera, efficiency x power / (photons h c / lambda)), Hz.

    The modulator does not limit it: its pattern stays.

    Args:
        photons_needed: Photons that have to arrive at the camera in each frame.
        power_on_object: Light on the hidden object, W.
        efficiency: Part of it that arrives at the camera, in (0, 1].
        wavelength: Wavelength, m.
        camera_rate: Highest frame rate of the camera, Hz.
    """
    check_positive(photons_needed, "photons_needed")
    check_positive(power_on_object, "power_on_object", "W")
    check_positive(efficiency, "efficiency")
    check_in_range(efficiency, "efficiency", 0, 1)
    check_positive(camera_rate, "camera_rate", "Hz")
    arriving = efficiency * power_on_object / photon_energy(wavelength)
    return min(float(camera_rate), arriving / photons_needed)

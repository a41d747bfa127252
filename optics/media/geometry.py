"""Nominal geometry of a free-space module: what its data sheet says, before any error is drawn."""

from dataclasses import dataclass

import jax.numpy as jnp

from optics._checks import check_positive
from optics.media.free_space import FreeSpace, make_free_space


@dataclass(frozen=True)
class Geometry:
    """What the data sheet of a free-space module says.

    Attributes:
        shape: Modulator and camera grid (ny, nx).
        pixel_pitch: Pitch of the modulator, m.
        wavelength: Wavelength, m.
        distance: Modulator to camera, m.
    """

    shape: tuple[int, int] = (64, 64)
    pixel_pitch: float = 8e-6
    wavelength: float = 532e-9
    distance: float = 0.012

    def __post_init__(self):
        for name in ("pixel_pitch", "wavelength", "distance"):
            check_positive(getattr(self, name), name, "m")
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ValueError(f"`shape` must be two positive sizes (ny, nx), but is {self.shape}.")

    def free_space(self, dtype=jnp.complex64, **options) -> FreeSpace:
        """Nominal propagation over `distance`; options as in `make_free_space`."""
        return make_free_space(
            self.shape, self.pixel_pitch, self.wavelength, self.distance, dtype=dtype, **options
        )

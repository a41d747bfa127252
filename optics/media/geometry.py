"""Nominal geometry of a free-space module: what its data sheet says, before any error is drawn."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from optics._checks import check_positive, check_shape, is_concrete
from optics._numbers import takes_numbers
from optics.media.free_space import FreeSpace, make_free_space
from optics.waves.field import Field


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

    @takes_numbers
    def field(self, amplitude: Complex[Array, "*batch y x"]) -> Field:
        """Amplitude on the panel as a `Field` that knows its wavelength and pitch.

        Raises:
            ValueError: If the last two axes are not this grid.
        """
        check_shape(amplitude, "amplitude", self.shape, "The module was built for this grid.")
        return Field(amplitude, self.wavelength, self.pixel_pitch)

    def amplitude_of(self, light: Any) -> Array:
        """Plain amplitude of light at the door of the module: of a `Field` if it fits, of an array as it is.

        Raises:
            ValueError: If a `Field` has another wavelength or pitch (by more than one part in a million).
        """
        if not isinstance(light, Field):
            return light
        for name in ("wavelength", "pixel_pitch"):
            value, own = getattr(light, name), getattr(self, name)
            if is_concrete(value) and not np.isclose(value, own, rtol=1e-6, atol=0):
                raise ValueError(
                    f"`field.{name}` must be the {own:g} m of the module, but is {float(value):g} m; make the field "
                    "with `geometry.field`, or resample it."
                )
        return light.amplitude

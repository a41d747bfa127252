"""Scalar optical field on a square-pixel grid.

A `Field` is a complex amplitude u(y, x) at one wavelength. Time factor exp(-i omega t), so that propagation over z
multiplies a plane wave by exp(+i k z). The grid is centred on sample N // 2 of each axis; arrays are `(..., y, x)`.
Power is sum |u|^2 pitch^2. Polarisation and coherence are left out: fields are scalar and monochromatic.

Where `Field` ends. It is the currency of this wing: sources, elements, zernike and propagation take and give it.
Networks, twins and rules compute with plain arrays, for they also run on ports of a mesh, which have no pitch, and a
training step that builds a `Field` for each of its planes would check each anew for what does not change. With `Field`
throughout, the example of the README would read the same but for one line, and every rule would have to unwrap it for
the mesh. So the border is a door: a bench takes either and gives back what it got, and checks wavelength and pitch
there (`optics.media.geometry.Geometry.field` and `amplitude_of`). What both sides have in common is the pair of
directions, calling an element and its `backward`, with one law: <backward(u), v> = <u, forward(v)>, no conjugate.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from optics._checks import check_finite, check_positive
from optics._dark import argument
from optics._numbers import as_complex, into, takes_numbers


@takes_numbers
@jax.jit
def intensity(amplitude: Inexact[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Squared modulus, without the root that `abs(amplitude) ** 2` takes and squares again.

    Args:
        amplitude: Amplitudes, complex or real.
    """
    return jnp.real(amplitude) ** 2 + jnp.imag(amplitude) ** 2


class Field(eqx.Module):
    """Complex amplitude with its wavelength and pixel pitch.

    Attributes:
        amplitude: Complex amplitude; the square of its modulus is the intensity.
        wavelength: Wavelength in the medium, in metres. In JAX's 32-bit mode it is rounded by up to 3e-8 of itself, and
            what is stored is the wavelength that sources, elements and propagation compute with, in double precision.
            Two wavelengths closer than that, and phases over a metre to be compared with other programs, need 64 bits.
        pixel_pitch: Distance between samples along both axes, in metres.

    Raises:
        ValueError: If wavelength or pitch is not positive, or the amplitude is not finite or has fewer than 2 axes.
    """

    amplitude: Complex[Array, "*batch y x"] = eqx.field(converter=into(as_complex, "amplitude"))
    wavelength: Float[Array, ""] = eqx.field(converter=lambda v: jnp.asarray(v, dtype=float))
    pixel_pitch: Float[Array, ""] = eqx.field(converter=lambda v: jnp.asarray(v, dtype=float))

    def __check_init__(self):
        if self.amplitude.ndim < 2:
            raise ValueError(
                f"`amplitude` must have axes (..., y, x), but its shape is {self.amplitude.shape}."
            )
        check_positive(self.wavelength, "wavelength", "m")
        check_positive(self.pixel_pitch, "pixel_pitch", "m")
        check_finite(
            self.amplitude, "amplitude", "Check the array for division by zero or log of zero."
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Grid size (ny, nx)."""
        return self.amplitude.shape[-2], self.amplitude.shape[-1]

    @property
    def intensity(self) -> Float[Array, "*batch y x"]:
        """Squared modulus of the amplitude."""
        return intensity(self.amplitude)

    @property
    def phase(self) -> Float[Array, "*batch y x"]:
        """Argument of the amplitude in (-pi, pi], radians; 0 where it is dark."""
        return argument(self.amplitude)

    @property
    def power(self) -> Float[Array, "*batch"]:
        """Total power, sum |u|^2 pitch^2."""
        return jnp.sum(self.intensity, axis=(-2, -1)) * self.pixel_pitch**2

    @property
    def wavenumber(self) -> Float[Array, ""]:
        """K = 2 pi / wavelength, rad/m."""
        return 2 * jnp.pi / self.wavelength

    def coordinates(self) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
        """Sample positions (y, x) in metres, zero on sample N // 2."""
        return grid_coordinates(self.shape, self.pixel_pitch)

    @takes_numbers
    def with_amplitude(self, amplitude: Complex[Array, "*any y x"]) -> "Field":
        """Same wavelength and pitch, another amplitude."""
        return Field(amplitude, self.wavelength, self.pixel_pitch)


@partial(jax.jit, static_argnums=0)
def centred_axis(n: int, pitch) -> Float[Array, " n"]:
    """Positions of `n` samples at spacing `pitch`, zero on sample n // 2."""
    return (jnp.arange(n) - n // 2) * pitch


def grid_coordinates(
    shape: tuple[int, int], pitch
) -> tuple[Float[Array, "y x"], Float[Array, "y x"]]:
    """Positions (y, x) of every sample of a centred grid, in the unit of `pitch`."""
    y, x = jnp.meshgrid(centred_axis(shape[0], pitch), centred_axis(shape[1], pitch), indexing="ij")
    return y, x


def over_batch(plane: Array, batched: Array) -> Array:
    """Gives a `(y, x)` plane the leading axes of size 1 that let it act on every field of a batch."""
    return plane.reshape((1,) * (batched.ndim - plane.ndim) + plane.shape)


def computed_once(plane: Array) -> Array:
    """The same plane, kept from being computed anew for every field that it multiplies.

    XLA takes sines and cosines for cheap, fuses them into the product with a batch and evaluates them once a field:
    on a CPU that costs ten times the product. It does not fuse a division, so the plane is divided by a one that only
    the run knows. `jax.lax.optimization_barrier` says the same, but is dropped before the fusion (jax 0.10.2, CPU).

    Args:
        plane: Finite values; its first value being NaN or infinite makes all NaN.
    """
    first = jax.lax.stop_gradient(jnp.real(plane[(0,) * plane.ndim]))
    return plane / (1 + 0 * first)


@takes_numbers
def pad_to(
    amplitude: Complex[Array, "*batch y x"], shape: tuple[int, int]
) -> Complex[Array, "*batch Y X"]:
    """Zero-pads to a larger grid, keeping the optical axis on sample N // 2."""
    widths = [(0, 0)] * (amplitude.ndim - 2)
    for n, target in zip(amplitude.shape[-2:], shape, strict=True):
        if target < n:
            raise ValueError(
                f"`shape` must not be below the grid {amplitude.shape[-2:]}, but is {shape}."
            )
        before = target // 2 - n // 2
        widths.append((before, target - n - before))
    return jnp.pad(amplitude, widths)


@takes_numbers
def crop_to(
    amplitude: Complex[Array, "*batch Y X"], shape: tuple[int, int]
) -> Complex[Array, "*batch y x"]:
    """Cuts out the centre, keeping the optical axis on sample N // 2; undoes `pad_to`."""
    slices = []
    for n, target in zip(amplitude.shape[-2:], shape, strict=True):
        if target > n:
            raise ValueError(
                f"`shape` must not exceed the grid {amplitude.shape[-2:]}, but is {shape}."
            )
        start = n // 2 - target // 2
        slices.append(slice(start, start + target))
    return amplitude[..., slices[0], slices[1]]


def middle_axis(n: int) -> np.ndarray:
    """Sample numbers from the middle of a window of `n`, not from its optical axis.

    The other centre beside `centred_axis`, half a sample from it for even n: what is drawn over a whole panel and is to
    be its own mirror image stands about it, such as detector regions, enlarged images (`middle_block`) and aberrations.
    """
    return np.arange(n) - (n - 1) / 2


def middle_block(n: int, side: int, offset: float = 0.0) -> int:
    """First of `side` samples whose middle lies `offset` from that of n samples; opposite offsets are mirror images."""
    if offset == 0:
        return (n - side) // 2
    # Halves go outwards on both sides; a little less than a half, for offsets are not exact.
    far = math.floor((n - side) / 2 + abs(offset) + 0.5 - 1e-9)
    return far if offset > 0 else n - side - far

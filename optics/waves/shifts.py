"""Exact displacement and rotation of a band-limited field on its own grid, by the Fourier shift theorem.

A field is taken as zero outside its window and padded, so that nothing comes back on the other side. Rotation by three
shears: M. Unser, P. Thevenaz, L. Yaroslavsky, IEEE Trans. Image Process. 4, 1371 (1995), DOI 10.1109/83.465102.
"""

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from optics._numbers import takes_numbers
from optics.waves.field import over_batch


@takes_numbers
def rotate(field: Complex[Array, "*batch y x"], angle) -> Complex[Array, "*batch y x"]:
    """Rotates about the centre by three shears, each an exact shift of a band-limited row or column.

    Args:
        field: Field, zero outside the window.
        angle: Rotation in rad, positive from +x to +y; meant for small angles.
    """
    ny, nx = field.shape[-2:]
    pads = [(0, 0)] * (field.ndim - 2) + [(ny // 2, ny - ny // 2), (nx // 2, nx - nx // 2)]
    padded = jnp.pad(field, pads)
    y = jnp.arange(2 * ny) - ny // 2 - ny // 2
    x = jnp.arange(2 * nx) - nx // 2 - nx // 2
    half, sine = jnp.tan(angle / 2), jnp.sin(angle)
    padded = _shear(padded, -half * y[:, None], axis=-1)
    padded = _shear(padded, sine * x[None, :], axis=-2)
    padded = _shear(padded, -half * y[:, None], axis=-1)
    return padded[..., ny // 2 : ny // 2 + ny, nx // 2 : nx // 2 + nx]


def _shear(field, shift, axis):
    """Moves each row (axis -1) or column (axis -2) by its own number of pixels, towards larger index."""
    n = field.shape[axis]
    frequency = jnp.fft.fftfreq(n).astype(jnp.finfo(field.dtype).dtype)
    frequency = frequency[None, :] if axis == -1 else frequency[:, None]
    ramp = jnp.exp(-2j * jnp.pi * frequency * shift).astype(field.dtype)
    return jnp.fft.ifft(jnp.fft.fft(field, axis=axis) * over_batch(ramp, field), axis=axis)


@takes_numbers
def displaced(
    field: Complex[Array, "*batch y x"], shift_px: Float[Array, " two"]
) -> Complex[Array, "*batch y x"]:
    """Field moved by (dy, dx) pixels, positive to larger index, by the Fourier shift theorem on a padded grid.

    Args:
        field: Field, zero outside the window.
        shift_px: Displacement, pixels; small against the window.
    """
    ny, nx = field.shape[-2:]
    real = jnp.finfo(field.dtype).dtype
    turns_y = jnp.fft.fftfreq(2 * ny).astype(real)[:, None] * shift_px[0].astype(real)
    turns_x = jnp.fft.fftfreq(2 * nx).astype(real)[None, :] * shift_px[1].astype(real)
    spectrum = jnp.fft.fft2(field, s=(2 * ny, 2 * nx))
    ramp = jnp.exp(-2j * jnp.pi * (turns_y + turns_x)).astype(field.dtype)
    return jnp.fft.ifft2(spectrum * over_batch(ramp, spectrum))[..., :ny, :nx]

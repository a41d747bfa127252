"""From images and features to light: pixels on a panel, spatial frequencies, amplitudes and harmonics on waveguides.

Every sample carries the same power, whatever its brightness. How the papers encode is unknown but where a function says
so: the rest is our choice.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from optics._checks import check_in_range
from optics._numbers import takes_numbers
from optics.waves.field import middle_block

_DARK = 1e-30  # Power below which there is no light to share out.


@takes_numbers
def encode_images(
    images: Float[Array, "*batch h w"],
    shape: tuple[int, int],
    *,
    fill: float = 0.85,
    dtype=jnp.complex64,
) -> Complex[Array, "*batch y x"]:
    """Loads images as amplitudes of flat phase: each pixel becomes a square block, the rest of the panel is dark.

    The mean intensity over the panel is set to 1, so that every sample carries the same power. Encoding and up-sampling
    of the paper are unknown; this is our choice. The image stands in the middle of the panel
    (`optics.waves.field.middle_axis`), half a pixel from the optical axis for an even panel.

    Args:
        images: Grey values `(..., h, w)`, any non-negative scale.
        shape: Panel grid.
        fill: Largest part of the panel that the enlarged image may take.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If the image does not fit on the panel.
    """
    height, width = images.shape[-2:]
    factor = int(min(shape[0] * fill / height, shape[1] * fill / width))
    if factor < 1:
        raise ValueError(
            f"`images` of {height} x {width} do not fit on {fill:g} of a {shape} panel; use a larger panel."
        )
    real = jnp.finfo(dtype).dtype
    amplitude = jnp.repeat(jnp.repeat(images.astype(real), factor, axis=-2), factor, axis=-1)
    top, left = middle_block(shape[0], factor * height), middle_block(shape[1], factor * width)
    widths = [(0, 0)] * (images.ndim - 2)
    widths += [(top, shape[0] - factor * height - top), (left, shape[1] - factor * width - left)]
    amplitude = jnp.pad(amplitude, widths)
    mean = jnp.mean(amplitude**2, axis=(-2, -1), keepdims=True)
    return (amplitude / jnp.sqrt(jnp.maximum(mean, 1e-12))).astype(dtype)


@takes_numbers
def encode_low_frequencies(
    images: Float[Array, "*batch y x"], side: int = 8, *, dtype=jnp.complex64
) -> Complex[Array, "*batch port"]:
    """Loads the lowest spatial frequencies of images: `side` x `side` of the centred Fourier transform, row by row.

    Each sample is divided by its mean modulus, which takes its brightness out (both as in the code of Zheng et al.
    2023).
    Frequency zero sits at row and column `side` // 2.

    Args:
        images: Grey values, axes (..., y, x).
        side: Frequencies a side; the number of ports is its square.
        dtype: complex64 or complex128.

    Raises:
        ValueError: If the images are smaller than `side`.
    """
    height, width = images.shape[-2:]
    if min(height, width) < side:
        raise ValueError(
            f"`side` must be at most the size of the images, {height} x {width}, but is {side}."
        )
    top, left = height // 2 - side // 2, width // 2 - side // 2
    spectrum = jnp.fft.fft2(images.astype(jnp.finfo(dtype).dtype))
    spectrum = jnp.fft.fftshift(spectrum, axes=(-2, -1))[..., top : top + side, left : left + side]
    ports = spectrum.reshape(*images.shape[:-2], side * side)
    mean = jnp.mean(jnp.abs(ports), axis=-1, keepdims=True)
    return (ports / jnp.maximum(mean, 1e-12)).astype(dtype)


@takes_numbers
def load_amplitudes(
    features: Float[Array, "*batch feature"], n_inputs: int, bias: float = 0.1
) -> Complex[Array, "*batch input"]:
    """Writes non-negative features onto waveguides as amplitudes, unit power in all; our choice of encoding.

    Args:
        features: Values in any scale, such as grey levels.
        n_inputs: Waveguides M, at least one more than features; the bias comes after them, the rest is dark.
        bias: Share of the power in a waveguide of constant amplitude, which gives linear terms beside quadratic ones.
    """
    spare = n_inputs - features.shape[-1]
    if spare < 1:
        raise ValueError(
            f"`n_inputs` must be at least {features.shape[-1] + 1} for the features and a bias, but is {n_inputs}."
        )
    check_in_range(bias, "bias", 0, 1)
    norm = jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + _DARK)
    signal = jnp.sqrt(1 - bias) * features / norm
    constant = jnp.full((*features.shape[:-1], 1), np.sqrt(bias), features.dtype)
    dark = jnp.zeros((*features.shape[:-1], spare - 1), features.dtype)
    loaded = jnp.concatenate([signal, constant, dark], axis=-1)
    return loaded.astype(jnp.result_type(features, jnp.complex64))


@takes_numbers
def encode_harmonics(features: Float[np.ndarray, "sample feature"], n_ports: int) -> np.ndarray:
    """Harmonics exp(i pi m f) of each feature in [0, 1] on an equal share of the ports, of unit total power."""
    harmonic = np.arange(n_ports // features.shape[1])
    fields = np.exp(1j * np.pi * features[:, :, None] * harmonic)
    return (fields.reshape(len(features), -1) / np.sqrt(n_ports)).astype(np.complex64)


@takes_numbers
def shrink(images: Float[np.ndarray, "n y x"], side: int) -> np.ndarray:
    """Averages square images over side x side equal areas, pixels cut at their share; shape (n, side^2)."""
    size = images.shape[-1]
    if images.shape[-2] != size or not 1 <= side <= size:
        raise ValueError(
            f"`side` must lie between 1 and the size of square images, but is {side} for {images.shape[-2:]}."
        )
    edges = np.arange(side + 1) * size / side
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(size)[None, :]
    overlap = np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)
    weights = (overlap * side / size).astype(np.float32)
    small = np.einsum("ay,nyx,bx->nab", weights, np.asarray(images), weights, optimize=True)
    return small.reshape(len(images), side * side)

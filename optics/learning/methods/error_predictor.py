"""Error-prediction network of dual adaptive training: a small complex-valued U-Net on a field.

Architecture of Z. Zheng et al., Nat. Mach. Intell. 5, 1119-1129 (2023), DOI 10.1038/s42256-023-00723-4, as in its code
(github THPCILab/DAT_MPNN): three resolutions with three convolutions each, complex convolutions followed by
max(Re, 0) + i max(Im, 0), feature maps (4, 6, 8) (about 4,000 complex weights) or (4, 8, 16) (about 10,000). Ports of a
mesh are looked at as a picture, row by row. Our choice: the last convolution starts at zero, so that an untrained
predictor predicts no error.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from optics._numbers import takes_numbers

_SIZE = 3  # Side of every kernel.
_CONVOLUTIONS = 3  # Per resolution.


class Convolution(NamedTuple):
    """Complex convolution; real and imaginary parts on the first axis.

    Attributes:
        kernel: Weights.
        bias: Offsets.
    """

    kernel: Float[Array, "*layer 2 height width in out"]
    bias: Float[Array, "*layer 2 out"]


class ErrorPredictor(eqx.Module):
    """Maps a field to a predicted error of it, of the same shape.

    Attributes:
        blocks: Convolutions at full, half and quarter resolution.
        down: From each resolution to the next.
        up: Back again.
        last: To the predicted error.
    """

    blocks: tuple[tuple[Convolution, ...], ...]
    down: tuple[Convolution, Convolution]
    up: tuple[Convolution, Convolution]
    last: Convolution

    @takes_numbers
    def __call__(self, field: Complex[Array, "batch ..."]) -> Complex[Array, "batch ..."]:
        """Predicted error of each field.

        Args:
            field: Fields (batch, y, x), or (batch, port).
        """
        shape = field.shape[1:] if field.ndim == 3 else _picture_shape(field.shape[1])
        picture = field.reshape(-1, *shape, 1)
        full = jnp.concatenate([jnp.real(picture), jnp.imag(picture)], axis=-1)
        half = _relu(_convolve(full, self.down[0], stride=2))
        quarter = _relu(_convolve(half, self.down[1], stride=2))
        levels = [
            _block(x, block) for x, block in zip((full, half, quarter), self.blocks, strict=True)
        ]
        up = _relu(_convolve(_enlarge(levels[2], half.shape), self.up[0]))
        up = _relu(_convolve(_enlarge(_join(levels[1], up), full.shape), self.up[1]))
        error = _convolve(_join(levels[0], up), self.last)
        return (error[..., 0] + 1j * error[..., 1]).reshape(field.shape).astype(field.dtype)

    @property
    def n_parameters(self) -> int:
        """Number of complex weights."""
        return sum(a.size for a in jax.tree.leaves(self)) // 2


def make_error_predictor(
    features: tuple[int, int, int] = (4, 6, 8), *, key: PRNGKeyArray
) -> ErrorPredictor:
    """Draws a predictor; weights are uniform within one over the root of the number of inputs.

    Args:
        features: Feature maps at full, half and quarter resolution.
        key: PRNG key.

    Raises:
        ValueError: If a count is below 1.
    """
    if len(features) != 3 or min(features) < 1:
        raise ValueError(f"`features` must be three counts of at least 1, but is {features}.")
    return _draw_predictor(key, tuple(features))


@partial(jax.jit, static_argnums=1)
def _draw_predictor(key, features: tuple[int, int, int]) -> ErrorPredictor:
    fine, middle, coarse = features
    sizes = [
        (n_in if i == 0 else n_out, n_out)
        for n_in, n_out in ((1, fine), (fine, middle), (middle, coarse))
        for i in range(_CONVOLUTIONS)
    ]
    sizes += [(1, fine), (fine, middle), (coarse, middle), (2 * middle, fine), (2 * fine, 1)]
    # One draw for all: compiling one per convolution took seconds.
    counts = [2 * (n_in * _SIZE**2 + 1) * n_out for n_in, n_out in sizes]
    flat = jax.random.uniform(key, (sum(counts),), minval=-1.0, maxval=1.0)
    parts = jnp.split(flat, np.cumsum(counts)[:-1])
    drawn = [_convolution(part, *size) for part, size in zip(parts, sizes, strict=True)]
    n = 3 * _CONVOLUTIONS
    blocks = tuple(tuple(drawn[i : i + _CONVOLUTIONS]) for i in range(0, n, _CONVOLUTIONS))
    last = jax.tree.map(jnp.zeros_like, drawn[-1])
    return ErrorPredictor(blocks, (drawn[n], drawn[n + 1]), (drawn[n + 2], drawn[n + 3]), last)


def _convolution(flat, n_in: int, n_out: int) -> Convolution:
    inputs = n_in * _SIZE**2
    scaled = flat.reshape(2, inputs + 1, n_out) / np.sqrt(inputs)
    return Convolution(scaled[:, :-1].reshape(2, _SIZE, _SIZE, n_in, n_out), scaled[:, -1])


def _picture_shape(n_ports: int) -> tuple[int, int]:
    """Most even grid of that many ports."""
    rows = int(np.sqrt(n_ports))
    while n_ports % rows:
        rows -= 1
    return rows, n_ports // rows


def _block(x, convolutions):
    for convolution in convolutions:
        x = _relu(_convolve(x, convolution))
    return x


def _convolve(x, convolution: Convolution, stride: int = 1):
    """Complex convolution as one real one, with zeros around the picture.

    Axes are (sample, y, x, channel), channels first all real, then all imaginary parts.
    """
    real, imaginary = convolution.kernel
    kernel = jnp.concatenate(
        [
            jnp.concatenate([real, imaginary], axis=-1),
            jnp.concatenate([-imaginary, real], axis=-1),
        ],
        axis=-2,
    )
    # Nine shifted slices and one product: with its derivative three to four times as fast as XLA on a CPU.
    border = (_SIZE // 2, _SIZE // 2)
    padded = jnp.pad(x, ((0, 0), border, border, (0, 0)))
    height, width = ((n - 1) // stride * stride + 1 for n in x.shape[1:3])
    patches = [
        padded[:, i : i + height : stride, j : j + width : stride]
        for i in range(_SIZE)
        for j in range(_SIZE)
    ]
    y = jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])
    return y + convolution.bias.reshape(1, 1, 1, -1)


def _enlarge(x, shape):
    """Twice as fine by repetition, cut to the given height and width."""
    x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return x[:, : shape[1], : shape[2]]


def _join(a, b):
    """Channels of both, real parts first."""
    parts = [jnp.split(x, 2, axis=-1) for x in (a, b)]
    return jnp.concatenate([p[0] for p in parts] + [p[1] for p in parts], axis=-1)


def _relu(x):
    return jnp.maximum(x, 0)

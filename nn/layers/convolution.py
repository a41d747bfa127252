"""Convolutions: of pictures, and causal along a sequence, where each channel mixes the last few tokens of itself.

    y_t = sum_i w_i x_{t - L + 1 + i} + b,   i = 0 .. L - 1,  zeros before the first token

The last L - 1 inputs are all that it needs of the past. Linear recurrences have one of length 4 before queries, keys
and values (A. Gu, T. Dao, arXiv 2312.00752), so that what is written at a token can hang on the tokens just before.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_axis


class Convolution(eqx.Module):
    """Convolution of pictures whose size it keeps: zeros lie around them.

    Attributes:
        weight: Numbers, in the order of torch.
        bias: One number a channel.
    """

    weight: Float[Array, "n_out n_in side side"]
    bias: Float[Array, " n_out"]

    def __call__(
        self, x: Float[Array, "batch y x n_in"], *, halved: bool = False
    ) -> Float[Array, "batch rows columns n_out"]:
        """Applies it.

        Args:
            x: Pictures.
            halved: Whether only every second row and column is computed, from the first on, with zeros only after the
                last: what autoencoders do in the place of pooling.

        Raises:
            ValueError: If the pictures have other channels.
        """
        check_axis(x, "x", -1, self.weight.shape[1], "It is convolved by weights of this size.")
        edge = self.weight.shape[-1] // 2
        around = [(0, edge) if halved else (edge, edge)] * 2
        y = jax.lax.conv_general_dilated(
            x, self.weight, (1 + halved,) * 2, around, dimension_numbers=("NHWC", "OIHW", "NHWC")
        )
        return y + jnp.broadcast_to(self.bias, y.shape)


def make_convolution(n_in: int, n_out: int, side: int, *, key: PRNGKeyArray) -> Convolution:
    """A convolution in single precision with normal weights of variance 1 / inputs, and a bias of zeros.

    Args:
        n_in: Channels of the input.
        n_out: Channels of the output.
        side: Pixels along a side of the kernel, an odd number.
        key: PRNG key.

    Raises:
        ValueError: If a size is below 1.
    """
    check_at_least(n_in, 1, "n_in")
    check_at_least(n_out, 1, "n_out")
    weight = jax.random.normal(key, (n_out, n_in, side, side), jnp.float32)
    return Convolution(weight * (n_in * side**2) ** -0.5, jnp.zeros(n_out, jnp.float32))


class CausalConvolution(eqx.Module):
    """Depthwise convolution along the sequence.

    Attributes:
        weight: w; the last row is that of the token itself.
        bias: b, or None.
    """

    weight: Float[Array, "length channels"]
    bias: Float[Array, " channels"] | None

    @property
    def kept(self) -> int:
        """Inputs it looks back at."""
        return self.weight.shape[-2] - 1

    def __call__(
        self,
        x: Float[Array, "batch n channels"],
        window: Float[Array, "batch kept channels"] | None = None,
    ) -> tuple[Float[Array, "batch n channels"], Float[Array, "batch kept channels"]]:
        """Applies it to tokens that follow those in the window.

        Args:
            x: Tokens.
            window: The last L - 1 inputs before them; None for zeros.

        Returns:
            y, and the window for the next tokens.

        Raises:
            ValueError: If `x` has other channels, or the window another length.
        """
        batch, n, channels = x.shape
        check_axis(x, "x", -1, self.weight.shape[-1], "It is convolved by weights of this size.")
        if window is None:
            window = jnp.zeros((batch, self.kept, channels), x.dtype)
        check_axis(window, "window", 1, self.kept, "It holds one input less than the weights.")
        seen = jnp.concatenate([window.astype(x.dtype), x], axis=1)
        # A sum of shifted products: several times as fast on a CPU as the general convolution.
        y = jnp.zeros_like(x)
        for i, weight in enumerate(self.weight):
            y = y + seen[:, i : i + n] * weight[None, None]
        y = y if self.bias is None else y + self.bias[None, None]
        return y, seen[:, n:].astype(window.dtype)


def make_causal_convolution(
    channels: int,
    *,
    length: int = 4,
    bias: bool = False,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> CausalConvolution:
    """A convolution with normal weights of standard deviation 1 / sqrt(length), and a bias of zeros.

    Args:
        channels: Channels.
        length: L.
        bias: Whether it has a bias.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1.
    """
    check_at_least(channels, 1, "channels")
    check_at_least(length, 1, "length")
    weight = length**-0.5 * jax.random.normal(key, (length, channels), dtype)
    return CausalConvolution(weight, jnp.zeros(channels, dtype) if bias else None)

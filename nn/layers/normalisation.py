"""Root-mean-square and layer normalisation along the last axis, in single precision or better.

    RMS:    y = w x / sqrt(mean(x^2) + eps),   or with 1 + w in the place of w
    layer:  y = w (x - mean x) / sqrt(var x + eps) + b

Sources: B. Zhang, R. Sennrich, arXiv 1910.07467; J. L. Ba et al., arXiv 1607.06450. A weight counted from one, so that
weight decay draws it to one, is that of Qwen3-Next.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_axis


class RMSNorm(eqx.Module):
    """Root-mean-square normalisation.

    Attributes:
        weight: w.
        eps: eps.
        from_one: Whether the factor is 1 + w.
    """

    weight: Float[Array, " width"]
    eps: float = eqx.field(static=True)
    from_one: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        """Normalises the last axis.

        Raises:
            ValueError: If it has another size.
        """
        check_axis(x, "x", -1, self.weight.shape[-1], "It is normalised by weights of this size.")
        precise = jnp.promote_types(x.dtype, jnp.float32)
        weight = self.weight.astype(precise) + (1 if self.from_one else 0)
        y = rms_normalise(x.astype(precise), self.eps)
        return (y * jnp.broadcast_to(weight, y.shape)).astype(x.dtype)


class LayerNorm(eqx.Module):
    """Layer normalisation.

    Attributes:
        weight: w.
        bias: b.
        eps: eps.
    """

    weight: Float[Array, " width"]
    bias: Float[Array, " width"]
    eps: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        """Normalises the last axis.

        Raises:
            ValueError: If it has another size.
        """
        check_axis(x, "x", -1, self.weight.shape[-1], "It is normalised by weights of this size.")
        precise = jnp.promote_types(x.dtype, jnp.float32)
        y = layer_normalise(x.astype(precise), self.eps)
        weight, bias = (
            jnp.broadcast_to(array.astype(precise), y.shape) for array in (self.weight, self.bias)
        )
        return (y * weight + bias).astype(x.dtype)


class GroupNorm(eqx.Module):
    """Normalisation of a picture, each group of channels over all pixels (Y. Wu, K. He, arXiv 1803.08494).

    Attributes:
        weight: w, one number a channel.
        bias: b, likewise.
        groups: Groups of neighbouring channels.
        eps: eps.
    """

    weight: Float[Array, " channels"]
    bias: Float[Array, " channels"]
    groups: int = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "batch y x channels"]) -> Float[Array, "batch y x channels"]:
        """Normalises pictures.

        Raises:
            ValueError: If they have other channels.
        """
        check_axis(x, "x", -1, self.weight.shape[-1], "It is normalised by weights of this size.")
        precise = jnp.promote_types(x.dtype, jnp.float32)
        cut = x.astype(precise).reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)
        rows = cut.transpose(0, 2, 1, 3).reshape(len(x), self.groups, -1)
        rows = layer_normalise(rows, self.eps).reshape(len(x), self.groups, *cut.shape[1::2])
        y = rows.transpose(0, 2, 1, 3).reshape(x.shape)
        weight, bias = (
            jnp.broadcast_to(array.astype(precise), y.shape) for array in (self.weight, self.bias)
        )
        return (y * weight + bias).astype(x.dtype)


def rms_normalise(x: Float[Array, "*batch width"], eps: float) -> Float[Array, "*batch width"]:
    """x / sqrt(mean(x^2) + eps) along the last axis, in the type of `x`."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + eps)


def layer_normalise(x: Float[Array, "*batch width"], eps: float) -> Float[Array, "*batch width"]:
    """(x - mean x) / sqrt(var x + eps) along the last axis, in the type of `x`."""
    return rms_normalise(x - x.mean(axis=-1, keepdims=True), eps)


def make_rms_norm(
    width: int, *, eps: float = 1e-6, from_one: bool = False, dtype: Any = jnp.float32
) -> RMSNorm:
    """A normalisation whose factor is one.

    Raises:
        ValueError: If the width is below 1.
    """
    check_at_least(width, 1, "width")
    return RMSNorm(jnp.full(width, 0 if from_one else 1, dtype), eps, from_one)


def make_layer_norm(width: int, *, eps: float = 1e-5, dtype: Any = jnp.float32) -> LayerNorm:
    """A normalisation whose factor is one and whose bias is zero.

    Raises:
        ValueError: If the width is below 1.
    """
    check_at_least(width, 1, "width")
    return LayerNorm(jnp.ones(width, dtype), jnp.zeros(width, dtype), eps)

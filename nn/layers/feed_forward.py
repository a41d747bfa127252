"""Feed-forward layers, applied to each token alone.

    SwiGLU:  y = (silu(x G) * x U) D
    GELU:    y = gelu(x E + e) C + c,   gelu(x) = x Phi(x) with the normal distribution Phi, or near it
             x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2

Sources: N. Shazeer, arXiv 2002.05202; D. Hendrycks, K. Gimpel, arXiv 1606.08415.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn.layers.linear import AbstractLinear, make_dense


class SwiGLU(eqx.Module):
    """Gated feed-forward layer.

    Attributes:
        gate: G.
        up: U.
        down: D.
    """

    gate: AbstractLinear
    up: AbstractLinear
    down: AbstractLinear

    def __call__(
        self, x: Float[Array, "*batch width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch width"]:
        """Applies the layer; `key` is for noisy maps."""
        keys = split_key(key, 3)
        return self.down(
            jax.nn.silu(self.gate(x, key=keys[0])) * self.up(x, key=keys[1]), key=keys[2]
        )


class GeluMLP(eqx.Module):
    """Feed-forward layer with one hidden layer.

    Attributes:
        expand: E.
        contract: C.
        approximate: Whether gelu is the form with tanh.
    """

    expand: AbstractLinear
    contract: AbstractLinear
    approximate: bool = eqx.field(static=True, default=False)

    def __call__(
        self, x: Float[Array, "*batch width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch width"]:
        """Applies the layer; `key` is for noisy maps."""
        keys = split_key(key, 2)
        hidden = jax.nn.gelu(self.expand(x, key=keys[0]), approximate=self.approximate)
        return self.contract(hidden, key=keys[1])


def make_swiglu(width: int, hidden: int, *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> SwiGLU:
    """A gated layer with random weights, without biases.

    Raises:
        ValueError: If a size is below 1.
    """
    gate, up, down = jax.random.split(key, 3)
    return SwiGLU(
        make_dense(width, hidden, key=gate, dtype=dtype),
        make_dense(width, hidden, key=up, dtype=dtype),
        make_dense(hidden, width, key=down, dtype=dtype),
    )


def make_gelu_mlp(
    width: int, hidden: int, *, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> GeluMLP:
    """A layer with random weights and biases of zeros.

    Raises:
        ValueError: If a size is below 1.
    """
    expand, contract = jax.random.split(key)
    return GeluMLP(
        make_dense(width, hidden, key=expand, bias=True, dtype=dtype),
        make_dense(hidden, width, key=contract, bias=True, dtype=dtype),
    )


def split_key(whole: PRNGKeyArray | None, n: int) -> list[PRNGKeyArray | None]:
    """n keys of one, or as many None."""
    return [None] * n if whole is None else list(jax.random.split(whole, n))

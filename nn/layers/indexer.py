"""The index of DSA as a module: one key a token, and a few heads of queries that say which keys they want.

    q^I_j = H rot(c Q_I)_j,   k^I = H rot(layer_norm(x K_I)),   w = heads^-1/2 dim^-1/2 x W_I

with x the token, c what the queries are made of (the token itself, or the latent of its queries), and rotary positions
on the first components. H is the Hadamard rotation, orthogonal, so that it leaves all products as they are; it spreads
a large component over all before products are taken in few bits.

The index has a loss of its own (`nn.kernels.indexed_attention.index_loss`) and no other gradient: its inputs are
detached here, so that the loss moves the index alone.

DeepSeek-AI, DeepSeek-V3.2-Exp (2025), eq. 1; the norm, the scales, the rotary positions in front and the rotation are
those of the released code. That rotates before products of 8 bits, which are not done here.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.normalisation import LayerNorm, make_layer_norm
from nn.layers.rotary import Rotary


def hadamard(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """The orthogonal Hadamard rotation of the last axis (Sylvester's order); its own inverse.

    Raises:
        ValueError: If the size is no power of two.
    """
    size = x.shape[-1]
    if size < 1 or size & (size - 1):
        raise ValueError(
            f"`dim` must be a power of two for a Hadamard rotation, but is {size}. Do without it."
        )
    bits = np.arange(size)
    # Entry (i, j) is the parity of the bits that i and j share.
    signs = 1 - 2 * (np.bitwise_count(bits[:, None] & bits) % 2).astype(int)
    return x @ jnp.asarray(signs * size**-0.5, x.dtype)


class Indexer(eqx.Module):
    """The index: one key a token, a few heads of queries with weights.

    Attributes:
        query: Q_I, for all heads.
        key: K_I.
        weights: W_I.
        key_norm: Layer normalisation of the index key.
        rotary: Rotary positions of the first components, or None.
        heads: Index heads.
        rotated: Whether queries and keys are turned by the Hadamard rotation.
    """

    query: AbstractLinear
    key: AbstractLinear
    weights: AbstractLinear
    key_norm: LayerNorm
    rotary: Rotary | None = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    rotated: bool = eqx.field(static=True, default=False)

    @property
    def dim(self) -> int:
        """Size of an index key."""
        return self.key.n_out

    def queries(
        self,
        x: Float[Array, "batch n width"],
        source: Float[Array, "batch n source"],
        positions: Int[Array, " n"],
    ) -> tuple[Float[Array, "batch n heads dim"], Float[Array, "batch n heads"]]:
        """Index queries, and the weights of their heads with both scales in them.

        Args:
            x: Tokens, from which the weights are made.
            source: What the queries are made of: `x`, or the latent of its queries.
            positions: Positions of the tokens.
        """
        x, source = jax.lax.stop_gradient((x, source))
        q = self.query(source).reshape(*source.shape[:2], self.heads, self.dim)
        scale = (self.heads * self.dim) ** -0.5
        return self._turned(q, positions), scale * self.weights(x)

    def keys(
        self, x: Float[Array, "batch n width"], positions: Int[Array, " n"]
    ) -> Float[Array, "batch n dim"]:
        """Index keys, what a cache keeps of the tokens `x` at `positions`."""
        k = self.key_norm(self.key(jax.lax.stop_gradient(x)))
        return self._turned(k[:, :, None], positions)[:, :, 0]

    def _turned(self, array, positions):
        array = array if self.rotary is None else self.rotary(array, positions)
        return hadamard(array) if self.rotated else array


def make_indexer(
    width: int,
    *,
    heads: int,
    dim: int,
    source: int | None = None,
    rotary: Rotary | None = None,
    rotated: bool = False,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> Indexer:
    """An index with random maps.

    Args:
        width: Size of a token.
        heads: Index heads.
        dim: Size of an index key.
        source: Size of what the queries are made of; None for `width`.
        rotary: Rotary positions of the first components.
        rotated: Whether there is a Hadamard rotation; `dim` is then a power of two.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or `dim` does not fit the rotations.
    """
    check_at_least(heads, 1, "heads")
    check_at_least(dim, 1, "dim")
    if rotary is not None:
        check_at_least(dim, rotary.size, "dim", "So many components have rotary positions.")
    if rotated:
        hadamard(jnp.zeros(dim))  # names a size that does not fit now and not in the first call
    keys = jax.random.split(key, 3)
    return Indexer(
        make_dense(source or width, heads * dim, key=keys[0], dtype=dtype),
        make_dense(width, dim, key=keys[1], dtype=dtype),
        make_dense(width, heads, key=keys[2], dtype=dtype),
        make_layer_norm(dim, eps=1e-6, dtype=dtype),
        rotary,
        heads,
        rotated,
    )

"""Softmax attention to a mixture of blocks (MoBA), as a layer on the maps of plain attention.

It has no weights of its own: a dense model becomes one by `BlockMixtureAttention(model's attention, ...)`, and back.
A cache keeps the sums of the keys of each block too, so that a token reads the means and its blocks, not all keys.

E. Lu et al., MoBA, 2025, arXiv 2502.13189. The published models keep dense attention in their last layers and while
decoding; that is up to the model.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least
from nn.kernels.block_attention import block_mixture_attention, count_blocks
from nn.layers.attention import Attention
from nn.layers.caches import TokenCache, make_cache


class BlockCache(eqx.Module):
    """Keys and values of the tokens seen, and what is known of their blocks.

    Attributes:
        tokens: Keys and values.
        sums: Sum of the keys of each block so far.
    """

    tokens: TokenCache
    sums: Float[Array, "batch blocks kv_heads head_dim"]


class BlockMixtureAttention(eqx.Module):
    """Attention of each head to its own block and to those whose mean key it likes best.

    Attributes:
        attention: Maps of the attention.
        block_size: Keys in a block.
        n_chosen: Blocks a query keeps, its own among them.
    """

    attention: Attention
    block_size: int = eqx.field(static=True)
    n_chosen: int = eqx.field(static=True)

    def __check_init__(self):
        check_at_least(self.block_size, 1, "block_size")
        check_at_least(self.n_chosen, 1, "n_chosen", "A query's own block is always chosen.")
        self.attention.check_plain("The blocks are chosen among all before a query.")

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: BlockCache | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], BlockCache | None]:
        """Mixes the tokens.

        Args:
            x: Tokens.
            cache: What is kept of the tokens before.
            key: For noisy maps.

        Raises:
            ValueError: If the cache has no room.
        """
        n_tokens = x.shape[1]
        choose = partial(
            block_mixture_attention, block_size=self.block_size, n_chosen=self.n_chosen
        )
        if cache is None:
            positions = jnp.arange(n_tokens, dtype=jnp.int32)
            q, k, v, gate = self.attention.project(x, positions, key=key)
            mixed, _ = choose(q, k, v)
            return self.attention.finish(mixed, gate, key=key), None
        positions = cache.tokens.next_positions(n_tokens)
        q, k, v, gate = self.attention.project(x, positions, key=key)
        tokens, entries, _ = cache.tokens.extend(k=k, v=v)
        sums = cache.sums.at[:, positions // self.block_size].add(k.astype(cache.sums.dtype))
        mixed, _ = choose(
            q,
            entries["k"],
            entries["v"],
            query_positions=positions,
            means=sums / self.block_size,
        )
        return self.attention.finish(mixed, gate, key=key), BlockCache(tokens, sums)

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> BlockCache:
        """An empty cache; the sums are kept in at least single precision."""
        shape = (self.attention.kv_heads, self.attention.head_dim)
        n_blocks = count_blocks(capacity, self.block_size)
        precise = jnp.promote_types(dtype, jnp.float32)
        return BlockCache(
            make_cache(batch, capacity, dtype=dtype, k=shape, v=shape),
            jnp.zeros((batch, n_blocks, *shape), precise),
        )

"""Softmax attention with shared keys to the keys that its index picks (DSA), as a layer.

First the index is trained beside dense attention (`k=None`), with the loss on all keys; then all is trained with k
keys, the language model by its own loss and the index by its loss on the chosen keys. `report` gives that loss.

DeepSeek-AI, DeepSeek-V3.2-Exp (2025), eqs. 1-4. There one head of latents serves all queries; this is the same over
plain attention with shared keys.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least
from nn.kernels.attention import dense_attention, masked_softmax
from nn.kernels.indexed_attention import (
    index_loss,
    index_recall,
    index_scores,
    seen_keys,
    select_keys,
)
from nn.kernels.selection import gathered_attention
from nn.layers.attention import Attention
from nn.layers.caches import TokenCache, make_cache
from nn.layers.indexer import Indexer, make_indexer
from nn.layers.rotary import Rotary


class IndexReport(NamedTuple):
    """How well an index knows attention.

    Attributes:
        loss: Its loss in nats, the mean over queries.
        recall: Share of the weight of dense attention that falls on the chosen keys, query by query.
        best: That share for the keys that have most weight: no choice for all heads together catches more.
        last: That share for the last keys, which need no index.
    """

    loss: Float[Array, ""]
    recall: Float[Array, "batch n"]
    best: Float[Array, "batch n"]
    last: Float[Array, "batch n"]


class IndexedAttention(eqx.Module):
    """Attention with shared keys, to the keys that its index picks.

    Attributes:
        attention: Maps of the attention, which dense attention had as well.
        indexer: The index.
        k: Keys a query keeps; None for all, the dense attention beside which an index is first trained.
    """

    attention: Attention
    indexer: Indexer
    k: int | None = eqx.field(static=True)

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: TokenCache | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], TokenCache | None]:
        """Mixes the tokens.

        Args:
            x: Tokens.
            cache: Keys, values and index keys of the tokens before.
            key: For noisy maps.

        Raises:
            ValueError: If the cache has no room.
        """
        n_tokens = x.shape[1]
        positions = (
            jnp.arange(n_tokens, dtype=jnp.int32)
            if cache is None
            else cache.next_positions(n_tokens)
        )
        q, k, v, gate = self.attention.project(x, positions, key=key)
        index_keys = self.indexer.keys(x, positions)
        key_positions = positions
        if cache is not None:
            cache, entries, key_positions = cache.extend(k=k, v=v, index=index_keys)
            k, v, index_keys = entries["k"], entries["v"], entries["index"]
        if self.k is None:
            mixed = dense_attention(q, k, v, query_positions=positions, key_positions=key_positions)
        else:
            index_q, weights = self.indexer.queries(x, x, positions)
            scores = index_scores(index_q, index_keys.astype(index_q.dtype), weights)
            choice = select_keys(
                scores, self.k, query_positions=positions, key_positions=key_positions
            )
            mixed, _ = gathered_attention(q, k, v, choice)
        return self.attention.finish(mixed, gate, key=key), cache

    def report(self, x: Float[Array, "batch n width"], k: int | None = None) -> IndexReport:
        """The loss of the index and how well it chooses, for whole texts.

        Args:
            x: Tokens, what the layer is called with.
            k: Keys of which the recall is told; None for those of the layer, or all where it keeps all.
        """
        n_tokens = x.shape[1]
        positions = jnp.arange(n_tokens)
        q, keys, v, _ = self.attention.project(x, positions)
        index_q, weights = self.indexer.queries(x, x, positions)
        scores = index_scores(index_q, self.indexer.keys(x, positions), weights)
        dense = jax.lax.stop_gradient(attention_weights(q, keys))
        nearness = jnp.broadcast_to(positions.astype(scores.dtype), scores.shape)
        recalls = (
            index_recall(select_keys(kind, k or self.k or n_tokens), dense)
            for kind in (scores, dense.sum(axis=2), nearness)
        )
        if self.k is None:
            seen = jnp.broadcast_to(seen_keys(scores), scores.shape)
            return IndexReport(index_loss(scores, dense, seen), *recalls)
        choice = select_keys(scores, self.k)
        _, attended = gathered_attention(q, keys, v, choice)
        chosen = jnp.take_along_axis(scores, choice.indices[..., 0, :], axis=-1)
        return IndexReport(index_loss(chosen, attended, choice.valid[..., 0, :]), *recalls)

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> TokenCache:
        """An empty cache."""
        shape = (self.attention.kv_heads, self.attention.head_dim)
        index = (self.indexer.dim,)
        return make_cache(batch, capacity, dtype=dtype, k=shape, v=shape, index=index)


def attention_weights(
    q: Float[Array, "batch n heads head_dim"], k: Float[Array, "batch n kv_heads head_dim"]
) -> Float[Array, "batch n heads n"]:
    """Weights of causal dense attention, all of them: length^2 numbers a head."""
    wide = jnp.promote_types(q.dtype, jnp.float32)
    batch, n, heads, dim = q.shape
    grouped = q.reshape(batch, n, k.shape[2], -1, dim).astype(wide)
    scores = dim**-0.5 * jnp.einsum("bqhgd,bkhd->bqhgk", grouped, k.astype(wide))
    seen = jnp.broadcast_to(jnp.tri(n, dtype=bool)[:, None, None], scores.shape)
    return masked_softmax(scores, seen).reshape(batch, n, heads, n)


def make_indexed_attention(
    attention: Attention,
    *,
    k: int | None,
    index_heads: int,
    index_dim: int,
    rotary: Rotary | None = None,
    key: PRNGKeyArray,
) -> IndexedAttention:
    """Attention with a new index of random maps, in the type of its weights.

    Args:
        attention: The attention, causal and without a window.
        k: Keys a query keeps; None for all.
        index_heads: Index heads.
        index_dim: Size of an index key.
        rotary: Rotary positions of the first components of index queries and keys.
        key: PRNG key.

    Raises:
        ValueError: If a count is below 1, or the attention has a window or is not causal.
    """
    attention.check_plain("The index chooses among all keys before a query.")
    if k is not None:
        check_at_least(k, 1, "k", "It counts the keys that a query keeps; None keeps all.")
    indexer = make_indexer(
        attention.query.n_in,
        heads=index_heads,
        dim=index_dim,
        rotary=rotary,
        key=key,
        dtype=getattr(attention.query, "weight", jnp.zeros(0)).dtype,
    )
    return IndexedAttention(attention, indexer, k)

"""Softmax attention as a layer: maps to queries, keys and values, rotary positions, and a map of what the heads found.

    y = O (attention(rot(norm(x Q)), rot(norm(x K)), x V) * sigmoid(x G))

The norms (per head, over its components), the gate, biases and the window are parts that a model has or has not.
Several query heads share one head of keys and values (`kv_heads`).

Sources: A. Vaswani et al., arXiv 1706.03762; J. Ainslie et al., arXiv 2305.13245 (shared keys); A. Yang et al.,
arXiv 2505.09388 (Qwen3, norms of queries and keys). The gate, one number for each output, is that of Qwen3-Next.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_divides
from nn.kernels.attention import dense_attention
from nn.kernels.online_attention import online_attention
from nn.kernels.query_attention import query_attention
from nn.layers.caches import TokenCache, make_cache
from nn.layers.feed_forward import split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.normalisation import LayerNorm, RMSNorm, make_rms_norm
from nn.layers.rotary import Rotary


class Attention(eqx.Module):
    """Attention with its maps.

    Attributes:
        query: Q, and G beside it where `gated`: each head's query, then its gate.
        key: K.
        value: V.
        output: O.
        query_norm: Normalisation of each query, or None.
        key_norm: Normalisation of each key, or None.
        rotary: Rotary positions, or None.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        window: Tokens a query sees, itself among them; None for all before it.
        gated: Whether there is a gate.
        causal: Whether a query sees only itself and what is before it.
    """

    query: AbstractLinear
    key: AbstractLinear
    value: AbstractLinear
    output: AbstractLinear
    query_norm: RMSNorm | LayerNorm | None
    key_norm: RMSNorm | LayerNorm | None
    rotary: Rotary | None = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    kv_heads: int = eqx.field(static=True)
    window: int | None = eqx.field(static=True, default=None)
    gated: bool = eqx.field(static=True, default=False)
    causal: bool = eqx.field(static=True, default=True)

    @property
    def head_dim(self) -> int:
        """Size of a key."""
        return self.key.n_out // self.kv_heads

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
            cache: Keys and values of the tokens before; None where these are the first and none come after.
            key: For noisy maps.

        Raises:
            ValueError: If the cache has no room, or the layer is not causal and has a cache.
        """
        if cache is not None and not self.causal:
            raise ValueError(
                "`cache` must be None in a layer that is not causal: earlier tokens would have to see later ones."
            )
        positions = (
            jnp.arange(x.shape[1], dtype=jnp.int32)
            if cache is None
            else cache.next_positions(x.shape[1])
        )
        q, k, v, gate = self.project(x, positions, key=key)
        key_positions = positions
        if cache is not None:
            cache, entries, key_positions = cache.extend(k=k, v=v)
            k, v = entries["k"], entries["v"]
        mixed = attend(
            q,
            k,
            v,
            query_positions=positions,
            key_positions=key_positions,
            causal=self.causal,
            window=self.window,
        )
        return self.finish(mixed, gate, key=key), cache

    def check_plain(self, why: str) -> None:
        """Raises ValueError, with `why` at its end, unless this is causal and has no window."""
        if self.window is not None or not self.causal:
            raise ValueError(
                f"`attention` must be causal and without a window, but has causal {self.causal} and window "
                f"{self.window}. {why}"
            )

    def project(
        self,
        x: Float[Array, "batch n width"],
        positions: Int[Array, " n"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[
        Float[Array, "batch n heads head_dim"],
        Float[Array, "batch n kv_heads head_dim"],
        Float[Array, "batch n kv_heads head_dim"],
        Float[Array, "batch n heads head_dim"] | None,
    ]:
        """Queries, keys, values and gates of the tokens, ready for any form of attention."""
        keys = split_key(key, 4)
        heads = lambda y, n: y.reshape(*y.shape[:2], n, -1)  # noqa: E731
        q = heads(self.query(x, key=keys[0]), self.heads)
        k = heads(self.key(x, key=keys[1]), self.kv_heads)
        v = heads(self.value(x, key=keys[2]), self.kv_heads)
        q, gate = jnp.split(q, 2, axis=-1) if self.gated else (q, None)
        q = q if self.query_norm is None else self.query_norm(q)
        k = k if self.key_norm is None else self.key_norm(k)
        if self.rotary is not None:
            q, k = self.rotary(q, positions), self.rotary(k, positions)
        return q, k, v, gate

    def finish(
        self,
        mixed: Float[Array, "batch n heads head_dim"],
        gate: Float[Array, "batch n heads head_dim"] | None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n width"]:
        """Gates what the heads found and maps it to the output."""
        mixed = mixed if gate is None else mixed * jax.nn.sigmoid(gate)
        return self.output(mixed.reshape(*mixed.shape[:2], -1), key=split_key(key, 4)[3])

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> TokenCache:
        """An empty cache; with a window shorter than `capacity` it is a ring of that length."""
        shape = (self.kv_heads, self.head_dim)
        ring = self.window is not None and self.window < capacity
        slots = self.window if ring and self.window is not None else capacity
        return make_cache(batch, slots, ring=ring, dtype=dtype, k=shape, v=shape)


def attend(
    q: Float[Array, "batch n heads head_dim"],
    k: Float[Array, "batch keys kv_heads head_dim"],
    v: Float[Array, "batch keys kv_heads value_dim"],
    **options: Any,
) -> Float[Array, "batch n heads value_dim"]:
    """Softmax attention: of one query, with all weights stored for few, and in blocks for many; the same numbers.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        **options: What both take, see `nn.kernels.dense_attention`.
    """
    if q.shape[1] == 1 and q.size * k.shape[1] <= _SMALL:
        return query_attention(q, k, v, **options)
    kernel = online_attention if q.shape[1] >= _MANY else dense_attention
    return kernel(q, k, v, **options)


# Products of queries with keys, component by component, that fit the cache of a processor.
_SMALL = 2**20
# From here on blocks were faster on a CPU, by 2.7 forward and 1.9 with the gradient at 128 queries, 10 and 7 at 1,024.
_MANY = 128


def make_attention(
    width: int,
    *,
    heads: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    rotary: Rotary | None = None,
    norm_eps: float | None = None,
    norm_from_one: bool = False,
    window: int | None = None,
    gated: bool = False,
    bias: bool = False,
    causal: bool = True,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> Attention:
    """Attention with random maps.

    Args:
        width: Size of a token.
        heads: Heads of queries.
        kv_heads: Heads of keys and values; None for as many.
        head_dim: Size of a head; None for width / heads.
        rotary: Rotary positions.
        norm_eps: eps of the norms of queries and keys; None for no norms.
        norm_from_one: Whether their weights are counted from one.
        window: Tokens a query sees; None for all.
        gated: Whether the output is gated.
        bias: Whether the maps have biases.
        causal: Whether a query sees only what is before it.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    kv_heads = heads if kv_heads is None else kv_heads
    check_at_least(heads, 1, "heads")
    check_divides(kv_heads, heads, "kv_heads", "heads", "Each head of keys serves equally many.")
    if head_dim is None:
        check_divides(heads, width, "heads", "width", "Or give `head_dim`.")
        head_dim = width // heads
    if window is not None:
        check_at_least(window, 1, "window")
    keys = jax.random.split(key, 4)
    norm = (
        None
        if norm_eps is None
        else make_rms_norm(head_dim, eps=norm_eps, from_one=norm_from_one, dtype=dtype)
    )
    return Attention(
        make_dense(width, heads * head_dim * (1 + gated), key=keys[0], bias=bias, dtype=dtype),
        make_dense(width, kv_heads * head_dim, key=keys[1], bias=bias, dtype=dtype),
        make_dense(width, kv_heads * head_dim, key=keys[2], bias=bias, dtype=dtype),
        make_dense(heads * head_dim, width, key=keys[3], bias=bias, dtype=dtype),
        norm,
        norm,
        rotary,
        heads,
        kv_heads,
        window,
        gated,
        causal,
    )

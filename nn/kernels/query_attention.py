"""Attention of one query a row, as in decoding: the keys and values of a cache are read where they lie.

The same as `dense_attention`, in another order of products. There a compiler turns keys and values into one matrix for
each head first, which on a CPU takes four times as long as all products together. Here, with c over the components of
all heads of keys side by side,

    scores_sh = sum_d (k_s * q_h)_d,      o_h = the components of its own head of  sum_s w_hs v_sc,

so that the values of all heads are one matrix; what is thrown away costs less than the turning.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nn.kernels.attention import check_operands, make_positions, masked_softmax, visible


def query_attention(
    q: Float[Array, "*batch 1 heads head_dim"],
    k: Float[Array, "*batch k kv_heads _"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    *,
    query_positions: Int[Array, " 1"],
    key_positions: Int[Array, " k"],
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
) -> Float[Array, "*batch 1 heads value_dim"]:
    """Attention of one query a row to all keys.

    Args:
        q: Queries.
        k: Keys.
        v: Values, perhaps of another size than keys.
        query_positions: Position of the query.
        key_positions: Position of each key, -1 for an empty slot.
        causal: Whether the query sees only keys at its own position and before.
        window: The last so many positions are seen, the query's own among them; None for all.
        scale: Factor of the scores, by default head_dim^-1/2.

    Returns:
        Mixed values in the type of `q`; zeros for a query that sees nothing.

    Raises:
        ValueError: If sizes do not fit, or `window` is bad.
    """
    check_operands(q, k, v)
    positions = make_positions(q, k, query_positions, key_positions, causal)
    *batch, _, heads, dim = q.shape
    n_keys, kv_heads = k.shape[-3:-1]
    wide: Any = jnp.promote_types(q.dtype, jnp.float32)
    # Scaled by a product: what made the queries, such as rotations, would else be done anew for each key.
    factor = dim**-0.5 if scale is None else scale
    scaled = q.astype(wide).reshape(-1, dim) @ (factor * jnp.eye(dim, dtype=wide))
    grouped = scaled.reshape(*batch, 1, kv_heads, heads // kv_heads, dim)
    products = grouped * k.astype(wide)[..., None, :]
    # A product with ones in the place of a sum, which a compiler would do number by number.
    scores = (products.reshape(-1, dim) @ jnp.ones(dim, wide)).reshape(*batch, n_keys, heads)
    scores = jnp.swapaxes(scores, -1, -2)
    seen = visible(*positions, causal=causal, window=window)[0]
    weights = masked_softmax(scores, jnp.broadcast_to(seen, scores.shape))
    mixed = weights @ v.astype(wide).reshape(*batch, n_keys, -1)
    # (*batch, its own head of keys, query of the group, any head of keys, value_dim)
    mixed = mixed.reshape(*batch, kv_heads, heads // kv_heads, kv_heads, -1)
    own = jnp.diagonal(
        mixed, axis1=-4, axis2=-2
    )  # (*batch, query of the group, value_dim, kv_heads)
    return jnp.moveaxis(own, -1, -3).reshape(*batch, 1, heads, -1).astype(q.dtype)

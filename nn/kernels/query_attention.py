"""Attention of one query a row, as in decoding: the keys and values of a cache are read where they lie.

The same as `dense_attention`, in another order of products. There a compiler turns keys and values into one matrix for
each head first, which on a CPU takes four times as long as all products together. Here the keys of all heads are one
matrix, (keys, components of all heads side by side), and so are the values. A query is a column that holds it beside
the components of its own head of keys and zeros beside the others,

    scores_sh = sum_c k_sc q_ch,      o_h = the components of its own head of  sum_s w_hs v_sc.

What is added up for nothing costs less than the turning.
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
    kv_heads = k.shape[-2]
    wide: Any = jnp.promote_types(q.dtype, jnp.float32)
    factor = dim**-0.5 if scale is None else scale
    # For each query a column that holds it beside the components of its own head of keys, and zeros beside the others.
    grouped = (factor * q.astype(wide)).reshape(*batch, kv_heads, heads // kv_heads, dim)
    own = jnp.eye(kv_heads, dtype=wide).reshape(*[1] * len(batch), kv_heads, 1, kv_heads, 1)
    columns = (grouped[..., None, :] * own).reshape(*batch, heads, kv_heads * dim)
    keys, rows = _flat(k, query_positions), _flat(v, query_positions)
    scores = jnp.swapaxes(keys.astype(wide) @ jnp.swapaxes(columns, -1, -2), -1, -2)
    seen = visible(*positions, causal=causal, window=window)[0]
    weights = masked_softmax(scores, jnp.broadcast_to(seen, scores.shape))
    mixed = weights @ rows.astype(wide)
    # (*batch, its own head of keys, query of the group, any head of keys, value_dim)
    mixed = mixed.reshape(*batch, kv_heads, heads // kv_heads, kv_heads, -1)
    own = jnp.diagonal(
        mixed, axis1=-4, axis2=-2
    )  # (*batch, query of the group, value_dim, kv_heads)
    return jnp.moveaxis(own, -1, -3).reshape(*batch, 1, heads, -1).astype(q.dtype)


def _flat(entries, query_positions):
    """Keys or values (*batch, keys, components of all heads).

    With a zero added that XLA cannot foresee: where a product reads a cache just written and reshaped, XLA writes it
    twice, once for the product, and copies the whole cache three times for that.
    """
    zero = jnp.minimum(jnp.abs(query_positions[0]), 0).astype(entries.dtype)
    return (entries + zero).reshape(*entries.shape[:-2], -1)

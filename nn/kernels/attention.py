"""Softmax attention in its plain form, the reference of all others, and who sees whom.

For a query at position p, with the keys s that it may see,

    o = sum_s w_s v_s,   w_s = exp(scale q . k_s) / sum_r exp(scale q . k_r),   scale = head_dim^-1/2

(Vaswani et al., Attention is all you need, 2017, arXiv 1706.03762, eq. 1). Several heads of queries may share one of
keys and values (Ainslie et al., GQA, 2023, arXiv 2305.13245): of `heads` queries and `kv_heads` keys, query head h uses
key head h // (heads // kv_heads).

Who sees whom is a matter of positions, so that a whole text, a chunk behind a cache, and a ring of slots are one thing:
a key at position -1 is an empty slot; a query sees keys at 0 <= position <= its own, and with a window of w only the
last w of them, itself among these. A query that sees nothing gets zeros and has no gradient.

Arrays are (*batch, sequence, heads, head_dim). Softmax and sums are done in at least single precision; the result has
the type of the queries. The whole matrix of weights is stored: length^2 numbers a head.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_at_least, check_axis, check_divides


def visible(
    query_positions: Int[Array, " q"],
    key_positions: Int[Array, " k"],
    *,
    causal: bool = True,
    window: int | None = None,
) -> Bool[Array, "q k"]:
    """Which keys each query sees.

    Args:
        query_positions: Position of each query.
        key_positions: Position of each key, -1 for an empty slot.
        causal: Whether a query sees only keys at its own position and before; otherwise all that are not empty.
        window: Of these only the last so many, the query's own position among them; None for all.

    Raises:
        ValueError: If `window` is below 1, or given where `causal` is false.
    """
    check_window(window, causal)
    keys = jnp.broadcast_to(key_positions, (len(query_positions), len(key_positions)))
    seen = keys >= 0
    if causal:
        distance = query_positions[:, None] - key_positions[None, :]
        seen &= distance >= 0
        if window is not None:
            seen &= distance < window
    return seen


def masked_softmax(
    scores: Float[Array, "*shape keys"], mask: Bool[Array, "*shape keys"]
) -> Float[Array, "*shape keys"]:
    """Softmax along the last axis over what `mask` allows; a row that allows nothing is zero, and so is its gradient.

    The subtraction of -inf from -inf, and with it NaN, never happens, neither in values nor in gradients.
    """
    highest = jnp.max(jnp.where(mask, scores, -jnp.inf), axis=-1, keepdims=True)
    highest = jax.lax.stop_gradient(jnp.where(highest == -jnp.inf, 0.0, highest))
    weights = jnp.exp(jnp.where(mask, scores - highest, -jnp.inf))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights / jnp.where(total == 0, 1.0, total)


def dense_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    *,
    query_positions: Int[Array, " q"] | None = None,
    key_positions: Int[Array, " k"] | None = None,
    causal: bool = True,
    window: int | None = None,
    mask: Bool[Array, "..."] | None = None,
    scale: float | None = None,
) -> Float[Array, "*batch q heads value_dim"]:
    """Attention that stores all weights.

    Args:
        q: Queries.
        k: Keys.
        v: Values, perhaps of another size than keys.
        query_positions: Position of each query, by default 0, 1, ...; only together with `key_positions`.
        key_positions: Position of each key, -1 for an empty slot.
        causal: Whether a query sees only keys at its own position and before.
        window: The last so many positions are seen, the query's own among them; None for all.
        mask: True where a query may see a key, on top of the rest: (q, k), or (*batch, heads, q, k), where an axis of
            size 1 stands for all.
        scale: Factor of the scores, by default head_dim^-1/2.

    Returns:
        Mixed values in the type of `q`; zeros for a query that sees nothing.

    Raises:
        ValueError: If sizes do not fit, only one kind of position is given, lengths differ where positions are needed
            but not given, or `window` is bad.
    """
    check_operands(q, k, v)
    positions = make_positions(q, k, query_positions, key_positions, causal)
    *batch, n_queries, heads, _ = q.shape
    kv_heads = k.shape[-2]
    seen = visible(*positions, causal=causal, window=window)
    if mask is not None:
        shape = (*batch, heads, *seen.shape)
        seen = jnp.broadcast_to(seen, shape) & _widen(mask, shape)
        seen = seen.reshape(*batch, kv_heads, heads // kv_heads, *seen.shape[-2:])

    wide = jnp.promote_types(q.dtype, jnp.float32)
    grouped = q.reshape(*batch, n_queries, kv_heads, heads // kv_heads, -1)
    scores = jnp.einsum("...qhgd,...khd->...hgqk", grouped.astype(wide), k.astype(wide))
    scores *= q.shape[-1] ** -0.5 if scale is None else scale
    weights = masked_softmax(scores, jnp.broadcast_to(seen, scores.shape))
    mixed = jnp.einsum("...hgqk,...khd->...qhgd", weights, v.astype(wide))
    return mixed.reshape(*batch, n_queries, heads, v.shape[-1]).astype(q.dtype)


def check_operands(q: Array, k: Array, v: Array) -> None:
    """Raises ValueError unless queries, keys and values fit; what all forms of attention begin with."""
    for name, array in (("q", q), ("k", k), ("v", v)):
        if array.ndim < 3:
            raise ValueError(
                f"`{name}` must be (*batch, sequence, heads, head_dim), but its shape is {array.shape}. "
                "One head still needs its axis."
            )
    check_divides(k.shape[-2], q.shape[-2], "kv_heads", "heads", "Axis -2 of `k` and of `q`.")
    check_axis(k, "k", -1, q.shape[-1], "Keys have the size of the queries.")
    if k.shape[:-1] != v.shape[:-1] or q.shape[:-3] != k.shape[:-3]:
        raise ValueError(
            f"`k` and `v` must have the same sequence and heads, and the batch of `q`, but the shapes of q, k, v are "
            f"{q.shape}, {k.shape}, {v.shape}."
        )


def check_window(window: int | None, causal: bool) -> None:
    """Raises ValueError unless a window is None, or 1 or more and causal."""
    if window is None:
        return
    check_at_least(window, 1, "window", "It counts the query's own position.")
    if not causal:
        raise ValueError(
            f"`window` must be None where `causal` is false, but is {window}. "
            "It is the last so many positions."
        )


def make_positions(
    q: Array,
    k: Array,
    query_positions: Int[Array, " q"] | None,
    key_positions: Int[Array, " k"] | None,
    causal: bool,
) -> tuple[Int[Array, " q"], Int[Array, " k"]]:
    """Positions of queries and keys, 0, 1, ... where none are given.

    Raises:
        ValueError: If one kind is given without the other, or none where lengths differ and `causal` is true.
    """
    n_queries, n_keys = q.shape[-3], k.shape[-3]
    if query_positions is not None and key_positions is not None:
        check_axis(query_positions, "query_positions", 0, n_queries, "One for each query.")
        check_axis(key_positions, "key_positions", 0, n_keys, "One for each key.")
        return query_positions, key_positions
    if query_positions is not None or key_positions is not None:
        raise ValueError(
            "`query_positions` and `key_positions` must be given together, but one is None. "
            "Without them both count 0, 1, ..."
        )
    if causal and n_queries != n_keys:
        raise ValueError(
            f"`query_positions` and `key_positions` must be given where `causal` is true and lengths differ, but there "
            f"are {n_queries} queries and {n_keys} keys. The last queries of a text stand at {n_keys - n_queries}, ..."
        )
    return jnp.arange(n_queries), jnp.arange(n_keys)


def _widen(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask over all of (*batch, heads, q, k)."""
    fits = mask.ndim in (2, len(shape)) and all(
        size in (1, whole)
        for size, whole in zip(mask.shape[::-1], shape[::-1], strict=False)  # from the last axis
    )
    if not fits:
        raise ValueError(
            f"`mask` must be (q, k) or (*batch, heads, q, k), here {shape[-2:]} or {shape}, with 1 for an axis that "
            f"is all alike, but its shape is {mask.shape}."
        )
    return jnp.broadcast_to(mask, shape)

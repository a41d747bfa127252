"""Choosing keys: which ones a query keeps, and attention over the keys kept alone.

All sparse forms do these two things: a score for each key (or block of keys), the k highest of those that the query may
see, and softmax attention over what was chosen,

    o_t = sum_{s in S_t} w_ts v_s,   w_ts = exp(scale q_t . k_s) / sum_{r in S_t} exp(scale q_t . k_r).

The rule of ties, which makes a choice the same whether it is made for all queries at once or token by token: the
highest score first, of equal scores the earliest key, and +0 equals -0. Ties are no rarity: a sum of few rectified
scores is exactly 0 for a third of the keys. Fewer than k visible: all of them, and a mask that says so.

The chosen keys are gathered, so that attention reads k of them and not n: memory is (queries at once) x k x head_dim.
What is chosen has no derivative; what is attended to has.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_at_least, check_divides
from nn.kernels.attention import check_operands, masked_softmax


class Selection(NamedTuple):
    """What was chosen, for each query.

    Attributes:
        indices: Chosen keys or blocks, the highest score first; 0 in places that are not filled.
        valid: Which places are filled.
    """

    indices: Int[Array, "*shape k"]
    valid: Bool[Array, "*shape k"]


def select_top(
    scores: Float[Array, "*shape keys"], seen: Bool[Array, "*shape keys"], k: int
) -> Selection:
    """The `k` highest scores among the keys that are seen; of equal scores the earliest key first.

    Args:
        scores: Score of each key; any finite number, or +inf for a key that is always chosen, -inf for one that comes
            last. NaN counts as the highest, so that it shows in the result.
        seen: Which keys may be chosen.
        k: How many; where there are fewer keys, that many.

    Raises:
        ValueError: If `k` is below 1.
    """
    check_at_least(k, 1, "k", "It counts the keys or blocks that a query keeps.")
    scores = jax.lax.stop_gradient(scores.astype(jnp.promote_types(scores.dtype, jnp.float32)))
    # top_k sorts -0 below +0, and a key that is seen must come before all that are not.
    scores = jnp.where(scores == 0, 0, jnp.maximum(scores, jnp.finfo(scores.dtype).min))
    values, indices = jax.lax.top_k(jnp.where(seen, scores, -jnp.inf), min(k, scores.shape[-1]))
    valid = values != -jnp.inf
    return Selection(jnp.where(valid, indices, 0), valid)


def selected_mask(selection: Selection, n_keys: int) -> Bool[Array, "*shape keys"]:
    """The choice as a mask over all keys.

    Args:
        selection: What was chosen.
        n_keys: Number of keys.
    """
    places = jnp.where(selection.valid, selection.indices, n_keys)
    rows = places.reshape(-1, places.shape[-1])
    mask = jnp.zeros((len(rows), n_keys), bool)
    mask = mask.at[jnp.arange(len(rows))[:, None], rows].set(True, mode="drop")
    return mask.reshape(*places.shape[:-1], n_keys)


def gathered_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    selection: Selection,
    *,
    scale: float | None = None,
    queries_at_once: int = 128,
) -> tuple[Float[Array, "*batch q heads value_dim"], Float[Array, "*batch q heads chosen"]]:
    """Attention over the chosen keys alone.

    Args:
        q: Queries.
        k: Keys.
        v: Values, perhaps of another size than keys: latents are one head of keys and values.
        selection: Chosen keys of each query, (*batch, q, groups, chosen): one group for all heads, or one for each head
            of keys, or one for each head of queries.
        scale: Factor of the scores, by default head_dim^-1/2.
        queries_at_once: Queries whose keys are held in memory together.

    Returns:
        Mixed values in the type of `q`, zeros where nothing was chosen; and the weights, in the order of `selection`,
        zero in places that are not filled.

    Raises:
        ValueError: If sizes do not fit or a count is below 1.
    """
    check_operands(q, k, v)
    check_at_least(queries_at_once, 1, "queries_at_once")
    heads, kv_heads = q.shape[-2], k.shape[-2]
    groups = selection.indices.shape[-2]
    check_divides(groups, heads, "groups", "heads", "Axis -2 of `selection` and of `q`.")
    if groups != 1:
        check_divides(kv_heads, groups, "kv_heads", "groups", "Axis -2 of `k` and of `selection`.")
    if selection.indices.shape[:-2] != q.shape[:-2]:
        raise ValueError(
            f"`selection` must have the batch and the queries of `q`, {q.shape[:-2]}, but has "
            f"{selection.indices.shape[:-2]}."
        )
    factor = q.shape[-1] ** -0.5 if scale is None else scale

    def attend(q, k, v, indices, valid):
        wide = jnp.promote_types(q.dtype, jnp.float32)
        shared = max(groups, kv_heads)  # heads that may read different rows
        head = (jnp.arange(shared) * kv_heads // shared)[:, None]

        def one(row):
            query, indices, valid = row
            indices = jnp.broadcast_to(indices, (shared, indices.shape[-1]))
            query = query.reshape(shared, heads // shared, -1).astype(wide)
            scores = factor * jnp.einsum("grd,gcd->grc", query, k[indices, head].astype(wide))
            weights = masked_softmax(scores, jnp.broadcast_to(valid[:, None], scores.shape))
            mixed = jnp.einsum("grc,gce->gre", weights, v[indices, head].astype(wide))
            return mixed.reshape(heads, -1), weights.reshape(heads, -1)

        n_parts = -(-q.shape[0] // queries_at_once)
        if n_parts <= 1:
            return jax.vmap(one)((q, indices, valid))
        # Parts of one size where that is possible: what is left over would be compiled again.
        return jax.lax.map(one, (q, indices, valid), batch_size=-(-q.shape[0] // n_parts))

    for _ in q.shape[:-3]:
        attend = jax.vmap(attend)
    mixed, weights = attend(q, k, v, *selection)
    return mixed.astype(q.dtype), weights

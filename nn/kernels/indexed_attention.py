"""Attention to the keys that a small index picks (DSA, DeepSeek sparse attention).

Each token has one index key k^I, each query a few index heads q^I_j with weights w_j. The index score

    I_ts = sum_j w_tj ReLU(q^I_tj . k^I_s)

says how much query t wants key s; the k highest of those that it may see are attended to, all others are not read.
The scores still take length^2 products, of heads and sizes that are far smaller than those of the attention itself.

The index learns what attention does, from a loss of its own,

    L = mean_t KL(p_t || softmax(I_t)),   p_ts = sum_h w_hts / sum_hr w_htr,

with the weights w of attention over all keys that are seen (the warm-up) or over the chosen ones (the sparse stage). No
gradient goes into p: the loss moves the index alone, and what is chosen is not differentiated, so the loss of the
language model never moves the index.

DeepSeek-AI, DeepSeek-V3.2-Exp: Boosting long-context efficiency with DeepSeek sparse attention (2025), eqs. 1-4; the
weights of attention come from any form of it, of which theirs is one head of latents for all heads of queries.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_axis
from nn.kernels.attention import visible
from nn.kernels.selection import Selection, select_top

# More than any processor's registers hold side by side.
_KEYS_TOGETHER = 64


def index_scores(
    q: Float[Array, "*batch q index_heads index_dim"],
    k: Float[Array, "*batch k key_dim"],
    weights: Float[Array, "*batch q weights"],
) -> Float[Array, "*batch q k"]:
    """I_ts of every query and key, seen or not, in at least single precision.

    The heads are added one after the other, so that memory does not grow with their number.

    Args:
        q: Index queries, scaled as one wants: a factor moves out of ReLU.
        k: Index keys, one for all heads.
        weights: Weight of each head, of any sign.

    Raises:
        ValueError: If sizes do not fit.
    """
    check_axis(k, "k", -1, q.shape[-1], "Index keys have the size of the index queries.")
    check_axis(weights, "weights", -1, q.shape[-2], "One for each index head.")
    wide = jnp.promote_types(q.dtype, jnp.float32)
    n_keys = k.shape[-2]
    # The last keys of a number that fills no registers are summed in another order, for one query alone, so that equal
    # keys would have unequal scores, and the tie would go by chance to the last.
    fill = [(0, 0)] * (k.ndim - 2) + [(0, -n_keys % _KEYS_TOGETHER), (0, 0)]
    k = jnp.pad(k.astype(wide), fill)

    @jax.checkpoint
    def add(total, head):
        q, weight = head
        products = jnp.einsum("...qd,...kd->...qk", q.astype(wide), k)
        return total + weight[..., None].astype(wide) * jax.nn.relu(products), None

    start = jnp.zeros((*q.shape[:-2], k.shape[-2]), wide)
    heads = jnp.moveaxis(q, -2, 0), jnp.moveaxis(weights, -1, 0)
    return jax.lax.scan(add, start, heads)[0][..., :n_keys]


def select_keys(
    scores: Float[Array, "*batch q k"],
    k: int,
    *,
    query_positions: Int[Array, " q"] | None = None,
    key_positions: Int[Array, " k"] | None = None,
) -> Selection:
    """The keys of the `k` highest scores at or before each query, as one group for all heads: (*batch, q, 1, chosen).

    Args:
        scores: Score of each query and key.
        k: Keys that a query keeps; where it sees fewer, all of them.
        query_positions: Position of each query, by default 0, 1, ...
        key_positions: Position of each key, -1 for an empty slot; by default 0, 1, ...

    Raises:
        ValueError: If `k` is below 1.
    """
    seen = jnp.broadcast_to(seen_keys(scores, query_positions, key_positions), scores.shape)
    chosen = select_top(scores, seen, k)
    return Selection(chosen.indices[..., None, :], chosen.valid[..., None, :])


def seen_keys(
    scores: Float[Array, "*batch q k"],
    query_positions: Int[Array, " q"] | None = None,
    key_positions: Int[Array, " k"] | None = None,
) -> Bool[Array, "q k"]:
    """Keys at or before each query, from positions that count 0, 1, ... where none are given."""
    n_queries, n_keys = scores.shape[-2:]
    return visible(
        jnp.arange(n_queries) if query_positions is None else query_positions,
        jnp.arange(n_keys) if key_positions is None else key_positions,
    )


def index_loss(
    scores: Float[Array, "*batch q keys"],
    attention: Float[Array, "*batch q heads keys"],
    counts: Bool[Array, "*batch q keys"],
) -> Float[Array, ""]:
    """KL(p || softmax(I)) in nats, the mean over queries that see something; 0 where none does.

    Args:
        scores: Index scores I of all keys, or of the chosen ones (`jnp.take_along_axis`).
        attention: Weights of attention to the same keys, head by head. They are the target: no gradient goes there.
        counts: Which keys are seen, or which places are filled.
    """
    summed = jax.lax.stop_gradient(attention).sum(axis=-2)
    summed = jnp.where(counts, summed.astype(scores.dtype), 0)
    total = summed.sum(axis=-1, keepdims=True)
    target = summed / jnp.where(total == 0, 1, total)
    # Masked before exp, so that a row without keys has neither a value nor a gradient.
    shifted = jnp.where(counts, scores - _highest(scores, counts), -jnp.inf)
    seen = counts.any(axis=-1)
    sums = jnp.where(seen, jnp.exp(shifted).sum(axis=-1), 1)
    log_index = jnp.where(counts, shifted, 0) - jnp.log(sums)[..., None]
    entropy = jnp.where(target > 0, target * jnp.log(jnp.where(target > 0, target, 1)), 0)
    divergence = (entropy - target * log_index).sum(axis=-1)
    return jnp.where(seen, divergence, 0).sum() / jnp.maximum(seen.sum(), 1)


def _highest(scores, counts):
    highest = jnp.max(jnp.where(counts, scores, -jnp.inf), axis=-1, keepdims=True)
    return jax.lax.stop_gradient(jnp.where(highest == -jnp.inf, 0, highest))


def index_recall(
    selection: Selection, attention: Float[Array, "*batch q heads keys"]
) -> Float[Array, "*batch q"]:
    """Share of the head-summed weight of attention that falls on the chosen keys; 1 where all that is seen is chosen.

    Args:
        selection: One group of chosen keys for each query.
        attention: Weights of attention to all keys. A query that sees nothing gives 0.
    """
    summed = attention.sum(axis=-2)
    caught = jnp.take_along_axis(summed, selection.indices[..., 0, :], axis=-1)
    caught = jnp.where(selection.valid[..., 0, :], caught, 0).sum(axis=-1)
    total = summed.sum(axis=-1)
    return caught / jnp.where(total == 0, 1, total)

"""Attention in blocks, by a softmax that is corrected as it goes: no matrix of weights is ever stored.

For a block of queries the blocks of keys pass one after another. With the scores S of a block, the highest score so
far m, the sum of exponentials l and the mixed values a are carried on (Milakov and Gimelshein, Online normalizer
calculation for softmax, 2018, arXiv 1805.02867; Dao et al., FlashAttention, 2022, arXiv 2205.14135, algorithm 1):

    m' = max(m, rowmax S),   P = exp(S - m'),   l' = exp(m - m') l + rowsum P,   a' = exp(m - m') a + P V,

and o = a / l at the end. The gradient keeps o and the logarithm of the sum, m + log l, and makes P anew, block by block
(Dao, FlashAttention-2, 2023, arXiv 2307.08691, algorithm 2): with D = rowsum(dO * O),

    dV = P^T dO,   dS = P * (dO V^T - D),   dQ = scale dS K,   dK = scale dS^T Q.

Blocks that no query sees are left out, so that a causal text costs half and a window of w costs length * w. Sequences
of any length are filled up with empty slots. Plain JAX; the gradient is of first order and backwards only: for second
derivatives and forward mode there is `dense_attention`, whose conventions and results these are.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_at_least
from nn.kernels.attention import check_operands, check_window, make_positions, visible


class _Plan(NamedTuple):
    """What decides the program beside shapes: who sees whom, and the factor of the scores."""

    causal: bool
    window: int | None
    scale: float


def online_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    *,
    query_positions: Int[Array, " q"] | None = None,
    key_positions: Int[Array, " k"] | None = None,
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
    block_queries: int = 256,
    block_keys: int = 256,
) -> Float[Array, "*batch q heads value_dim"]:
    """Attention whose memory grows with the length, not with its square.

    Args:
        q: Queries.
        k: Keys.
        v: Values, perhaps of another size than keys.
        query_positions: Position of each query, by default 0, 1, ...; only together with `key_positions`.
        key_positions: Position of each key, -1 for an empty slot.
        causal: Whether a query sees only keys at its own position and before.
        window: The last so many positions are seen, the query's own among them; None for all.
        scale: Factor of the scores, by default head_dim^-1/2.
        block_queries: Most rows of a block, counted over the query heads that share keys; blocks are of equal size. The
            default was fastest forwards on a CPU; with a narrow window smaller ones leave out more.
        block_keys: Most columns of a block.

    Returns:
        Mixed values in the type of `q`; zeros for a query that sees nothing.

    Raises:
        ValueError: As for `dense_attention`, or if a block is empty.
    """
    check_operands(q, k, v)
    check_window(window, causal)
    check_at_least(block_queries, 1, "block_queries")
    check_at_least(block_keys, 1, "block_keys")
    at = make_positions(q, k, query_positions, key_positions, causal)
    (*_, n_queries, heads, head_dim), (n_keys, kv_heads) = q.shape, k.shape[-3:-1]
    shape = (*q.shape[:-1], v.shape[-1])
    if 0 in (*q.shape, *k.shape, v.shape[-1]):
        return jnp.zeros(shape, q.dtype)
    groups = heads // kv_heads
    rows = _equal_share(n_queries, max(block_queries // groups, 1))
    columns = _equal_share(n_keys, block_keys)
    plan = _Plan(causal, window, head_dim**-0.5 if scale is None else scale)

    queries = _in_blocks(q.reshape(-1, n_queries, kv_heads, groups, head_dim), rows)
    keys, values = (
        _in_blocks(a.reshape(-1, n_keys, kv_heads, 1, a.shape[-1]), columns) for a in (k, v)
    )
    query_blocks = jnp.tile(_positions_in_blocks(at[0], rows), (1, groups))
    mixed = _compiled(
        plan, queries, keys, values, query_blocks, _positions_in_blocks(at[1], columns)
    )
    # (texts, kv_heads, blocks, groups, rows, e) -> (texts, blocks, rows, kv_heads, groups, e)
    mixed = mixed.reshape(-1, kv_heads, mixed.shape[1], groups, rows, v.shape[-1])
    mixed = mixed.transpose(0, 2, 4, 1, 3, 5).reshape(mixed.shape[0], -1, heads, v.shape[-1])
    return mixed[:, :n_queries].reshape(shape)


def _equal_share(length: int, most: int) -> int:
    """Size of the fewest blocks of at most `most`, of which the last is filled up least."""
    return -(-length // -(-length // most))


def _in_blocks(x: Float[Array, "b n h g d"], size: int) -> Float[Array, "bh blocks lines d"]:
    """Sequences filled up with zeros and cut into blocks; the heads of a group lie one below the other in each."""
    texts, length, heads, groups, width = x.shape
    blocks = -(-length // size)
    x = jnp.pad(x, ((0, 0), (0, blocks * size - length), (0, 0), (0, 0), (0, 0)))
    x = x.reshape(texts, blocks, size, heads, groups, width).transpose(0, 3, 1, 4, 2, 5)
    return x.reshape(texts * heads, blocks, groups * size, width)


def _positions_in_blocks(positions: Int[Array, " n"], size: int) -> Int[Array, "blocks size"]:
    """What was filled up is empty."""
    return jnp.pad(positions, (0, -len(positions) % size), constant_values=-1).reshape(-1, size)


class _Blocks(NamedTuple):
    """Which blocks of queries and keys meet.

    Attributes:
        plan: Who sees whom.
        queries: Position of each line of each block of queries.
        keys: Position of each column of each block of keys.
        needed: Whether a block of queries may see anything in a block of keys.
    """

    plan: _Plan
    queries: Int[Array, "i lines"]
    keys: Int[Array, "j columns"]
    needed: Bool[Array, "i j"]

    @classmethod
    def make(cls, plan: _Plan, queries: Array, keys: Array) -> "_Blocks":
        late = jnp.iinfo(keys.dtype).max
        shape = (len(queries), len(keys))
        last_key = jnp.broadcast_to(keys.max(1), shape)
        needed = last_key >= 0
        if plan.causal:
            first_key = jnp.where(keys < 0, late, keys).min(1)
            needed &= jnp.broadcast_to(first_key, shape) <= queries.max(1)[:, None]
        if plan.window is not None:
            needed &= queries.min(1)[:, None] - last_key < plan.window
        return cls(plan, queries, keys, needed)

    def hide(self, scores: Array, i: Array, j: Array) -> Array:
        """-inf where a query does not see a key."""
        # In all blocks: a branch for those below the diagonal costs more than the comparisons.
        seen = visible(
            self.queries[i], self.keys[j], causal=self.plan.causal, window=self.plan.window
        )
        return jnp.where(seen, scores, -jnp.inf)


def _span(needed: Bool[Array, " n"]) -> tuple[Array, Array]:
    """From the first needed to behind the last; (0, 0) if none is."""
    return jnp.argmax(needed), jnp.where(jnp.any(needed), len(needed) - jnp.argmax(needed[::-1]), 0)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan, q, k, v, query_positions, key_positions):
    """(h, i, lines, d), (h, j, columns, d), (h, j, columns, e) -> (h, i, lines, e), h = texts * kv_heads."""
    return _forward(plan, q, k, v, query_positions, key_positions)[0]


def running_start(shape: tuple[int, ...], dtype) -> tuple[Array, Array, Array]:
    """What `running_softmax` carries before the first key, for an output of (lines, values)."""
    lines = shape[0]
    return jnp.full(lines, -jnp.inf, dtype), jnp.zeros(lines, dtype), jnp.zeros(shape, dtype)


def running_softmax(carry, scores, values):
    """Takes one block of keys into the softmax: highest score, sum of weights and weighted sum of values so far.

    Args:
        carry: Those three, of `running_start` or of the block before.
        scores: Scores of the block, (lines, keys), -inf where a key is not seen.
        values: Its values, (keys, values).
    """
    highest, total, mixed = carry
    new = jnp.maximum(highest, jnp.max(scores, axis=1))
    # From a line that has seen nothing yet, nothing is subtracted, least of all -inf.
    offset = jnp.where(new == -jnp.inf, 0.0, new)
    weights = jnp.exp(scores - offset[:, None])
    shrink = jnp.exp(highest - offset)
    total = total * shrink + jnp.sum(weights, axis=1)
    return new, total, mixed * shrink[:, None] + jnp.dot(weights, values)


def _forward(plan, q, k, v, query_positions, key_positions):
    blocks = _Blocks.make(plan, query_positions, key_positions)
    wide = jnp.promote_types(q.dtype, jnp.float32)

    def of_head(operands):
        q, k, v = operands

        def of_block(operands):
            i, block = operands
            queries = block.astype(wide) * plan.scale

            def step(j, carry):
                scores = blocks.hide(queries @ k[j].astype(wide), i, j)
                return running_softmax(carry, scores, v[j].astype(wide))

            nothing = running_start((len(block), v.shape[-1]), wide)
            highest, total, mixed = jax.lax.fori_loop(*_span(blocks.needed[i]), step, nothing)
            total, highest = (jnp.where(total > 0, a, b) for a, b in ((total, 1.0), (highest, 0.0)))
            return (mixed / total[:, None]).astype(q.dtype), highest + jnp.log(total)

        return jax.lax.map(of_block, (jnp.arange(len(q)), q))

    # Keys as columns: the product is a little faster.
    mixed, logarithms = jax.lax.map(of_head, (q, k.swapaxes(2, 3), v))
    return mixed, (q, k, v, query_positions, key_positions, mixed, logarithms)


def _backward(plan, kept, pull):
    q, k, v, query_positions, key_positions, mixed, logarithms = kept
    blocks = _Blocks.make(plan, query_positions, key_positions)
    wide = logarithms.dtype

    def of_head(operands):
        q, k, v, mixed, logarithms, pull = operands
        overlap = jnp.sum(pull.astype(wide) * mixed.astype(wide), axis=-1)

        def of_block(to_queries, operands):
            j, keys, values = operands
            keys, values = keys.astype(wide), values.astype(wide)

            def step(i, carry):
                to_queries, to_keys, to_values = carry
                queries, asked = q[i].astype(wide) * plan.scale, pull[i].astype(wide)
                scores = blocks.hide(queries @ keys.T, i, j)
                weights = jnp.exp(scores - logarithms[i][:, None])
                to_scores = weights * (asked @ values.T - overlap[i][:, None])
                return (
                    to_queries.at[i].add(plan.scale * (to_scores @ keys)),
                    to_keys + to_scores.T @ queries,
                    to_values + weights.T @ asked,
                )

            start = (to_queries, jnp.zeros_like(keys), jnp.zeros_like(values))
            to_queries, *others = jax.lax.fori_loop(*_span(blocks.needed[:, j]), step, start)
            return to_queries, others

        nothing = jnp.zeros(q.shape, wide)
        to_queries, others = jax.lax.scan(of_block, nothing, (jnp.arange(len(k)), k, v))
        return tuple(
            a.astype(b.dtype) for a, b in zip((to_queries, *others), (q, k, v), strict=True)
        )

    return (*jax.lax.map(of_head, (q, k, v, mixed, logarithms, pull)), None, None)


_attend.defvjp(_forward, _backward)
# A call outside of `jit` would compile its loops each time.
_compiled = jax.jit(_attend, static_argnums=0)

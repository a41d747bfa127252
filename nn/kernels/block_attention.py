"""Attention to blocks of keys: a mixture of blocks (MoBA), and the three branches of native sparse attention (NSA).

Key s stands at position s, so that block b holds the positions b B to (b + 1) B - 1. A query at t never reads a block
that begins after t, nor a later key of its own block. Blocks are gathered: a query reads n_chosen B keys, not t.

MoBA: a query's affinity to a block is its product with the mean of the block's keys, head by head; its own block is
always chosen, and the n_chosen - 1 highest of those before it (E. Lu et al., MoBA, 2025, arXiv 2502.13189, eqs. 5-7).

NSA: o_t = sum_c g_c Attn(q_t, K_c, V_c) over three branches with keys and values of their own and gates g_c:

- compressed: key i stands for the tokens i d to i d + l - 1, and is seen once the last of them is;
- chosen: the weights of the first branch, summed over the heads that share keys, say which blocks matter. Cut into
  units of d tokens, each compressed key gives its weight to every unit it covers, and a block has the sum of its units,

      p_j = sum_{m < B/d} sum_{n < l/d} p^cmp_{j B/d + m - n}     (blocks and compressed keys counted from 0);

  the first block and the last two are always among the chosen;
- window: the last w keys.

J. Yuan et al., Native sparse attention, 2025, arXiv 2502.11089, eqs. 5-12; eq. 9 is ours with blocks counted from 1.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_axis, check_divides
from nn.kernels.attention import check_operands, masked_softmax, visible
from nn.kernels.selection import Selection, gathered_attention, select_top


def count_blocks(n_keys: int, block_size: int) -> int:
    """Blocks that `n_keys` keys fill, the last perhaps in part."""
    check_at_least(block_size, 1, "block_size")
    return -(-n_keys // block_size)


def select_blocks(
    scores: Float[Array, "*batch q groups blocks"],
    n_chosen: int,
    block_size: int,
    *,
    query_positions: Int[Array, " q"] | None = None,
    n_first: int = 0,
    n_local: int = 1,
) -> Selection:
    """The blocks that each query keeps: the first and its last ones, and the highest scores among those between.

    Args:
        scores: Score of each block; those of blocks that are not yet full do not count.
        n_chosen: Blocks a query keeps, those that are always kept among them.
        block_size: Keys in a block.
        query_positions: Position of each query, by default 0, 1, ...
        n_first: Blocks at the beginning that are always kept.
        n_local: Blocks up to the query's own that are always kept, at least its own.

    Raises:
        ValueError: If a count is too small, or `n_chosen` is below the blocks that are always kept.
    """
    check_at_least(n_local, 1, "n_local", "A query's own block is always kept.")
    check_at_least(n_first, 0, "n_first")
    always = f"It counts the {n_first} first and {n_local} last blocks that are always kept."
    check_at_least(n_chosen, n_first + n_local, "n_chosen", always)
    check_at_least(block_size, 1, "block_size")
    positions = _positions(scores.shape[-3], query_positions)
    blocks = jnp.broadcast_to(jnp.arange(scores.shape[-1]), (len(positions), scores.shape[-1]))
    behind = positions[:, None] // block_size - blocks  # 0 for the query's own block
    kept = jnp.where((blocks < n_first) | (behind < n_local), jnp.inf, -jnp.inf)
    kept, seen = (jnp.broadcast_to(rows[:, None], scores.shape) for rows in (kept, behind >= 0))
    return select_top(jnp.where(kept > 0, kept, scores), seen, n_chosen)


def keys_of_blocks(
    blocks: Selection,
    block_size: int,
    n_keys: int,
    query_positions: Int[Array, " q"] | None = None,
) -> Selection:
    """The keys of chosen blocks, (*batch, q, groups, blocks x block_size), none of them after the query.

    Args:
        blocks: Chosen blocks.
        block_size: Keys in a block.
        n_keys: Keys there are.
        query_positions: Position of each query, by default 0, 1, ...
    """
    *shape, n_chosen = blocks.indices.shape
    positions = _positions(shape[-2], query_positions)
    keys = blocks.indices[..., None] * block_size + jnp.broadcast_to(
        jnp.arange(block_size), (*shape, n_chosen, block_size)
    )
    last = jnp.broadcast_to(jnp.minimum(positions, n_keys - 1)[:, None, None, None], keys.shape)
    valid = (blocks.valid[..., None] & (keys <= last)).reshape(*shape, -1)
    return Selection(jnp.where(valid, keys.reshape(*shape, -1), 0), valid)


def block_means(
    k: Float[Array, "*batch k kv_heads head_dim"], block_size: int
) -> Float[Array, "*batch blocks kv_heads head_dim"]:
    """Mean of the keys of each block, in at least single precision; a last block in part counts its gaps as zeros."""
    *batch, n_keys, heads, dim = k.shape
    n_blocks = count_blocks(n_keys, block_size)
    k = k.astype(jnp.promote_types(k.dtype, jnp.float32))
    gap = jnp.zeros((*batch, n_blocks * block_size - n_keys, heads, dim), k.dtype)
    whole = jnp.concatenate([k, gap], axis=-3)
    return whole.reshape(*batch, n_blocks, block_size, heads, dim).mean(axis=-3)


def block_mixture_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    *,
    block_size: int,
    n_chosen: int,
    query_positions: Int[Array, " q"] | None = None,
    means: Float[Array, "*batch blocks kv_heads head_dim"] | None = None,
    scale: float | None = None,
    queries_at_once: int = 128,
) -> tuple[Float[Array, "*batch q heads value_dim"], Selection]:
    """MoBA: attention of each head to its own block and the blocks whose mean key it likes best.

    Args:
        q: Queries.
        k: Keys at positions 0, 1, ...; what lies after the last query is never read.
        v: Values.
        block_size: Keys in a block.
        n_chosen: Blocks a query keeps, its own among them.
        query_positions: Position of each query, by default 0, 1, ...
        means: Means of the blocks where one has them, as behind a cache; None to take them from `k`.
        scale: Factor of the scores, by default head_dim^-1/2.
        queries_at_once: Queries whose keys are held in memory together.

    Returns:
        Mixed values, and the chosen blocks of each head.

    Raises:
        ValueError: If sizes do not fit or a count is below 1.
    """
    check_operands(q, k, v)
    positions = _check_positions(q, k, query_positions)
    means = block_means(k, block_size) if means is None else means
    check_axis(means, "means", -3, count_blocks(k.shape[-3], block_size), "One for each block.")
    heads, kv_heads = q.shape[-2], k.shape[-2]
    grouped = q.reshape(*q.shape[:-2], kv_heads, heads // kv_heads, -1).astype(means.dtype)
    affinity = jnp.einsum("...qhgd,...bhd->...qhgb", grouped, means)
    affinity = affinity.reshape(*q.shape[:-1], -1)
    blocks = select_blocks(affinity, n_chosen, block_size, query_positions=positions)
    keys = keys_of_blocks(blocks, block_size, k.shape[-3], positions)
    options = {"scale": scale, "queries_at_once": queries_at_once}
    return gathered_attention(q, k, v, keys, **options)[0], blocks


@dataclass(frozen=True)
class BranchSizes:
    """Sizes of the branches of native sparse attention; the defaults are those of the paper (section 4.1).

    Attributes:
        length: Tokens that a compressed key stands for, l.
        stride: Tokens from one compressed key to the next, d; divides `length` and `block_size`.
        block_size: Keys in a block that is chosen, B.
        n_chosen: Blocks that are chosen, the first and last ones among them.
        n_first: Blocks at the beginning that are always chosen.
        n_local: Blocks up to the query's own that are always chosen.
        window: Keys in the window, w.
    """

    length: int = 32
    stride: int = 16
    block_size: int = 64
    n_chosen: int = 16
    n_first: int = 1
    n_local: int = 2
    window: int = 512

    def __post_init__(self):
        check_divides(self.stride, self.length, "stride", "length", "Tokens of a compressed key.")
        check_divides(self.stride, self.block_size, "stride", "block_size", "Keys in a block.")
        check_at_least(self.window, 1, "window")
        check_at_least(self.n_first, 0, "n_first")
        check_at_least(self.n_local, 1, "n_local", "A query's own block is always chosen.")
        always = "It counts the first and last blocks that are always chosen."
        check_at_least(self.n_chosen, self.n_first + self.n_local, "n_chosen", always)

    def count_compressed(self, n_keys: int) -> int:
        """Compressed keys of `n_keys` tokens; none before the first `length` are there."""
        return max(0, (n_keys - self.length) // self.stride + 1)


def compression_windows(
    x: Float[Array, "*batch n heads dim"], sizes: BranchSizes
) -> Float[Array, "*batch compressed length heads dim"]:
    """The tokens that each compressed key stands for."""
    first = jnp.arange(sizes.count_compressed(x.shape[-3])) * sizes.stride
    return jnp.take(x, first[:, None] + jnp.arange(sizes.length)[None], axis=-3)


def compressed_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch compressed kv_heads head_dim"],
    v: Float[Array, "*batch compressed kv_heads value_dim"],
    sizes: BranchSizes,
    *,
    query_positions: Int[Array, " q"],
    scale: float | None = None,
) -> tuple[Float[Array, "*batch q heads value_dim"], Float[Array, "*batch q heads compressed"]]:
    """Attention to the compressed keys whose tokens a query has all seen; zeros before there is one.

    Returns:
        Mixed values, and the weights, which say what matters.

    Raises:
        ValueError: If sizes do not fit.
    """
    check_operands(q, k, v)
    n_keys, kv_heads, heads = k.shape[-3], k.shape[-2], q.shape[-2]
    wide = jnp.promote_types(q.dtype, jnp.float32)
    if n_keys == 0:
        return jnp.zeros((*q.shape[:-1], v.shape[-1]), q.dtype), jnp.zeros((*q.shape[:-1], 0), wide)
    grouped = q.reshape(*q.shape[:-2], kv_heads, heads // kv_heads, -1).astype(wide)
    scores = jnp.einsum("...qhgd,...khd->...qhgk", grouped, k.astype(wide))
    scores *= q.shape[-1] ** -0.5 if scale is None else scale
    ends = jnp.arange(n_keys) * sizes.stride + sizes.length - 1
    seen = visible(query_positions, ends)[:, None, None]
    weights = masked_softmax(scores, jnp.broadcast_to(seen, scores.shape))
    mixed = jnp.einsum("...qhgk,...khd->...qhgd", weights, v.astype(wide))
    mixed = mixed.reshape(*q.shape[:-1], v.shape[-1]).astype(q.dtype)
    return mixed, weights.reshape(*q.shape[:-1], n_keys)


def block_importance(
    weights: Float[Array, "*batch q heads compressed"],
    kv_heads: int,
    n_blocks: int,
    sizes: BranchSizes,
) -> Float[Array, "*batch q kv_heads blocks"]:
    """How much each block matters, p_j above, summed over the heads that share keys.

    Args:
        weights: Weights of attention to the compressed keys.
        kv_heads: Heads of keys.
        n_blocks: Blocks, enough for all that is compressed.
        sizes: Sizes of the branches.
    """
    *shape, heads, n_compressed = weights.shape
    grouped = weights.reshape(*shape, kv_heads, heads // kv_heads, n_compressed).sum(axis=-2)
    n_units = n_blocks * (sizes.block_size // sizes.stride)
    units = jnp.zeros((*grouped.shape[:-1], n_units), weights.dtype)
    for n in range(sizes.length // sizes.stride):
        units = units.at[..., n : n + n_compressed].add(grouped)
    return units.reshape(*grouped.shape[:-1], n_blocks, -1).sum(axis=-1)


def window_keys(query_positions: Int[Array, " q"], window: int) -> Selection:
    """The last `window` keys up to each query, as one group for all heads: (q, 1, window)."""
    keys = query_positions[:, None, None] - jnp.arange(window)[None, None]
    return Selection(jnp.maximum(keys, 0), keys >= 0)


def native_sparse_attention(
    q: Float[Array, "*batch q heads head_dim"],
    compressed: tuple[Array, Array],
    chosen: tuple[Array, Array],
    window: tuple[Array, Array],
    gates: Float[Array, "*batch q heads branches"],
    sizes: BranchSizes,
    *,
    query_positions: Int[Array, " q"] | None = None,
    scale: float | None = None,
    queries_at_once: int = 128,
) -> tuple[Float[Array, "*batch q heads value_dim"], Selection]:
    """NSA: the gated sum of the three branches.

    Args:
        q: Queries.
        compressed: Compressed keys and values, (*batch, compressed, kv_heads, dim) each.
        chosen: Keys and values at positions 0, 1, ... of which blocks are chosen.
        window: Keys and values at positions 0, 1, ... of which the last are read.
        gates: Gates of the compressed, the chosen and the window branch.
        sizes: Sizes of the branches.
        query_positions: Position of each query, by default 0, 1, ...
        scale: Factor of the scores, by default head_dim^-1/2.
        queries_at_once: Queries whose keys are held in memory together.

    Returns:
        Mixed values, and the chosen blocks of each head of keys.

    Raises:
        ValueError: If sizes do not fit.
    """
    for k, v in (chosen, window):
        check_operands(q, k, v)
    check_axis(gates, "gates", -1, 3, "One for each branch.")
    n_keys = chosen[0].shape[-3]
    positions = _check_positions(q, chosen[0], query_positions)
    options = {"scale": scale, "queries_at_once": queries_at_once}
    coarse, weights = compressed_attention(
        q, *compressed, sizes, query_positions=positions, scale=scale
    )
    n_blocks = count_blocks(n_keys, sizes.block_size)
    importance = block_importance(weights, chosen[0].shape[-2], n_blocks, sizes)
    kept = {"n_first": sizes.n_first, "n_local": sizes.n_local}
    blocks = select_blocks(
        importance, sizes.n_chosen, sizes.block_size, query_positions=positions, **kept
    )
    keys = keys_of_blocks(blocks, sizes.block_size, n_keys, positions)
    fine, _ = gathered_attention(q, *chosen, keys, **options)
    last = window_keys(positions, min(sizes.window, n_keys))
    last = Selection(*(jnp.broadcast_to(a, (*q.shape[:-3], *a.shape)) for a in last))
    near, _ = gathered_attention(q, *window, last, **options)
    parts = jnp.stack([coarse, fine, near])
    return (jnp.moveaxis(gates, -1, 0)[..., None].astype(q.dtype) * parts).sum(axis=0), blocks


def _positions(n_queries: int, positions) -> Int[Array, " q"]:
    return jnp.arange(n_queries) if positions is None else positions


def _check_positions(q, k, positions) -> Int[Array, " q"]:
    """Positions of the queries; without any the queries must be as many as the keys."""
    if positions is None and q.shape[-3] != k.shape[-3]:
        raise ValueError(
            f"`query_positions` must be given where lengths differ, but there are {q.shape[-3]} queries and "
            f"{k.shape[-3]} keys. Keys stand at 0, 1, ..."
        )
    return _positions(q.shape[-3], positions)

"""Attention to chosen blocks as a Pallas kernel, for an accelerator; the reference is `gathered_attention`.

One program of the grid takes a query and a group of its heads that read the same blocks, and passes over these with an
online softmax (FlashAttention-2, arXiv 2307.08691, algorithm 1): a block of keys is read once for all heads of the
group, and nothing is gathered into memory, which is how NSA is computed on GPUs (arXiv 2502.11089, section 3.4).

The gradient is that of the gathered form, which is computed anew. No accelerator was at hand: the kernel was run in
interpret mode alone, where it is tested; that Pallas lowers it to Triton for a GPU is tested too, its speed there is
unknown. In interpret mode it is slow; on a CPU take `gathered_attention`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas.triton import CompilerParams
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_divides
from nn.kernels.attention import check_operands
from nn.kernels.block_attention import keys_of_blocks
from nn.kernels.online_attention import running_softmax, running_start
from nn.kernels.selection import Selection, gathered_attention

# A product on tensor cores has at least so many rows.
_ROWS = 16


class _Plan(NamedTuple):
    """What decides the program."""

    block_size: int
    scale: float
    n_keys: int
    interpret: bool


def pallas_block_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    blocks: Selection,
    *,
    block_size: int,
    query_positions: Int[Array, " q"] | None = None,
    scale: float | None = None,
    interpret: bool | None = None,
) -> Float[Array, "*batch q heads value_dim"]:
    """Attention of each query to the keys of its blocks that are not after it.

    Args:
        q: Queries.
        k: Keys at positions 0, 1, ...
        v: Values, perhaps of another size than keys.
        blocks: Chosen blocks, (*batch, q, groups, chosen), as `select_blocks` gives them: a group for each head of
            queries, or for each head of keys.
        block_size: Keys in a block; on a GPU a power of two from 16 on, and so the sizes of keys and values.
        query_positions: Position of each query, by default 0, 1, ...
        scale: Factor of the scores, by default head_dim^-1/2.
        interpret: Whether the kernel is run step by step by JAX; None: where there is no accelerator.

    Returns:
        Mixed values in the type of `q`; zeros where nothing was chosen.

    Raises:
        ValueError: If sizes do not fit, or a block or a sequence is empty.
    """
    check_operands(q, k, v)
    check_at_least(block_size, 1, "block_size")
    check_at_least(min(q.size, v.size), 1, "q, k and v", "None may be empty.")
    heads, kv_heads, groups = q.shape[-2], k.shape[-2], blocks.indices.shape[-2]
    check_divides(groups, heads, "groups", "heads", "Axis -2 of `blocks` and of `q`.")
    check_divides(kv_heads, groups, "kv_heads", "groups", "Axis -2 of `k` and of `blocks`.")
    if blocks.indices.shape[:-2] != q.shape[:-2]:
        raise ValueError(
            f"`blocks` must have the batch and the queries of `q`, {q.shape[:-2]}, but has {blocks.indices.shape[:-2]}."
        )
    plan = _Plan(
        block_size,
        q.shape[-1] ** -0.5 if scale is None else scale,
        k.shape[-3],
        jax.default_backend() == "cpu" if interpret is None else interpret,
    )
    positions = jnp.arange(q.shape[-3]) if query_positions is None else query_positions
    return _attend(plan, q, k, v, blocks, positions)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan, q, k, v, blocks, positions) -> Array:
    n_queries, heads, dim = q.shape[-3:]
    groups, n_chosen = blocks.indices.shape[-2:]
    shared, rows = groups // k.shape[-2], -(-heads // groups // _ROWS) * _ROWS
    # (texts, q, groups, rows, dim), filled up with zeros to whole rows
    grouped = q.reshape(-1, n_queries, groups, heads // groups, dim)
    n_texts = len(grouped)
    grouped = jnp.pad(grouped, ((0, 0), (0, 0), (0, 0), (0, rows - heads // groups), (0, 0)))
    chosen = jnp.where(blocks.valid, blocks.indices, -1).reshape(-1, n_queries, groups, n_chosen)
    mixed: Any = pl.pallas_call(
        partial(_kernel, plan),
        grid=(n_texts, n_queries, groups),
        in_specs=[
            pl.BlockSpec((1,), lambda b, t, g: (t,)),
            pl.BlockSpec((None, None, None, n_chosen), lambda b, t, g: (b, t, g, 0)),
            pl.BlockSpec((None, None, None, rows, dim), lambda b, t, g: (b, t, g, 0, 0)),
            *(_whole_head(_by_head(array, plan.block_size), shared) for array in (k, v)),
        ],
        out_specs=pl.BlockSpec(
            (None, None, None, rows, v.shape[-1]), lambda b, t, g: (b, t, g, 0, 0)
        ),
        out_shape=jax.ShapeDtypeStruct((n_texts, n_queries, groups, rows, v.shape[-1]), q.dtype),
        interpret=plan.interpret,
        # Pallas' default for GPUs, Mosaic, wants layouts by hand; Triton finds them itself.
        compiler_params=None if jax.default_backend() == "tpu" else CompilerParams(),
    )(
        positions.astype(jnp.int32),
        chosen.astype(jnp.int32),
        grouped,
        *(_by_head(array, plan.block_size) for array in (k, v)),
    )
    return mixed[..., : heads // groups, :].reshape(*q.shape[:-1], v.shape[-1])


def _by_head(x, block_size):
    """(texts, heads, keys, dim), filled up with zeros to whole blocks."""
    x = x.reshape(-1, *x.shape[-3:]).swapaxes(1, 2)
    return jnp.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % block_size), (0, 0)))


def _whole_head(x, shared):
    """Specification of all keys or values of the head that a group reads."""
    return pl.BlockSpec((None, None, *x.shape[2:]), lambda b, t, g: (b, g // shared, 0, 0))


def _kernel(plan, position_ref, chosen_ref, q_ref, k_ref, v_ref, out_ref):
    wide = jnp.promote_types(q_ref.dtype, jnp.float32)
    queries, last = q_ref[...].astype(wide), position_ref[0]
    rows = queries.shape[0]

    def step(i, carry):
        block = chosen_ref[i]
        here = pl.ds(jnp.maximum(block, 0) * plan.block_size, plan.block_size)
        at = block * plan.block_size + jax.lax.broadcasted_iota(
            jnp.int32, (rows, plan.block_size), 1
        )
        seen = (block >= 0) & (at <= last) & (at < plan.n_keys)
        products = jnp.dot(queries, k_ref[here, :].astype(wide).T)
        scores = jnp.where(seen, plan.scale * products, -jnp.inf)
        return running_softmax(carry, scores, v_ref[here, :].astype(wide))

    nothing = running_start(out_ref.shape, wide)
    _, total, mixed = jax.lax.fori_loop(0, chosen_ref.shape[0], step, nothing)
    # A query without blocks has nothing to divide by.
    out_ref[...] = (mixed / jnp.where(total > 0, total, 1.0)[:, None]).astype(out_ref.dtype)


def _forward(plan, q, k, v, blocks, positions):
    return _attend(plan, q, k, v, blocks, positions), (q, k, v, blocks, positions)


def _backward(plan, kept, pull):
    q, k, v, blocks, positions = kept
    keys = keys_of_blocks(blocks, plan.block_size, plan.n_keys, positions)
    gathered = lambda q, k, v: gathered_attention(q, k, v, keys, scale=plan.scale)[0]  # noqa: E731
    return *jax.vjp(gathered, q, k, v)[1](pull), None, None


_attend.defvjp(_forward, _backward)

"""Flash attention as Pallas kernels, forwards and backwards, for an accelerator; the reference is `dense_attention`.

The equations are those of `online_attention` (FlashAttention-2, arXiv 2307.08691, algorithms 1 and 2). One program of
the grid takes a head and a block of queries, and passes over the keys that these see; backwards there are two kernels,
one for a block of queries and one for a block of keys, so that no two programs write to one place.

No accelerator was at hand: these kernels were run in interpret mode alone, where results and gradients are tested. That
Pallas lowers them to Triton for a GPU is tested too; whether they compile and how fast they are there is unknown. In
interpret mode they are slow; on a CPU take `online_attention`. Keys and queries stand at positions 0, 1, ...; for
caches and other positions take `online_attention` too.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas.triton import CompilerParams
from jaxtyping import Array, Float

from nn._checks import check_at_least
from nn.kernels.attention import check_operands, check_window, make_positions
from nn.kernels.online_attention import running_softmax, running_start


class _Plan(NamedTuple):
    """What decides the program: who sees whom, the factor of the scores, sizes before filling up, sizes of blocks."""

    causal: bool
    window: int | None
    scale: float
    n_keys: int
    rows: int
    columns: int
    interpret: bool

    def columns_for(self, i, n_blocks: int) -> tuple[Any, Any]:
        """From the first block of keys that the i-th block of queries sees to behind the last."""
        first, stop = 0, n_blocks
        if self.causal:
            stop = jnp.minimum(n_blocks, ((i + 1) * self.rows - 1) // self.columns + 1)
        if self.window is not None:
            first = jnp.maximum(0, i * self.rows - self.window + 1) // self.columns
        return first, stop

    def rows_for(self, j, n_blocks: int) -> tuple[Any, Any]:
        """From the first block of queries that sees the j-th block of keys to behind the last."""
        first, stop = 0, n_blocks
        if self.causal:
            first = j * self.columns // self.rows
        if self.window is not None:
            last_query = (j + 1) * self.columns + self.window - 2
            stop = jnp.minimum(n_blocks, last_query // self.rows + 1)
        return first, stop

    def scores(self, queries, keys, i, j):
        """Scaled products of a block, -inf where a query does not see a key."""
        shape = (self.rows, self.columns)
        at = i * self.rows + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        key_at = j * self.columns + jax.lax.broadcasted_iota(jnp.int32, shape, 1)
        seen = key_at < self.n_keys
        if self.causal:
            seen &= key_at <= at
        if self.window is not None:
            seen &= at - key_at < self.window
        return jnp.where(seen, self.scale * jnp.dot(queries, keys.T), -jnp.inf)


def pallas_attention(
    q: Float[Array, "*batch q heads head_dim"],
    k: Float[Array, "*batch k kv_heads head_dim"],
    v: Float[Array, "*batch k kv_heads value_dim"],
    *,
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
    block_queries: int = 128,
    block_keys: int = 128,
    interpret: bool | None = None,
) -> Float[Array, "*batch q heads value_dim"]:
    """Attention by a kernel.

    Args:
        q: Queries.
        k: Keys.
        v: Values, perhaps of another size than keys.
        causal: Whether a query sees only keys at its own position and before.
        window: The last so many positions are seen, the query's own among them; None for all.
        scale: Factor of the scores, by default head_dim^-1/2.
        block_queries: Rows of a block.
        block_keys: Columns of a block.
        interpret: Whether the kernel is run step by step by JAX; None: where there is no accelerator.

    Returns:
        Mixed values in the type of `q`.

    Raises:
        ValueError: As for `dense_attention`, or if a block or a sequence is empty.
    """
    check_operands(q, k, v)
    check_window(window, causal)
    check_at_least(block_queries, 1, "block_queries")
    check_at_least(block_keys, 1, "block_keys")
    make_positions(q, k, None, None, causal)
    *batch, n_queries, heads, head_dim = q.shape
    check_at_least(min(q.size, v.size), 1, "q, k and v", "None may be empty.")
    plan = _Plan(
        causal=causal,
        window=window,
        scale=head_dim**-0.5 if scale is None else scale,
        n_keys=k.shape[-3],
        rows=block_queries,
        columns=block_keys,
        interpret=jax.default_backend() == "cpu" if interpret is None else interpret,
    )
    operands = (
        _by_head(q, block_queries),
        _by_head(k, block_keys),
        _by_head(v, block_keys),
    )
    # (texts * heads, q, e)
    mixed: Array = _attend(plan, *operands)
    mixed = mixed[:, :n_queries].reshape(-1, heads, n_queries, v.shape[-1]).swapaxes(1, 2)
    return mixed.reshape(*batch, n_queries, heads, v.shape[-1])


def _by_head(x: Float[Array, "*batch n h d"], block: int) -> Float[Array, "bh whole d"]:
    """Each head of each text by itself, filled up with zeros to whole blocks."""
    n, heads, width = x.shape[-3:]
    x = x.reshape(-1, n, heads, width).swapaxes(1, 2).reshape(-1, n, width)
    return jnp.pad(x, ((0, 0), (0, -n % block), (0, 0)))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan, q, k, v) -> Array:
    return _forward(plan, q, k, v)[0]


def _forward(plan, q, k, v):
    heads, n_queries, _ = q.shape
    wide = jnp.promote_types(q.dtype, jnp.float32)
    groups = heads // len(k)
    mixed, logarithms = pl.pallas_call(
        partial(_forward_kernel, plan, wide),
        grid=(heads, n_queries // plan.rows),
        in_specs=[_block(q, plan.rows), _whole(k, groups), _whole(v, groups)],
        out_specs=[
            pl.BlockSpec((None, plan.rows, v.shape[-1]), lambda h, i: (h, i, 0)),
            pl.BlockSpec((None, plan.rows, 1), lambda h, i: (h, i, 0)),
        ],
        out_shape=[
            jax.ShapeDtypeStruct((heads, n_queries, v.shape[-1]), q.dtype),
            jax.ShapeDtypeStruct((heads, n_queries, 1), wide),
        ],
        **_how(plan),
    )(q, k, v)
    return mixed, (q, k, v, mixed, logarithms)


def _how(plan):
    """Pallas' default for GPUs, Mosaic, wants layouts by hand; Triton finds them itself."""
    triton = None if jax.default_backend() == "tpu" else CompilerParams()
    return {"interpret": plan.interpret, "compiler_params": triton}


def _block(x, size):
    """Specification of the block of a head at the second place of the grid."""
    return pl.BlockSpec((None, size, x.shape[-1]), lambda h, i: (h, i, 0))


def _whole(x, groups):
    """Specification of all of the keys or values that a head of queries uses."""
    return pl.BlockSpec((None, *x.shape[1:]), lambda h, i: (h // groups, 0, 0))


def _forward_kernel(plan, wide, q_ref, k_ref, v_ref, out_ref, logarithm_ref):
    i = pl.program_id(1)
    queries = q_ref[...].astype(wide)

    def step(j, carry):
        here = pl.ds(j * plan.columns, plan.columns)
        scores = plan.scores(queries, k_ref[here, :].astype(wide), i, j)
        return running_softmax(carry, scores, v_ref[here, :].astype(wide))

    nothing = running_start(out_ref.shape, wide)
    first, stop = plan.columns_for(i, k_ref.shape[0] // plan.columns)
    highest, total, mixed = jax.lax.fori_loop(first, stop, step, nothing)
    # Lines that were filled up may see nothing.
    seen = total > 0
    total = jnp.where(seen, total, 1.0)
    out_ref[...] = (mixed / total[:, None]).astype(out_ref.dtype)
    logarithm_ref[...] = (jnp.where(seen, highest, 0.0) + jnp.log(total))[:, None]


def _backward(plan, kept, pull):
    q, k, v, mixed, logarithms = kept
    wide = logarithms.dtype
    heads, groups = len(q), len(q) // len(k)
    overlap = jnp.sum(pull.astype(wide) * mixed.astype(wide), axis=-1, keepdims=True)

    by_query = pl.pallas_call(
        partial(_query_kernel, plan, wide),
        grid=(heads, q.shape[1] // plan.rows),
        in_specs=[_block(q, plan.rows), _whole(k, groups), _whole(v, groups)]
        + [_block(x, plan.rows) for x in (pull, logarithms, overlap)],
        out_specs=_block(q, plan.rows),
        out_shape=jax.ShapeDtypeStruct(q.shape, q.dtype),
        **_how(plan),
    )

    def group(x):
        """All of the heads of queries that use a head of keys."""
        return pl.BlockSpec((groups, *x.shape[1:]), lambda h, j: (h, *[0] * (x.ndim - 1)))

    by_key = pl.pallas_call(
        partial(_key_kernel, plan, wide),
        grid=(len(k), k.shape[1] // plan.columns),
        in_specs=[group(q), _block(k, plan.columns), _block(v, plan.columns)]
        + [group(x) for x in (pull, logarithms, overlap)],
        out_specs=[_block(x, plan.columns) for x in (k, v)],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (k, v)],
        **_how(plan),
    )
    operands = (q, k, v, pull, logarithms, overlap)
    return by_query(*operands), *by_key(*operands)


def _query_kernel(plan, wide, q_ref, k_ref, v_ref, pull_ref, logarithm_ref, overlap_ref, out_ref):
    i = pl.program_id(1)
    queries, pull = q_ref[...].astype(wide), pull_ref[...].astype(wide)
    logarithms, overlap = logarithm_ref[...], overlap_ref[...]

    def step(j, to_queries):
        here = pl.ds(j * plan.columns, plan.columns)
        keys, values = k_ref[here, :].astype(wide), v_ref[here, :].astype(wide)
        weights = jnp.exp(plan.scores(queries, keys, i, j) - logarithms)
        return to_queries + jnp.dot(weights * (jnp.dot(pull, values.T) - overlap), keys)

    first, stop = plan.columns_for(i, k_ref.shape[0] // plan.columns)
    to_queries = jax.lax.fori_loop(first, stop, step, jnp.zeros(out_ref.shape, wide))
    out_ref[...] = (plan.scale * to_queries).astype(out_ref.dtype)


def _key_kernel(
    plan,
    wide,
    q_ref,
    k_ref,
    v_ref,
    pull_ref,
    logarithm_ref,
    overlap_ref,
    to_keys_ref,
    to_values_ref,
):
    j = pl.program_id(1)
    keys, values = k_ref[...].astype(wide), v_ref[...].astype(wide)
    groups, n_queries, _ = q_ref.shape
    first, stop = plan.rows_for(j, n_queries // plan.rows)

    def of_head(h, carry):
        def step(i, carry):
            to_keys, to_values = carry
            here = pl.ds(i * plan.rows, plan.rows)
            queries, pull = q_ref[h, here, :].astype(wide), pull_ref[h, here, :].astype(wide)
            scores = plan.scores(queries, keys, i, j)
            weights = jnp.exp(scores - logarithm_ref[h, here, :])
            to_scores = weights * (jnp.dot(pull, values.T) - overlap_ref[h, here, :])
            return to_keys + jnp.dot(to_scores.T, queries), to_values + jnp.dot(weights.T, pull)

        return jax.lax.fori_loop(first, stop, step, carry)

    nothing = (jnp.zeros(keys.shape, wide), jnp.zeros(values.shape, wide))
    to_keys, to_values = jax.lax.fori_loop(0, groups, of_head, nothing)
    to_keys_ref[...] = (plan.scale * to_keys).astype(to_keys_ref.dtype)
    to_values_ref[...] = to_values.astype(to_values_ref.dtype)


_attend.defvjp(_forward, _backward)

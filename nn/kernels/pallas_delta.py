"""The gated delta rule as a Pallas kernel for an accelerator; the references are `delta_rule` and `delta_rule_chunked`.

The equations are those of `delta_rule_chunked`. Columns of a state never meet, so that one program of the grid takes a
head and a block of its value components, keeps that part of the state on the chip, and passes over the chunks. The
triangular system is solved line by line, which is safe where keys are equal. The gradient is that of the chunked form,
which computes anew what it needs.

No accelerator was at hand: the kernel was run in interpret mode alone, where results and gradients are tested. That
Pallas lowers it to Triton for a GPU is tested too; whether it compiles and how fast it is there is unknown. In
interpret mode it is slow; on a CPU take the chunked form.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas.triton import CompilerParams
from jaxtyping import Array, Float

from nn._checks import check_at_least
from nn.kernels._recurrent import (
    LEAST_LOG_DECAY,
    check_heads,
    check_sequence,
    per_value_head,
    start_state,
    state_dtype,
)
from nn.kernels.delta_rule_chunked import gated_delta_rule_chunked

# Products of single precision in full: a GPU would round their factors to 10 bits.
_dot = partial(jnp.dot, precision=lax.Precision.HIGHEST)


class _Plan(NamedTuple):
    """Tokens in a chunk, value components of a program, and how it is run."""

    chunk: int
    block: int
    interpret: bool


def pallas_delta_rule(
    queries: Float[Array, "*batch n key_heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads"] | None,
    strength: Float[Array, "*batch n heads"],
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    chunk: int = 32,
    block_values: int = 64,
    interpret: bool | None = None,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs the gated delta rule over a sequence by a kernel.

    Args:
        queries: q. Where there are fewer heads than of values, value head h uses h // (heads // key_heads).
        keys: k, heads as of the queries.
        values: v.
        log_decay: log a, at most 0; -inf forgets all before this token. None for no decay.
        strength: b, in [0, 1].
        state: State before the first token; zeros by default.
        chunk: Tokens in a chunk; on a GPU a power of two from 16 on.
        block_values: Value components that a program takes; on a GPU a power of two from 16 on.
        interpret: Whether the kernel is run step by step by JAX; None: where there is no accelerator.

    Returns:
        o, in the type of the values, and the state after the last token, at least float32.

    Raises:
        ValueError: As for `gated_delta_rule_chunked`, or if `block_values` is below 1.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    check_at_least(chunk, 1, "chunk", "It is a number of tokens.")
    check_at_least(block_values, 1, "block_values")
    dtype, heads = state_dtype(queries, keys, values), values.shape[-2]
    state = start_state(state, keys, values, dtype)
    if log_decay is None:
        log_decay = jnp.zeros_like(strength)
    on_cpu = jax.default_backend() == "cpu" if interpret is None else interpret
    plan = _Plan(chunk, block_values, on_cpu)
    vectors = (per_value_head(queries, heads), per_value_head(keys, heads), values)
    inputs = tuple(x.astype(dtype) for x in (*vectors, log_decay, strength))
    found: tuple[Array, Array] = _rule(plan, *inputs, state)
    return found[0].astype(values.dtype), found[1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rule(plan, queries, keys, values, log_decay, strength, state) -> tuple[Array, Array]:
    *batch, n, heads, value_dim = values.shape
    key_dim = keys.shape[-1]
    # A GPU loads powers of two; zeros in a key or a value change nothing.
    wide = 1 << (key_dim - 1).bit_length()
    tall = value_dim + -value_dim % plan.block
    whole = n + -n % plan.chunk

    def by_head(x, size):
        lanes = jnp.swapaxes(x, -2, -3).reshape(-1, n, x.shape[-1])
        return jnp.pad(lanes, ((0, 0), (0, whole - n), (0, size - x.shape[-1])))

    q, k, v = by_head(queries, wide), by_head(keys, wide), by_head(values, tall)
    a, b = (by_head(x[..., None], 1)[..., 0] for x in (log_decay, strength))
    first = state.reshape(-1, key_dim, value_dim)
    first = jnp.pad(first, ((0, 0), (0, wide - key_dim), (0, tall - value_dim)))
    of_head = lambda x: pl.BlockSpec((None, *x.shape[1:]), lambda h, j: (h, *[0] * (x.ndim - 1)))  # noqa: E731
    block = lambda x: pl.BlockSpec((None, x.shape[1], plan.block), lambda h, j: (h, 0, j))  # noqa: E731
    outputs, last = pl.pallas_call(
        partial(_kernel, plan.chunk),
        grid=(len(v), tall // plan.block),
        in_specs=[of_head(q), of_head(k), block(v), of_head(a), of_head(b), block(first)],
        out_specs=[block(v), block(first)],
        out_shape=[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (v, first)],
        interpret=plan.interpret,
        compiler_params=None if jax.default_backend() == "tpu" else CompilerParams(),
    )(q, k, v, a, b, first)
    outputs = outputs[:, :n, :value_dim].reshape(*batch, heads, n, value_dim)
    return jnp.swapaxes(outputs, -2, -3), last[:, :key_dim, :value_dim].reshape(state.shape)


def _kernel(chunk, q_ref, k_ref, v_ref, a_ref, b_ref, first_ref, out_ref, last_ref):
    rows = lax.broadcasted_iota(jnp.int32, (chunk, chunk), 0)
    columns = lax.broadcasted_iota(jnp.int32, (chunk, chunk), 1)
    seen, before = rows >= columns, rows > columns

    def step(i, state):
        here = pl.ds(i * chunk, chunk)
        query, key, value = q_ref[here, :], k_ref[here, :], v_ref[here, :]
        log_decay, strength = jnp.maximum(a_ref[here], LEAST_LOG_DECAY), b_ref[here]
        # Sums of their own, from the token after the column's to the row's, as `chunk_decays` says.
        sums = _dot(seen.astype(value.dtype), jnp.where(before, log_decay[:, None], 0.0))
        decay = jnp.where(seen, jnp.exp(sums), 0.0)
        start = jnp.exp(jnp.sum(jnp.where(seen, log_decay[None, :], 0.0), axis=1))[:, None]
        to_end = jnp.sum(jnp.where(rows == chunk - 1, decay, 0.0), axis=0)
        system = jnp.where(before, strength[:, None] * decay * _dot(key, key.T), 0.0)
        wanted = strength[:, None] * (value - start * _dot(key, state))
        change = _solve(system, wanted, rows)
        out_ref[here, :] = start * _dot(query, state) + _dot(decay * _dot(query, key.T), change)
        return jnp.exp(jnp.sum(log_decay)) * state + _dot((to_end[:, None] * key).T, change)

    n_chunks = q_ref.shape[0] // chunk
    last_ref[...] = lax.fori_loop(0, n_chunks, step, first_ref[...])


def _solve(system, wanted, rows):
    """(1 + L)^-1 R by substitution. Lines are picked by masks, for a block on the chip has no indices."""

    def line(i, found):
        factors = jnp.sum(jnp.where(rows == i, system, 0.0), axis=0)
        known = jnp.sum(factors[:, None] * found, axis=0)
        mine = lax.broadcasted_iota(jnp.int32, found.shape, 0) == i
        return jnp.where(mine, found - known[None, :], found)

    return lax.fori_loop(1, system.shape[0], line, wanted)


def _forward(plan, *operands):
    return _rule(plan, *operands), operands


def _backward(plan, operands, pull):
    chunked = partial(gated_delta_rule_chunked, chunk=plan.chunk)
    return jax.vjp(chunked, *operands)[1](pull)


_rule.defvjp(_forward, _backward)

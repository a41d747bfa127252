"""What all recurrences share: groups of heads, the scan over tokens, chunks and the decay between their tokens."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nn._checks import check_at_least, check_axis, check_divides

# exp of this is zero in single and double precision, so a decay of -inf, which would meet 0 * inf, can take its place.
LEAST_LOG_DECAY = -1e4


def state_dtype(*arrays) -> Any:
    """The type in which states and sums are held: that of the arrays, but at least float32."""
    return jnp.promote_types(jnp.float32, jnp.result_type(*arrays))


def check_heads(queries, keys, values) -> None:
    """Raises ValueError unless keys fit the queries and their heads divide those of the values."""
    check_axis(keys, "keys", -1, queries.shape[-1], "It must be that of `queries`.")
    check_axis(keys, "keys", -2, queries.shape[-2], "It must be that of `queries`.")
    hint = "They are axis -2 of `keys` and of `values`; a key serves a group of values."
    check_divides(keys.shape[-2], values.shape[-2], "key_heads", "heads", hint)


def check_sequence(values) -> None:
    """Raises ValueError unless there is a token."""
    check_at_least(values.shape[-3], 1, "sequence", "It is axis -3 of `values`.")


def per_value_head(array, heads: int):
    """Repeats what is per key head (axis -2), so that value head h has that of key head h // (heads // key_heads)."""
    return array if array.shape[-2] == heads else jnp.repeat(array, heads // array.shape[-2], -2)


def start_state(state, keys, values, dtype):
    """The given state, or zeros (*batch, heads, key_dim, value_dim).

    Raises:
        ValueError: If the state has another shape.
    """
    *batch, _, heads, value_dim = values.shape
    shape = (*batch, heads, keys.shape[-1], value_dim)
    if state is None:
        return jnp.zeros(shape, dtype)
    if state.shape != shape:
        raise ValueError(
            f"`state` must have shape {shape}, (*batch, heads, key_dim, value_dim), but has {state.shape}."
        )
    return state.astype(dtype)


def scan_tokens(step: Callable, state, inputs: tuple, segment: int | None):
    """Runs `step(state, token inputs) -> (state, output)` over axis 0 of all inputs.

    Args:
        step: One token.
        state: State before the first.
        inputs: Arrays (sequence, ...).
        segment: None keeps every state for the gradient; a number keeps every such state and computes those between
            anew, which takes the memory to about 2 sqrt(sequence) states where it is the root.
    """
    n = inputs[0].shape[0]
    if segment is None or segment >= n:
        return lax.scan(step, state, inputs)
    check_at_least(segment, 1, "segment", "It is a number of tokens.")
    whole = n - n % segment
    folded = tuple(x[:whole].reshape(-1, segment, *x.shape[1:]) for x in inputs)
    state, first = lax.scan(jax.checkpoint(lambda s, x: lax.scan(step, s, x)), state, folded)
    first = first.reshape(whole, *first.shape[2:])
    if whole == n:
        return state, first
    state, last = lax.scan(step, state, tuple(x[whole:] for x in inputs))
    return state, jnp.concatenate([first, last])


def scan_chunks(chunk_rule: Callable, state, arrays: tuple, chunk: int):
    """Runs a rule for one head and one chunk over all heads at once and over the chunks of a sequence.

    The arrays of one step fit the cache of a processor; those of all chunks at once are slower than no chunks. The
    gradient keeps the states between chunks and nothing else.

    Args:
        chunk_rule: (state of a head, arrays (chunk, size)) -> (state, output (chunk, value_dim)).
        state: (*batch, heads, key_dim, value_dim).
        arrays: Each (*batch, sequence, heads, size). Zeros are added to fill the last chunk: they must change no state.
        chunk: Tokens in a chunk.

    Returns:
        The state after the last token, and outputs (*batch, sequence, heads, value_dim).
    """
    *batch, n, heads, _ = arrays[0].shape
    # A lone text keeps no axis for texts: moved, even an axis of one makes XLA copy all operands before the loop.
    texts = () if math.prod(batch) == 1 else (math.prod(batch),)

    def to_chunks(x):
        padded = jnp.pad(x, ((0, 0),) * len(batch) + ((0, -n % chunk), (0, 0), (0, 0)))
        return jnp.moveaxis(padded.reshape(*texts, -1, chunk, *x.shape[-2:]), len(texts), 0)

    def step(states, chunks):
        lanes = tuple(jnp.swapaxes(x, -2, -3).reshape(-1, chunk, x.shape[-1]) for x in chunks)
        states, outputs = jax.vmap(chunk_rule)(states, lanes)
        return states, jnp.swapaxes(outputs.reshape(*texts, heads, chunk, -1), -2, -3)

    lanes = state.reshape(-1, *state.shape[-2:])
    last, outputs = lax.scan(jax.checkpoint(step), lanes, tuple(map(to_chunks, arrays)))
    outputs = jnp.moveaxis(outputs, 0, len(texts)).reshape(*batch, -1, heads, outputs.shape[-1])
    return last.reshape(state.shape), outputs[..., :n, :, :]


def chunk_decays(log_decay):
    """How much is left at token i of what was written at token j, and of the state before the chunk.

    The sum of logarithms from j + 1 to i is taken by itself. The difference of two running sums, which is usual, loses
    what is small after one strong decay: -1e4 once leaves an error of 1e-3 in all later ones in single precision.

    Args:
        log_decay: (chunk,), at most 0, -inf allowed.

    Returns:
        (chunk, chunk), zero for j > i; and (chunk,), the decay since the chunk began.
    """
    (size,) = log_decay.shape
    log_decay = jnp.maximum(log_decay, LEAST_LOG_DECAY)
    lower = jnp.tril(jnp.ones((size, size), log_decay.dtype))
    strict = jnp.tril(lower, -1)
    since = jnp.matmul(lower, strict * log_decay[:, None], precision=lax.Precision.HIGHEST)
    # Sums above the diagonal are empty, so that exp is 1 there and no gradient can overflow.
    start = jnp.exp(since[:, 0] + log_decay[0])
    return lower * jnp.exp(since), start

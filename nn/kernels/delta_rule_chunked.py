"""The gated delta rule in chunks: the same numbers as token by token, by products of matrices.

Within a chunk of C tokens that begins with the state S, with D_ij the decay from token j to i and d_i that since the
start, what each token writes follows from a unit lower triangular system,

    (1 + L) U = diag(b) (V - diag(d) K S),   L = strictly lower part of diag(b) (K K^T * D),
    O = diag(d) Q S + (Q K^T * D) U,         S <- d_C S + (diag(D_C) K)^T U.

S. Yang et al., arXiv 2406.06484, section 3, and arXiv 2412.06464, section 3.3 (there as two systems without
the state; with it inside, one is enough, for chunks follow one another anyway).

The system is solved by substitution, `BLOCK` tokens at a time: the blocks on the diagonal of 1 + L are inverted side by
side for all heads, and all else in a chunk is products of matrices. The inverse of the whole as a product of powers,
(1 - L)(1 + L^2)(1 + L^4)..., is all matrix products too and exact on paper, but with equal keys its terms grow like
binomials and cancel: `experiments/learning_systems/gated_delta.py` shows where it breaks.
"""

from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from nn._checks import check_at_least
from nn.kernels._recurrent import (
    check_heads,
    check_sequence,
    chunk_decays,
    per_value_head,
    scan_chunks,
    start_state,
    state_dtype,
)
from nn.kernels.triangular import unit_lower_inverse

# Tokens solved for at once. On a CPU 4, 8, 16 and 32 took 22, 18, 20 and 26 ms for 4 heads x 4,096 tokens x 64.
BLOCK = 8


def gated_delta_rule_chunked(
    queries: Float[Array, "*batch n key_heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads"] | None,
    strength: Float[Array, "*batch n heads"],
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    chunk: int = 32,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs the rule over a sequence of any length, chunk by chunk.

    Args:
        queries: q. Where there are fewer heads than of values, value head h uses h // (heads // key_heads).
        keys: k, heads as of the queries.
        values: v.
        log_decay: log a, at most 0; -inf forgets all before this token. None for no decay.
        strength: b, in [0, 1].
        state: State before the first token; zeros by default.
        chunk: Tokens in a chunk, rounded up to whole blocks where it is more than one. 32 is the fastest on a CPU; the
            numbers do not depend on it.

    Returns:
        o, in the type of the values, and the state after the last token, at least float32.

    Raises:
        ValueError: If heads do not divide, keys or state do not fit, there is no token, or `chunk` is under 1.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    check_at_least(chunk, 1, "chunk", "It is a number of tokens.")
    dtype, heads = state_dtype(queries, keys, values), values.shape[-2]
    state = start_state(state, keys, values, dtype)
    if log_decay is None:
        log_decay = jnp.zeros_like(strength)
    vectors = (per_value_head(queries, heads), per_value_head(keys, heads), values)
    inputs = (*vectors, log_decay[..., None], strength[..., None])
    inputs = tuple(x.astype(dtype) for x in inputs)
    chunk = min(chunk, values.shape[-3])
    block = min(chunk, BLOCK)
    state, outputs = scan_chunks(partial(_chunk, block), state, inputs, -(-chunk // block) * block)
    return outputs.astype(values.dtype), state


def _chunk(block, state, inputs):
    query, key, value, log_decay, strength = (
        inputs  # (C, key_dim) twice, (C, value_dim), (C, 1) twice
    )
    size = len(value)
    decay, start = chunk_decays(log_decay[:, 0])
    # Stacked, for two products of this size take longer than one of twice.
    both, turned = jnp.concatenate([query, key]), key.T
    scores, read = both @ turned, both @ state  # (2C, C), (2C, value_dim)
    since = start[:, None]
    lower = strength * decay * scores[size:]
    wanted = strength * (value - since * read[size:])
    change = _solve(lower, wanted, block)
    # What the tokens and the state take from the change, stacked again.
    taken = jnp.concatenate([decay * scores[:size], decay[-1:] * turned]) @ change
    output = since * read[:size] + taken[:size]
    return start[-1] * state + taken[size:], output


def _solve(lower, wanted, block):
    """U of (1 + L) U = W, `block` rows at a time."""
    starts = range(0, len(lower), block)
    inverses = unit_lower_inverse(jnp.stack([lower[i : i + block, i : i + block] for i in starts]))
    solved = inverses[0] @ wanted[:block]
    for first, inverse in zip(starts[1:], inverses[1:], strict=True):
        rows = slice(first, first + block)
        left = wanted[rows] - lower[rows, :first] @ solved
        solved = jnp.concatenate([solved, inverse @ left])
    return solved

"""The gated delta rule, token by token: a fast memory that replaces what it held at a key.

    S <- a S,   r = S^T k,   S <- S + k (b (v - r))^T,   o = S^T q

with the state S (key_dim, value_dim) of each head, its decay a in [0, 1], and the strength b in [0, 1] with which the
value v is written in place of r, what the decayed state reads at k. Without decay (a = 1) it is DeltaNet. In one
line, S_t = a_t (1 - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T. Keys of length 1 keep it stable (b |k|^2 <= 2).

S. Yang, J. Kautz, A. Hatamizadeh, "Gated Delta Networks", arXiv 2412.06464, eq. 10; DeltaNet: S. Yang et al., arXiv
2406.06484. This is the reference, and one step of it decodes; `delta_rule_chunked` computes the same for long
sequences. Neither normalises keys nor scales queries: that is the layer's.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nn.kernels._recurrent import (
    check_heads,
    check_sequence,
    per_value_head,
    scan_tokens,
    start_state,
    state_dtype,
)


def gated_delta_rule(
    queries: Float[Array, "*batch n key_heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads"] | None,
    strength: Float[Array, "*batch n heads"],
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    segment: int | None = None,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs the rule over a sequence by `lax.scan`.

    Args:
        queries: q. Where there are fewer heads than of values, value head h uses h // (heads // key_heads).
        keys: k, heads as of the queries.
        values: v.
        log_decay: log a, at most 0; -inf forgets all before this token. None for no decay.
        strength: b, in [0, 1].
        state: State before the first token; zeros by default.
        segment: Keeps for the gradient only every such state and computes the others anew; None keeps all.

    Returns:
        o, in the type of the values, and the state after the last token, at least float32.

    Raises:
        ValueError: If heads do not divide, shapes of keys or state do not fit, or there is no token.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    dtype, heads = state_dtype(queries, keys, values), values.shape[-2]
    state = start_state(state, keys, values, dtype)
    if log_decay is None:
        log_decay = jnp.zeros_like(strength)
    # Tokens first.
    vectors = (per_value_head(queries, heads), per_value_head(keys, heads), values)
    inputs = tuple(jnp.moveaxis(x.astype(dtype), -3, 0) for x in vectors)
    inputs += tuple(jnp.moveaxis(x.astype(dtype), -2, 0) for x in (log_decay, strength))
    state, outputs = scan_tokens(_token, state, inputs, segment)
    return jnp.moveaxis(outputs, 0, -3).astype(values.dtype), state


def gated_delta_step(
    queries: Float[Array, "*batch key_heads key_dim"],
    keys: Float[Array, "*batch _ _"],
    values: Float[Array, "*batch heads value_dim"],
    log_decay: Float[Array, "*batch heads"] | None,
    strength: Float[Array, "*batch heads"],
    state: Float[Array, "*batch _ _ _"],
) -> tuple[Float[Array, "*batch heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]]:
    """One token of `gated_delta_rule`, for decoding; arguments and errors are the same without the sequence."""
    check_heads(queries, keys, values)
    dtype, heads = state_dtype(queries, keys, values), values.shape[-2]
    if log_decay is None:
        log_decay = jnp.zeros_like(strength)
    state = start_state(state, keys[..., None, :, :], values[..., None, :, :], dtype)
    inputs = (per_value_head(queries, heads), per_value_head(keys, heads), values)
    state, output = _token(state, tuple(x.astype(dtype) for x in (*inputs, log_decay, strength)))
    return output.astype(values.dtype), state


def _token(state, inputs):
    query, key, value, log_decay, strength = inputs
    state = jnp.exp(log_decay)[..., None, None] * state
    read = jnp.einsum("...kv,...k->...v", state, key)
    change = strength[..., None] * (value - read)
    state = state + key[..., :, None] * change[..., None, :]
    return state, jnp.einsum("...kv,...k->...v", state, query)

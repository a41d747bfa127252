"""Linear recurrences without a rule of replacement, and the general one of RWKV-7, each token by token.

The state S (key_dim, value_dim) of a head is read by o_t = S_t^T q_t.

    linear attention   S_t = S_{t-1} + k_t v_t^T                      A. Katharopoulos et al., arXiv 2006.16236
    Mamba-2            S_t = a_t S_{t-1} + k_t v_t^T                  T. Dao, A. Gu, arXiv 2405.21060: q, k, v, log a
                                                                      are their C, B, Delta x, Delta A
    GLA                S_t = diag(a_t) S_{t-1} + k_t v_t^T            S. Yang et al., arXiv 2312.06635
    RWKV-7             S_t = (diag(a_t) - (r_t * c_t) c_t^T) S_{t-1} + k_t v_t^T
                                                                      B. Peng et al., arXiv 2503.14456 (transposed)

The first two also run in chunks by products of matrices, with a gradient of a fifteenth of the time and a thirtieth of
the memory (4 heads of 64, 4,096 tokens, one CPU). A decay for each channel has no such form that is safe: it would
multiply queries by a running product of decays and keys by its inverse, which overflows after a few strong ones. Decays
between each two tokens and in each channel are safe, but took three times as long as the scan. There `segment` saves
the memory of the gradient.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from nn._checks import check_at_least
from nn.kernels._recurrent import (
    check_heads,
    check_sequence,
    chunk_decays,
    per_value_head,
    scan_chunks,
    scan_tokens,
    start_state,
    state_dtype,
)


def linear_recurrence(
    queries: Float[Array, "*batch n key_heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads"]
    | Float[Array, "*batch n heads key_dim"]
    | None = None,
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    segment: int | None = None,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs linear attention, Mamba-2 or GLA over a sequence by `lax.scan`.

    Args:
        queries: q. Where there are fewer heads than of values, value head h uses h // (heads // key_heads).
        keys: k, heads as of the queries.
        values: v.
        log_decay: log a, at most 0 (-inf forgets all): None for linear attention, one number for each head for Mamba-2,
            one for each channel of its keys for GLA.
        state: State before the first token; zeros by default.
        segment: Keeps for the gradient only every such state and computes the others anew; None keeps all.

    Returns:
        o, in the type of the values, and the state after the last token, at least float32.

    Raises:
        ValueError: If heads do not divide, keys or state do not fit, or there is no token.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    inputs, state, _ = _prepared(queries, keys, values, log_decay, state)
    inputs = tuple(jnp.moveaxis(x, -3, 0) for x in inputs)
    state, outputs = scan_tokens(_token, state, inputs, segment)
    return jnp.moveaxis(outputs, 0, -3).astype(values.dtype), state


def linear_recurrence_step(
    queries: Float[Array, "*batch key_heads key_dim"],
    keys: Float[Array, "*batch _ _"],
    values: Float[Array, "*batch heads value_dim"],
    log_decay: Float[Array, "*batch heads"] | Float[Array, "*batch heads key_dim"] | None,
    state: Float[Array, "*batch _ _ _"],
) -> tuple[Float[Array, "*batch heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]]:
    """One token of `linear_recurrence`, for decoding; arguments and errors are the same without the sequence."""
    once = queries[..., None, :, :], keys[..., None, :, :], values[..., None, :, :]
    if log_decay is not None:
        axis = -2 if log_decay.ndim < values.ndim else -3
        log_decay = jnp.expand_dims(log_decay, axis)
    check_heads(*once)
    inputs, state, _ = _prepared(*once, log_decay=log_decay, state=state)
    state, output = _token(state, tuple(x[..., 0, :, :] for x in inputs))
    return output.astype(values.dtype), state


def linear_recurrence_chunked(
    queries: Float[Array, "*batch n key_heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads"] | None = None,
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    chunk: int = 32,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs linear attention or Mamba-2 over a sequence of any length, chunk by chunk.

    Arguments and errors are those of `linear_recurrence`, with one decay for each head, and `chunk`: tokens in a chunk.

    Raises:
        ValueError: Also if `chunk` is below 1.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    check_at_least(chunk, 1, "chunk", "It is a number of tokens.")
    inputs, state, _ = _prepared(queries, keys, values, log_decay, state)
    state, outputs = scan_chunks(_chunk, state, inputs, min(chunk, values.shape[-3]))
    return outputs.astype(values.dtype), state


def linear_attention(
    query_features: Float[Array, "*batch n key_heads features"],
    key_features: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    *,
    causal: bool = True,
    chunk: int = 32,
) -> Float[Array, "*batch n heads value_dim"]:
    """Attention with weights phi(q).phi(k) >= 0 in the place of exp(q.k), which sum to 1 over the keys.

    Args:
        query_features: phi(q), positive; heads are shared as in `linear_recurrence`.
        key_features: phi(k), positive.
        values: v.
        causal: Whether a query sees only keys up to its own.
        chunk: Tokens in a chunk.

    Raises:
        ValueError: If heads do not divide, or there is no token.
    """
    # The sum of weights is what a value of one gives.
    marked = jnp.concatenate([values, jnp.ones_like(values[..., :1])], axis=-1)
    if causal:
        both, _ = linear_recurrence_chunked(query_features, key_features, marked, chunk=chunk)
    else:
        check_heads(query_features, key_features, values)
        (q, k, v, _), _, _ = _prepared(query_features, key_features, marked, None, None)
        both = jnp.einsum("...nhk,...hkv->...nhv", q, jnp.einsum("...nhk,...nhv->...hkv", k, v))
    return (both[..., :-1] / both[..., -1:]).astype(values.dtype)


def general_delta_rule(
    queries: Float[Array, "*batch n heads key_dim"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    log_decay: Float[Array, "*batch n heads key_dim"],
    removal_keys: Float[Array, "*batch n heads key_dim"],
    removal_rates: Float[Array, "*batch n heads key_dim"],
    state: Float[Array, "*batch _ _ _"] | None = None,
    *,
    segment: int | None = None,
) -> tuple[
    Float[Array, "*batch n heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]
]:
    """Runs the recurrence of RWKV-7 over a sequence by `lax.scan`.

    What is removed is read, before the decay, by a key of its own and at a rate for each channel. With one rate b for
    all, removal keys k, keys b k and no decay it is DeltaNet.

    Args:
        queries: q, their r.
        keys: k, by which values are added.
        values: v.
        log_decay: log a of each channel, at most 0; -inf forgets it.
        removal_keys: c, of length 1.
        removal_rates: r in [0, 1], their a.
        state: State before the first token; zeros by default.
        segment: As in `linear_recurrence`.

    Returns:
        o, in the type of the values, and the state after the last token, at least float32.

    Raises:
        ValueError: If shapes do not fit, or there is no token.
    """
    check_heads(queries, keys, values)
    check_sequence(values)
    inputs, state, dtype = _prepared(queries, keys, values, log_decay, state)
    inputs += tuple(x.astype(dtype) for x in (removal_keys, removal_rates))
    inputs = tuple(jnp.moveaxis(x, -3, 0) for x in inputs)
    state, outputs = scan_tokens(_general_token, state, inputs, segment)
    return jnp.moveaxis(outputs, 0, -3).astype(values.dtype), state


def general_delta_step(
    queries: Float[Array, "*batch heads key_dim"],
    keys: Float[Array, "*batch _ _"],
    values: Float[Array, "*batch heads value_dim"],
    log_decay: Float[Array, "*batch heads key_dim"],
    removal_keys: Float[Array, "*batch heads key_dim"],
    removal_rates: Float[Array, "*batch heads key_dim"],
    state: Float[Array, "*batch _ _ _"],
) -> tuple[Float[Array, "*batch heads value_dim"], Float[Array, "*batch heads key_dim value_dim"]]:
    """One token of `general_delta_rule`, for decoding; arguments and errors are the same without the sequence."""
    tokens = (queries, keys, values, log_decay, removal_keys, removal_rates)
    output, state = general_delta_rule(*(x[..., None, :, :] for x in tokens), state=state)
    return output[..., 0, :, :], state


def _prepared(queries, keys, values, log_decay, state):
    """(q, k, v, log a) with all heads and four axes from the sequence on, the state, and their type."""
    dtype, heads = state_dtype(queries, keys, values), values.shape[-2]
    state = start_state(state, keys, values, dtype)
    if log_decay is None:
        log_decay = jnp.zeros(values.shape[:-1], dtype)
    if log_decay.ndim < values.ndim:
        log_decay = log_decay[..., None]
    inputs = (per_value_head(queries, heads), per_value_head(keys, heads), values, log_decay)
    return tuple(x.astype(dtype) for x in inputs), state, dtype


def _token(state, inputs):
    query, key, value, log_decay = (
        inputs  # (*batch, heads, size) each; the last of size 1 or key_dim
    )
    state = jnp.exp(log_decay)[..., None] * state + key[..., :, None] * value[..., None, :]
    return state, jnp.einsum("...kv,...k->...v", state, query)


def _chunk(state, inputs):
    query, key, value, log_decay = inputs  # (chunk, size) each, the last of size 1
    decay, start = chunk_decays(log_decay[:, 0])
    output = start[:, None] * (query @ state) + (decay * (query @ key.T)) @ value
    return start[-1] * state + (decay[-1][:, None] * key).T @ value, output


def _general_token(state, inputs):
    query, key, value, log_decay, removal_key, rate = inputs
    read = jnp.einsum("...kv,...k->...v", state, removal_key)
    state = jnp.exp(log_decay)[..., None] * state + key[..., :, None] * value[..., None, :]
    state = state - (rate * removal_key)[..., :, None] * read[..., None, :]
    return state, jnp.einsum("...kv,...k->...v", state, query)

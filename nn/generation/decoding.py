"""Text token by token: the prompt in one piece into the caches, then one token after the other, all in one program.

Each token costs one pass over the weights. The layers run in a scan where that reads them in place (`nn.layers.stack`),
and otherwise one by one, for a scan would copy each layer's weights out of the stack for every token (half of the speed
on a CPU). Prompts of a batch have one length.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from nn._checks import check_at_least, check_in_range
from nn.generation.sampling import Sampling, make_sampling, sample


class Generated(NamedTuple):
    """Tokens that a model added to its prompts.

    Attributes:
        tokens: New tokens; behind a stop token all are stop tokens.
        lengths: How many of each row count, the stop token included.
    """

    tokens: Int[Array, "batch n_new"]
    lengths: Int[Array, " batch"]


def generate(
    model: Any,
    tokens: Int[Array, "batch n"],
    n_new: int,
    *,
    key: PRNGKeyArray,
    sampling: Sampling | None = None,
    stop_token: int | None = None,
) -> Generated:
    """Lets a model go on with prompts.

    The i-th new token is drawn with `key` folded with i. A second call with equal sizes compiles nothing. A scanned
    model is unrolled within for several prompts, or where its layers cannot be read in place; who calls often unrolls
    it before, and saves the copy.

    Args:
        model: Has `init_caches` and `extend` as in `nn.models`.
        tokens: Prompts of one length, one token at least.
        n_new: Tokens to add.
        key: PRNG key.
        sampling: How they are drawn; None draws from softmax(logits).
        stop_token: Token that ends a text; None goes on for `n_new`.

    Raises:
        ValueError: If a count is below 1, or `stop_token` is negative.
    """
    n_prompt = tokens.shape[1]
    check_at_least(n_prompt, 1, "tokens", "A prompt has at least one token.")
    check_at_least(n_new, 1, "n_new")
    if stop_token is not None:
        check_in_range(stop_token, "stop_token", 0, float("inf"))
    capacity = n_prompt + n_new - 1  # the last token is given out, not read
    sampling = make_sampling() if sampling is None else sampling
    stop = None if stop_token is None else jnp.asarray(stop_token, jnp.int32)
    return _generate(model, tokens, n_new, capacity, sampling, stop, key)


@eqx.filter_jit
def _generate(model, tokens, n_new, capacity, sampling, stop, key) -> Generated:
    batch = tokens.shape[0]
    model = model.for_decoding(batch) if hasattr(model, "for_decoding") else model

    def draw(logits, index, ended):
        token = sample(logits[:, -1], sampling, key=jax.random.fold_in(key, index))
        if stop is None:
            return token, ended
        token = jnp.where(ended, stop, token)
        return token, ended | (token == stop)

    def step(carry, index):
        token, caches, ended = carry
        logits, caches = model.extend(token[:, None], caches)
        following, now_ended = draw(logits, index, ended)
        return (following, caches, now_ended), (following, ended)

    logits, caches = model.extend(tokens, model.init_caches(batch, capacity))
    none = jnp.zeros(batch, bool)
    first, ended = draw(logits, 0, none)
    carry = (first, caches, ended)
    _, (rest, ended_before) = jax.lax.scan(step, carry, jnp.arange(1, n_new))
    new = jnp.concatenate([first[None], rest.astype(first.dtype)])  # (n_new, batch)
    lengths = n_new - ended_before.sum(axis=0, dtype=jnp.int32)
    return Generated(new.T, lengths)

"""How a token is drawn from logits: the greatest, or by softmax(logits / temperature) among the most probable.

The temperature comes first, then `top_k` keeps the k most probable tokens, then `top_p` the fewest of those left whose
probabilities reach p (nucleus; A. Holtzman et al., arXiv 1904.09751). Of tokens equally probable the earlier in the
vocabulary goes first, so that exactly k are left.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_in_range


class Sampling(eqx.Module):
    """A rule to draw tokens; another number in it does not compile anew.

    Attributes:
        temperature: Divides the logits; None takes the most probable token.
        top_k: Tokens that are left; None leaves all.
        top_p: Probability that those left reach; None leaves all.
    """

    temperature: Float[Array, ""] | None
    top_k: Int[Array, ""] | None
    top_p: Float[Array, ""] | None


def make_sampling(
    temperature: float | int = 1.0, *, top_k: int | None = None, top_p: float | int | None = None
) -> Sampling:
    """A rule to draw tokens.

    Args:
        temperature: Divides the logits, 0 or more; at 0 the most probable token is taken, and `top_k` and `top_p` are
            of no use.
        top_k: How many of the most probable tokens are left.
        top_p: Probability, in (0, 1], that the most probable tokens that are left reach.

    Raises:
        ValueError: If a number is out of range.
    """
    check_in_range(temperature, "temperature", 0, float("inf"))
    if top_k is not None:
        check_at_least(top_k, 1, "top_k", "Leave it out to draw from all tokens.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(
            f"`top_p` must lie above 0 and at most at 1, but is {top_p}. Leave it out to draw from all tokens."
        )
    if temperature == 0:
        return Sampling(None, None, None)
    return Sampling(
        jnp.asarray(float(temperature), jnp.float32),
        None if top_k is None else jnp.asarray(top_k, jnp.int32),
        None if top_p is None else jnp.asarray(float(top_p), jnp.float32),
    )


def restrict(
    logits: Float[Array, "*batch vocabulary"], sampling: Sampling
) -> Float[Array, "*batch vocabulary"]:
    """Logits over the temperature, -inf for the tokens that are not left."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if sampling.temperature is not None:
        logits = logits / sampling.temperature.astype(logits.dtype)
    if sampling.top_k is None and sampling.top_p is None:
        return logits
    order = jnp.argsort(logits, axis=-1, descending=True, stable=True)
    ordered = jnp.take_along_axis(logits, order, axis=-1)
    places = jnp.arange(logits.shape[-1])
    if sampling.top_k is not None:
        left = jnp.broadcast_to(places < sampling.top_k, ordered.shape)
        ordered = jnp.where(left, ordered, -jnp.inf)
    if sampling.top_p is not None:
        chances = jax.nn.softmax(ordered, axis=-1)
        before = jnp.cumsum(chances, axis=-1) - chances  # of the tokens ahead, 0 for the first
        ordered = jnp.where(before < sampling.top_p.astype(before.dtype), ordered, -jnp.inf)
    back = jnp.argsort(order, axis=-1)
    return jnp.take_along_axis(ordered, back, axis=-1)


def sample(
    logits: Float[Array, "*batch vocabulary"], sampling: Sampling, *, key: PRNGKeyArray
) -> Int[Array, "*batch"]:
    """Draws one token from each row of logits.

    Args:
        logits: Logits, unscaled.
        sampling: The rule.
        key: PRNG key; not used where the most probable token is taken.
    """
    if sampling.temperature is None:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return jax.random.categorical(key, restrict(logits, sampling)).astype(jnp.int32)

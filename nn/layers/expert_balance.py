"""What keeps the experts of a mixture equally busy: two losses, and a bias without a loss.

Auxiliary loss (Switch, GShard, and sequence by sequence in DeepSeek-V3), 1 where load and scores are even:

    L = E sum_i f_i P_i,   f_i = choices of expert i / (T k),   P_i = mean over tokens of s_i / sum_j s_j

The loss of the logits (ST-MoE) keeps them small: mean over tokens of logsumexp(z)^2.

Bias alone: after a step the bias of an expert that was chosen more often than the mean goes down by a fixed rate, and
that of one chosen less often up, b_i += u sign(mean c - c_i). It takes part in the choice, not in the weights, so no
gradient is bent.

Sources: W. Fedus et al., arXiv 2101.03961, eqs. 4-6; D. Lepikhin et al., arXiv 2006.16668; B. Zoph et al., arXiv
2202.08906, eq. 5; L. Wang et al., arXiv 2408.15664, Algorithm 1; DeepSeek-AI, arXiv 2412.19437, section 2.1.2.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nn._checks import check_axis, check_positive
from nn.layers.mixture import Routing


def choices_of(routing: Routing) -> Int[Array, " experts"]:
    """How often each expert was chosen."""
    n_experts = routing.scores.shape[-1]
    return jnp.zeros(n_experts, jnp.int32).at[routing.experts.reshape(-1)].add(1)


def balance_loss(routing: Routing) -> Float[Array, ""]:
    """L: E sum_i f_i P_i. Its gradient goes through P, for f is a count.

    Args:
        routing: Choices and scores of a batch, or of a sequence.
    """
    n_experts = routing.scores.shape[-1]
    share = routing.scores / routing.scores.sum(axis=-1, keepdims=True)
    load = choices_of(routing).astype(share.dtype) / routing.experts.size
    return n_experts * (load * share.mean(axis=0)).sum()


def router_z_loss(logits: Float[Array, "tokens experts"]) -> Float[Array, ""]:
    """Mean over tokens of logsumexp(z)^2.

    Args:
        logits: z, what the router gives: `mixture.router(tokens)`.
    """
    return jnp.square(jax.nn.logsumexp(logits, axis=-1)).mean()


def updated_bias(
    bias: Float[Array, " experts"],
    counts: Int[Array, " _"],
    rate: float | Float[Array, ""],
) -> Float[Array, " experts"]:
    """b + u sign(mean c - c), by which the choice turns to experts that have too little to do.

    Args:
        bias: b.
        counts: c, how often each was chosen in the last step.
        rate: u; the papers took 0.001.

    Raises:
        ValueError: If there is not one count for each expert, or the rate is not positive.
    """
    check_axis(counts, "counts", 0, bias.shape[0], "One for each expert.")
    check_positive(rate, "rate")
    return bias - rate * _excess(counts).astype(bias.dtype)


def bias_pull(bias: Float[Array, " experts"], counts: Int[Array, " _"]) -> Float[Array, ""]:
    """A number that is 0 and whose gradient by the bias is sign(c - mean c): a loss that carries the rule above.

    Added to a loss and followed by plain gradient descent of rate u on the bias alone (`optax.partition`) it is
    `updated_bias`, step by step, so that a training loop that knows only gradients can balance by bias.

    Args:
        bias: b.
        counts: c of the batch.

    Raises:
        ValueError: If there is not one count for each expert.
    """
    check_axis(counts, "counts", 0, bias.shape[0], "One for each expert.")
    free = bias - jax.lax.stop_gradient(bias)
    return (free * _excess(counts).astype(bias.dtype)).sum()


def _excess(counts):
    """sign(c - mean c) in integers, so that an even load of any size is seen as even."""
    return jnp.sign(counts * counts.shape[0] - counts.sum())

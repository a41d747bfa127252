"""Tokens sent to their experts, so that each expert works once, on its own tokens, instead of on all.

    rows of expert e = its tokens in order of priority, at most C of them
    y_t = sum over the experts e of t that took it of w_te expert_e(x_t)

`mix_by_capacity` gathers them into an array (experts, C, width) of dense products; what finds no row is dropped: it
adds nothing, its weight is not given to the others, and it is counted. C = ceil(factor T k / E), see `expert_capacity`.
`mix_by_groups` drops nothing: rows sorted by expert, products with a different number of rows for each
(`jax.lax.ragged_dot`). That primitive leaves zeros in rows that its counts do not cover and cuts where they cover too
many, both without a word, so it is called through `grouped_product`, which refuses.

Without drops both equal `nn.layers.mixture.mix_by_loop`, values and gradients. On a CPU the gathered rows were 2.4 to
2.7 times as fast as that loop, 5 with the gradient (512 tokens, 2 of 16 experts; 256 tokens, 4 of 32; factor 1.5), and
groups 2.4 to 5.6 times as slow; on an accelerator neither was timed.

Sources: D. Lepikhin et al., arXiv 2006.16668 (capacity, order of choices); W. Fedus et al., arXiv 2101.03961 (capacity
factor, dropped tokens); C. Riquelme et al., arXiv 2106.05974 (priority by score).
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_positive, is_concrete
from nn.layers.feed_forward import SwiGLU
from nn.layers.linear import AbstractLinear, Dense
from nn.layers.mixture import Routing

PRIORITIES = ("order", "choice", "score")


class Dispatched(NamedTuple):
    """What came of a dispatch.

    Attributes:
        mixed: Weighted sum of the experts that took each token.
        counts: How often each expert was chosen, taken or not.
        n_dropped: Choices that found no row.
    """

    mixed: Float[Array, "tokens width"]
    counts: Int[Array, " experts"]
    n_dropped: Int[Array, ""]


def expert_capacity(n_tokens: int, n_chosen: int, n_experts: int, factor: float | int) -> int:
    """C = ceil(factor n_tokens n_chosen / n_experts) rows of an expert; no more than tokens, at least one.

    Args:
        n_tokens: Tokens of the batch.
        n_chosen: Experts that a token chooses.
        n_experts: Experts.
        factor: Capacity factor: 1 fits if all experts are chosen alike; that which drops nothing is
            `nn.layers.expert_statistics.load_peak`.

    Raises:
        ValueError: If a token chooses more experts than there are, a count is below 1 or the factor is not positive.
    """
    check_at_least(n_tokens, 1, "n_tokens")
    check_at_least(n_chosen, 1, "n_chosen")
    check_at_least(n_experts, n_chosen, "n_experts", "A token chooses that many different ones.")
    check_positive(factor, "factor")
    # The product rounds up: 1.1 x 10 is not to take 12 rows.
    return max(1, min(n_tokens, math.ceil(factor * n_tokens * n_chosen / n_experts - 1e-9)))


def mix_by_capacity(
    experts: SwiGLU,
    tokens: Float[Array, "tokens width"],
    routing: Routing,
    capacity: int,
    *,
    priority: str = "order",
) -> Dispatched:
    """Weighted sum of the chosen experts, each applied to at most `capacity` tokens.

    Args:
        experts: Experts, their arrays along a first axis.
        tokens: Tokens.
        routing: Who serves each.
        capacity: Rows of an expert, C.
        priority: Who gets them: "order", earlier tokens first; "choice", the first choices of all tokens, then the
            second, each in order of the tokens; "score", the largest weights first, and of equal ones the earlier.

    Raises:
        ValueError: If `capacity` is below 1 or `priority` unknown.
    """
    check_at_least(capacity, 1, "capacity")
    check_choice(priority, "priority", PRIORITIES)
    n_experts, (n_tokens, n_chosen) = routing.scores.shape[-1], routing.experts.shape
    order, place, counts = _queues(routing, n_experts, priority)
    first = jnp.cumsum(counts) - counts
    # Rows beyond an expert's count hold some other's token; nobody takes their result.
    rows = jnp.minimum(first[:, None] + jnp.arange(capacity)[None], n_tokens * n_chosen - 1)
    gathered = tokens[order[rows] // n_chosen]
    arrays, rest = eqx.partition(experts, eqx.is_array)
    apply = lambda arrays, x: eqx.combine(arrays, rest)(x)  # noqa: E731
    y = jax.vmap(apply)(arrays, gathered).reshape(n_experts * capacity, -1)
    taken = place < capacity
    slots = routing.experts * capacity + jnp.minimum(place, capacity - 1)
    weights = jnp.where(taken, routing.weights, 0)
    mixed = (y[slots] * weights[..., None]).sum(axis=1)
    return Dispatched(mixed, counts, (~taken).sum())


def mix_by_groups(
    experts: SwiGLU,
    tokens: Float[Array, "tokens width"],
    routing: Routing,
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "tokens width"]:
    """Weighted sum of the chosen experts, each applied to the tokens that chose it; none is dropped.

    Args:
        experts: Experts of `Dense` maps, their arrays along a first axis.
        tokens: Tokens.
        routing: Who serves each.
        key: Not used; there so that it can stand in the place of the other forms.

    Raises:
        TypeError: If a map is another carrier than `Dense`, which has no product in groups.
    """
    del key
    n_experts, n_chosen = routing.scores.shape[-1], routing.experts.shape[-1]
    order, _, counts = _queues(routing, n_experts, "order")
    owner = routing.experts.reshape(-1)[order]
    rows = tokens[order // n_chosen]
    gate, up, down = (
        _group_map(m, counts, owner) for m in (experts.gate, experts.up, experts.down)
    )
    y = down(jax.nn.silu(gate(rows)) * up(rows))
    y = y * routing.weights.reshape(-1)[order][:, None]
    return jnp.zeros_like(tokens).at[order // n_chosen].add(y)


def grouped_product(
    x: Float[Array, "rows n_in"],
    weight: Float[Array, "groups n_in n_out"],
    counts: Int[Array | np.ndarray, " _"],
) -> Float[Array, "rows n_out"]:
    """Products of consecutive groups of rows, each with its own matrix.

    Args:
        x: Rows, those of the first group first.
        weight: A matrix for each group.
        counts: Rows of each group; together all rows.

    Raises:
        ValueError: If the counts do not sum to the rows or one is negative. Under `jit`, where that is not known
            before, the result is NaN.
    """
    if len(counts) != len(weight):
        raise ValueError(
            f"`counts` must have one entry for each of the {len(weight)} matrices, but has {len(counts)}."
        )
    if is_concrete(counts):
        known = np.asarray(counts)
        if known.min() < 0 or known.sum() != len(x):
            raise ValueError(
                f"`counts` must be at least 0 and sum to the {len(x)} rows of `x`, but are {known.tolist()}, "
                f"which sum to {known.sum()}."
            )
    counts = jnp.asarray(counts, jnp.int32)
    y = jax.lax.ragged_dot(x, weight, counts)
    good = (counts.sum() == len(x)) & (counts >= 0).all()
    return jnp.where(good, y, jnp.nan)


def _group_map(linear: AbstractLinear, counts, owner):
    if not isinstance(linear, Dense):
        raise TypeError(
            f"`experts` must have Dense maps to be multiplied in groups, but have {type(linear).__name__}; "
            "take `mix_by_capacity`."
        )
    bias = 0 if linear.bias is None else linear.bias[owner]
    return lambda x: grouped_product(x, linear.weight, counts) + bias


def _queues(routing: Routing, n_experts: int, priority: str):
    """Choices sorted by expert and then by priority, the place of each in its expert's queue, and lengths of queues."""
    n_tokens, n_chosen = routing.experts.shape
    first = jnp.arange(n_tokens * n_chosen)
    if priority == "choice":
        first = first.reshape(n_tokens, n_chosen).T.reshape(-1)
    elif priority == "score":
        first = jnp.argsort(-jax.lax.stop_gradient(routing.weights).reshape(-1), stable=True)
    chosen = routing.experts.reshape(-1)
    order = first[jnp.argsort(chosen[first], stable=True)]
    counts = jnp.zeros(n_experts, jnp.int32).at[chosen].add(1)
    start = jnp.cumsum(counts) - counts
    place = jnp.arange(n_tokens * n_chosen) - start[chosen[order]]
    place = jnp.zeros_like(place).at[order].set(place)
    return order, place.reshape(n_tokens, n_chosen), counts

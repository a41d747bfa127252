"""Ranges of activations for integers of few bits: fixed by calibration, or found anew for each token or block.

    step = (high - low) / (2^bits - 1),    q = clip(round((x - low) / step), 0, 2^bits - 1),    x' = low + q step

with low <= 0 <= high, moved so that zero is one of the levels: what is exactly zero stays so. A static range costs
nothing at run time, but what lies outside is cut off, and one outlier takes the levels of all others. A dynamic range
fits each token or block, for two comparisons a number and a pass over the activations before any is rounded: `cost`.
Rules for static ranges: largest and smallest; percentiles; least squared error on the calibration inputs among ranges
shrunk together. Which quantile and which shares are tried is our choice.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_choice, check_divides, check_finite, check_in_range

RULES = ("max", "percentile", "mse")


class Range(NamedTuple):
    """Ends of a range; arrays broadcast against what is rounded.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: Float[Array, "..."]
    high: Float[Array, "..."]


class RangeCost(NamedTuple):
    """What finding the ranges of one activation costs at run time, beside rounding it.

    Attributes:
        comparisons: Comparisons for smallest and largest.
        n_ranges: Ranges that are found and kept, a scale and a zero point each.
        passes: Times that all numbers are read before the first is rounded.
    """

    comparisons: int
    n_ranges: int
    passes: int


def static_range(
    x: Float[Array, "*samples n"],
    bits: int,
    *,
    rule: str = "max",
    percentile: float | int = 99.9,
    n_shares: int = 40,
    per_channel: bool = False,
) -> Range:
    """The range of calibration inputs.

    Args:
        x: Inputs.
        bits: Bits it will be used with; only "mse" depends on them.
        rule: "max"; "percentile", between 100 - percentile and percentile; "mse".
        percentile: Upper percentile.
        n_shares: Shares of the largest range that "mse" tries, 1 / n_shares to 1.
        per_channel: Whether each of the last axis has its own.

    Raises:
        ValueError: If `x` is empty or not finite, bits are below 1 or above 16, the percentile is not between 50 and
            100, or there is no such rule.
    """
    check_choice(rule, "rule", RULES)
    check_in_range(bits, "bits", 1, 16)
    check_in_range(percentile, "percentile", 50, 100)
    check_at_least(n_shares, 1, "n_shares")
    check_at_least(x.size, 1, "x.size", "Calibration needs inputs.")
    check_finite(x, "x", "A range has to hold it.")
    rows = x.reshape(-1, x.shape[-1]) if per_channel else x.reshape(-1, 1)
    if rule == "percentile":
        ends = jnp.percentile(rows, jnp.array([100 - percentile, percentile]), axis=0)
        low, high = ends[0], ends[1]
    else:
        low, high = rows.min(axis=0), rows.max(axis=0)
    low, high = jnp.minimum(low, 0), jnp.maximum(high, 0)
    if rule == "mse":
        shares = [k / n_shares for k in range(1, n_shares + 1)]
        errors = jnp.stack(
            [((to_levels(rows, _row(low * s, high * s), bits) - rows) ** 2).mean(0) for s in shares]
        )
        share = jnp.asarray(shares, low.dtype)[errors.argmin(axis=0)]
        low, high = low * share, high * share
    return Range(low, high) if per_channel else Range(low[0], high[0])


def dynamic_range(x: Float[Array, "*samples n"], block: int | None = None) -> Range:
    """Smallest and largest of each token, or of each block of `block` along the last axis.

    Returns:
        Ends that broadcast against `x`.

    Raises:
        ValueError: If blocks do not divide the last axis.
    """
    n = x.shape[-1]
    block = n if block is None else block
    check_divides(block, n, "block", "n", "It is the size of the last axis.")
    parts = x.reshape(*x.shape[:-1], -1, block)
    low = jnp.minimum(parts.min(axis=-1), 0)
    high = jnp.maximum(parts.max(axis=-1), 0)
    return Range(jnp.repeat(low, block, axis=-1), jnp.repeat(high, block, axis=-1))


def to_levels(x: Float[Array, "*shape"], ends: Range, bits: int) -> Float[Array, "*shape"]:
    """`x` rounded to the 2^bits levels of a range, and cut off beyond; a range of one point gives zero.

    Raises:
        ValueError: If bits are below 1 or above 16, or `x` is not finite: no level is NaN.
    """
    check_in_range(bits, "bits", 1, 16)
    check_finite(x, "x", "No level is NaN.")
    low, high = (jnp.broadcast_to(end, x.shape) for end in ends)
    top = 2**bits - 1
    step = (high - low) / top
    step = jnp.where(step > 0, step, 1)
    zero = jnp.clip(jnp.round(-low / step), 0, top)
    return (jnp.clip(jnp.round(x / step) + zero, 0, top) - zero) * step


def range_cost(n_tokens: int, n: int, *, block: int | None = None, static: bool) -> RangeCost:
    """Cost of the ranges of one activation of `n_tokens` x `n`.

    Args:
        n_tokens: Tokens.
        n: Numbers of a token.
        block: Numbers that share a dynamic range; None for all of a token.
        static: Whether ranges are known before.

    Raises:
        ValueError: If a count is below 1 or blocks do not divide.
    """
    check_at_least(n_tokens, 1, "n_tokens")
    block = n if block is None else block
    check_divides(block, n, "block", "n", "It is the size of the last axis.")
    if static:
        return RangeCost(0, 0, 0)
    n_ranges = n_tokens * (n // block)
    # Smallest and largest of m numbers and zero.
    return RangeCost(2 * n_tokens * n, n_ranges, 1)


def relative_error(x: Float[np.ndarray, "*shape"], rounded: Float[np.ndarray, "*shape"]) -> float:
    """Squared error over the square of `x`."""
    return float(np.sum((np.asarray(rounded) - x) ** 2) / np.sum(np.asarray(x) ** 2))


def _row(low, high) -> Range:
    return Range(low[None], high[None])

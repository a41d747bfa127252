"""Bits for each map of a real encoder under a budget of bytes, beside the same bits for all maps in the same bytes.

Weights are rounded to 2^b levels between the smallest and largest of a group of inputs, both ends kept in float16. What
a map costs at b bits is measured with that map alone rounded: mean over some texts of 1 - cosine between the vector of
a text and the exact one. `nn.compression.bit_budget` then chooses exactly, as if costs of maps would add up, and the
choice is judged by other texts.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn.compression.activation_ranges import Range, to_levels
from nn.compression.bit_budget import choose_bits
from nn.layers import linear_maps, replace_linear

OPTIONS = (2, 3, 4, 6, 8)
BUDGETS = (3, 4)  # bits of the uniform model whose bytes are the budget


def rounded_weight(
    weight: Float[Array, "n_in n_out"], bits: int, group: int
) -> Float[Array, "n_in n_out"]:
    """The weights as levels of the range of their group."""
    parts = weight.reshape(-1, group, weight.shape[1])
    low = jnp.minimum(parts.min(axis=1, keepdims=True), 0)
    high = jnp.maximum(parts.max(axis=1, keepdims=True), 0)
    ends = Range(*(end.astype(jnp.float16).astype(jnp.float32) for end in (low, high)))
    return to_levels(parts, ends, bits).reshape(weight.shape)


def weight_bytes(n_in: int, n_out: int, bits: int, group: int) -> int:
    """Bytes of the codes and of two ends for each group and output."""
    return n_in * n_out * bits // 8 + 4 * (n_in // group) * n_out


def encoder_budgets(
    model: Any,
    vectors: Callable[[Any, Any, Any], Float[Array, "texts width"]],
    known: tuple[Any, Any],
    judge: tuple[Any, Any],
    group: int,
    on_part: Callable[[str], None] = lambda name: None,
) -> dict[str, np.ndarray]:
    """What a budget buys, with bits chosen for each map and with the same bits for all.

    Args:
        model: The encoder, its maps stacked by layers.
        vectors: (model, tokens, counts) -> unit vectors of texts.
        known: Tokens and counts of the texts that costs are measured with.
        judge: The same of other texts.
        group: Inputs that share a range.
        on_part: Called with the path of each map when its costs are known.

    Returns:
        `loss.uniform.{bits}` of each text for all `OPTIONS`, `loss.mixed.{bits}` for `BUDGETS`, `bits.{bits}` and
        `costs` of each map, `bytes.{bits}`, the budget, and `bytes_used.{bits}`.
    """
    maps: list[tuple[str, Any]] = linear_maps(model)
    stacks = {path: linear.weight for path, linear in maps}
    parts = [(path, layer) for path, stack in stacks.items() for layer in range(len(stack))]
    rounded = {
        (path, layer, bits): rounded_weight(stacks[path][layer], bits, group)
        for path, layer in parts
        for bits in OPTIONS
    }
    exact = {"known": vectors(model, *known), "judge": vectors(model, *judge)}

    def losses(bits: dict[tuple[str, int], int], texts, wanted) -> np.ndarray:
        found = vectors(_with_bits(model, rounded, bits), *texts)
        return 1 - np.asarray(jnp.sum(found * wanted, axis=-1))

    costs = np.zeros((len(parts), len(OPTIONS)))
    for i, part in enumerate(parts):
        for j, bits in enumerate(OPTIONS):
            costs[i, j] = max(losses({part: bits}, known, exact["known"]).mean(), 0)
        on_part(f"{part[0]} {part[1]}")
    sizes = [stacks[path].shape[1:] for path, _ in parts]
    n_bytes = np.array([[weight_bytes(n, m, bits, group) for bits in OPTIONS] for n, m in sizes])
    results: dict[str, np.ndarray] = {"costs": costs}
    for bits in OPTIONS:
        same = dict.fromkeys(parts, bits)
        results[f"loss.uniform.{bits}"] = losses(same, judge, exact["judge"])
    for uniform in BUDGETS:
        budget = int(n_bytes[:, OPTIONS.index(uniform)].sum())
        plan = choose_bits(costs, n_bytes, budget)
        chosen = np.asarray(OPTIONS)[plan.choice]
        results[f"bits.{uniform}"] = chosen
        results[f"bytes.{uniform}"] = np.asarray(budget)
        results[f"bytes_used.{uniform}"] = np.asarray(plan.n_bytes)
        choice = dict(zip(parts, chosen.tolist(), strict=True))
        results[f"loss.mixed.{uniform}"] = losses(choice, judge, exact["judge"])
    return results


def _with_bits(model: Any, rounded: dict, bits: dict[tuple[str, int], int]) -> Any:
    """The model with some of its maps rounded; the others stay as they are."""

    def replacement(path, linear):
        if not any(path == named for named, _ in bits):
            return linear
        layers = [
            rounded[path, layer, bits[path, layer]] if (path, layer) in bits else weight
            for layer, weight in enumerate(linear.weight)
        ]
        return eqx.tree_at(lambda dense: dense.weight, linear, jnp.stack(layers))

    return replace_linear(model, replacement)

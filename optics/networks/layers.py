"""One compiled program for networks of any depth: a loop over layers that skips those from a given one on.

XLA compiles a program for each number of layers, and compiling a training step takes as long as running a hundred. Cut
from the deepest, networks share one: how many layers light passes is then a number that the program is told, and the
others cost a copy of the field, since only one branch of a condition runs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from optics._checks import is_concrete


def over_layers(
    step: Callable[[Any, Any], tuple[Any, Any]],
    start: Any,
    layers: Any,
    n_layers: Any,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`jax.lax.scan` over the first `n_layers` layers; plain where that is all of them.

    Args:
        step: `(carry, layer)` -> carry, and what the layer leaves behind.
        start: Carry before the first layer.
        layers: Arrays, layer first.
        n_layers: How many layers are used: an int, which must be all of them, or an array, which may be traced.
        reverse: Last layer first.

    Returns:
        Carry at the end, and what the layers left behind, layer first; zeros for those that are skipped.
    """
    if isinstance(n_layers, int):
        return jax.lax.scan(step, start, layers, reverse=reverse)
    n_stacked = jax.tree.leaves(layers)[0].shape[0]

    def skip(carry, layer):
        left = jax.eval_shape(step, carry, layer)[1]
        return carry, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), left)

    def step_or_skip(carry, inputs):
        index, layer = inputs
        return jax.lax.cond(index < n_layers, step, skip, carry, layer)

    return jax.lax.scan(step_or_skip, start, (jnp.arange(n_stacked), layers), reverse=reverse)


def check_layer_count(n_layers: Any, name: str, n_stacked: int) -> None:
    """Raises a ValueError where a number of used layers that is known now does not lie between 1 and all."""
    if is_concrete(n_layers) and not 1 <= int(n_layers) <= n_stacked:
        raise ValueError(
            f"`{name}` must lie between 1 and the {n_stacked} layers there are, but is {int(n_layers)}."
        )

"""One compiled program for networks of any depth: a loop over layers that ends at a given one.

XLA compiles a program for each number of layers, and compiling a training step takes as long as running a hundred. Cut
from the deepest, networks share one: how many layers light passes is then a number that the program is told. JAX knows
no derivative of a loop whose length only the run knows, so that it is written out here. A scan over all layers with a
condition in it has one, but costs more: 51 against 41 ms of CPU time for an in-silico step of 8 layers, means of 8 runs
on two busy cores that differ by 10 ms; in forward mode the difference was lost in them.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from optics._checks import is_concrete

Step = Callable[[Any, Any], tuple[Any, Any]]


def over_layers(
    step: Step, start: Any, layers: Any, n_layers: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
    """`jax.lax.scan` over the first `n_layers` layers; plain where that is all of them.

    Args:
        step: `(carry, layer)` -> carry, and what the layer leaves behind. What it closes over has no derivative where
            `n_layers` is an array.
        start: Carry before the first layer.
        layers: Arrays, layer first.
        n_layers: How many layers are used: an int, which must be all of them, or an array, which may be traced.
        reverse: Last layer first.

    Returns:
        Carry at the end, and what the layers left behind, layer first; zeros for those that are not used.
    """
    if isinstance(n_layers, int):
        return jax.lax.scan(step, start, layers, reverse=reverse)
    smooth, rest = eqx.partition(layers, eqx.is_inexact_array)

    def halves(carry, parts):
        return step(carry, eqx.combine(*parts))

    @jax.custom_vjp
    def run(start, smooth, rest, n_layers):
        return _loop(halves, start, (smooth, rest), n_layers, reverse)

    def forwards(start, smooth, rest, n_layers):
        def keep(carry, parts):
            end, left = halves(carry, parts)
            return end, (left, carry)

        end, (left, carries) = _loop(keep, start, (smooth, rest), n_layers, reverse)
        return (end, left), (carries, smooth, rest, n_layers)

    def backwards(kept, cotangents):
        carries, smooth, rest, n_layers = kept
        end, left = cotangents

        def pull(cotangent, parts):
            carry, smooth, rest, left = parts
            pull_back = jax.vjp(lambda c, s: halves(c, (s, rest)), carry, smooth)[1]
            return pull_back((cotangent, left))

        layers = (carries, smooth, rest, left)
        return (*_loop(pull, end, layers, n_layers, not reverse), None, None)

    run.defvjp(forwards, backwards)
    return run(start, smooth, rest, n_layers)


def _loop(step: Step, start, layers, n_layers, reverse: bool):
    """A scan whose length may be traced, in a program that is not differentiated."""

    def at(index):
        take = lambda a: jax.lax.dynamic_index_in_dim(a, index, keepdims=False)  # noqa: E731
        return jax.tree.map(take, layers)

    n_stacked = jax.tree.leaves(layers)[0].shape[0]
    left = jax.eval_shape(step, start, jax.eval_shape(at, 0))[1]
    room = jax.tree.map(lambda a: jnp.zeros((n_stacked, *a.shape), a.dtype), left)

    def body(count, state):
        carry, room = state
        index = n_layers - 1 - count if reverse else count
        carry, left = step(carry, at(index))
        put = lambda a, one: jax.lax.dynamic_update_index_in_dim(a, one, index, 0)  # noqa: E731
        return carry, jax.tree.map(put, room, left)

    return jax.lax.fori_loop(0, n_layers, body, (start, room))


def check_layer_count(n_layers: Any, name: str, n_stacked: int) -> None:
    """Raises a ValueError where a number of used layers that is known now does not lie between 1 and all."""
    if is_concrete(n_layers) and not 1 <= int(n_layers) <= n_stacked:
        raise ValueError(
            f"`{name}` must lie between 1 and the {n_stacked} layers there are, but is {int(n_layers)}."
        )

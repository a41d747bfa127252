"""Classifier-free guidance: the conditional field pushed away from the unconditional one, and when.

    v = (1 - w) v_unconditional + w v_conditional

in this form w = 1 is the conditional field and w = 0 the unconditional one bit for bit. J. Ho and T. Salimans,
arXiv 2207.12598. The schedules are those of the sampler of SVG (arXiv 2510.15301), step i = 0, 1, ... of n, noise at 0:

    constant        w
    late            w where (i + 1) / n > 1/2, else 1
    early           w where t > turn, else 1; the release calls it so
    linear          1 + (w - 1) (i + 1) / n
    cfg_star        in the first `skip` steps -ratio v_unconditional (the sign is the release's), then w
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_choice, check_finite, check_in_range

MODES = ("constant", "late", "early", "linear", "cfg_star")


class Guidance(eqx.Module):
    """Weight of guidance and its schedule; another weight does not compile anew. Made by `make_guidance`.

    Attributes:
        weight: w.
        null: The condition that says nothing, without the axis of the batch.
        turn: Time of "early".
        skip: Steps of "cfg_star".
        ratio: Factor of "cfg_star".
        mode: One of `MODES`.
    """

    weight: Float[Array, ""]
    null: Any
    turn: Float[Array, ""]
    skip: Int[Array, ""]
    ratio: Float[Array, ""]
    mode: str = eqx.field(static=True)

    def weight_at(
        self, t: Float[Array, ""], step: Int[Array, ""], n_steps: Int[Array, ""]
    ) -> Float[Array, ""]:
        """w at a time and a step."""
        share = (step + 1).astype(self.weight.dtype) / n_steps
        if self.mode == "late":
            return jnp.where(share > 0.5, self.weight, 1.0)
        if self.mode == "early":
            return jnp.where(t > self.turn, self.weight, 1.0)
        if self.mode == "linear":
            return 1 + (self.weight - 1) * share
        return self.weight

    def combine(
        self,
        unconditional: Float[Array, " batch *shape"],
        conditional: Float[Array, " batch *shape"],
        t: Float[Array, ""],
        step: Int[Array, ""],
        n_steps: Int[Array, ""],
    ) -> Float[Array, " batch *shape"]:
        """The guided field from the two others."""
        w = self.weight_at(t, step, n_steps).astype(conditional.dtype)
        guided = (1 - w) * unconditional + w * conditional
        if self.mode != "cfg_star":
            return guided
        ratio = self.ratio.astype(conditional.dtype)
        return jnp.where(step < self.skip, -ratio * unconditional, guided)


def make_guidance(
    weight: float | int,
    null: Any,
    mode: str = "constant",
    *,
    turn: float | int = 0.5,
    skip: int = 0,
    ratio: float | int = 0.0,
) -> Guidance:
    """Classifier-free guidance.

    Args:
        weight: w; 1 is the conditional field, 0 the unconditional one.
        null: The condition that says nothing, without the axis of the batch: the null label, an empty text.
        mode: One of `MODES`.
        turn: Time after which "early" guides, noise at 0.
        skip: First steps that "cfg_star" does without the condition.
        ratio: Their factor.

    Raises:
        ValueError: If the mode is unknown, a number out of range, or there is no null condition.
    """
    check_choice(mode, "mode", MODES)
    check_finite(jnp.asarray(weight), "weight")
    check_in_range(turn, "turn", 0, 1)
    check_at_least(skip, 0, "skip")
    if null is None:
        raise ValueError(
            "`null` must be the condition that says nothing, but is None; an unconditional field cannot be guided."
        )
    number = lambda value: jnp.asarray(value, float)  # noqa: E731
    return Guidance(
        number(weight),
        jax.tree.map(jnp.asarray, null),
        number(turn),
        jnp.asarray(skip, jnp.int32),
        number(ratio),
        mode,
    )


def guided_field(
    call: Callable[[Any], Array],
    condition: Any,
    guidance: Guidance | None,
    t: Float[Array, ""],
    step: Int[Array, ""],
    n_steps: Int[Array, ""],
) -> Array:
    """What a field says for a condition, guided where there is a guidance.

    Both conditions go through one call of `lax.map`, so that the field is compiled once and each call has the shape it
    has without guidance.

    Args:
        call: Condition -> field at one time for a whole batch.
        condition: The condition.
        guidance: The guidance.
        t: The time, noise at 0.
        step: Steps done before.
        n_steps: All steps.
    """
    if guidance is None:
        return call(condition)
    null = jax.tree.map(
        lambda empty, kept: jnp.broadcast_to(empty.astype(kept.dtype)[None], kept.shape),
        guidance.null,
        condition,
    )
    both = jax.tree.map(lambda *pair: jnp.stack(pair), null, condition)
    found = jax.lax.map(call, both)
    return guidance.combine(found[0], found[1], t, step, n_steps)


def check_guided(condition: Any, guidance: Guidance | None) -> None:
    """Raises ValueError where a field without condition, or with one of another kind than the null, is to be guided."""
    if guidance is None:
        return
    if condition is None:
        raise ValueError(
            "`condition` must be given where `guidance` is, but is None; an unconditional field cannot be guided."
        )
    kinds = [jax.tree.structure(tree) for tree in (condition, guidance.null)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`condition` must be of the structure of `null`, {kinds[1]}, but is {kinds[0]}."
        )
    for kept, empty in zip(*(map(jax.tree.leaves, (condition, guidance.null))), strict=True):
        if kept.shape[1:] != empty.shape:
            raise ValueError(
                f"`null` must have the shape of one condition, {kept.shape[1:]}, but has {empty.shape}."
            )

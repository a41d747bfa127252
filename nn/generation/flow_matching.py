"""Flow matching: the straight path from noise to data, what a network may predict on it, and the loss.

    x_t = (1 - t) noise + t data,   velocity = data - noise,   loss = mean |predicted velocity - velocity|^2

Noise is at 0 (`nn.generation.flow_time`). The four things that networks predict say the same where 0 < t < 1:

    "velocity"            data - noise
    "reversed_velocity"   noise - data, the velocity with noise at 1 (Stable Diffusion 3, Flux)
    "data"                data = x + (1 - t) velocity
    "noise"               noise = x - t velocity

Every field is called as `velocity(x, t, condition)`: x (batch, ...), t (batch,) with noise at 0, and a condition, any
pytree with the batch as first axis or None. Sources: Y. Lipman et al., arXiv 2210.02747; X. Liu et al., arXiv
2209.03003.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_choice, check_in_range
from nn.generation.flow_time import TimeLaw, check_times

KINDS = ("velocity", "reversed_velocity", "data", "noise")
Velocity = Callable[[Array, Array, Any], Array]


def beside(t: Float[Array, " batch"], x: Float[Array, " batch *shape"]) -> Array:
    """Times with axes of size 1 for those of `x`, and its type."""
    return t.reshape(t.shape + (1,) * (x.ndim - 1)).astype(x.dtype)


def interpolate(
    noise: Float[Array, " batch *shape"],
    data: Float[Array, " batch *shape"],
    t: Float[Array, " batch"],
) -> Float[Array, " batch *shape"]:
    """x_t = (1 - t) noise + t data.

    Raises:
        ValueError: If a time lies outside [0, 1].
    """
    check_times(t)
    t = beside(t, data)
    return (1 - t) * noise + t * data


def convert(
    prediction: Float[Array, " batch *shape"],
    x: Float[Array, " batch *shape"],
    t: Float[Array, " batch"],
    *,
    given: str,
    wanted: str,
) -> Float[Array, " batch *shape"]:
    """Turns what a network predicts into another of `KINDS`.

    Args:
        prediction: What is predicted at `x` and `t`.
        x: Points on the path.
        t: Times, noise at 0.
        given: Kind of the prediction.
        wanted: Kind of the result.

    Raises:
        ValueError: If a kind is unknown, a time lies outside [0, 1], or nothing follows: from the data at t = 1, from
            the noise at t = 0. Traced times give NaN or infinity there.
    """
    check_choice(given, "given", KINDS)
    check_choice(wanted, "wanted", KINDS)
    check_times(t)
    if given == wanted:
        return prediction
    signs = {"velocity": 1, "reversed_velocity": -1}
    if given in signs:
        velocity = signs[given] * prediction
    elif given == "data":
        check_in_range(jnp.max(t), "t", 0, 1 - 1e-9, hint="At 1 the data say nothing of the noise.")
        velocity = (prediction - x) / (1 - beside(t, x))
    else:
        check_in_range(jnp.min(t), "t", 1e-9, 1, hint="At 0 the noise says nothing of the data.")
        velocity = (x - prediction) / beside(t, x)
    if wanted in signs:
        return signs[wanted] * velocity
    return x + (1 - beside(t, x)) * velocity if wanted == "data" else x - beside(t, x) * velocity


def as_velocity(predict: Velocity, kind: str) -> Velocity:
    """A network that predicts another of `KINDS`, as a field of velocities.

    Raises:
        ValueError: If the kind is unknown.
    """
    check_choice(kind, "kind", KINDS)

    def velocity(x, t, condition):
        return convert(predict(x, t, condition), x, t, given=kind, wanted="velocity")

    return velocity


def flow_matching_loss(
    velocity: Velocity,
    data: Float[Array, " batch *shape"],
    condition: Any = None,
    *,
    law: TimeLaw,
    key: PRNGKeyArray,
) -> Float[Array, ""]:
    """Mean squared error of the velocity at times that `law` draws.

    It draws its times itself, shifts included, so that none can be shifted twice.

    Args:
        velocity: The field.
        data: Normalised latents.
        condition: What the field is told of each; see `drop_condition`.
        law: How times are drawn.
        key: PRNG key of times and noise.
    """
    time_key, noise_key = jax.random.split(key)
    t = law.draw(data.shape[0], key=time_key).astype(data.dtype)
    noise = jax.random.normal(noise_key, data.shape, data.dtype)
    found = velocity(interpolate(noise, data, t), t, condition)
    error = (found - (data - noise)).astype(jnp.promote_types(data.dtype, jnp.float32))
    return jnp.mean(error**2)


def drop_condition(condition: Any, null: Any, share: float | int, *, key: PRNGKeyArray) -> Any:
    """Replaces the condition of a share of the batch by the null condition, for classifier-free guidance.

    Args:
        condition: Pytree of arrays with the batch as first axis.
        null: Pytree of the same structure, without that axis.
        share: Probability in [0, 1].
        key: PRNG key.

    Raises:
        ValueError: If the share lies outside.
    """
    check_in_range(share, "share", 0, 1)
    n = jax.tree.leaves(condition)[0].shape[0]
    dropped = jax.random.uniform(key, (n,)) < share

    def choose(kept, empty):
        mask = dropped.reshape((n,) + (1,) * (kept.ndim - 1))
        empty = jnp.asarray(empty, kept.dtype)
        return jnp.where(mask, jnp.broadcast_to(empty[None], kept.shape), kept)

    return jax.tree.map(choose, condition, null)

"""From noise to data along a field of velocities: Euler, Heun and ancestral steps, and how straight the paths are.

    Euler       x' = x + h v(x, t)                                          one call a step, error ~ h
    Heun        x' = x + h/2 [v(x, t) + v(x + h v(x, t), t + h)]            two calls, error ~ h^2
    ancestral   x' = t' data + sqrt((1 - t')^2 - c^2) noise + c fresh noise     one call

where data = x + (1 - t) v and noise = x - t v are what the field says at x, and c is `churn` times the deviation that
makes the step a draw from the exact law of x' given x and the data (J. Ho et al., arXiv 2006.11239, in these
coordinates); without churn the ancestral step is Euler's. Heun's step that ends on the data is an Euler step, for the
field of a finite set has no value there; the error stays ~ h^2. The number of steps, the shift and the weight of
guidance are data: another value does not compile anew.

Straightness of paths x_0 -> x_1 with d = x_1 - x_0 (SVG, arXiv 2510.15301): S = 1 - E int |d - v|^2 dt / E |d|^2.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_choice, check_finite, check_in_range
from nn.generation.flow_matching import Velocity
from nn.generation.flow_time import TimeGrid
from nn.generation.guidance import Guidance, check_guided, guided_field

METHODS = ("euler", "heun", "ancestral")


class FlowPath(NamedTuple):
    """Where paths end, and what straightness follows from.

    Attributes:
        start: Where they begin.
        end: Where they end.
        energy: Integral of |v|^2 along each, by the velocities that the steps took.
        duration: Time that they took, forwards or backwards.
    """

    start: Float[Array, " batch *shape"]
    end: Float[Array, " batch *shape"]
    energy: Float[Array, " batch"]
    duration: Float[Array, ""]


def sample_flow(
    velocity: Velocity,
    start: Float[Array, " batch *shape"],
    grid: TimeGrid,
    *,
    method: str = "euler",
    condition: Any = None,
    guidance: Guidance | None = None,
    churn: float | int = 1.0,
    key: PRNGKeyArray | None = None,
) -> FlowPath:
    """Follows a field along a grid of times, noise at 0.

    Args:
        velocity: The field, `velocity(x, t, condition)`; a module is data, a plain function compiles once for each.
        start: Where the paths begin: normal noise for a grid from 0.
        grid: Times; `grid.reversed()` goes from data to noise.
        method: "euler", "heun" or "ancestral".
        condition: What the field is told, the batch as first axis.
        guidance: Classifier-free guidance; None calls the field with the condition as it is.
        churn: Share of fresh noise of ancestral steps, 0 to 1.
        key: PRNG key of ancestral steps.

    Raises:
        ValueError: If the method is unknown, a field without condition is to be guided, the start is not finite, churn
            lies outside, an ancestral path goes backwards or has no key.
    """
    check_choice(method, "method", METHODS)
    check_guided(condition, guidance)
    check_finite(start, "start")
    check_in_range(churn, "churn", 0, 1)
    if method == "ancestral":
        if key is None:
            raise ValueError("`key` must be given for ancestral steps, but is None.")
        if float(grid.stop) < float(grid.start):
            raise ValueError(
                '`grid` must go from noise to data for ancestral steps, but goes backwards. Take "heun".'
            )
    return _follow(
        velocity, start, grid, method, condition, guidance, jnp.asarray(churn, float), key
    )


@eqx.filter_jit
def _follow(velocity, start, grid, method, condition, guidance, churn, key):
    def field(x, t, step):
        times = jnp.full(x.shape[:1], t, x.dtype)
        call = lambda one: velocity(x, times, one)  # noqa: E731
        return guided_field(call, condition, guidance, t, step, grid.n_steps)

    def step(index, carry):
        x, energy = carry
        t, later = grid.time(index), grid.time(index + 1)
        v = field(x, t, index)
        if method == "heun":
            h = (later - t).astype(x.dtype)
            mean = 0.5 * (v + field(x + h * v, later, index))
            v = jnp.where(later < 1, mean, v)
        if method == "ancestral":
            fresh = jax.random.normal(jax.random.fold_in(key, index), x.shape, x.dtype)
            return _ancestral(x, v, t, later, churn, fresh), energy + _squares(v) * jnp.abs(
                later - t
            )
        return x + (later - t).astype(x.dtype) * v, energy + _squares(v) * jnp.abs(later - t)

    zero = jnp.zeros(start.shape[:1], grid.start.dtype)
    end, energy = jax.lax.fori_loop(0, grid.n_steps, step, (start, zero))
    duration = jnp.abs(grid.time(grid.n_steps) - grid.time(jnp.zeros_like(grid.n_steps)))
    return FlowPath(start, end, energy, duration)


def _ancestral(x, v, t, later, churn, fresh):
    """The step with fresh noise; t = 0 holds no data, so all noise may be fresh."""
    safe = jnp.maximum(later, jnp.finfo(t.dtype).tiny)
    kept = (1 - t) ** 2 - (t / safe * (1 - later)) ** 2  # variance of x given the later point
    fresh_sd = (
        churn
        * (1 - later)
        / jnp.maximum(1 - t, jnp.finfo(t.dtype).tiny)
        * jnp.sqrt(jnp.maximum(kept, 0))
    )
    old_sd = jnp.sqrt(jnp.maximum((1 - later) ** 2 - fresh_sd**2, 0))
    t, later, fresh_sd, old_sd = (number.astype(x.dtype) for number in (t, later, fresh_sd, old_sd))
    return later * (x + (1 - t) * v) + old_sd * (x - t * v) + fresh_sd * fresh


def _squares(v):
    return jnp.sum(v.reshape(len(v), -1).astype(float) ** 2, axis=-1)


class Straightness(NamedTuple):
    """Straightness of a set of paths.

    Attributes:
        value: S; 1 is straight at constant speed.
        stderr: Standard error of S over the paths, by the ratio's linear expansion.
    """

    value: float
    stderr: float


def straightness(path: FlowPath) -> Straightness:
    """S = 1 - E int |d - v|^2 dt / E |d|^2 of paths from noise to data by Euler or Heun steps.

    int |d - v|^2 = int |v|^2 - |d|^2 for a whole path of duration 1, since the velocities add up to d.

    Raises:
        ValueError: If there are fewer than two paths, or they do not go through all times.
    """
    if len(path.energy) < 2 or abs(float(path.duration) - 1) > 1e-6:
        raise ValueError(
            "`path` must hold two whole paths from noise to data at least, but holds "
            f"{len(path.energy)} of duration {float(path.duration):g}."
        )
    moved = np.asarray(path.end, float) - np.asarray(path.start, float)
    squares = (moved.reshape(len(moved), -1) ** 2).sum(axis=1)
    bent = np.asarray(path.energy, float) - squares
    ratio = bent.mean() / squares.mean()
    residual = (bent - ratio * squares) / squares.mean()
    return Straightness(float(1 - ratio), float(residual.std(ddof=1) / len(residual) ** 0.5))

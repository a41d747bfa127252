"""From a picture back to the noise that a sampler would make it of.

A sampler's step is x' = F(x, p(x)) with what a network predicts at x. Going back, x is not known: DDIM's inversion and
reversed Euler steps predict at x' instead, an error of first order in the step. Iterating

    y <- B(x', p(y)),   B the step undone for a given prediction,

solves the step itself, so that the sampler returns to the picture to rounding (Z. Pan et al., arXiv 2309.04907, call it
accelerated iterative inversion). It converges where a step times the slope of the prediction is below 1; guidance
steepens it. Where it does not converge, the step and the residual are named. The ODE itself, by steps of second order,
is followed by `sample_flow` on `grid.reversed()` with "heun".

Under guidance the prediction for the null condition may be fitted instead: R. Mokady et al., arXiv 2211.09794, optimise
the null embedding of every step so that guided steps return along the path of the unguided inversion.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_finite, check_positive
from nn.generation.ddim import DdimGrid, NoisePredictor, ddim_step, guided_noise
from nn.generation.flow_matching import Velocity
from nn.generation.flow_time import TimeGrid
from nn.generation.guidance import Guidance, check_guided, guided_field


class Inverted(NamedTuple):
    """Noise found for data.

    Attributes:
        noise: The noise.
        residual: Largest relative change in the last iteration of any step; 0 without iterations.
        step: The step of it, counted from the noise.
    """

    noise: Float[Array, " batch *shape"]
    residual: float
    step: int


def invert_flow(
    velocity: Velocity,
    data: Float[Array, " batch *shape"],
    grid: TimeGrid,
    *,
    condition: Any = None,
    guidance: Guidance | None = None,
    n_iterations: int = 8,
) -> Inverted:
    """Noise from which Euler steps along `grid` lead to the data.

    Args:
        velocity: The field.
        data: Data, where the grid ends.
        grid: The grid of the sampler, from noise to data.
        condition: What the field is told.
        guidance: Classifier-free guidance.
        n_iterations: Iterations in each step; 0 predicts at the later point, as reversed Euler steps do.

    Raises:
        ValueError: If the data are not finite, or a count is negative.
        FloatingPointError: If a step's iterations move apart; names the step and the residual.
    """
    check_guided(condition, guidance)
    steps = _FlowSteps(velocity, grid, condition, guidance)
    return _invert(steps, data, n_iterations)


def invert_ddim(
    noise_of: NoisePredictor,
    data: Float[Array, " batch *shape"],
    grid: DdimGrid,
    *,
    condition: Any = None,
    guidance: Guidance | None = None,
    n_iterations: int = 8,
) -> Inverted:
    """Noise from which DDIM steps along `grid` lead to the data.

    Args:
        noise_of: Predicts noise.
        data: Data.
        grid: The grid of the sampler.
        condition: What the predictor is told.
        guidance: Classifier-free guidance.
        n_iterations: Iterations in each step; 0 is the inversion of DDIM.

    Raises:
        ValueError: If the data are not finite, or a count is negative.
        FloatingPointError: If a step's iterations move apart; names the step and the residual.
    """
    check_guided(condition, guidance)
    steps = _DdimSteps(noise_of, grid, condition, guidance)
    return _invert(steps, data, n_iterations)


class _FlowSteps(eqx.Module):
    """Euler steps: what is predicted at a point, and a step undone for a given prediction."""

    velocity: Any
    grid: TimeGrid
    condition: Any
    guidance: Guidance | None

    def predict(self, x, index):
        t = self.grid.time(index)
        times = jnp.full(x.shape[:1], t, x.dtype)
        call = lambda one: self.velocity(x, times, one)  # noqa: E731
        return guided_field(call, self.condition, self.guidance, t, index, self.grid.n_steps)

    def back(self, x, v, index):
        return x - (self.grid.time(index + 1) - self.grid.time(index)).astype(x.dtype) * v


class _DdimSteps(eqx.Module):
    """The same of DDIM."""

    noise_of: Any
    grid: DdimGrid
    condition: Any
    guidance: Guidance | None

    def predict(self, x, index):
        level = self.grid.level(index)
        return guided_noise(
            self.noise_of, x, level, self.grid, self.condition, self.guidance, index
        )

    def back(self, x, noise, index):
        return ddim_step(x, noise, *_shares(self.grid, index)[::-1])


def _shares(grid, index):
    """Shares of the signal before and after a step of the sampler."""
    return grid.signal_at(grid.level(index)), grid.signal_at(grid.level(index + 1))


def _invert(steps, data, n_iterations) -> Inverted:
    check_finite(data, "data")
    check_at_least(n_iterations, 0, "n_iterations")
    n_steps = steps.grid.n_steps
    noise, report = _solve(steps, data, n_steps, jnp.asarray(n_iterations, jnp.int32))
    worst, step, bad_step, first, last = (float(number) for number in report)
    if bad_step >= 0:
        raise FloatingPointError(
            f"the inversion must converge, but at step {bad_step:.0f} of {int(n_steps)} its residual is {last:.2g} "
            f"after {n_iterations} iterations and was {first:.2g} after the first. Take more steps, or a lower weight "
            "of guidance."
        )
    return Inverted(noise, worst, int(step))


@eqx.filter_jit
def _solve(steps, data, n_steps, n_iterations):
    def undo(done, carry):
        later, (worst, step, bad_step, bad_first, bad_last) = carry
        index = n_steps - 1 - done

        def iterate(count, state):
            y, first, _ = state
            new = steps.back(later, steps.predict(y, index), index)
            change = (jnp.linalg.norm(new - y) / jnp.linalg.norm(new)).astype(float)
            return new, jnp.where(count == 1, change, first), jnp.where(count == 0, 0.0, change)

        # The first turn predicts at the later point; what follows are iterations.
        zero = jnp.zeros((), float)
        y, first, last = jax.lax.fori_loop(0, n_iterations + 1, iterate, (later, zero, zero))
        apart = ~jnp.isfinite(last) | ((last > first) & (last > _ROUNDING))
        is_first = apart & (bad_step < 0)
        at = index.astype(float)
        report = (
            jnp.maximum(worst, last),
            jnp.where(last > worst, at, step),
            jnp.where(is_first, at, bad_step),
            jnp.where(is_first, first, bad_first),
            jnp.where(is_first, last, bad_last),
        )
        return y, report

    numbers = (0.0, 0.0, -1.0, 0.0, 0.0)
    start = (data, tuple(jnp.asarray(number, float) for number in numbers))
    return jax.lax.fori_loop(0, n_steps, undo, start)


# Relative changes below this are taken for rounding, which may grow from one iteration to the next.
_ROUNDING = 1e-5


class NullFit(NamedTuple):
    """Null embeddings with which guided steps return to the data.

    Attributes:
        noise: Where they begin.
        nulls: Embeddings of each step, the steps as first axis, then the batch.
        misses: Mean squared distance from the unguided path after each step.
        data: Where the guided steps end.
    """

    noise: Float[Array, " batch *shape"]
    nulls: Any
    misses: Float[Array, " steps"]
    data: Float[Array, " batch *shape"]


def fit_null(
    noise_of: NoisePredictor,
    data: Float[Array, " batch *shape"],
    grid: DdimGrid,
    condition: Any,
    null: Any,
    weight: float | int,
    *,
    n_inner: int = 10,
    learning_rate: float | int = 1e-2,
    first_step_only: bool = False,
) -> NullFit:
    """Fits null embeddings so that DDIM steps guided by `weight` return along the unguided inversion.

    Here the number of steps is a size: there is an embedding for each.

    Args:
        noise_of: Predicts noise; differentiable in the condition.
        data: Data.
        grid: The grid of the sampler.
        condition: Embedding of the condition, floats with the batch as first axis.
        null: Null embedding to start from, without that axis.
        weight: Weight of guidance.
        n_inner: Adam steps at each step of the sampler.
        learning_rate: Their rate.
        first_step_only: Fits at the first step and keeps that embedding, which costs 1 / n of it.

    Raises:
        ValueError: If a count or the rate is not positive.
    """
    check_finite(data, "data")
    check_at_least(n_inner, 1, "n_inner")
    check_positive(learning_rate, "learning_rate")
    steps = jnp.arange(int(grid.n_steps))
    spread = lambda empty, kept: jnp.broadcast_to(  # noqa: E731
        jnp.asarray(empty, kept.dtype)[None], kept.shape
    )
    nulls = jax.tree.map(spread, null, condition)
    fixed = (noise_of, grid, condition, n_inner, first_step_only)
    numbers = jnp.asarray(weight, float), jnp.asarray(learning_rate, float)
    return NullFit(*_fit_null(fixed, data, nulls, steps, *numbers))


@eqx.filter_jit
def _fit_null(fixed, data, nulls, steps, weight, learning_rate):
    noise_of, grid, condition, n_inner, first_step_only = fixed
    optimiser = optax.adam(learning_rate)

    def predict(x, index, one):
        level = jnp.full(x.shape[:1], grid.level(index), x.dtype)
        return noise_of(x, level, one)

    def invert(x, index):
        noise = predict(x, index, condition)
        before = ddim_step(x, noise, *_shares(grid, index)[::-1])
        return before, x

    # What is collected are the points after each step of the sampler.
    noise, after = jax.lax.scan(invert, data, steps, reverse=True)

    def guided_step(x, index, nulls):
        w = weight.astype(x.dtype)
        prediction = (1 - w) * predict(x, index, nulls) + w * predict(x, index, condition)
        return ddim_step(x, prediction, *_shares(grid, index))

    def fit(x, index, nulls, target):
        def miss(nulls):
            squares = (guided_step(x, index, nulls) - target) ** 2
            # A sum over the batch, so that each row is fitted by itself.
            return jnp.sum(jnp.mean(squares.reshape(len(x), -1), axis=1))

        def inner(_, carry):
            nulls, memory = carry
            updates, memory = optimiser.update(jax.grad(miss)(nulls), memory, nulls)
            return optax.apply_updates(nulls, updates), memory

        return jax.lax.fori_loop(0, n_inner, inner, (nulls, optimiser.init(nulls)))[0]

    def step(carry, given):
        x, nulls = carry
        index, target = given
        if first_step_only:
            nulls = jax.lax.cond(index == 0, lambda n: fit(x, index, n, target), lambda n: n, nulls)
        else:
            nulls = fit(x, index, nulls, target)
        x = guided_step(x, index, nulls)
        return (x, nulls), (nulls, jnp.mean((x - target) ** 2))

    (end, _), (found, misses) = jax.lax.scan(step, (noise, nulls), (steps, after))
    return noise, found, misses, end

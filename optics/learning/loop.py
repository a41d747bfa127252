"""The one training loop: batches, Adam along a cosine, steps in a scan, scans in calls, checks of the loss.

A loop has two levels, each of which may be used without the other. `descend` is a compiled scan of steps, an update
each; `run_in_calls` calls such a scan piece by piece, so that a long training tells how far it is and stops at the
first loss that is not finite. Optimiser and schedule of the papers are unknown: Adam (D. P. Kingma, J. Ba, arXiv
1412.6980 (2014)) with a cosine to a tenth is our choice, for every rule alike.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from optics._numbers import takes_numbers


def cosine_decay(count, n_steps) -> Float[Array, "..."]:
    """Factor that falls from 1 to a tenth over `n_steps` and stays there; both may be traced."""
    turn = jnp.minimum(count / n_steps, 1.0)
    return 0.9 * 0.5 * (1 + jnp.cos(jnp.pi * turn)) + 0.1


def adam(learning_rate, n_steps: int) -> Any:
    """Adam whose step falls to a tenth of `learning_rate` along the cosine of `cosine_decay`.

    Args:
        learning_rate: First step, in the unit of the weights; may be traced, so that other values do not recompile.
        n_steps: Length of the cosine.
    """
    # optax types pytrees by a union that knows no named tuples, hence Any.
    return optax.adam(optax.cosine_decay_schedule(learning_rate, n_steps, alpha=0.1))


@takes_numbers
def draw_batch(
    index, batch_size: int, n_samples: int | Int[Array, ""], *, key: PRNGKeyArray
) -> tuple[Int[Array, " batch"], PRNGKeyArray]:
    """Samples of step `index`, drawn with replacement, and a key for whatever else the step draws.

    Args:
        index: Number of the step.
        batch_size: Samples to draw.
        n_samples: How many there are; may be traced.
        key: PRNG key.
    """
    batch_key, rest = jax.random.split(jax.random.fold_in(key, index))
    return jax.random.randint(batch_key, (batch_size,), 0, n_samples), rest


def descend(
    look: Callable[[Any, Any], tuple[Any, Any]],
    state: tuple[Any, Any],
    optimiser: Any,
    indices,
    *,
    project: Callable[[Any], Any] = lambda weights: weights,
) -> tuple[tuple[Any, Any], Any]:
    """One update for every index, in one scan.

    Args:
        look: `(weights, index)` -> gradient, and what to report of the step.
        state: Weights, and the optimiser's memory: `(weights, optimiser.init(weights))` at the start.
        optimiser: An optax transformation.
        indices: Numbers of the steps.
        project: Brings updated weights back into their range.

    Returns:
        State after the steps, and the reports, stacked.
    """

    def step(state, index):
        weights, memory = state
        gradient, report = look(weights, index)
        updates, memory = optimiser.update(gradient, memory, weights)
        return (project(optax.apply_updates(weights, updates)), memory), report

    return jax.lax.scan(step, state, indices)


def run_in_calls(
    run: Callable[[Any, int, int], tuple[Any, Any]],
    state: Any,
    n_steps: int,
    *,
    steps_per_call: int,
    name: str,
    remedy: str,
    loss_of: Callable[[Any], Any] = lambda report: report,
    on_progress: Callable[[int, float], None] | None = None,
    on_state: Callable[[int, Any], None] | None = None,
) -> tuple[Any, Any]:
    """Runs steps in calls of a few, and checks and tells the loss after each.

    Args:
        run: `(state, steps done, steps to do)` -> state, and reports with the step as first axis.
        state: State to start from.
        n_steps: Steps.
        steps_per_call: Steps in one call; the last one may be shorter.
        name: Who trains, for the error.
        remedy: What to try where the loss is not finite, for the error.
        loss_of: Loss in a report.
        on_progress: Called with (steps done now, mean loss of them).
        on_state: Called with (steps done so far, state); it must not be kept, for its buffers may be used again.

    Returns:
        State at the end, and all reports as NumPy arrays.

    Raises:
        ValueError: If a count is below 1.
        FloatingPointError: If a loss is not finite; names the step.
    """
    for count, value in (("n_steps", n_steps), ("steps_per_call", steps_per_call)):
        if value < 1:
            raise ValueError(f"`{count}` must be at least 1, but is {value}.")
    reports = []
    for done in range(0, n_steps, steps_per_call):
        chunk = min(steps_per_call, n_steps - done)
        state, report = run(state, done, chunk)
        reports.append(jax.tree.map(np.asarray, report))
        loss = loss_of(reports[-1])
        finite = np.isfinite(loss).reshape(chunk, -1).all(axis=1)
        if not finite.all():
            raise FloatingPointError(
                f"`loss` of {name} must be finite, but is not at step {done + int(np.argmin(finite))}; {remedy}."
            )
        if on_progress is not None:
            on_progress(chunk, float(loss.mean()))
        if on_state is not None:
            on_state(done + chunk, state)
    return state, jax.tree.map(lambda *parts: np.concatenate(parts), *reports)

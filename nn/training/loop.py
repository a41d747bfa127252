"""The one training loop of all learning systems: batches, an optax optimiser, steps in a scan, scans in calls.

The loss, the data and how a batch is drawn are arguments; what trains is a filter. A step depends on its number, the
state and the key alone, so that a training that goes on from a saved state equals one that was never stopped. The loss
is checked after every call, and one that is not finite stops the training with its step named.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_in_range, check_positive
from nn.training.saves import SavedTraining, Saves


class TrainState(NamedTuple):
    """All that a training needs to go on.

    Attributes:
        weights: What trains; None stands for what does not.
        memory: The optimiser's memory.
        n_done: Steps done.
    """

    weights: Any
    memory: Any
    n_done: int = 0


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: The model.
        losses: Mean loss of the batch of each step of this call, before the step.
        state: State at the end, to go on from.
    """

    model: Any
    losses: Float[np.ndarray, " steps"]
    state: TrainState


def train(
    model: Any,
    loss: Callable[[Any, Any, PRNGKeyArray], Float[Array, ""]],
    data: Any,
    draw: Callable[[Any, PRNGKeyArray], Any],
    optimiser: optax.GradientTransformation,
    n_steps: int,
    *,
    key: PRNGKeyArray,
    trainable: Any = eqx.is_inexact_array,
    start: TrainState | None = None,
    steps_per_call: int = 20,
    optimise: bool = True,
    name: str = "training",
    on_progress: Callable[[int, float], None] | None = None,
    on_state: Callable[[TrainState], None] | None = None,
    saves: Saves | None = None,
) -> Trained:
    """Trains a model by `n_steps` steps of the optimiser.

    Args:
        model: A pytree of modules; `trainable` says which of its arrays train.
        loss: (model, batch, key) -> scalar loss.
        data: Pytree of arrays that `draw` draws from; an argument of the compiled program, not a constant in it.
        draw: (data, key) -> batch; see `draw_rows` and `draw_windows`.
        optimiser: An optax transformation, such as `adamw`.
        n_steps: Number of the last step; with `start` the steps before it are not done again.
        key: PRNG key of batches and losses; step i folds in i.
        trainable: Filter of `eqx.partition`: a function of a leaf, or a tree of booleans.
        start: State to go on from; None starts with the weights of `model`.
        steps_per_call: Steps in one compiled call.
        optimise: Whether XLA optimises the program; not, compiling takes half of the time and a step several times as
            long, which is for a few dozen steps. Numbers then differ by rounding.
        name: Who trains, for the error.
        on_progress: Called with (steps done in a call, mean loss of them); with those of a saved state all at once.
        on_state: Called with the state after each call; its buffers are used again by the next, so copy what you keep.
        saves: Where and how often the state is saved; a training that is found there goes on from its newest state, and
            its `losses` are those of all steps after `start`.

    Raises:
        ValueError: If a count is below 1, or nothing trains.
        FloatingPointError: If a loss is not finite; names the step.
    """
    check_at_least(n_steps, 1, "n_steps")
    check_at_least(steps_per_call, 1, "steps_per_call")
    weights, rest = eqx.partition(model, trainable)
    if not jax.tree.leaves(weights):
        raise ValueError(
            "`trainable` must choose at least one array of the model, but chooses none."
        )
    if start is None:
        # The first call would use up the buffers of the caller's model.
        weights = jax.tree.map(jnp.copy, weights)
        start = TrainState(weights, optimiser.init(weights))
    state, losses = start, []
    saved = None
    if saves is not None:
        saved = SavedTraining(saves, name, start, (n_steps, steps_per_call, rest, data), key)
        state, before = saved.newest(start, n_steps)
        if before.size:
            losses.append(before)
            if on_progress is not None:
                on_progress(before.size, float(before[-1]))
    while state.n_done < n_steps:
        chunk = min(steps_per_call, n_steps - state.n_done)
        numbers = jnp.arange(state.n_done, state.n_done + chunk)
        fixed = (loss, draw, optimiser, rest, data, numbers, key)
        steps = _steps if optimise else _plain_steps
        (weights, memory), report = steps(fixed, (state.weights, state.memory))
        losses.append(np.asarray(report))
        if not np.isfinite(losses[-1]).all():
            bad = state.n_done + int(np.argmin(np.isfinite(losses[-1])))
            raise FloatingPointError(
                f"`loss` of {name} must be finite, but is not at step {bad}; try a lower learning rate."
            )
        state = TrainState(weights, memory, state.n_done + chunk)
        if on_progress is not None:
            on_progress(chunk, float(losses[-1].mean()))
        if on_state is not None:
            on_state(state)
        if saved is not None:
            saved.keep(state, losses, last=state.n_done == n_steps)
    found = np.concatenate(losses) if losses else np.zeros(0, np.float32)
    return Trained(eqx.combine(state.weights, rest), found, state)


def _several_steps(fixed, carry):
    """Steps of the given numbers in one program."""
    loss, draw, optimiser, rest, data, numbers, key = fixed

    def step(carry, index):
        weights, memory = carry
        batch_key, loss_key = jax.random.split(jax.random.fold_in(key, index))
        batch = draw(data, batch_key)
        value, gradient = eqx.filter_value_and_grad(
            lambda weights: loss(eqx.combine(weights, rest), batch, loss_key)
        )(weights)
        updates, memory = optimiser.update(gradient, memory, weights)
        return (eqx.apply_updates(weights, updates), memory), value

    return jax.lax.scan(step, carry, numbers)


_compiled: Any = partial(eqx.filter_jit, _several_steps, donate="all-except-first")
_steps = _compiled()
_plain_steps = _compiled(compiler_options={"xla_backend_optimization_level": 0})


def adamw(
    learning_rate: float,
    n_steps: int,
    *,
    warmup: float = 0.05,
    final: float = 0.1,
    weight_decay: float = 0.1,
    clip: float = 1.0,
    b2: float = 0.99,
) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and a cosine, the gradient clipped by its norm; the defaults are our choice.

    Decay acts on arrays of two axes and more: norms, biases and gates are left alone (I. Loshchilov, F. Hutter,
    arXiv 1711.05101 (2017), is silent on that; it is the custom of language models).

    Args:
        learning_rate: Largest step.
        n_steps: Steps of the whole training.
        warmup: Share of the steps in which the rate rises from 0.
        final: Rate at the end over the largest.
        weight_decay: Decay per step and rate.
        clip: Largest norm of a gradient.
        b2: Memory of the squared gradient.

    Raises:
        ValueError: If a rate is not positive or a share lies outside [0, 1].
    """
    check_positive(learning_rate, "learning_rate")
    check_at_least(n_steps, 1, "n_steps")
    check_in_range(warmup, "warmup", 0, 1)
    check_in_range(final, "final", 0, 1)
    check_positive(clip, "clip")
    rise = max(1, round(warmup * n_steps))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, rise, max(n_steps, rise + 1), final * learning_rate
    )
    decays = lambda weights: jax.tree.map(lambda array: array.ndim > 1, weights)  # noqa: E731
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.adamw(schedule, b2=b2, weight_decay=weight_decay, mask=decays),
    )


def draw_rows(
    batch_size: int,
) -> Callable[[Any, PRNGKeyArray], Any]:
    """Draws rows of all arrays of the data alike, with replacement: pictures with their labels.

    Args:
        batch_size: Rows in a batch.

    Raises:
        ValueError: If the size is below 1.
    """
    check_at_least(batch_size, 1, "batch_size")

    def draw(data, key):
        n_rows = jax.tree.leaves(data)[0].shape[0]
        rows = jax.random.randint(key, (batch_size,), 0, n_rows)
        return jax.tree.map(lambda array: array[rows], data)

    return draw


def draw_windows(batch_size: int, length: int) -> Callable[..., Int[Array, "batch length"]]:
    """Draws windows from one long row of tokens, with replacement.

    Args:
        batch_size: Windows in a batch.
        length: Tokens in a window, the last one included that is only a target.

    Raises:
        ValueError: If a size is below 1 or, when it draws, the row is shorter than a window.
    """
    check_at_least(batch_size, 1, "batch_size")
    check_at_least(length, 2, "length", "A window holds a token and the next.")

    def draw(tokens, key):
        check_at_least(tokens.shape[0], length, "tokens", "The text is shorter than a window.")
        first = jax.random.randint(key, (batch_size,), 0, tokens.shape[0] - length + 1)
        return tokens[first[:, None] + jnp.arange(length)[None]]

    return draw

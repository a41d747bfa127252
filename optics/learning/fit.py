"""Training loop for any rule: digital Adam, phases wrapped to [0, 2 pi), transmissions clipped to [0, 1].

Optimiser, learning rate and batch size of the paper are unknown (fact sheet of Xue et al., Nature 632, 280 (2024),
section 3.7); the defaults are our choice. The quantisation of the weights happens in the modulator.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from optics._checks import check_positive
from optics.bench import OpticalBench
from optics.diffractive import DiffractiveNetwork
from optics.learning.rule import (
    AbstractLearningRule,
    Weights,
    measure_data_pass,
    weights_of,
    with_weights,
)

Encoder = Callable[[Array], Array]


class FitResult(NamedTuple):
    """Outcome of `fit`.

    Attributes:
        network: Trained network.
        losses: Loss of every step, as the rule saw it.
        accuracies: Batch accuracy of every step, likewise.
        frames: Camera frames used in training.
        time: Measurements made since the laboratory was set up.
    """

    network: DiffractiveNetwork
    losses: np.ndarray
    accuracies: np.ndarray
    frames: int
    time: int


def fit(
    network: DiffractiveNetwork,
    rule: AbstractLearningRule,
    images: Array,
    labels: Int[Array, " samples"],
    *,
    encode: Encoder,
    key: PRNGKeyArray,
    bench: OpticalBench | None = None,
    n_steps: int = 300,
    batch_size: int = 64,
    learning_rate: float = 0.05,
    steps_per_call: int = 10,
    on_progress: Callable[[int, float], None] | None = None,
) -> FitResult:
    """Trains a network.

    The learning rate falls to a tenth along a cosine, for every rule alike.

    Args:
        network: Network to start from.
        rule: Training method.
        images: Grey images; encoded batch by batch.
        labels: Classes.
        encode: Images -> input fields, jittable; keep the same function object between calls to avoid recompiling.
        key: PRNG key of batches and measurement noise.
        bench: Hardware, for rules that measure.
        n_steps: Optimiser steps.
        batch_size: Samples per step.
        learning_rate: Adam's initial step, rad.
        steps_per_call: Steps compiled into one call; progress is told after each.
        on_progress: Called with (steps done now, mean loss of them).

    Raises:
        ValueError: If a count is below 1 or the learning rate is not positive.
        FloatingPointError: If the loss stops being finite; names the step.
    """
    for name, value in (
        ("n_steps", n_steps),
        ("batch_size", batch_size),
        ("steps_per_call", steps_per_call),
    ):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")
    check_positive(learning_rate, "learning_rate", "rad")
    optimiser = _optimiser(learning_rate, n_steps)
    # Copies: the buffers of weights and optimiser state are donated to the compiled step.
    weights = jax.tree.map(jnp.copy, weights_of(network))
    state = (weights, optimiser.init(weights))
    losses, accuracies = [], []
    done = 0
    while done < n_steps:
        chunk = min(steps_per_call, n_steps - done)
        state, (loss, accuracy) = _run_steps(
            state,
            jnp.asarray(done),
            network,
            bench,
            images,
            labels,
            key,
            jnp.asarray(learning_rate),
            static=(rule, encode, batch_size, chunk, n_steps),
        )
        loss = np.asarray(loss)
        if not np.all(np.isfinite(loss)):
            step = done + int(np.argmin(np.isfinite(loss)))
            raise FloatingPointError(
                f"`loss` of {type(rule).__name__} must be finite, but is not at step {step}; lower `learning_rate` "
                f"({learning_rate:g} rad) or check the inputs."
            )
        losses.append(loss)
        accuracies.append(np.asarray(accuracy))
        done += chunk
        if on_progress is not None:
            on_progress(chunk, float(loss.mean()))
    per_step = rule.measurements_per_sample(network.n_layers)
    return FitResult(
        network=with_weights(network, state[0]),
        losses=np.concatenate(losses),
        accuracies=np.concatenate(accuracies),
        frames=rule.frames_per_sample(network.n_layers) * batch_size * n_steps,
        time=per_step * n_steps,
    )


def _optimiser(learning_rate, n_steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(learning_rate, n_steps, alpha=0.1))


@partial(jax.jit, static_argnames="static", donate_argnums=0)
def _run_steps(state, first, network, bench, images, labels, key, learning_rate, *, static):
    rule, encode, batch_size, n_now, n_steps = static
    optimiser = _optimiser(learning_rate, n_steps)
    measurements = rule.measurements_per_sample(network.n_layers)

    def step(state, index):
        weights, optimiser_state = state
        batch_key, noise_key = jax.random.split(jax.random.fold_in(key, index))
        chosen = jax.random.randint(batch_key, (batch_size,), 0, labels.shape[0])
        field = encode(images[chosen])
        estimate = rule.gradient(
            with_weights(network, weights),
            bench,
            field,
            labels[chosen],
            key=noise_key,
            time=index * measurements,
        )
        updates, optimiser_state = optimiser.update(estimate.gradient, optimiser_state)
        weights = _project(optax.apply_updates(weights, updates))
        accuracy = jnp.mean(network.readout.correct(estimate.output, labels[chosen]))
        return (weights, optimiser_state), (estimate.loss, accuracy)

    return jax.lax.scan(step, state, first + jnp.arange(n_now))


def _project(weights) -> Weights:
    """Keeps phases in [0, 2 pi) and transmissions in [0, 1]."""
    amplitude = None if weights.amplitude is None else jnp.clip(weights.amplitude, 0, 1)
    return Weights(jnp.mod(weights.phase, 2 * jnp.pi), amplitude)


def evaluate(
    network: DiffractiveNetwork,
    images: Array,
    labels: Int[Array, " samples"],
    *,
    encode: Encoder,
    bench: OpticalBench | None = None,
    key: PRNGKeyArray | None = None,
    time: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Tells for each sample whether it is classified correctly, in the model or on a bench.

    Args:
        network: Network.
        images: Grey images.
        labels: Classes.
        encode: Images -> input fields, jittable.
        bench: Hardware to run on; None runs the ideal model.
        key: PRNG key of measurement noise, needed with a bench.
        time: Number of measurements made before.
        batch_size: Samples per call.

    Returns:
        Boolean array, one entry a sample.

    Raises:
        ValueError: If a bench is given without a key.
    """
    if bench is not None and key is None:
        raise ValueError("`key` must be given with a bench, for its camera noise, but is None.")
    key = jax.random.key(0) if key is None else key
    correct = []
    for i, start in enumerate(range(0, len(labels), batch_size)):
        index = np.arange(start, start + batch_size) % len(labels)  # Full batches: one compilation.
        good = _correct(
            network,
            bench,
            images[index],
            labels[index],
            jax.random.fold_in(key, i),
            jnp.asarray(time),
            encode=encode,
        )
        correct.append(np.asarray(good))
    return np.concatenate(correct)[: len(labels)]


@partial(eqx.filter_jit)
def _correct(network, bench, images, labels, key, time, *, encode):
    return network.readout.correct(
        output_field(network, encode(images), bench=bench, key=key, time=time), labels
    )


def output_field(network: DiffractiveNetwork, field, *, bench=None, key=None, time=0) -> Array:
    """Field at the camera after the last layer, from the ideal model or measured on a bench."""
    if bench is None:
        return network(field)
    return measure_data_pass(network, bench, field, key=key, time=time).measured[-1]

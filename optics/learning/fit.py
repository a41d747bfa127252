"""Training loop for any rule or method; phases stay in [0, 2 pi), transmissions in [0, 1].

The quantisation of the weights happens in the modulator.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from optics._numbers import takes_numbers
from optics.learning.loop import draw_batch, run_in_calls
from optics.learning.method import AbstractMethod, GradientMethod, MeasurementCost
from optics.learning.passes import measure_data_pass
from optics.learning.protocols import AbstractLearningRule, Bench, Network

Encoder = Callable[[Array], Array]
Judge = Callable[..., Array]
_DEFAULT_RATE = 0.05  # rad, our choice


class FitResult(NamedTuple):
    """Outcome of `fit`.

    Attributes:
        network: Trained network.
        losses: Loss of every step, as the method saw it.
        accuracies: Batch accuracy of every step, likewise.
        frames: Camera frames used in training.
        time: Measurements made since the laboratory was set up.
        evaluations: Samples sent through one layer of the hardware and recorded.
        frames_by_step: Camera frames used up to and including each step.
    """

    network: Any
    losses: np.ndarray
    accuracies: np.ndarray
    frames: int
    time: int
    evaluations: int
    frames_by_step: np.ndarray


@takes_numbers
def fit(
    network: Network,
    rule: AbstractLearningRule | AbstractMethod,
    images: Array,
    labels: Int[Array, " samples"],
    *,
    encode: Encoder,
    key: PRNGKeyArray,
    bench: Bench | None = None,
    n_steps: int = 300,
    batch_size: int = 64,
    learning_rate: float | None = None,
    steps_per_call: int = 10,
    on_progress: Callable[[int, float], None] | None = None,
    on_network: Callable[[int, Any], None] | None = None,
) -> FitResult:
    """Trains a network.

    Args:
        network: Network to start from.
        rule: Training method, or a rule, which is then followed by Adam; its learning rate falls to a tenth along a
            cosine, for every rule alike.
        images: Grey images; encoded batch by batch.
        labels: Classes.
        encode: Images -> input fields, jittable; keep the same function object between calls to avoid recompiling.
        key: PRNG key of batches and measurement noise.
        bench: Hardware, for methods that measure.
        n_steps: Steps.
        batch_size: Samples per step.
        learning_rate: Adam's first step, rad, for a rule (0.05 if not given); a method brings its own.
        steps_per_call: Steps compiled into one call; progress is told after each.
        on_progress: Called with (steps done now, mean loss of them).
        on_network: Called with (steps done so far, network so far) after each call, to test it on the way; the
            network must not be kept, for its buffers are used again.

    Raises:
        ValueError: If a count is below 1, the learning rate is not positive, or one is given beside a method.
        FloatingPointError: If the loss stops being finite; names the step.
    """
    for name, value in (("n_steps", n_steps), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")
    method = _as_method(rule, learning_rate)
    costs = [method.cost(network, batch_size, step=i, n_steps=n_steps) for i in range(n_steps)]
    totals = np.cumsum(
        np.array(costs, dtype=np.int64).reshape(n_steps, len(MeasurementCost._fields)), axis=0
    )
    times = np.concatenate([[0], totals[:, 0]])
    # A number no step has, so that the method's own draws differ from those of every step.
    state = method.init(network, key=jax.random.fold_in(key, 2**32 - 1), n_steps=n_steps)
    if not method.host:
        # Copies: the buffers of the state are donated to the compiled steps.
        state = jax.tree.map(jnp.copy, state)
    call = _run_on_host if method.host else _run_steps

    def run(state, done, chunk):
        # Drawn and picked out in programs of their own: the long one then serves data of any size.
        chosen, keys = _draw(key, np.arange(done, done + chunk), len(labels), batch_size=batch_size)
        batches = (
            *_pick(images, labels, chosen),
            keys,
            times[done : done + chunk].astype(np.int32),
        )
        return call((method, bench, batches, encode), state)

    def show(done, state):
        if on_network is not None:
            on_network(done, method.network(state))

    name, remedy = _who_and_remedy(method)
    state, report = run_in_calls(
        run,
        state,
        n_steps,
        steps_per_call=steps_per_call,
        name=name,
        remedy=f"{remedy} or check the inputs",
        loss_of=lambda report: report.loss,
        on_progress=on_progress,
        on_state=show,
    )
    return FitResult(
        network=method.network(state),
        losses=report.loss,
        accuracies=report.correct,
        frames=int(totals[-1, 2]),
        time=int(totals[-1, 0]),
        evaluations=int(totals[-1, 1]),
        frames_by_step=totals[:, 2],
    )


def _as_method(rule, learning_rate: float | None) -> AbstractMethod:
    if isinstance(rule, AbstractLearningRule):
        return GradientMethod(
            rule, learning_rate=_DEFAULT_RATE if learning_rate is None else learning_rate
        )
    if learning_rate is not None:
        raise ValueError(
            f"`learning_rate` must be left out beside a method, which brings its own, but is {learning_rate:g} rad; "
            f"set it on {type(rule).__name__}."
        )
    return rule


def _who_and_remedy(method: AbstractMethod) -> tuple[str, str]:
    if isinstance(method, GradientMethod):
        remedy = f"lower `learning_rate` ({float(method.learning_rate):g} rad)"
        return type(method.rule).__name__, remedy
    return type(method).__name__, "lower the learning rate"


@partial(jax.jit, static_argnames="batch_size")
def _draw(key, steps, n_samples, *, batch_size: int):
    return jax.vmap(lambda index: draw_batch(index, batch_size, n_samples, key=key))(steps)


@jax.jit
def _pick(images, labels, chosen):
    return images[chosen], labels[chosen]


def _one_step(arguments, state, batch):
    method, bench, _, encode = arguments
    images, labels, key, time = batch
    return method.step(state, bench, encode(images), labels, key=key, time=time)


@partial(eqx.filter_jit, donate="all-except-first")
def _run_steps(arguments, state):
    return jax.lax.scan(lambda state, now: _one_step(arguments, state, now), state, arguments[2])


def _run_on_host(arguments, state):
    reports = []
    for *batch, time in zip(*arguments[2], strict=True):
        state, report = _one_step(arguments, state, (*batch, jnp.asarray(time)))
        reports.append(report)
    return state, jax.tree.map(lambda *values: np.array(values), *reports)


@takes_numbers
def evaluate(
    network: Network,
    images: Array,
    labels: Int[Array, " samples"],
    *,
    encode: Encoder,
    bench: Bench | None = None,
    key: PRNGKeyArray | None = None,
    time: int = 0,
    batch_size: int = 64,
    judge: Judge | None = None,
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
        judge: `(network, bench, field, labels, key=, time=)` -> which are right, for methods that do not use the
            network's readout; None uses it.

    Returns:
        Boolean array, one entry a sample.

    Raises:
        ValueError: If a bench is given without a key.
    """
    if bench is not None and key is None:
        raise ValueError("`key` must be given with a bench, for its camera noise, but is None.")
    key = jax.random.key(0) if key is None else key
    # On the host, for outside of a program each operation on arrays compiles one of its own.
    all_images, all_labels = np.asarray(images), np.asarray(labels)
    correct = []
    for i, start in enumerate(range(0, len(labels), batch_size)):
        index = np.arange(start, start + batch_size) % len(labels)  # Full batches: one compilation.
        good = _correct(
            network,
            bench,
            all_images[index],
            all_labels[index],
            jax.random.fold_in(key, i),
            np.asarray(time),
            encode=encode,
            judge=_read_out if judge is None else judge,
        )
        correct.append(np.asarray(good))
    return np.concatenate(correct)[: len(labels)]


@partial(eqx.filter_jit)
def _correct(network, bench, images, labels, key, time, *, encode, judge):
    return judge(network, bench, encode(images), labels, key=key, time=time)


def _read_out(network, bench, field, labels, *, key, time):
    output = output_field(network, field, bench=bench, key=key, time=time)
    return network.readout.correct(output, labels)


def output_field(network: Network, field, *, bench=None, key=None, time=0) -> Array:
    """Field at the camera after the last layer, from the ideal model or measured on a bench."""
    if bench is None:
        return network(field)
    data = measure_data_pass(network, bench, field, key=key, time=time)
    return data.measured[network.n_layers - 1]

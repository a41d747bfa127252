"""The one interface of all training methods: a state, a step, and what the step costs on the hardware.

Stateless rules (`optics.learning.protocols`: a batch in, a gradient out) become methods by `GradientMethod`, which adds
Adam. Methods with more memory (a stage, an error model, a population) implement `AbstractMethod` themselves. `fit`
runs either.

Optimiser, learning rate and batch size of the paper on forward mode (Xue et al., Nature 632, 280 (2024), DOI
10.1038/s41586-024-07687-4) are unknown to us: Adam with the cosine of `optics.learning.loop` is our choice.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from optics._checks import check_positive
from optics.hardware.holography import FRAMES_PER_FIELD
from optics.learning.loop import cosine_decay
from optics.learning.protocols import (
    AbstractLearningRule,
    Bench,
    Network,
    Weights,
    weights_of,
    with_weights,
)


class StepReport(NamedTuple):
    """What a method says about one step.

    Attributes:
        loss: Loss of the batch, as the method saw it (measured or simulated).
        correct: Share of the batch that it saw classified correctly.
    """

    loss: Float[Array, ""]
    correct: Float[Array, ""]


class MeasurementCost(NamedTuple):
    """What one step asks of the hardware.

    Attributes:
        measurements: Measurements one after the other, each of the whole batch; the clock of drifts counts them.
        evaluations: Samples sent through one layer of the hardware and recorded.
        frames: Camera frames; four for a complex field, one for an intensity.
    """

    measurements: int
    evaluations: int
    frames: int


def cost_of(batch_size: int, *, fields: int = 0, intensities: int = 0) -> MeasurementCost:
    """Cost of measuring a batch `fields` times as complex fields and `intensities` times as plain frames."""
    measurements = fields + intensities
    frames = FRAMES_PER_FIELD * fields + intensities
    return MeasurementCost(measurements, batch_size * measurements, batch_size * frames)


class AbstractMethod(eqx.Module):
    """A training method. Its state is a pytree of arrays, so that many steps run in one compiled scan.

    Settings that only scale numbers (a learning rate) should be array fields
    (`eqx.field(converter=jnp.asarray)`), so that another value does not recompile; what decides shapes or control flow
    stays a Python value.

    Attributes:
        host: True for a method whose `step` runs in Python, around compiled evaluations of its own; its state may then
            be any object.
    """

    host: ClassVar[bool] = False

    @abc.abstractmethod
    def init(self, network: Network, *, key: PRNGKeyArray, n_steps: int) -> Any:
        """State to start from.

        Args:
            network: Nominal model with the first weights.
            key: PRNG key of whatever the method draws for itself.
            n_steps: Steps that will be made, for schedules.
        """

    @abc.abstractmethod
    def step(
        self,
        state: Any,
        bench: Bench | None,
        field: Array,
        labels: Int[Array, " batch"],
        *,
        key: PRNGKeyArray,
        time: int | Array = 0,
    ) -> tuple[Any, StepReport]:
        """One step on one batch.

        Args:
            state: State before the step.
            bench: Hardware to measure on; a method that only simulates ignores it.
            field: Input fields, batch first.
            labels: Class of each input.
            key: PRNG key of measurement noise and of whatever the step draws.
            time: Number of the first measurement since the laboratory was set up.

        Returns:
            State after the step, and a report.
        """

    @abc.abstractmethod
    def network(self, state: Any) -> Any:
        """Network to put on the hardware."""

    @abc.abstractmethod
    def cost(
        self, network: Network, batch_size: int, *, step: int = 0, n_steps: int = 1
    ) -> MeasurementCost:
        """What step number `step` of `n_steps` asks of the hardware."""


class AdamState(NamedTuple):
    """Adam's memory.

    Attributes:
        moments: optax's state.
        n_steps: Length of the cosine.
    """

    moments: Any
    n_steps: Float[Array, ""]


def adam_init(weights: Weights, n_steps: int) -> AdamState:
    """Adam before its first step."""
    return AdamState(_adam().init(weights), jnp.asarray(n_steps, float))


def _adam() -> Any:
    # optax types pytrees by a union that knows no named tuples.
    return optax.scale_by_adam()


def adam_step(
    weights: Weights, gradient: Weights, state: AdamState, learning_rate
) -> tuple[Weights, AdamState]:
    """One step of Adam with the weights kept in range; its length falls to a tenth of `learning_rate` on a cosine."""
    directions, moments = _adam().update(gradient, state.moments, weights)
    rate = learning_rate * cosine_decay(state.moments.count, state.n_steps)
    weights = jax.tree.map(lambda w, d: w - rate.astype(d.dtype) * d, weights, directions)
    return project(weights), AdamState(moments, state.n_steps)


def project(weights: Weights) -> Weights:
    """Keeps phases in [0, 2 pi) and transmissions in [0, 1]."""
    amplitude = None if weights.amplitude is None else jnp.clip(weights.amplitude, 0, 1)
    return Weights(jnp.mod(weights.phase, 2 * jnp.pi), amplitude)


class GradientState(NamedTuple):
    """State of `GradientMethod`.

    Attributes:
        network: Network with the present weights.
        adam: Memory of the optimiser.
    """

    network: Any
    adam: AdamState


class GradientMethod(AbstractMethod):
    """Any rule that gives a gradient, followed by digital Adam.

    Attributes:
        rule: Estimates the gradient.
        learning_rate: Adam's first step, rad.
    """

    rule: AbstractLearningRule
    learning_rate: Float[Array, ""]

    def __init__(self, rule: AbstractLearningRule, *, learning_rate: float | Array = 0.05):
        """Joins a rule and a learning rate.

        Raises:
            ValueError: If the learning rate is not positive.
        """
        check_positive(learning_rate, "learning_rate", "rad")
        self.rule = rule
        self.learning_rate = jnp.asarray(learning_rate, float)

    def init(self, network, *, key, n_steps) -> GradientState:
        """See `AbstractMethod.init`."""
        del key
        return GradientState(network, adam_init(weights_of(network), n_steps))

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`."""
        network = state.network
        estimate = self.rule.gradient(network, bench, field, labels, key=key, time=time)
        weights, adam = adam_step(
            weights_of(network), estimate.gradient, state.adam, self.learning_rate
        )
        correct = jnp.mean(network.readout.correct(estimate.output, labels))
        return GradientState(with_weights(network, weights), adam), StepReport(
            estimate.loss, correct
        )

    def network(self, state):
        """See `AbstractMethod.network`."""
        return state.network

    def cost(self, network, batch_size, *, step=0, n_steps=1) -> MeasurementCost:
        """See `AbstractMethod.cost`."""
        del step, n_steps
        n_layers = int(network.n_layers)
        measurements = self.rule.measurements_per_sample(n_layers)
        frames = self.rule.frames_per_sample(n_layers)
        return MeasurementCost(measurements, batch_size * measurements, batch_size * frames)

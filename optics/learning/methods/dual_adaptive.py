"""Dual adaptive training (DAT): learn the errors of the hardware and the task at once.

Z. Zheng et al., "Dual adaptive training of photonic neural networks", Nat. Mach. Intell. 5, 1119-1129 (2023), DOI
10.1038/s42256-023-00723-4. Behind the model f^_l of each layer stands an error-prediction network S_l (complex-valued,
convolutional), so that the corrected model is y_l = f^_l(x_l) + S_l(f^_l(x_l)). Each step first moves S towards the
measured intensities, then takes the gradient of the task through the corrected model, at states fused from measurement
and model: the measured amplitude with the modelled phase. Needs a model and intensities; no light is sent backwards.
Facts that the paper's text leaves open are those of its code (github THPCILab/DAT_MPNN).

`OutputPhysicsAware` is physics-aware training as that paper compares with: the whole chain is one black box, of which
only the output is measured. `optics.learning.rules.physics_aware` measures after every layer.
"""

from typing import Any, Literal, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from optics._checks import check_in_range, check_positive
from optics.learning.loop import cosine_decay
from optics.learning.method import (
    AbstractMethod,
    AdamState,
    StepReport,
    adam_init,
    adam_step,
    cost_of,
)
from optics.learning.methods.error_predictor import ErrorPredictor, make_error_predictor
from optics.learning.passes import frames_per_output, measure_data_pass, measure_output
from optics.learning.protocols import (
    AbstractLearningRule,
    GradientEstimate,
    require_bench,
    weights_of,
    with_weights,
)
from optics.waves.field import intensity

Internal = Literal["none", "chained", "separate"]


class DualAdaptiveState(NamedTuple):
    """State of `DualAdaptive`.

    Attributes:
        network: Network with the present weights.
        adam: Memory of the optimiser of the weights.
        predictors: One error predictor per layer, stacked.
        moments: Memory of the optimiser of the predictors.
    """

    network: Any
    adam: AdamState
    predictors: ErrorPredictor
    moments: Any


class DualAdaptive(AbstractMethod):
    """DAT for any network whose readout tells classes.

    Attributes:
        learning_rate: Adam's first step of the phases, rad; falls to a tenth on a cosine, as for every method.
        predictor_rate: Adam's first step of the predictors, likewise.
        warm_up: Part of the training during which the predictors learn but do not yet correct the model; 0.4 in the
            paper's code (20 of 50 epochs).
        features: Feature maps of the predictor; (4, 6, 8) and (4, 8, 16) are the paper's small and large one.
        internal: What is measured besides the output: "none"; "chained" compares every layer of a run of the corrected
            model from the input ("unitary mode"); "separate" feeds each corrected layer with the light that the
            hardware's layer saw ("separable mode").
    """

    learning_rate: Float[Array, ""]
    predictor_rate: Float[Array, ""]
    warm_up: Float[Array, ""]
    features: tuple[int, int, int] = eqx.field(static=True)
    internal: Internal = eqx.field(static=True)

    def __init__(
        self,
        *,
        learning_rate: float | Array = 0.05,
        predictor_rate: float | Array = 1e-3,
        warm_up: float | Array = 0.4,
        features: tuple[int, int, int] = (4, 6, 8),
        internal: str = "none",
    ):
        """Sets the rates; see the attributes.

        Raises:
            ValueError: If a setting is out of range.
        """
        check_positive(learning_rate, "learning_rate", "rad")
        check_positive(predictor_rate, "predictor_rate")
        check_in_range(warm_up, "warm_up", 0, 1)
        if internal not in ("none", "chained", "separate"):
            raise ValueError(f"`internal` must be none, chained or separate, but is {internal!r}.")
        self.learning_rate = jnp.asarray(learning_rate, float)
        self.predictor_rate = jnp.asarray(predictor_rate, float)
        self.warm_up = jnp.asarray(warm_up, float)
        self.features = features
        self.internal = cast(Internal, internal)

    def init(self, network, *, key, n_steps) -> DualAdaptiveState:
        """See `AbstractMethod.init`."""
        predictors = jax.vmap(lambda k: make_error_predictor(self.features, key=k))(
            jax.random.split(key, network.n_layers)
        )
        real = network.phase.dtype
        predictors = jax.tree.map(lambda a: a.astype(real), predictors)
        return DualAdaptiveState(
            network,
            adam_init(weights_of(network), n_steps),
            predictors,
            optax.scale_by_adam().init(predictors),
        )

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`; a bench is required."""
        bench = require_bench(bench, "dual adaptive")
        network = state.network
        seen = self._measure(network, bench, field, key, time)
        done = state.adam.moments.count / state.adam.n_steps
        gradient = jax.grad(mismatch)(state.predictors, network, field, seen, self.internal)
        directions, moments = optax.scale_by_adam().update(gradient, state.moments)
        rate = self.predictor_rate * cosine_decay(state.adam.moments.count, state.adam.n_steps)
        predictors = jax.tree.map(
            lambda p, d: p - rate.astype(d.dtype) * d, state.predictors, directions
        )
        strength = (done >= self.warm_up).astype(network.phase.dtype)

        def loss(weights):
            model = with_weights(network, weights)
            output = _fused_output(
                model, predictors, field, seen, strength, self.internal != "none"
            )
            return network.readout.loss(output, labels)

        value, gradient = jax.value_and_grad(loss)(weights_of(network))
        weights, adam = adam_step(weights_of(network), gradient, state.adam, self.learning_rate)
        correct = jnp.mean(network.readout.correct(seen.measured[-1], labels))
        state = DualAdaptiveState(with_weights(network, weights), adam, predictors, moments)
        return state, StepReport(value, correct)

    def network(self, state):
        """See `AbstractMethod.network`."""
        return state.network

    def cost(self, network, batch_size, *, step=0, n_steps=1):
        """See `AbstractMethod.cost`."""
        del step, n_steps
        if self.internal == "none":
            return cost_of(batch_size, fields=network.n_layers - 1, intensities=1)
        return cost_of(batch_size, fields=network.n_layers)

    def _measure(self, network, bench, field, key, time) -> "Seen":
        if self.internal != "none":
            return Seen(*measure_data_pass(network, bench, field, key=key, time=time))
        output = measure_output(network, bench, field, key=key, time=time)
        # Between the layers nothing is looked at; the relayed light does not enter the method.
        return Seen(None, jnp.broadcast_to(output, (network.n_layers, *output.shape)))


class Seen(NamedTuple):
    """What the method saw of the hardware.

    Attributes:
        loaded: Field loaded into each layer, or None.
        measured: Field after each layer; with no internal measurement only the last one means anything.
    """

    loaded: Any
    measured: Any


def mismatch(
    predictors: ErrorPredictor, network, field, seen: Seen, internal: Internal = "none"
) -> Float[Array, ""]:
    """Mean squared difference of corrected model and hardware in intensities over their norm, summed over layers.

    Args:
        predictors: Stacked error predictors.
        network: Model with the present weights.
        field: Input fields.
        seen: What was measured.
        internal: See `DualAdaptive`.
    """
    last = network.n_layers - 1

    def step(x, inputs):
        layer, weights, predictor, loaded, measured = inputs
        if internal == "separate":
            x = loaded
        y = _corrected(network, predictor, x, weights, 1.0)
        difference = jnp.mean((_relative_intensity(y) - _relative_intensity(measured)) ** 2)
        counts = (layer == last) if internal == "none" else True
        return network.activate(y), jnp.where(counts, difference, 0.0)

    layers = (jnp.arange(network.n_layers), weights_of(network), predictors, *seen)
    return jnp.sum(jax.lax.scan(step, field, layers)[1])


def _fused_output(network, predictors, field, seen: Seen, strength, fuse_internal: bool):
    """Output of the corrected model, states replaced by measured amplitude with modelled phase."""
    last = network.n_layers - 1

    def step(x, inputs):
        layer, weights, predictor, measured = inputs
        y = _corrected(network, predictor, x, weights, strength)
        fused = replaced(y, jnp.abs(measured) * y / (jnp.abs(y) + 1e-12))
        y = fused if fuse_internal else jnp.where(layer == last, fused, y)
        return jnp.where(layer == last, y, network.activate(y)), None

    layers = (jnp.arange(network.n_layers), weights_of(network), predictors, seen.measured)
    return jax.lax.scan(step, field, layers)[0]


def replaced(model: Array, value: Array) -> Array:
    """`value`, with the derivative of `model`."""
    return model + stop_gradient(value - model)


def _corrected(network, predictor, x, weights, strength):
    y = network.layer(x, *weights)
    return y + strength * predictor(y)


def _relative_intensity(field):
    flat = field.reshape(field.shape[0], -1)
    power = intensity(flat)
    return power / jnp.sqrt(jnp.sum(power**2, axis=1, keepdims=True) + 1e-24)


class OutputPhysicsAware(AbstractLearningRule):
    """PAT of the chain as one black box: the model's own states, the measured logits in the loss.

    Works with a readout that has `logits` and the softmax cross-entropy as its loss.
    """

    def gradient(self, network, bench, field, labels, *, key, time=0) -> GradientEstimate:
        """See `AbstractLearningRule.gradient`; a bench is required."""
        bench = require_bench(bench, "physics-aware")
        output = measure_output(network, bench, field, key=key, time=time)
        measured = network.readout.logits(output)

        def loss(weights):
            logits = network.readout.logits(with_weights(network, weights)(field))
            losses = optax.softmax_cross_entropy_with_integer_labels(
                replaced(logits, measured), labels
            )
            return jnp.mean(losses)

        value, gradient = jax.value_and_grad(loss)(weights_of(network))
        return GradientEstimate(value, gradient, output)

    def measurements_per_sample(self, n_layers: int) -> int:
        """One data pass per layer."""
        return n_layers

    def frames_per_sample(self, n_layers: int) -> int:
        """Complex fields between the layers, one frame behind the last."""
        return frames_per_output(n_layers)

"""Adaptive (layerwise) in-silico training: layers are fixed one by one, the later ones retrained on measured fields.

T. Zhou et al., "Large-scale neuromorphic optoelectronic computing with a reconfigurable diffractive processing unit",
Nature Photonics 15, 367 (2021), DOI 10.1038/s41566-021-00796-w. Stage 0 trains all layers in the model. In stage s the
first s layers are frozen on the hardware, the field behind them is measured, and layers s+1 .. L are retrained in the
model from that field. Errors of the last layer are never seen. Here every batch is measured as it comes; one who keeps
measured fields of a small training set would use fewer frames in long stages.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from optics._checks import check_in_range, check_positive
from optics.learning.method import (
    AbstractMethod,
    AdamState,
    MeasurementCost,
    StepReport,
    adam_init,
    adam_step,
    cost_of,
)
from optics.learning.protocols import require_bench, weights_of, with_weights


class LayerwiseState(NamedTuple):
    """State of `Layerwise`.

    Attributes:
        network: Network with the present weights.
        adam: Memory of the optimiser; begins anew in every stage.
        step: Steps made.
        bounds: First step of every stage, and the number of steps.
    """

    network: Any
    adam: AdamState
    step: Array
    bounds: Array


class Layerwise(AbstractMethod):
    """In-silico training in as many stages as there are layers.

    Attributes:
        learning_rate: Adam's first step in every stage, rad.
        first_share: Share of the steps given to stage 0, in the model only; the rest is split evenly.
    """

    learning_rate: Float[Array, ""] = eqx.field(
        default=0.05, converter=lambda x: jnp.asarray(x, float)
    )
    first_share: float = eqx.field(static=True, default=0.5)

    def __check_init__(self):
        check_positive(self.learning_rate, "learning_rate", "rad")
        check_in_range(self.first_share, "first_share", 0, 1)

    def init(self, network, *, key, n_steps) -> LayerwiseState:
        """See `AbstractMethod.init`."""
        del key
        adam = adam_init(weights_of(network), 1)
        bounds = self._bounds(n_steps, network.n_layers)
        return LayerwiseState(network, adam, jnp.asarray(0), jnp.asarray(bounds))

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`; a bench is required."""
        bench = require_bench(bench, "layerwise")
        network = state.network
        stage = _stage_of(state.step, state.bounds)
        begun = state.bounds[stage]
        length = jnp.maximum(state.bounds[stage + 1] - begun, 1)
        measured = _measure_frozen(network, bench, field, stage, key=key, time=time)

        def loss(weights):
            trial = with_weights(network, weights)
            output = _simulate_rest(trial, field, measured, stage)
            return network.readout.loss(output, labels), output

        (value, output), gradient = jax.value_and_grad(loss, has_aux=True)(weights_of(network))
        fresh = adam_init(weights_of(network), 1)
        fresh = AdamState(fresh.moments, jnp.asarray(length, state.adam.n_steps.dtype))
        is_new = state.step == begun
        adam = jax.tree.map(lambda new, old: jnp.where(is_new, new, old), fresh, state.adam)
        weights, adam = adam_step(weights_of(network), gradient, adam, self.learning_rate)
        frozen = jnp.arange(network.n_layers) < stage
        weights = jax.tree.map(
            lambda new, old: jnp.where(frozen.reshape(-1, *[1] * (old.ndim - 1)), old, new),
            weights,
            weights_of(network),
        )
        correct = jnp.mean(network.readout.correct(output, labels))
        trained = with_weights(network, weights)
        return LayerwiseState(trained, adam, state.step + 1, state.bounds), StepReport(
            value, correct
        )

    def network(self, state):
        """See `AbstractMethod.network`."""
        return state.network

    def cost(self, network, batch_size, *, step=0, n_steps=1) -> MeasurementCost:
        """See `AbstractMethod.cost`: a complex field behind every frozen layer."""
        stage = int(_stage_of(step, self._bounds(n_steps, network.n_layers)))
        return cost_of(batch_size, fields=stage)

    def _bounds(self, n_steps: int, n_layers: int) -> np.ndarray:
        """First step of every stage, and the number of steps."""
        if n_layers == 1:
            return np.array([0, n_steps])
        later = np.linspace(self.first_share, 1, n_layers)
        return np.round(np.array([0, *later]) * n_steps).astype(int)


def _stage_of(step, bounds):
    """Number of stages that have begun, less one."""
    return (bounds[1:-1] <= step).sum()


def _measure_frozen(network, bench, field, stage, *, key, time):
    """Field loaded into layer `stage`, from the hardware."""

    def step(x, inputs):
        layer, weights, layer_key = inputs

        def measure(x):
            y = bench.measure_field(x, *weights, key=layer_key, time=time + layer)
            return network.activate(y)

        return jax.lax.cond(layer < stage, measure, lambda x: x, x), None

    keys = jax.random.split(key, network.n_layers)
    layers = (jnp.arange(network.n_layers), (network.phase, network.amplitude), keys)
    return jax.lax.scan(step, field, layers)[0]


def _simulate_rest(network, field, measured, stage):
    """Output of the model from layer `stage` on, started from the measured field."""
    last = network.n_layers - 1

    def step(x, inputs):
        layer, weights = inputs
        x = jnp.where(layer == stage, measured, x)
        y = network.layer(x, *weights)
        return jnp.where(layer < last, network.activate(y), y), None

    layers = (jnp.arange(network.n_layers), (network.phase, network.amplitude))
    return jax.lax.scan(step, field, layers)[0]

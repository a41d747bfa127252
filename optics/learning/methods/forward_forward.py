"""Forward-forward learning: each layer alone learns to tell right labels from wrong ones; no error crosses a layer.

    loss_l = softplus(t - G_l(positive)) + softplus(G_l(negative) - t)

G. Hinton, "The forward-forward algorithm", arXiv 2212.13345 (2022); with light I. Oguz et al., arXiv 2305.19170 (2023).
The label is loaded into the input as light beside the image; positive samples carry their own label, negative ones
another. The goodness of Hinton is the sum of squares of a layer. Light that only propagates keeps that sum, so G_l is
here the share of the power that falls on a mask, times a gain (our choice). Before a field is loaded into the next
layer, the light on the mask and beside it is set to equal power each: as with Hinton's normalisation, the next layer
cannot read the answer of the one before. Predicted is the label with the largest goodness, summed over the layers.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

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
from optics.learning.protocols import Weights, require_bench, weights_of, with_weights
from optics.waves.field import intensity, over_batch


class LabelLight(eqx.Module):
    """How a label is loaded beside the image.

    Attributes:
        patterns: Light of each label, any scale.
        keep: What is left of the image, 0 where label light stands.
        power_share: Share of the label in the power of the input.
    """

    patterns: Complex[Array, "classes ..."]
    keep: Float[Array, "..."]
    power_share: Float[Array, ""] = eqx.field(
        default=0.3, converter=lambda x: jnp.asarray(x, float)
    )

    def load(self, field, labels):
        """Fields with the light of labels; their power is kept."""
        image = over_batch(self.keep.astype(field.dtype), field) * field
        light = self.patterns[labels].astype(field.dtype)
        share = self.power_share.astype(self.keep.dtype)
        power = _power(field)
        image = image * _amplitude((1 - share) * power / _positive(_power(image)), image)
        return image + light * _amplitude(share * power / _positive(_power(light)), light)


def make_label_light(
    shape: tuple[int, int], n_classes: int, *, width: float = 0.12, power_share: float = 0.3
) -> LabelLight:
    """A strip at the left edge with one block per class, lit for the label.

    Args:
        shape: Panel grid.
        n_classes: Number of classes.
        width: Part of the panel's width that the strip takes, in (0, 0.5].
        power_share: Share of the label in the power of the input.

    Raises:
        ValueError: If a setting is out of range or the blocks do not fit.
    """
    check_in_range(width, "width", 1e-3, 0.5)
    check_in_range(power_share, "power_share", 0, 1)
    ny, nx = shape
    columns, rows = max(1, round(width * nx)), ny // n_classes
    if rows < 1:
        raise ValueError(
            f"`n_classes` = {n_classes} blocks do not fit on {ny} rows; use a larger grid."
        )
    patterns = np.zeros((n_classes, ny, nx))
    for j in range(n_classes):
        patterns[j, j * rows : (j + 1) * rows, :columns] = 1
    keep = np.ones(shape)
    keep[:, :columns] = 0
    return LabelLight(jnp.asarray(patterns, complex), jnp.asarray(keep), power_share)


def checkerboard(shape: tuple[int, int], side: int) -> Float[Array, "y x"]:
    """Mask of every other square of `side` pixels."""
    y, x = np.indices(shape) // side
    return jnp.asarray((y + x) % 2, float)


class ForwardForwardState(NamedTuple):
    """State of `ForwardForward`: network and optimiser memory."""

    network: Any
    adam: AdamState


class ForwardForward(AbstractMethod):
    """Forward-forward training: two measured passes a step, gradients by the ideal model of each layer alone.

    Attributes:
        light: Loads labels.
        mask: 1 where light counts as good.
        gain: From share of power to goodness; the threshold t is `gain` times the mask's share of the area.
        learning_rate: Adam's first step, rad.
    """

    light: LabelLight
    mask: Float[Array, "..."]
    gain: Float[Array, ""] = eqx.field(default=30.0, converter=lambda x: jnp.asarray(x, float))
    learning_rate: Float[Array, ""] = eqx.field(
        default=0.05, converter=lambda x: jnp.asarray(x, float)
    )

    def __check_init__(self):
        check_positive(self.gain, "gain")
        check_positive(self.learning_rate, "learning_rate", "rad")

    def init(self, network, *, key, n_steps) -> ForwardForwardState:
        """See `AbstractMethod.init`."""
        del key
        return ForwardForwardState(network, adam_init(weights_of(network), n_steps))

    def step(self, state, bench, field, labels, *, key, time=0):
        """See `AbstractMethod.step`; a bench is required. The report counts pairs whose positive sample is better."""
        bench = require_bench(bench, "forward-forward")
        network, adam = state
        label_key, noise_key = jax.random.split(key)
        n_classes, n = self.light.patterns.shape[0], labels.shape[0]
        wrong = jnp.mod(labels + jax.random.randint(label_key, (n,), 1, n_classes), n_classes)
        both = jnp.concatenate([self.light.load(field, labels), self.light.load(field, wrong)])
        loaded, measured = self._pass(network, bench, both, key=noise_key, time=time)
        losses, gradient = jax.lax.map(
            lambda inputs: self._layer_gradient(network, *inputs),
            (loaded, measured, (network.phase, network.amplitude)),
        )
        weights, adam = adam_step(weights_of(network), gradient, adam, self.learning_rate)
        goodness = jax.vmap(self.goodness)(measured).sum(axis=0)
        report = StepReport(losses.mean(), jnp.mean(goodness[:n] > goodness[n:]))
        return ForwardForwardState(with_weights(network, weights), adam), report

    def network(self, state):
        """See `AbstractMethod.network`; its classes are read by `correct`, not by its readout."""
        return state.network

    def cost(self, network, batch_size, *, step=0, n_steps=1) -> MeasurementCost:
        """See `AbstractMethod.cost`: a positive and a negative sample for each, a complex field behind every layer."""
        del step, n_steps
        return cost_of(2 * batch_size, fields=network.n_layers)

    def goodness(self, field):
        """Goodness of each sample of one layer."""
        mask = self.mask.astype(_power(field).dtype)
        on_mask = _power(over_batch(mask.astype(field.dtype), field) * field)
        return self.gain.astype(mask.dtype) * on_mask / _positive(_power(field))

    def correct(self, network, bench, field, labels, *, key, time=0):
        """True where the label with the largest goodness is the right one; one pass of the hardware per class.

        For `evaluate(..., judge=method.correct)`. Without a bench the ideal model is run.
        """
        n_classes = self.light.patterns.shape[0]

        def one(label):
            lit = self.light.load(field, jnp.full(labels.shape, label))
            when = time + label * network.n_layers
            _, y = self._pass(network, bench, lit, key=jax.random.fold_in(key, label), time=when)
            return jax.vmap(self.goodness)(y).sum(axis=0)

        goodness = jax.lax.map(one, jnp.arange(n_classes))
        return jnp.argmax(goodness, axis=0) == labels

    def _pass(self, network, bench, field, *, key, time):
        def step(x, inputs):
            layer, weights, layer_key = inputs
            if bench is None:
                y = network.layer(x, *weights)
            else:
                y = bench.measure_field(x, *weights, key=layer_key, time=time + layer)
            return network.activate(self._forget(y)), (x, y)

        keys = jax.random.split(key, network.n_layers)
        layers = (jnp.arange(network.n_layers), (network.phase, network.amplitude), keys)
        return jax.lax.scan(step, field, layers)[1]

    def _forget(self, field):
        """Same field with half its power on the mask."""
        mask = self.mask.astype(field.dtype)
        inside, outside = over_batch(mask, field) * field, over_batch(1 - mask, field) * field
        half = _power(field) / 2
        inside = inside * _amplitude(half / _positive(_power(inside)), field)
        return inside + outside * _amplitude(half / _positive(_power(outside)), field)

    def _layer_gradient(self, network, loaded, measured, weights):
        n = loaded.shape[0] // 2
        threshold = self.gain * jnp.mean(self.mask)

        def loss(y):
            goodness = self.goodness(y)
            good = jax.nn.softplus(threshold.astype(goodness.dtype) - goodness[:n])
            bad = jax.nn.softplus(goodness[n:] - threshold.astype(goodness.dtype))
            return jnp.mean(good + bad)

        value, error = jax.value_and_grad(loss)(measured)
        _, pull_back = jax.vjp(lambda w: network.layer(loaded, *w), weights)
        return value, Weights(*pull_back(error)[0])


def _power(field):
    """Summed intensity of each sample."""
    return jnp.sum(intensity(field), axis=tuple(range(1, field.ndim)))


def _positive(power):
    return jnp.where(power > 0, power, 1.0)


def _amplitude(power_factor, field):
    """Square root of one factor per sample, shaped for its field."""
    root = jnp.sqrt(power_factor).astype(field.dtype)
    return root.reshape(-1, *[1] * (field.ndim - 1))

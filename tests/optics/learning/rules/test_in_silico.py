import jax
import jax.numpy as jnp
import pytest

from optics.learning.protocols import weights_of, with_weights
from optics.learning.rules import InSilico
from optics.networks.activations import saturable
from tests.exact.small_bench import inputs, network


def test_gradient_agrees_with_finite_differences():
    net = network(2, activation=saturable, train_amplitude=True)
    field, labels = inputs()
    estimate = InSilico().gradient(net, None, field, labels, key=jax.random.key(0))
    weights = weights_of(net)
    step = jax.tree.map(lambda w: jax.random.normal(jax.random.key(1), w.shape), weights)

    def loss(h):
        moved = jax.tree.map(lambda w, s: w + h * s, weights, step)
        return float(net.readout.loss(with_weights(net, moved)(field), labels))

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    expected = sum(
        float(jnp.sum(g * s))
        for g, s in zip(jax.tree.leaves(estimate.gradient), jax.tree.leaves(step), strict=True)
    )
    # h = 1e-5: truncation 1e-10 of the third derivative, rounding 1e-16 / 1e-5.
    assert slope == pytest.approx(expected, rel=1e-6)


def test_measures_nothing():
    assert InSilico().measurements_per_sample(8) == 0
    assert InSilico().frames_per_sample(8) == 0

import jax
import numpy as np
import pytest

from optics.learning.protocols import weights_of, with_weights
from optics.learning.rules import InSilico
from optics.networks.activations import saturable
from tests.exact.small_bench import estimate, inputs, network


def test_gradient_agrees_with_finite_differences():
    net = network(2, activation=saturable, train_amplitude=True)
    field, labels = inputs()
    found = estimate(InSilico(), net, None, field, labels).gradient
    weights, rng = weights_of(net), np.random.default_rng(1)
    step = jax.tree.map(lambda w: rng.normal(size=w.shape), weights)

    @jax.jit
    def loss(h):
        moved = jax.tree.map(lambda w, s: w + h * s, weights, step)
        return net.readout.loss(with_weights(net, moved)(field), labels)

    slope = float(loss(1e-5) - loss(-1e-5)) / 2e-5
    expected = sum(
        float(np.sum(np.asarray(g) * s))
        for g, s in zip(jax.tree.leaves(found), jax.tree.leaves(step), strict=True)
    )
    # h = 1e-5: truncation 1e-10 of the third derivative, rounding 1e-16 / 1e-5.
    assert slope == pytest.approx(expected, rel=1e-6)


def test_measures_nothing():
    assert InSilico().measurements_per_sample(8) == 0
    assert InSilico().frames_per_sample(8) == 0

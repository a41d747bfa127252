import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.learning.passes import measure_data_pass
from optics.learning.rules import FeedbackAlignment, PhysicsAware, make_random_feedback
from optics.learning.rules.feedback_alignment import DenseFeedback
from optics.networks.activations import saturable
from tests.exact.small_bench import (
    GEOMETRY,
    cosines,
    estimate,
    inputs,
    network,
    relative_error,
    twin,
)

KEY = jax.random.key(0)


@eqx.filter_jit
def _transposes(net):
    """Transposed Jacobian from the field loaded into layer l + 1 to the output of a linear network, built densely."""
    n = GEOMETRY.shape[0] * GEOMETRY.shape[1]
    basis = jnp.eye(n, dtype=complex).reshape(n, *GEOMETRY.shape)
    matrices = []
    for layer in range(net.n_layers - 1):
        y = basis
        for later in range(layer + 1, net.n_layers):
            y = net.layer(y, net.phase[later])
        matrices.append(y.reshape(n, n))  # row: input; so this is the transpose of the map
    return jnp.stack(matrices)


def test_with_the_transpose_as_feedback_it_is_back_propagation():
    net, (field, labels) = network(3), inputs()
    bench = OpticalBench(GEOMETRY, twin())
    rule = FeedbackAlignment(DenseFeedback(_transposes(net)))
    found = estimate(rule, net, bench, field, labels).gradient.phase
    expected = estimate(PhysicsAware(), net, bench, field, labels).gradient.phase
    assert relative_error(found, expected) < 1e-10


def test_last_layer_hears_the_error_itself_and_the_hidden_ones_do_not():
    net, (field, labels) = network(3, activation=saturable), inputs()
    bench = OpticalBench(GEOMETRY, twin())
    feedback = make_random_feedback(net, GEOMETRY.shape, key=jax.random.key(4))
    found, expected = (
        estimate(rule, net, bench, field, labels).gradient.phase
        for rule in (FeedbackAlignment(feedback), PhysicsAware())
    )
    assert relative_error(found[-1], expected[-1]) < 1e-10
    # 576 random directions: cosines of 1 / sqrt(576) = 0.04.
    assert np.abs(cosines(found, expected)[:-1]).max() < 0.25


def test_hidden_layers_use_the_derivative_of_the_activation_and_no_later_weight():
    net, (field, labels) = network(2, activation=saturable), inputs()
    bench = OpticalBench(GEOMETRY, twin())
    feedback = make_random_feedback(net, GEOMETRY.shape, key=jax.random.key(4))
    found = estimate(FeedbackAlignment(feedback), net, bench, field, labels).gradient.phase

    @eqx.filter_jit
    def by_hand(net, bench):
        data = measure_data_pass(net, bench, field, key=jax.random.key(1))
        error = jax.grad(net.readout.loss)(data.measured[-1], labels)
        delta = feedback.send(error, feedback.weights()[0])
        delta = jax.vjp(saturable, data.measured[0])[1](delta)[0]
        u = jnp.exp(1j * net.phase[0])[None] * field
        return -jnp.imag(u * net.free_space(delta)).sum(axis=0)

    assert relative_error(found[0], by_hand(net, bench)) < 1e-10


def test_random_feedback_is_unitary_and_linear():
    net = network(3)
    feedback = make_random_feedback(net, GEOMETRY.shape, key=jax.random.key(4))
    send = eqx.filter_jit(feedback.send)
    a, one = np.asarray(inputs()[0]), feedback.weights()[1]
    b = a[::-1] * 1j
    sent, other, both = (np.asarray(send(jnp.asarray(x), one)) for x in (a, b, a + 2j * b))
    power = np.sum(np.abs(sent) ** 2, axis=(1, 2)) / np.sum(np.abs(a) ** 2, axis=(1, 2))
    np.testing.assert_allclose(power, 1, rtol=1e-12)
    assert relative_error(both, sent + 2j * other) < 1e-12
    assert relative_error(send(jnp.asarray(a), feedback.weights()[0]), sent) > 0.5


def test_one_data_pass_is_all_it_measures():
    feedback = make_random_feedback(network(3), GEOMETRY.shape, key=KEY)
    assert FeedbackAlignment(feedback).frames_per_sample(3) == 12


def test_wrong_number_of_maps_is_named():
    net, (field, labels) = network(3), inputs()
    rule = FeedbackAlignment(make_random_feedback(network(2), GEOMETRY.shape, key=KEY))
    with pytest.raises(ValueError, match=r"`feedback` must have 2 maps, .* but has 1"):
        rule.gradient(net, OpticalBench(GEOMETRY, twin()), field, labels, key=KEY)

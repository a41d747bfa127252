import dataclasses
from operator import itemgetter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.learning.protocols import weights_of, with_weights
from optics.networks.activations import saturable
from optics.networks.diffractive import make_network, trainable
from optics.networks.readout import IntensityTarget, Readout, make_readout
from optics.waves.elements import modulation
from tests.exact.small_bench import GEOMETRY, inputs, network, relative_error


def test_layers_are_modulate_then_propagate():
    net = network(3, activation=saturable, train_amplitude=True)
    field, _ = inputs()
    expected = field
    for layer in range(3):
        weights = net.amplitude[layer] * jnp.exp(1j * net.phase[layer])
        expected = net.free_space(weights[None] * expected)
        expected = saturable(expected) if layer < 2 else expected
    assert relative_error(net(field), expected) < 1e-12


def test_the_first_layers_of_a_deep_network_are_a_shallow_one():
    deep = network(3, activation=saturable, train_amplitude=True)
    field, labels = inputs()
    traced = []

    @jax.jit
    def output_and_gradient(net, weights):
        traced.append(1)  # Python runs only while it is traced.

        def loss(weights):
            output = with_weights(net, weights)(field)
            return net.readout.loss(output, labels), output

        return jax.grad(loss, has_aux=True)(weights)

    for n_layers in (1, 2):
        gradient, output = output_and_gradient(deep.first(n_layers), weights_of(deep))
        shallow = with_weights(deep, jax.tree.map(itemgetter(slice(n_layers)), weights_of(deep)))
        expected, expected_output = output_and_gradient(shallow, weights_of(shallow))
        assert relative_error(output, expected_output) < 1e-12
        for slope, wanted in zip(gradient, expected, strict=True):
            assert relative_error(slope[:n_layers], wanted) < 1e-9
            assert not slope[n_layers:].any()
    assert len(traced) == 1 + 2


@pytest.mark.parametrize("n_layers", [0, 3])
def test_layers_that_are_not_there_cannot_be_lit(n_layers):
    message = f"`n_layers` must lie between 1 and the 2 layers there are, but is {n_layers}"
    with pytest.raises(ValueError, match=message):
        network(2).first(n_layers)
    with pytest.raises(ValueError, match=message.replace("n_layers", "n_lit")):
        dataclasses.replace(network(2), n_lit=jnp.asarray(n_layers))


def test_linear_network_is_linear():
    net = network(2)
    (a, b), _ = inputs(batch=2)
    np.testing.assert_allclose(net(a + 2j * b), net(a) + 2j * net(b), atol=1e-10)


def test_modulation_of_unit_amplitude_keeps_power():
    field, _ = inputs()
    turned = modulation(network(1).phase[0])[None] * field
    np.testing.assert_allclose(jnp.sum(jnp.abs(turned) ** 2), jnp.sum(jnp.abs(field) ** 2))


def test_region_powers_are_sums_over_the_regions():
    readout = make_readout((20, 20), 10)
    field = inputs()[0][:, :20, :20]
    expected = np.einsum("byx,cyx->bc", np.abs(field) ** 2, readout.regions)
    np.testing.assert_allclose(readout.powers(field), expected, rtol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5, 10])
def test_regions_are_equal_and_disjoint(n_classes):
    regions = np.asarray(make_readout((64, 64), n_classes).regions)
    sizes = regions.sum(axis=(1, 2))
    assert len(regions) == n_classes
    assert (sizes == sizes[0]).all()
    assert regions.sum(axis=0).max() == 1


def test_ten_regions_stand_in_rows_of_three_four_three():
    regions = np.asarray(make_readout((64, 64), 10).regions)
    rows = [int(np.argwhere(r)[:, 0].mean()) for r in regions]
    assert [rows.count(row) for row in sorted(set(rows))] == [3, 4, 3]


def test_loss_is_the_cross_entropy_of_shares():
    regions = jnp.zeros((2, 1, 2)).at[0, 0, 0].set(1).at[1, 0, 1].set(1)
    readout = Readout(regions, 3.0)
    field = jnp.array([[[np.sqrt(3.0) * 1j, 1.0]]])  # shares 3/4 and 1/4
    expected = -np.log(np.exp(3 * 0.25) / (np.exp(3 * 0.75) + np.exp(3 * 0.25)))
    assert float(readout.loss(field, jnp.array([1]))) == pytest.approx(expected, rel=1e-10)
    assert readout.correct(field, jnp.array([0])).all()
    assert not readout.correct(field, jnp.array([1])).any()


def test_intensity_target_is_the_squared_difference():
    field = jnp.array([[[2.0j, 1.0]]])
    loss = IntensityTarget().loss(field, jnp.array([[[1.0, 1.0]]]))
    assert float(loss) == pytest.approx(9.0)


def test_trainable_marks_weights_and_nothing_else():
    net = network(2, train_amplitude=True)
    weights, rest = eqx.partition(net, trainable(net))
    assert len(jax.tree.leaves(weights)) == 2
    assert rest.phase is None
    assert rest.amplitude is None
    assert len(jax.tree.leaves(eqx.filter(network(2), trainable(network(2))))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: network(0), r"`n_layers` must be at least 1, but is 0"),
        (
            lambda: make_network(GEOMETRY, 1, make_readout((20, 20), 4), key=jax.random.key(0)),
            r"`readout.regions` must have last axes \(24, 24\), but its shape is \(4, 20, 20\)",
        ),
        (lambda: make_readout((8, 8), 100), r"`n_classes` = 100 regions do not fit"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

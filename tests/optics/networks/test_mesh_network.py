"""Networks of meshes: what a layer is, the activation, the read-out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.learning.protocols import Network, weights_of, with_weights
from optics.meshes.mesh import make_mesh
from optics.networks.activations import electro_optic
from optics.networks.mesh_network import make_mesh_network
from optics.networks.readout import PortReadout


def cores(n_ports=6, n_layers=3, key=0):
    keys = jax.random.split(jax.random.key(key), n_layers)
    return [make_mesh(n_ports, key=k, dtype=jnp.complex128) for k in keys]


def fields(batch, n_ports, key=1):
    draws = jax.random.normal(jax.random.key(key), (2, batch, n_ports))
    return jax.lax.complex(draws[0], draws[1])


def test_network_is_the_product_of_its_matrices_with_the_activation_in_between():
    meshes = cores()
    network = make_mesh_network(meshes, 3)
    x = fields(4, 6)
    expected = np.asarray(x)
    for i, mesh in enumerate(meshes):
        expected = expected @ np.asarray(mesh.matrix()).T
        if i < 2:
            psi = (0.05 * np.pi * np.abs(expected) ** 2 + np.pi) / 2
            expected = 1j * np.sqrt(0.9) * np.exp(-1j * psi) * np.cos(psi) * expected
    np.testing.assert_allclose(
        eqx.filter_jit(network)(x), expected, atol=1e-13
    )  # 18 columns of rounding 1e-16


def test_network_meets_what_the_rules_ask_for():
    network = make_mesh_network(cores(), 3)
    assert isinstance(network, Network)
    doubled = with_weights(network, weights_of(network)._replace(phase=2 * network.phase))
    np.testing.assert_array_equal(doubled.phase, 2 * network.phase)
    assert network.n_layers == 3
    assert network.amplitude is None


def test_activation_blocks_weak_light_and_passes_90_percent_of_bright_light():
    """At b = pi, cos(psi) = -sin(g |z|^2 / 2): zero in the dark, one where g |z|^2 = pi, that is at |z|^2 = 20."""
    dark, bright = electro_optic(jnp.array([1e-4 + 0j, jnp.sqrt(20.0) + 0j]))
    assert abs(dark) < 1e-12
    assert abs(bright) ** 2 == pytest.approx(0.9 * 20, rel=1e-12)


def test_activation_has_a_continuous_derivative_in_double_precision():
    check_grads(
        lambda x: jnp.abs(electro_optic(jnp.asarray(x))) ** 2,
        (fields(2, 3),),
        order=1,
        modes=["rev"],
    )


def test_activation_of_no_light_has_a_derivative():
    gradient = jax.grad(lambda x: jnp.sum(jnp.real(electro_optic(x + 0j)) ** 2))(jnp.zeros(3))
    np.testing.assert_array_equal(gradient, 0)


def test_logits_are_intensities_over_their_root_sum_of_squares():
    readout = PortReadout(2.0, 2)
    field = jnp.array([[1.0, 2.0j, 1 + 1j]])
    np.testing.assert_allclose(readout.logits(field), 2 * np.array([[1, 4]]) / np.sqrt(21))
    np.testing.assert_allclose(readout.logits(5j * field), readout.logits(field), rtol=1e-12)
    np.testing.assert_array_equal(readout.correct(field, jnp.array([1])), [True])
    np.testing.assert_array_equal(readout.correct(field, jnp.array([0])), [False])


def test_loss_is_the_cross_entropy_of_the_logits():
    readout = PortReadout(3.0, 4)
    field, labels = fields(5, 6), jnp.array([0, 3, 1, 2, 2])
    logits = np.asarray(readout.logits(field))
    expected = -np.mean(
        [np.log(np.exp(row[i]) / np.exp(row).sum()) for row, i in zip(logits, labels, strict=True)]
    )
    assert readout.loss(field, labels) == pytest.approx(expected, rel=1e-12)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`cores` must hold at least one mesh"):
        make_mesh_network([], 3)
    with pytest.raises(ValueError, match="`n_classes` must lie between 1 and the 6 ports"):
        make_mesh_network(cores(), 7)
    with pytest.raises(ValueError, match="`gain` must be positive"):
        make_mesh_network(cores(), 3, gain=0.0)

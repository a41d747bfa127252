from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems.photonic_linear import on_masks, on_meshes, ports
from nn.layers import Dense, linear_maps, make_dense, replace_linear
from optics.hardware import MeshImperfections
from optics.media import Geometry

IDEAL = MeshImperfections()
KEY = jax.random.key(5)


def _dense(n_in=3, n_out=3, seed=0):
    weight = np.random.default_rng(seed).normal(size=(n_in, n_out))
    return Dense(jnp.asarray(weight), jnp.arange(float(n_out)))


def _carried(dense, **errors):
    return on_meshes("a", dense, hardware=MeshImperfections(**errors), key=KEY)


def _error(carried, dense):
    eye = jnp.eye(dense.n_in)
    wanted = dense(eye)
    return float(jnp.linalg.norm(carried(eye) - wanted) / jnp.linalg.norm(dense.weight))


@pytest.mark.parametrize(("n_in", "n_out"), [(4, 3), (3, 4)])
def test_meshes_without_errors_are_the_matrix_with_its_signs_and_bias(n_in, n_out):
    dense = _dense(n_in, n_out)
    x = np.random.default_rng(1).normal(size=(2, 4, n_in))
    np.testing.assert_allclose(
        _carried(dense)(jnp.asarray(x)),
        x @ np.asarray(dense.weight) + np.asarray(dense.bias),
        atol=1e-13,
    )


def test_a_real_map_feels_splitters_in_second_order_and_phases_in_first():
    dense = _dense()
    for name, order in (("splitter_error", 2), ("phase_error", 1)):
        small, large = (_carried(dense, **{name: size}) for size in (1e-4, 1e-2))
        ratio = _error(large, dense) / _error(small, dense)
        assert ratio == pytest.approx(100**order, rel=0.05)
        # In the matrix itself, where the other quadrature counts, both are of first order.
        off = [np.linalg.norm(c.core.matrix() - dense.weight.T) for c in (small, large)]
        assert off[1] / off[0] == pytest.approx(100, rel=0.05)


def test_one_gain_makes_up_for_mean_loss():
    dense = _dense(
        3, 3
    )  # both meshes three deep, and a port without a cell in each column loses less
    free = on_meshes("a", dense, hardware=MeshImperfections(loss_db=0.2), key=KEY, calibrate=False)
    # 6 columns of 0.2 dB of power, two thirds of the ports in each.
    lost = 1 - 10 ** (-6 * 0.2 / 20 * 2 / 3)
    assert _error(free, dense) == pytest.approx(lost, rel=0.25)
    assert _error(_carried(dense, loss_db=0.2), dense) < 0.3 * lost


def test_every_map_of_a_model_gets_a_chip_of_its_own_a_stack_one_for_each_layer():
    single = Dense(_dense(3, 3, 1).weight)
    stack = jax.tree.map(lambda weight: jnp.stack([weight, weight]), single)
    model = {"single": single, "stack": stack, "narrow": _dense(3, 1)}
    rough = MeshImperfections(splitter_error=0.05)
    carried = replace_linear(model, partial(on_meshes, hardware=rough, key=KEY))
    assert isinstance(carried["narrow"], Dense)
    x = jnp.array([0.3, -1.0, 0.5])
    layers = eqx.filter_vmap(lambda linear: linear(x), in_axes=(eqx.if_array(0),))(carried["stack"])
    found = [carried["single"](x), *layers]
    assert all(
        jnp.abs(a - b).max() > 1e-3 for a, b in zip(found, found[1:] + found[:1], strict=True)
    )
    for got in found:
        np.testing.assert_allclose(got, single(x), atol=0.6)
    again = replace_linear(model, partial(on_meshes, hardware=rough, key=KEY))
    np.testing.assert_array_equal(again["single"](x), carried["single"](x))
    assert [name for name, _ in linear_maps(carried)] == ["['narrow']", "['single']", "['stack']"]


def test_detector_noise_has_its_size_and_wants_a_key():
    dense = Dense(_dense(3, 2).weight)
    noisy, x = _carried(dense, detector_noise=0.1), jnp.ones((4000, 3))
    spread = noisy(x, key=jax.random.key(0)) - dense(x)
    rms = jnp.sqrt(jnp.mean(dense(x[0]) ** 2))
    # 8,000 samples: the standard deviation is known to 0.8 %.
    assert float(spread.std() / rms) == pytest.approx(0.1, rel=0.03)
    with pytest.raises(ValueError, match="`key` must be a PRNG key, since the detectors are noisy"):
        noisy(x)


def test_the_derivative_in_the_phases_is_that_of_the_output():
    carried, x = _carried(_dense(3, 3), splitter_error=0.05), jnp.array([[0.2, 0.4, -1.0]])
    output = lambda theta: eqx.tree_at(lambda c: c.core.left.theta, carried, theta)(x).sum()  # noqa: E731
    theta, step = carried.core.left.theta, np.zeros(carried.core.left.theta.shape)
    step[0, 0] = 1e-5
    slope = (output(theta + step) - output(theta - step)) / 2e-5
    assert float(jax.grad(output)(theta)[0, 0]) == pytest.approx(float(slope), rel=1e-7)
    assert abs(slope) > 1e-3


def test_masks_learn_the_map_and_what_they_do_is_linear():
    dense = make_dense(2, 2, key=jax.random.key(2), dtype=jnp.float32)
    geometry = Geometry(shape=(24, 24), distance=0.004)
    trained, start = (on_masks(dense, geometry, 2, key=KEY, n_steps=n, port_px=3) for n in (60, 1))
    assert _error(trained, dense) < 0.2 < _error(start, dense)
    x = jnp.array([[0.5, -2.0]], jnp.float32)
    fields = jnp.einsum("bi,iyx->byx", x, trained.inputs).astype(jnp.complex64)
    out = jnp.real(jnp.einsum("oyx,byx->bo", trained.outputs, trained.network(fields)))
    np.testing.assert_allclose(trained(x), trained.gain * out, rtol=1e-4)


def test_ports_share_no_pixel_and_lie_around_the_axis():
    found = ports(5, (24, 30), 3)
    np.testing.assert_allclose(np.einsum("iyx,jyx->ij", found, found), np.eye(5), atol=1e-15)
    rows, columns = np.nonzero(ports(4, (24, 30), 3).sum(axis=0))
    assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(12, abs=0.5)
    assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(15, abs=0.5)
    with pytest.raises(ValueError, match="`port_px` must let 9 ports fit on"):
        ports(9, (14, 16), 3)

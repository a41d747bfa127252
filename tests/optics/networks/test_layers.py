"""The loop that skips layers, on numbers: it is the plain one over the first of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.layers import check_layer_count, over_layers

WEIGHTS = jnp.array([2.0, 3.0, 5.0, 7.0])


def _step(x, weight):
    return weight * x + 1, x


@jax.jit
def _run(n_layers, weights):
    def last(weights, reverse):
        return over_layers(_step, jnp.asarray(1.0), weights, n_layers, reverse=reverse)

    slopes = jax.grad(lambda weights: last(weights, False)[0])(weights)
    return last(weights, False), last(weights, True), slopes


def test_skipping_is_the_plain_loop_over_the_first_layers():
    for n_layers in (1, 2, 3, 4):
        forwards, backwards, slopes = _run(jnp.asarray(n_layers), WEIGHTS)
        for (end, left), reverse in ((forwards, False), (backwards, True)):
            first = WEIGHTS[:n_layers]
            expected, expected_left = over_layers(
                _step, jnp.asarray(1.0), first, n_layers, reverse=reverse
            )
            assert end == expected
            np.testing.assert_array_equal(left[:n_layers], expected_left)
            np.testing.assert_array_equal(left[n_layers:], 0)
        # What follows layer i multiplies its input, so that the slope is left[i] times the later weights.
        products = [np.prod(WEIGHTS[i + 1 : n_layers]) for i in range(n_layers)]
        np.testing.assert_allclose(slopes[:n_layers], forwards[1][:n_layers] * np.array(products))
        np.testing.assert_array_equal(slopes[n_layers:], 0)


def test_all_layers_are_a_plain_scan():
    plain, skipping = (
        jax.make_jaxpr(lambda n=n: over_layers(_step, jnp.asarray(1.0), WEIGHTS, n))()
        for n in (4, jnp.asarray(4))
    )
    assert "while" not in str(plain)
    assert "while" in str(skipping)


@pytest.mark.parametrize("n_layers", [0, 5])
def test_a_count_that_is_known_must_fit(n_layers):
    message = f"`n_lit` must lie between 1 and the 4 layers there are, but is {n_layers}"
    with pytest.raises(ValueError, match=message):
        check_layer_count(jnp.asarray(n_layers), "n_lit", 4)

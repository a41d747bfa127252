import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.normalisation import LayerNorm, RMSNorm, make_layer_norm, make_rms_norm

X = np.random.default_rng(0).normal(2, 3, (4, 7))
WEIGHT, BIAS = np.linspace(0.5, 2, 7), np.linspace(-1, 1, 7)


def test_each_token_has_the_size_of_the_weight():
    y = RMSNorm(jnp.asarray(WEIGHT), 1e-3)(jnp.asarray(X))
    sizes = (X**2).mean(axis=1) / ((X**2).mean(axis=1) + 1e-3)
    np.testing.assert_allclose(((np.asarray(y) / WEIGHT) ** 2).mean(axis=1), sizes, rtol=1e-12)
    np.testing.assert_allclose(y[0] / (X[0] * WEIGHT), y[0, 0] / (X[0, 0] * WEIGHT[0]))


def test_a_weight_counted_from_one_is_one_less():
    plain = RMSNorm(jnp.asarray(WEIGHT), 1e-6)(jnp.asarray(X))
    shifted = RMSNorm(jnp.asarray(WEIGHT - 1), 1e-6, from_one=True)(jnp.asarray(X))
    np.testing.assert_allclose(shifted, plain, rtol=1e-12)
    fresh = (
        make_rms_norm(7, dtype=jnp.float64),
        make_rms_norm(7, from_one=True, dtype=jnp.float64),
    )
    np.testing.assert_array_equal(*(norm(jnp.asarray(X)) for norm in fresh))


def test_layer_normalisation_takes_mean_and_spread_away():
    y = np.asarray(make_layer_norm(7, eps=0.0, dtype=jnp.float64)(jnp.asarray(X)))
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(y.std(axis=1), 1, rtol=1e-12)
    scaled = LayerNorm(jnp.asarray(WEIGHT), jnp.asarray(BIAS), 0.0)(jnp.asarray(X))
    np.testing.assert_allclose(scaled, y * WEIGHT + BIAS, atol=1e-14)


def test_half_precision_is_averaged_in_single():
    x = jnp.full((1, 4096), 300.0, jnp.float16)  # the sum of squares would overflow
    y = make_rms_norm(4096, dtype=jnp.float16)(x)
    assert y.dtype == jnp.float16
    np.testing.assert_array_equal(y, 1)


def test_another_width_is_refused():
    for norm in (make_rms_norm(3), make_layer_norm(3)):
        with pytest.raises(ValueError, match="`x` must have size 3 along axis -1"):
            norm(jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="`width` must be at least 1"):
        make_rms_norm(0)

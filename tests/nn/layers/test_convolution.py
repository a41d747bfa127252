import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.convolution import CausalConvolution, make_causal_convolution

RNG = np.random.default_rng(0)
X, WEIGHT, BIAS = RNG.normal(size=(2, 6, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=3)
LAYER = CausalConvolution(jnp.asarray(WEIGHT), jnp.asarray(BIAS))


def test_each_channel_is_convolved_with_its_past():
    y, _ = LAYER(jnp.asarray(X))
    for row in range(2):
        for channel in range(3):
            # The last weight is that of the token itself, so the impulse response is the reverse.
            wanted = np.convolve(X[row, :, channel], WEIGHT[::-1, channel])[:6] + BIAS[channel]
            np.testing.assert_allclose(y[row, :, channel], wanted, atol=1e-14)


def test_the_window_carries_all_of_the_past():
    whole, last = LAYER(jnp.asarray(X))
    window, parts = None, []
    for piece in np.split(X, [1, 2, 5], axis=1):  # shorter than the window, and longer
        y, window = LAYER(jnp.asarray(piece), window)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-14)
    np.testing.assert_array_equal(window, last)
    np.testing.assert_array_equal(last, X[:, -3:])


def test_random_weights_keep_the_size_of_what_passes():
    layer = make_causal_convolution(5000, key=jax.random.key(0))
    assert layer.kept == 3
    # 20,000 weights: the standard deviation is known to 0.5 %.
    assert abs(float(layer.weight.std()) - 0.5) < 0.01
    assert layer.bias is None
    biased = make_causal_convolution(2, bias=True, key=jax.random.key(0)).bias
    np.testing.assert_array_equal(biased, [0, 0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`x` must have size 3 along axis -1"):
        LAYER(jnp.ones((1, 2, 4)))
    with pytest.raises(ValueError, match="`window` must have size 3 along axis 1"):
        LAYER(jnp.asarray(X), jnp.ones((2, 2, 3)))
    with pytest.raises(ValueError, match="`length` must be at least 1"):
        make_causal_convolution(2, length=0, key=jax.random.key(0))

"""The U-Net that predicts errors: sizes of the paper, complex linearity of its convolutions, shapes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.learning.methods.error_predictor import _convolve, make_error_predictor


@pytest.mark.parametrize(("features", "n_weights"), [((4, 6, 8), 3960), ((4, 8, 16), 9648)])
def test_sizes_are_those_of_the_paper(features, n_weights):
    """9 (f1 + 2 f1^2 + f1 f2 + 2 f2^2 + f2 f3 + 2 f3^2) + 9 (f1 + f1 f2 + f3 f2 + 2 f2 f1 + 2 f1), plus one bias per
    map: "4k" and "10k" parameters in the paper's figures."""
    fine, middle, coarse = features
    biases = 3 * (fine + middle + coarse) + fine + middle + middle + fine + 1
    predictor = eqx.filter_eval_shape(make_error_predictor, features, key=jax.random.key(0))
    assert predictor.n_parameters == n_weights + biases


@pytest.fixture(scope="module")
def trained():
    """A predictor whose last convolution is not zero."""
    key = jax.random.key(1)
    predictor = make_error_predictor(key=key)
    return eqx.tree_at(
        lambda p: p.last.kernel, predictor, jax.random.normal(key, predictor.last.kernel.shape)
    )


def test_untrained_predictor_predicts_no_error():
    predictor = make_error_predictor(key=jax.random.key(0))
    np.testing.assert_array_equal(eqx.filter_jit(predictor)(jnp.ones((2, 16)) + 0j), 0)


@pytest.mark.parametrize("shape", [(1, 7), (2, 5, 6)])
def test_any_shape_of_field_keeps_its_shape(trained, shape):
    error = eqx.filter_jit(trained)(jnp.ones(shape) + 0j)
    assert error.shape == shape
    assert bool(jnp.all(jnp.isfinite(error)))


def test_convolution_is_complex_cross_correlation():
    """Against the sum over the 3 x 3 neighbourhood in complex arithmetic, at full and at half resolution."""
    keys = jax.random.split(jax.random.key(2), 2)
    draws = jax.random.normal(keys[0], (2, 1, 5, 4, 3))
    x = np.asarray(jax.lax.complex(draws[0], draws[1]))
    convolution = make_error_predictor((3, 2, 1), key=keys[1]).blocks[0][1]
    kernel = np.asarray(convolution.kernel[0] + 1j * convolution.kernel[1])
    bias = np.asarray(convolution.bias[0] + 1j * convolution.bias[1])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.stack(
        [
            [np.einsum("yxi,yxio->o", padded[0, y : y + 3, x : x + 3], kernel) for x in range(4)]
            for y in range(5)
        ]
    )
    channels = jnp.concatenate([draws[0], draws[1]], axis=-1)
    for stride in (1, 2):
        result = np.asarray(_convolve(channels, convolution, stride))[0]
        found = result[..., :3] + 1j * result[..., 3:]
        np.testing.assert_allclose(found, (expected + bias)[::stride, ::stride], atol=1e-13)


def test_samples_do_not_mix(trained):
    draws = jax.random.normal(jax.random.key(4), (2, 2, 9))
    x = jax.lax.complex(draws[0], draws[1])
    predict = eqx.filter_jit(trained)
    np.testing.assert_allclose(predict(x[::-1])[::-1], predict(x), atol=1e-13)
    other = x.at[1].set(3j)
    np.testing.assert_allclose(predict(other)[0], predict(x)[0], atol=1e-13)


def test_bad_feature_counts_are_named():
    with pytest.raises(ValueError, match="`features` must be three counts of at least 1"):
        make_error_predictor((4, 0, 8), key=jax.random.key(0))


@pytest.mark.parametrize("stride", [1, 2])
def test_slices_and_a_product_are_the_convolution_of_xla(trained, stride):
    """Odd and even sides; real arithmetic of the same sums, so 1e-13 of values of order one."""
    convolution = trained.blocks[0][0]
    x = jax.random.normal(jax.random.key(5), (2, 8, 9, 2 * convolution.kernel.shape[-2]))
    real, imaginary = convolution.kernel
    rows = [jnp.concatenate(r, -1) for r in ((real, imaginary), (-imaginary, real))]
    expected = jax.lax.conv_general_dilated(
        x,
        jnp.concatenate(rows, -2),
        (stride, stride),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ) + convolution.bias.reshape(1, 1, 1, -1)
    np.testing.assert_allclose(_convolve(x, convolution, stride), expected, atol=1e-13)

"""What all hardware shares: noise of a stated size and colour, and no derivative through what was measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.opaque import add_noise, add_white, opaque, root_mean_square

KEY = jax.random.key(0)


def test_root_mean_square_by_hand():
    values = jnp.array([[3 + 4j, 0], [1j, 1j]])
    np.testing.assert_allclose(root_mean_square(values, 1), [[np.sqrt(12.5)], [1.0]])
    np.testing.assert_allclose(root_mean_square(values, 2), [[np.sqrt(27 / 4)]])
    np.testing.assert_allclose(root_mean_square(jnp.array([3.0, -4.0]), 1), [np.sqrt(12.5)])


@pytest.mark.parametrize("axes", [1, 2])
def test_noise_is_white_and_as_large_as_said(axes):
    # Bright and dark samples side by side: each is judged by its own level.
    values = jnp.stack([jnp.full((100, 200), 2.0 + 0j), jnp.full((100, 200), 0.1j)])
    noise = add_noise(values, 0.3, key=KEY, axes=axes) - values
    assert noise.dtype == values.dtype
    for sample, level in zip(np.asarray(noise), (2.0, 0.1), strict=True):
        # 20,000 numbers: the mean square is known to 1 / sqrt(20,000) = 0.7 %.
        for part in (sample.real, sample.imag):
            np.testing.assert_allclose(np.mean(part**2), (0.3 * level) ** 2 / 2, rtol=0.05)
        covariance = np.mean(sample.real * sample.imag) / (0.3 * level) ** 2
        assert abs(covariance) < 0.02
        assert abs(np.mean(sample[:, 1:] * sample[:, :-1].conj())) < 0.03 * (0.3 * level) ** 2


def test_noise_of_real_values_is_real_and_whole():
    values = jnp.full(20_000, 2.0)
    noise = add_noise(values, 0.3, key=KEY) - values
    np.testing.assert_allclose(np.mean(noise**2), 0.36, rtol=0.05)


def test_a_level_of_its_own_stands_in_for_the_values():
    dark = jnp.zeros(4, complex)
    np.testing.assert_array_equal(add_noise(dark, 0.3, key=KEY), dark)
    white = jax.random.normal(KEY, (4,), complex)
    np.testing.assert_allclose(add_noise(dark, 0.3, key=KEY, level=2.0), 0.6 * white)
    np.testing.assert_allclose(add_white(dark + 1, white, 0.3, level=2.0), 1 + 0.6 * white)


def test_no_noise_leaves_the_values_alone_and_draws_nothing():
    values = jnp.ones(3)
    assert add_noise(values, None, key=KEY) is values


@pytest.mark.parametrize("differentiate", [jax.grad, jax.jacfwd])
def test_a_measurement_has_no_derivative(differentiate):
    def power(x):
        first, second = opaque((x, x**2), "ChipBench", "Measure with `measure_taps`")
        return jnp.sum(first * second)

    np.testing.assert_allclose(jax.jit(power)(jnp.array([1.0, 2.0])), 9.0)
    message = r"`ChipBench` is hardware: .* no derivative. Measure with `measure_taps`, or stop"
    with pytest.raises(TypeError, match=message):
        differentiate(power)(jnp.array([1.0, 2.0]))


def test_the_usual_way_out_is_a_learning_rule():
    with pytest.raises(TypeError, match=r"Use a learning rule of `optics\.learning`"):
        jax.grad(lambda x: opaque(x, "OpticalBench"))(1.0)

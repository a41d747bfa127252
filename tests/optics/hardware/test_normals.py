"""Normal variables: the generator is Threefry, and what it gives is normal, independent and without direction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from optics.hardware.normals import complex_normals, threefry

KEY = jax.random.key(3)
N = 2**18
draw = jax.jit(
    lambda key, shape, dtype=jnp.complex64: complex_normals(shape, dtype, key=key),
    static_argnums=(1, 2),
)


@pytest.fixture(scope="module")
def sample():
    return np.asarray(draw(KEY, (N,)), complex)


def test_the_generator_is_that_of_jax():
    words = jax.random.key_data(KEY)
    counters = jax.random.bits(jax.random.key(1), (2, 1000), jnp.uint32)
    ours = jnp.stack(threefry(words, counters[0], counters[1]))
    np.testing.assert_array_equal(ours, threefry_2x32(words, counters))


def test_both_parts_are_normal(sample):
    for part in (np.real(sample), np.imag(sample)):
        # One in ten thousand good generators fails; the keys are fixed, so this one never does.
        assert stats.kstest(part, "norm").pvalue > 1e-4
        assert abs(part.mean()) < 4 / np.sqrt(N)
        assert abs(part.var() - 1) < 4 * np.sqrt(2 / N)
        assert abs(stats.skew(part)) < 4 * np.sqrt(6 / N)
        assert abs(stats.kurtosis(part)) < 4 * np.sqrt(24 / N)


def test_parts_neighbours_and_keys_are_independent(sample):
    other = np.asarray(draw(jax.random.key(4), (N,)), complex)
    pairs = [
        (sample.real, sample.imag),
        (np.real(sample) ** 2, np.imag(sample) ** 2),
        (sample.real[1:], sample.real[:-1]),
        (sample.imag[1:], sample.real[:-1]),
        (sample.real, np.real(other)),
        (sample.imag, np.imag(other)),
    ]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(N)


def test_no_direction_is_preferred(sample):
    angle = np.angle(sample) % (2 * np.pi)
    assert stats.kstest(angle, "uniform", args=(0, 2 * np.pi)).pvalue > 1e-4
    # Octants are chosen by three bits; each must be as frequent as the others.
    counts = np.bincount((angle / (np.pi / 4)).astype(int), minlength=8)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_modulus_is_that_of_its_word():
    """No rounding shows: the angle leaves the modulus alone, and the tail is that of a Rayleigh law."""
    sample = np.asarray(draw(KEY, (N,)), complex)
    assert stats.kstest(np.abs(sample), "rayleigh").pvalue > 1e-4
    first, _ = threefry(
        jax.random.key_data(KEY), jnp.arange(N, dtype=jnp.uint32), jnp.zeros(N, jnp.uint32)
    )
    uniform = (np.asarray(first) >> 9) * 2.0**-23 + 2.0**-24
    np.testing.assert_allclose(np.abs(sample), np.sqrt(-2 * np.log(uniform)), rtol=2e-6)


def test_the_same_key_gives_the_same_values_in_any_shape_and_precision():
    flat = draw(KEY, (24,))
    np.testing.assert_array_equal(draw(KEY, (2, 3, 4)).ravel(), flat)
    double = draw(KEY, (24,), jnp.complex128)
    assert double.dtype == jnp.complex128
    np.testing.assert_array_equal(double, flat)


@pytest.mark.parametrize(
    ("key", "shape", "name"),
    [(KEY, (2**16, 2**16), "shape"), (jax.random.key(0, impl="rbg"), (3,), "key")],
)
def test_bad_input_is_named(key, shape, name):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        complex_normals(shape, key=key)

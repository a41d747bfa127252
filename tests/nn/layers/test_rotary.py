import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.rotary import Llama3Scaling, Rotary

Q, K = np.random.default_rng(0).normal(size=(2, 8))


def _turned(rotary, x, position):
    return np.asarray(rotary(jnp.asarray(x)[None, None], jnp.array([position])))[0, 0]


@pytest.mark.parametrize("rotary", [Rotary(8), Rotary(4), Rotary(8, 500.0, interleaved=True)])
def test_products_depend_on_the_distance_alone(rotary):
    products = [_turned(rotary, Q, 5 + shift) @ _turned(rotary, K, 2 + shift) for shift in (0, 90)]
    np.testing.assert_allclose(products[1], products[0], rtol=1e-12)
    assert abs(_turned(rotary, Q, 6) @ _turned(rotary, K, 2) - products[0]) > 1e-3
    np.testing.assert_array_equal(_turned(rotary, Q, 0), Q)
    np.testing.assert_array_equal(_turned(rotary, Q, 3)[rotary.size :], Q[rotary.size :])


@pytest.mark.parametrize(("interleaved", "order"), [(False, [0, 2, 1, 3]), (True, [0, 1, 2, 3])])
def test_each_pair_is_a_complex_number_times_a_phase(interleaved, order):
    rotary = Rotary(4, 100.0, interleaved)
    pairs = lambda x: np.asarray(x)[order].reshape(2, 2) @ [1, 1j]  # noqa: E731
    phases = np.exp(1j * 7 * np.array([1, 0.1]))
    np.testing.assert_allclose(pairs(_turned(rotary, Q[:4], 7)), pairs(Q[:4]) * phases, rtol=1e-12)


def test_longer_texts_slow_all_frequencies_or_the_slow_ones():
    plain = Rotary(64, 5e5).frequencies()
    np.testing.assert_allclose(Rotary(64, 5e5, scaling=4).frequencies(), plain / 4)
    scaled = Rotary(64, 5e5, scaling=Llama3Scaling(8)).frequencies() / plain
    turns = 8192 * plain / (2 * np.pi)
    np.testing.assert_array_equal(scaled[turns > 4], 1)
    np.testing.assert_array_equal(scaled[turns < 1], 1 / 8)
    assert (
        (scaled[(turns > 1) & (turns < 4)] > 1 / 8) & (scaled[(turns > 1) & (turns < 4)] < 1)
    ).all()
    # 2,000 turns in 12,566 tokens: a third of the ramp from 1,000 to 4,000.
    ramp = Rotary(
        2, 1.0, scaling=Llama3Scaling(8, low=1000, high=4000, context=12566)
    ).frequencies()
    np.testing.assert_allclose(ramp, 1 / 3 + 2 / 3 / 8, rtol=1e-4)


def test_what_cannot_be_turned_is_named():
    with pytest.raises(ValueError, match="`pairs of 2` must divide `size`"):
        Rotary(5)
    with pytest.raises(ValueError, match="`head_dim` must be at least 8, but is 4"):
        Rotary(8)(jnp.ones((1, 1, 4)), jnp.array([0]))
    with pytest.raises(ValueError, match="`high` must be above `low`"):
        Llama3Scaling(8, low=4, high=1)
    with pytest.raises(ValueError, match="`scaling` must be positive"):
        Rotary(8, scaling=-1)

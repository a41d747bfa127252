import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.activation_ranges import static_range, to_levels
from nn.compression.rptq import OrderedNorm, cluster_channels, order_inputs, order_outputs
from nn.layers.linear import Dense
from nn.layers.normalisation import LayerNorm

WIDTHS = np.array([1.0, 30.0, 1.1, 0.05, 29.0, 0.06, 0.9, 31.0])


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (200, 8)) * WIDTHS)


def test_channels_of_like_ranges_lie_side_by_side_the_narrow_first(x):
    found = cluster_channels(x, 3)
    assert [set(part) for part in np.split(found.order, np.cumsum(found.sizes)[:-1])] == [
        {3, 5}, {0, 2, 6}, {1, 4, 7}
    ]  # fmt: skip
    rows = np.asarray(x)
    np.testing.assert_allclose(
        found.unordered().high[jnp.array([1, 4, 7])], rows[:, [1, 4, 7]].max()
    )
    np.testing.assert_allclose(found.ends.low[:2], rows[:, [3, 5]].min())


def test_as_many_clusters_as_channels_are_ranges_of_each_channel_and_one_is_that_of_all(x):
    each, one = cluster_channels(x, 20), cluster_channels(x, 1)
    np.testing.assert_array_equal(each.unordered().low, static_range(x, 4, per_channel=True).low)
    assert (one.ends.high == static_range(x, 4).high).all()
    np.testing.assert_array_equal(one.order, np.arange(8))


def test_clusters_lose_less_than_one_range(x):
    loss = lambda n: float(  # noqa: E731
        (((to_levels(x, cluster_channels(x, n).unordered(), 3) - x) / WIDTHS[None]) ** 2).mean()
    )
    assert loss(1) > 5 * loss(3)


def test_a_model_in_another_order_is_unchanged():
    rng = np.random.default_rng(1)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    norm, up, down = (
        LayerNorm(draw(8), draw(8), 1e-5),
        Dense(draw(8, 12), draw(12)),
        Dense(draw(12, 3)),
    )
    x = draw(5, 8)
    first, second = rng.permutation(8), rng.permutation(12)
    wanted = down(jax.nn.gelu(up(norm(x))))
    ordered = OrderedNorm(norm, jnp.asarray(first))
    above = order_outputs(order_inputs(up, first), second)
    got = order_inputs(down, second)(jax.nn.gelu(above(ordered(x))))
    # Sums of 12 numbers in another order, single precision.
    np.testing.assert_allclose(got, wanted, atol=1e-6 * float(jnp.abs(wanted).max()) * 3)
    assert not np.allclose(above(ordered(x)), up(norm(x)), atol=1e-2)


def test_bad_input_is_named(x):
    with pytest.raises(ValueError, match="`n_clusters` must be at least 1, but is 0"):
        cluster_channels(x, 0)
    with pytest.raises(ValueError, match=r"`x` must be finite.*A range has to hold it"):
        cluster_channels(x.at[0, 0].set(jnp.inf), 2)
    linear = Dense(jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="`order` must hold each channel from 0 to 2 once"):
        order_inputs(linear, np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="`order` must have size 2 along axis 0"):
        order_outputs(linear, np.array([0, 1, 2]))

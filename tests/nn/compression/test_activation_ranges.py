import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression.activation_ranges import (
    Range,
    dynamic_range,
    range_cost,
    static_range,
    to_levels,
)


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.default_rng(0).standard_t(3, (60, 8)))


def test_levels_are_evenly_spaced_hold_zero_and_cut_off_beyond():
    ends = Range(jnp.array(-1.0), jnp.array(2.0))
    got = to_levels(jnp.array([-5.0, -0.6, -0.4, 0.0, 0.4, 0.6, 1.4, 9.0]), ends, 2)
    np.testing.assert_allclose(got, [-1, -1, 0, 0, 0, 1, 1, 2])
    # A level is nowhere farther than half a step, and zero is kept whatever the ends are.
    grid = jnp.linspace(-0.93, 2.21, 500)
    off = Range(jnp.array(-0.93), jnp.array(2.21))
    step = 3.14 / 15
    assert float(jnp.abs(to_levels(grid, off, 4) - grid).max()) < step * 1.01
    assert float(to_levels(jnp.zeros(1), off, 4)[0]) == 0
    assert not to_levels(jnp.zeros(3), Range(jnp.array(0.0), jnp.array(0.0)), 4).any()


def test_rules_give_the_ends_they_say(x):
    rows = np.asarray(x)
    widest = static_range(x, 4)
    assert (float(widest.low), float(widest.high)) == (rows.min(), rows.max())
    cut = static_range(x, 4, rule="percentile", percentile=90)
    assert float(cut.low) == pytest.approx(np.percentile(rows, 10))
    each = static_range(x, 4, per_channel=True)
    np.testing.assert_array_equal(each.high, rows.max(axis=0))


def test_least_error_is_the_least_of_the_shares(x):
    errors = lambda ends: float(((to_levels(x, ends, 3) - x) ** 2).sum())  # noqa: E731
    found, widest = static_range(x, 3, rule="mse", n_shares=10), static_range(x, 3)
    tried = [errors(Range(widest.low * k / 10, widest.high * k / 10)) for k in range(1, 11)]
    assert errors(found) == pytest.approx(min(tried))
    assert min(tried) < 0.8 * errors(widest)


def test_a_range_of_each_token_or_block_loses_less_than_one_of_all(x):
    wide = x * jnp.logspace(-2, 2, 60)[:, None]
    losses = [
        float((((to_levels(wide, ends, 4) - wide) / wide) ** 2).mean())
        for ends in (static_range(wide, 4), dynamic_range(wide), dynamic_range(wide, 2))
    ]
    assert losses[0] > 3 * losses[1] > 6 * losses[2]
    np.testing.assert_allclose(dynamic_range(x, 4).high[3, :4], max(x[3, :4].max(), 0))


def test_cost_counts_two_comparisons_a_number():
    assert range_cost(5, 8, static=False) == (80, 5, 1)
    assert range_cost(5, 8, block=2, static=False) == (80, 20, 1)
    assert range_cost(5, 8, static=True) == (0, 0, 0)


def test_bad_input_is_named(x):
    with pytest.raises(ValueError, match="`rule` must be one of max, percentile, mse"):
        static_range(x, 4, rule="median")
    with pytest.raises(ValueError, match="`bits` must lie between 1 and 16, but is 0"):
        static_range(x, 0)
    with pytest.raises(ValueError, match=r"`x` must be finite.*A range has to hold it"):
        static_range(x.at[0, 0].set(jnp.nan), 4)
    with pytest.raises(ValueError, match=r"`x` must be finite.*No level is NaN"):
        to_levels(x.at[0, 0].set(jnp.nan), Range(jnp.array(0.0), jnp.array(1.0)), 4)
    with pytest.raises(ValueError, match="`block` must divide `n`, but is 3, and n is 8"):
        dynamic_range(x, 3)
    with pytest.raises(ValueError, match="`percentile` must lie between 50 and 100"):
        static_range(x, 4, percentile=20)

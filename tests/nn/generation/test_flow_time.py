import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.flow_time import (
    check_times,
    flux_mu,
    list_grid,
    make_grid,
    make_shift,
    make_time_law,
    shift_by_dimension,
    shift_by_mu,
    shift_times,
)

RNG = np.random.default_rng(0)
U = jnp.asarray(RNG.uniform(0, 1, 1000))
FACTORS = [(0.4, 2.67), (10.0, 0.15), (1.0, 3.0), (1e-3, 1e3)]


def logit(t):
    return np.log(np.asarray(t)) - np.log1p(-np.asarray(t))


@pytest.mark.parametrize(("a", "b"), FACTORS)
def test_shifts_are_a_group_under_multiplication(a, b):
    close = dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shift_times(shift_times(U, b), a), shift_times(U, a * b), **close)
    np.testing.assert_allclose(shift_times(shift_times(U, a), 1 / a), U, **close)
    one, two = make_shift(a, noise_at=0), make_shift(b, noise_at=0)
    np.testing.assert_allclose(one.then(two)(U), two(one(U)), **close)
    np.testing.assert_allclose(one.then(one.inverse())(U), U, **close)


@pytest.mark.parametrize(("a", "b"), FACTORS)
def test_the_other_convention_inverts_the_factor(a, b):
    shift = make_shift(a, noise_at=0)
    np.testing.assert_allclose(1 - shift(U), shift.at(1)(1 - U), rtol=1e-12, atol=1e-12)
    assert shift.at(1).at(0).factor == pytest.approx(a, rel=1e-15)
    # Composed across conventions: the second is turned into the first's.
    mixed = shift.then(make_shift(b, noise_at=1))
    assert (mixed.noise_at, float(mixed.factor)) == (0, pytest.approx(a / b, rel=1e-14))


def test_a_shift_moves_the_logit_by_its_logarithm():
    u = jnp.asarray(RNG.uniform(0.02, 0.98, 1000))
    for factor in (0.4, 2.5, 6.67):
        np.testing.assert_allclose(
            logit(shift_times(u, factor)), logit(u) + np.log(factor), rtol=0, atol=1e-12
        )


def test_published_shifts_are_one_another():
    released = make_shift(0.4, noise_at=0).at(1)
    assert float(released.factor) == pytest.approx(2.5, rel=1e-15)
    assert float(make_shift(0.15, noise_at=0).at(1).factor) == pytest.approx(1 / 0.15, rel=1e-15)
    # e^0.5 at 256 tokens, e^1.15 at 4096.
    np.testing.assert_allclose([flux_mu(256), flux_mu(4096)], [0.5, 1.15], rtol=1e-15)
    shift = shift_by_mu(flux_mu(4096))
    assert shift.noise_at == 1
    # Flux writes e^mu / (e^mu + (1/t - 1)).
    written = np.exp(1.15) / (np.exp(1.15) + (1 / np.asarray(U) - 1))
    np.testing.assert_allclose(shift(U), written, rtol=1e-12)
    assert float(shift_by_dimension(16 * 16 * 392).factor) == pytest.approx(4.949747468305833)
    assert float(shift_by_dimension(16 * 16 * 768).factor) == pytest.approx(48**0.5)
    assert float(shift_by_dimension(18, base=2).factor) == 3
    assert shift_by_dimension(4096).noise_at == 1


def test_drawn_times_follow_the_laws():
    n = 40_000
    shift = make_shift(0.4, noise_at=0)
    t = np.asarray(make_time_law(shift).draw(n, key=jax.random.key(0)))
    # Median s / (1 + s); mean of s u / (1 + (s - 1) u) by integration; four standard errors.
    width = 0.5 / float(shift.density(jnp.asarray(0.4 / 1.4))) / n**0.5
    assert np.median(t) == pytest.approx(0.4 / 1.4, abs=4 * width)
    mean = 0.4 / (0.4 - 1) * (1 - np.log(0.4) / (0.4 - 1))
    assert mean == pytest.approx(0.351, abs=5e-4)
    assert t.mean() == pytest.approx(mean, abs=4 * t.std() / n**0.5)
    # The same law said with noise at 1.
    same = make_time_law(shift.at(1)).draw(n, key=jax.random.key(0))
    np.testing.assert_allclose(same, t, rtol=1e-12)
    # A logit-normal's mean moves by ln s, its deviation stays.
    law = make_time_law(shift, "logit_normal", mean=0.3, sd=1.5)
    found = logit(law.draw(n, key=jax.random.key(1)))
    assert found.mean() == pytest.approx(0.3 + np.log(0.4), abs=4 * 1.5 / n**0.5)
    assert found.std() == pytest.approx(1.5, abs=4 * 1.5 / (2 * n) ** 0.5)


def test_the_density_is_the_slope_of_the_inverse():
    shift, step = make_shift(0.4, noise_at=0), 1e-5
    t = jnp.linspace(0.05, 0.95, 7)
    inverse = shift.inverse()
    np.testing.assert_allclose(
        shift.density(t), (inverse(t + step) - inverse(t - step)) / (2 * step), rtol=1e-8
    )


def test_a_grid_has_its_times_in_either_convention():
    grid = make_grid(5, make_shift(2.5, noise_at=1))
    u = np.arange(6) / 5
    np.testing.assert_allclose(grid.times(0), 0.4 * u / (1 - 0.6 * u), rtol=1e-14)
    np.testing.assert_allclose(grid.times(1), 1 - grid.times(0), rtol=1e-14)
    assert grid.times(0)[-1] == 1
    np.testing.assert_allclose(grid.reversed().times(0), grid.times(0)[::-1], rtol=1e-14)
    # Sigmas of another program, the same times.
    listed = list_grid(grid.times(1), noise_at=1)
    np.testing.assert_allclose(listed.times(0), grid.times(0), rtol=1e-14)
    np.testing.assert_allclose(listed.reversed().times(1), grid.times(1)[::-1], rtol=1e-14)
    part = make_grid(2, start=0.5, stop=1.0)
    np.testing.assert_allclose(part.times(0), [0.5, 0.75, 1], rtol=1e-15)


def test_a_second_shift_is_refused():
    shift = make_shift(0.4, noise_at=0)
    once = make_grid(5).shifted(shift)
    np.testing.assert_array_equal(once.times(0), make_grid(5, shift).times(0))
    with pytest.raises(ValueError, match=r"shift of 0\.4 with noise at 0; a second shift"):
        once.shifted(shift)
    with pytest.raises(ValueError, match="listed one by one"):
        list_grid([0.0, 0.3, 1.0], noise_at=0).shifted(shift)
    # And inside a program, where the factor cannot be read.
    with pytest.raises(ValueError, match="traced factor"):
        jax.jit(lambda s: make_grid(5, shift.then(make_shift(s, noise_at=0))).shifted(shift).start)(
            2.0
        )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: make_shift(0.0, noise_at=0), "`factor` must be positive"),
        (lambda: make_shift(1.0, noise_at=2), "`noise_at` must be one of 0, 1"),
        (lambda: make_shift(1.0, noise_at=0).at(3), "`noise_at` must be one of"),
        (lambda: shift_times(jnp.array([0.5, 1.5]), 2.0), "`u` must lie between 0 and 1, but has 1.5"),
        (lambda: check_times(np.array([500.0])), "divided by 1000"),
        (lambda: check_times(np.array([np.nan])), "has nan"),
        (lambda: make_grid(0), "`n_steps` must be at least 1"),
        (lambda: make_grid(3, start=-0.1), "`start` must lie between"),
        (lambda: list_grid([0.0], noise_at=0), "`times` must be at least 2"),
        (lambda: list_grid([0.0, 0.5, 0.5], noise_at=0), "rise or fall"),
        (lambda: make_time_law(kind="beta"), "`kind` must be one of uniform, logit_normal"),
        (lambda: make_time_law(sd=0.0), "`sd` must be positive"),
        (lambda: flux_mu(0), "`n_tokens`"),
        (lambda: shift_by_dimension(0), "`n_numbers`"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.ddim import (
    FlowNoise,
    ddim_step,
    make_ddim_grid,
    sample_ddim,
    signal_levels,
    time_of_signal,
)
from nn.generation.exact_flow import make_gaussian_flow
from nn.generation.guidance import make_guidance

SIGNAL = signal_levels()
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(32, 2)))
# Data of deviation 0.5.
FLOW = make_gaussian_flow(jnp.zeros((1, 2)), 0.25 * jnp.eye(2)[None])
NOISE_OF = FlowNoise(FLOW, jnp.asarray(SIGNAL))


def test_schedules_are_those_of_their_papers():
    # First and last shares of Stable Diffusion, DDPM (arXiv 2006.11239: 1e-4 to 0.02) and the cosine.
    assert SIGNAL[0] == pytest.approx(1 - 0.00085)
    betas = 1 - SIGNAL[1:] / SIGNAL[:-1]
    np.testing.assert_allclose(np.diff(np.sqrt(betas)), np.diff(np.sqrt(betas))[0], rtol=1e-6)
    linear = signal_levels("linear", first=1e-4, last=0.02)
    assert linear[-1] == pytest.approx(4.04e-5, rel=0.01)
    assert signal_levels("cosine", 10).shape == (10,)
    cosine = signal_levels("cosine")
    assert cosine[499] == pytest.approx(np.cos((0.5 + 0.008) / 1.008 * np.pi / 2) ** 2, rel=1e-3)


def test_levels_are_those_of_the_spacings():
    level = lambda grid: np.asarray(grid.level(jnp.arange(int(grid.n_steps) + 1)))  # noqa: E731
    np.testing.assert_array_equal(level(make_ddim_grid(SIGNAL, 4)), [751, 501, 251, 1, -249])
    np.testing.assert_array_equal(
        level(make_ddim_grid(SIGNAL, 4, spacing="trailing")), [999, 749, 499, 249, -1]
    )
    np.testing.assert_array_equal(
        level(make_ddim_grid(SIGNAL, 3, spacing="trailing")), [999, 666, 332, -1]
    )
    np.testing.assert_array_equal(
        level(make_ddim_grid(SIGNAL, 4, offset=0)), [750, 500, 250, 0, -250]
    )
    grid = make_ddim_grid(SIGNAL, 4, clean=SIGNAL[0])
    np.testing.assert_allclose(
        grid.signal_at(jnp.array([751, -249])), [SIGNAL[751], SIGNAL[0]], rtol=1e-14
    )


def test_a_flow_predicts_the_noise_of_these_coordinates():
    # Data of variance s^2: E[noise | x] = sqrt(1 - a) x / (a s^2 + 1 - a).
    for level in (0, 300, 999):
        a = SIGNAL[level]
        found = NOISE_OF(X, jnp.full(32, float(level)), None)
        np.testing.assert_allclose(found, np.sqrt(1 - a) * np.asarray(X) / (0.25 * a + 1 - a), rtol=1e-9)  # fmt: skip
    # Equal shares of signal and noise are the middle of the path.
    assert float(time_of_signal(jnp.asarray(0.5))) == pytest.approx(0.5, rel=1e-14)


def test_the_step_solves_a_linear_field_as_numpy_does():
    grid = make_ddim_grid(SIGNAL, 10)
    x, shares = np.asarray(X), [*SIGNAL[901::-100], 1.0]
    for a, b in itertools.pairwise(shares):
        noise = np.sqrt(1 - a) * x / (0.25 * a + 1 - a)
        x = np.sqrt(b) * (x - np.sqrt(1 - a) * noise) / np.sqrt(a) + np.sqrt(1 - b) * noise
    np.testing.assert_allclose(sample_ddim(NOISE_OF, X, grid), x, rtol=1e-9)


def test_a_number_of_steps_that_does_not_divide_is_no_worse():
    # diffusers 0.42.1 gives 0.706 here: its list and its steps differ (findings/ddim_steps_that_do_not_divide.sh).
    found = sample_ddim(NOISE_OF, X, make_ddim_grid(SIGNAL, 501, spacing="trailing"))
    np.testing.assert_allclose(found / X, 0.5, rtol=0.015)


def test_the_inverse_step_is_the_step_undone():
    noise, a, b = X[::-1], jnp.asarray(0.3), jnp.asarray(0.6)
    there = ddim_step(X, noise, a, b)
    np.testing.assert_allclose(ddim_step(there, noise, b, a), X, rtol=1e-12, atol=1e-13)


def test_fresh_noise_keeps_the_law():
    # From the exact law at a: data known to be 0, so x is noise alone; variance 1 - b after, whatever eta.
    n, a, b = 20_000, jnp.asarray(0.2), jnp.asarray(0.7)
    start, fresh = jax.random.normal(jax.random.key(0), (2, n, 1))
    x = jnp.sqrt(1 - a) * start
    for eta in (0.5, 1.0):
        after = np.asarray(ddim_step(x, start, a, b, eta=eta, fresh=fresh))
        assert after.std() == pytest.approx(0.3**0.5, rel=4 / (2 * n) ** 0.5)
    # With eta = 1 the step is the posterior of DDPM: its variance is (1 - b) / (1 - a) (1 - a / b).
    kept = np.cov(np.ravel(after), np.ravel(fresh))[0, 1]
    assert kept == pytest.approx((0.3 / 0.8 * (1 - 0.2 / 0.7)) ** 0.5, rel=0.05)


def test_fresh_noise_is_that_of_its_key():
    first, again, other = (
        np.asarray(
            sample_ddim(NOISE_OF, X, make_ddim_grid(SIGNAL, 3), eta=1.0, key=jax.random.key(k))
        )
        for k in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 1e-6


def test_guidance_goes_through():
    narrow = 0.04 * jnp.broadcast_to(jnp.eye(2)[None], (2, 2, 2))
    pair = make_gaussian_flow(jnp.array([[-1.0, 0.0], [1.0, 0.0]]), narrow)
    noise_of = FlowNoise(pair, jnp.asarray(SIGNAL))
    right = jnp.broadcast_to(jnp.array([-20.0, 0.0])[None], (32, 2))
    grid = make_ddim_grid(SIGNAL, 20)
    ends = lambda w: sample_ddim(  # noqa: E731
        noise_of, X, grid, condition=right, guidance=make_guidance(w, np.zeros(2))
    )
    np.testing.assert_array_equal(ends(1.0), sample_ddim(noise_of, X, grid, condition=right))
    assert float(ends(3.0)[:, 0].mean()) > float(ends(1.0)[:, 0].mean())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: signal_levels("sigmoid"), "`kind` must be one of linear"),
        (lambda: signal_levels(first=0.0), "`first` must lie between"),
        (lambda: make_ddim_grid(SIGNAL, 0), "`n_steps` must be at least 1"),
        (lambda: make_ddim_grid(SIGNAL, 1001), "no more levels"),
        (lambda: make_ddim_grid(SIGNAL, 10, spacing="linspace"), "`spacing` must be one of leading"),
        (lambda: make_ddim_grid(SIGNAL, 10, offset=500), "`offset` must lie between 0 and 99"),
        (lambda: make_ddim_grid(SIGNAL, 501), "501 steps of 1 leave out 498 of 1000. Take spacing="),
        (lambda: make_ddim_grid(SIGNAL[::-1], 10), "`signal` must fall"),
        (lambda: make_ddim_grid(SIGNAL, 10, clean=0.5), "`clean` must lie between"),
        (lambda: sample_ddim(NOISE_OF, X, make_ddim_grid(SIGNAL, 2), eta=1.0), "`key` must be given"),
        (lambda: sample_ddim(NOISE_OF, X, make_ddim_grid(SIGNAL, 2), eta=2.0), "`eta` must lie between"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()

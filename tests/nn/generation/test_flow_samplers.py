import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.generation.exact_flow import make_finite_flow, make_gaussian_flow
from nn.generation.flow_samplers import FlowPath, sample_flow, straightness
from nn.generation.flow_time import list_grid, make_grid, make_shift
from nn.generation.guidance import make_guidance

RNG = np.random.default_rng(0)
MEAN = np.array([1.0, -0.5])
ROOT = np.array([[0.5, 0.0], [0.4, 0.8]])
GAUSSIAN = make_gaussian_flow(jnp.asarray(MEAN[None]), jnp.asarray((ROOT @ ROOT.T)[None]))
NOISE = jnp.asarray(RNG.normal(size=(64, 2)))
SHIFT = make_shift(0.4, noise_at=0)


def error(method, n_steps):
    """Against the exact transport, in the mean."""
    found = sample_flow(GAUSSIAN, NOISE, make_grid(n_steps, SHIFT), method=method).end
    return float(jnp.abs(found - GAUSSIAN.transport(NOISE)).mean())


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_the_error_falls_with_the_order_of_the_method(method, order):
    steps = np.array([64, 128, 256, 512])
    slope = np.polyfit(np.log(steps), np.log([error(method, int(n)) for n in steps]), 1)[0]
    assert slope == pytest.approx(-order, abs=0.1)


def test_the_number_of_steps_is_data():
    traced = []

    class Counted(eqx.Module):
        flow: eqx.Module

        def __call__(self, x, t, condition):
            traced.append(x.shape)
            return self.flow(x, t, condition)

    field = Counted(GAUSSIAN)
    for n_steps in (1, 2, 5, 50):
        for shift in (SHIFT, make_shift(2.0, noise_at=0)):
            sample_flow(field, NOISE, make_grid(n_steps, shift))
    assert len(traced) == 1


def test_a_step_is_that_of_numpy():
    flow = make_finite_flow(NOISE[:9])
    times = [0.0, 0.2, 0.5, 1.0]
    field = lambda x, t: np.asarray(flow(jnp.asarray(x), jnp.full(64, t)))  # noqa: E731
    x = y = np.asarray(NOISE)
    energy = np.zeros(64)
    for t, later in itertools.pairwise(times):
        v = field(x, t)
        x, energy = x + (later - t) * v, energy + (later - t) * (v**2).sum(axis=1)
        first = field(y, t)
        if later < 1:
            first = 0.5 * (first + field(y + (later - t) * first, later))
        y = y + (later - t) * first
    grid = list_grid(times, noise_at=0)
    path = sample_flow(flow, NOISE, grid)
    np.testing.assert_allclose(path.end, x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(path.energy, energy, rtol=1e-9)
    np.testing.assert_allclose(
        sample_flow(flow, NOISE, grid, method="heun").end, y, rtol=1e-9, atol=1e-12
    )


def test_many_steps_end_on_the_points_and_one_on_their_mean():
    points = NOISE[:9]
    flow = make_finite_flow(points)
    one = sample_flow(flow, NOISE, make_grid(1)).end
    np.testing.assert_allclose(one, np.tile(points.mean(axis=0), (64, 1)), rtol=1e-12, atol=1e-13)
    many = np.asarray(sample_flow(flow, NOISE, make_grid(300)).end)
    nearest = np.abs(many[:, None] - np.asarray(points)[None]).max(axis=-1).min(axis=1)
    assert np.median(nearest) < 1e-9


def test_ancestral_steps_without_churn_are_euler_and_with_it_keep_the_law():
    grid = make_grid(20, SHIFT)
    key = jax.random.key(3)
    still = sample_flow(GAUSSIAN, NOISE, grid, method="ancestral", churn=0.0, key=key).end
    np.testing.assert_allclose(still, sample_flow(GAUSSIAN, NOISE, grid).end, rtol=1e-11)
    # A point as data: one step from t to s has variance (1 - s)^2 about s data, whatever the churn.
    point = make_finite_flow(jnp.ones((1, 1)))
    start = jax.random.normal(key, (20_000, 1))
    part = list_grid([0.0, 0.3, 0.6], noise_at=0)
    for churn in (0.5, 1.0):
        end = np.asarray(
            sample_flow(point, start, part, method="ancestral", churn=churn, key=key).end
        )
        assert end.mean() == pytest.approx(0.6, abs=4 * 0.4 / 20_000**0.5)
        assert end.std() == pytest.approx(0.4, abs=4 * 0.4 / 40_000**0.5)
    # All of the noise is fresh at the first step: churn forgets the start, as much as 0.3 / 0.6 * 0.4 / 0.7 lets it.
    kept = np.corrcoef(np.ravel(start), np.ravel(end))[0, 1]
    assert abs(kept) < 4 / 20_000**0.5


def test_backwards_leads_to_where_it_began():
    misses = {}
    for n_steps in (100, 400):
        grid = make_grid(n_steps, SHIFT)
        data = sample_flow(GAUSSIAN, NOISE, grid, method="heun").end
        for method in ("heun", "euler"):
            back = sample_flow(GAUSSIAN, data, grid.reversed(), method=method).end
            misses[method, n_steps] = float(jnp.abs(back - NOISE).max())
    assert misses["heun", 400] < 3e-4
    assert misses["heun", 100] / misses["heun", 400] == pytest.approx(16, rel=0.1)
    assert misses["euler", 100] / misses["euler", 400] == pytest.approx(4, rel=0.1)


def test_straightness_is_that_of_the_steps():
    path = sample_flow(GAUSSIAN, NOISE, make_grid(25, SHIFT))
    # Step by step: d - v, weighted by the time of the step.
    times = make_grid(25, SHIFT).times(0)
    x, velocities = NOISE, []
    for t, later in itertools.pairwise(times):
        velocities.append(np.asarray(GAUSSIAN(x, jnp.full(64, t))))
        x = x + (later - t) * velocities[-1]
    d = np.asarray(x - NOISE)
    bent = sum(
        h * ((d - v) ** 2).sum(axis=1) for h, v in zip(np.diff(times), velocities, strict=True)
    )
    found = straightness(path)
    assert found.value == pytest.approx(1 - bent.mean() / (d**2).sum(axis=1).mean(), rel=1e-10)
    # One point: straight lines at constant speed.
    point = make_finite_flow(jnp.ones((1, 2)))
    assert straightness(sample_flow(point, NOISE, make_grid(7))).value == pytest.approx(
        1, abs=1e-12
    )


def test_the_error_of_the_straightness_of_two_paths_is_that_by_hand():
    # Both move by 1, and bend by 0 and 1: S = 1 - 1/2, residuals -+ 1/2 of deviation 1/sqrt 2, over sqrt 2.
    ones = jnp.ones((2, 1))
    found = straightness(FlowPath(0 * ones, ones, jnp.array([1.0, 2.0]), jnp.asarray(1.0)))
    assert found == pytest.approx((0.5, 0.5), rel=1e-14)


LABELLED = make_finite_flow(NOISE[:8], jnp.array([0, 0, 0, 1, 1, 1, 2, 2]))
CLASSES = jnp.asarray(RNG.integers(0, 3, 64))


def ends(**options):
    return np.asarray(sample_flow(LABELLED, NOISE, make_grid(6), **options).end)


def test_weight_one_is_conditional_and_zero_unconditional_bit_for_bit():
    guided = lambda w: ends(condition=CLASSES, guidance=make_guidance(w, 3))  # noqa: E731
    np.testing.assert_array_equal(guided(1.0), ends(condition=CLASSES))
    np.testing.assert_array_equal(guided(0.0), ends(condition=jnp.full(64, 3)))
    assert np.abs(guided(2.0) - guided(1.0)).max() > 1e-3


@pytest.mark.parametrize(
    ("mode", "weight_of"),
    [
        ("constant", lambda i, t: 3.0),
        ("late", lambda i, t: 3.0 if (i + 1) / 6 > 0.5 else 1.0),
        ("early", lambda i, t: 3.0 if t > 0.6 else 1.0),
        ("linear", lambda i, t: 1 + 2 * (i + 1) / 6),
        ("cfg_star", lambda i, t: 3.0),
    ],
)
def test_schedules_are_those_of_the_release(mode, weight_of):
    found = ends(
        condition=CLASSES, guidance=make_guidance(3.0, 3, mode, turn=0.6, skip=2, ratio=0.1)
    )
    x = NOISE
    for i in range(6):
        t = jnp.full(64, i / 6)
        u, c = LABELLED(x, t), LABELLED(x, t, CLASSES)
        v = u + weight_of(i, i / 6) * (c - u)
        if mode == "cfg_star" and i < 2:
            v = -0.1 * u
        x = x + v / 6
    np.testing.assert_allclose(found, x, rtol=1e-8, atol=1e-10)


def unguided(**options):
    return sample_flow(GAUSSIAN, NOISE, make_grid(2), **options)


def guided_by(null, condition=CLASSES):
    guidance = make_guidance(2.0, null)
    return sample_flow(LABELLED, NOISE, make_grid(2), condition=condition, guidance=guidance)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: unguided(method="rk4"), "`method` must be one of euler"),
        (lambda: sample_flow(GAUSSIAN, NOISE * jnp.nan, make_grid(2)), "`start` must be finite"),
        (lambda: unguided(method="ancestral"), "`key` must be given"),
        (lambda: unguided(churn=2.0), "`churn` must lie between"),
        (lambda: guided_by(3, None), "unconditional field cannot be guided"),
        (lambda: guided_by({"a": 3}), "structure of `null`"),
        (lambda: guided_by(np.zeros(2)), "shape of one condition"),
        (lambda: make_guidance(2.0, None), "`null` must be the condition that says nothing"),
        (lambda: make_guidance(2.0, 3, "always"), "`mode` must be one of constant"),
        (lambda: make_guidance(float("nan"), 3), "`weight` must be finite"),
        (lambda: straightness(sample_flow(GAUSSIAN, NOISE, make_grid(2, stop=0.5))), "two whole"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_ancestral_steps_go_forwards_only():
    back = make_grid(2).reversed()
    with pytest.raises(ValueError, match="goes backwards"):
        sample_flow(GAUSSIAN, NOISE, back, method="ancestral", key=jax.random.key(0))

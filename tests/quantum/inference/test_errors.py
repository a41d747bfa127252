import jax.numpy as jnp
import numpy as np
import pytest

from quantum.inference.errors import (
    coverage,
    group_bootstrap,
    parametric_bootstrap,
    profile,
)
from quantum.inference.fitting import ForwardModel, fit
from quantum.inference.likelihood import Binomial, Gaussian

TIMES = np.linspace(0.1, 3, 25)
LINE = ForwardModel(lambda p: p[0] + p[1] * TIMES, ("start", "slope"), (-5.0, -5.0), (5.0, 5.0))
# A contrast below 1, as readout leaves it: where a prediction is +-1, ln L has a wall that starts cannot climb.
WAVE = ForwardModel(lambda p: 0.9 * jnp.cos(p[0] * TIMES), ("omega",), (4.0,), (9.0,))
TRUTH = np.array([0.5, -0.2])


@pytest.fixture(scope="module")
def line():
    exact = LINE.predict(TRUTH)
    data = Gaussian(exact, np.full(25, 0.3)).redrawn(exact, np.random.default_rng(3))
    return data, fit(LINE, data, 1)


def test_the_profile_of_a_line_is_the_parabola_of_its_error(line):
    data, best = line
    error = best.estimate("slope").stderr
    grid = best.values[1] + error * np.linspace(-2.5, 2.5, 21)
    found = profile(LINE, data, best, "slope", grid)
    np.testing.assert_allclose(found.drop, np.linspace(-2.5, 2.5, 21) ** 2, atol=1e-6)
    ((low, high),) = found.intervals(0.683)
    # 21 points cut the parabola by straight lines, an eighth of a step squared off at most.
    assert (high - low) / 2 == pytest.approx(error, rel=0.02)


def test_a_profile_shows_a_second_minimum():
    model = ForwardModel(lambda p: jnp.cos(p) * jnp.ones(4), ("angle",), (-3.0,), (3.0,))
    data = Gaussian(model.predict(np.array([1.0])), np.full(4, 0.1))
    found = profile(model, data, fit(model, data), "angle", np.linspace(-3, 3, 201))
    intervals = found.intervals(0.95)
    assert len(intervals) == 2
    assert any(low < -1 < high for low, high in intervals)
    assert any(low < 1 < high for low, high in intervals)


def test_an_interval_at_the_end_of_the_values_ends_there():
    model = ForwardModel(lambda p: p * jnp.ones(4), ("x",), (0.0,), (1.0,))
    data = Gaussian(np.full(4, 0.02), np.full(4, 0.1))
    found = profile(model, data, fit(model, data, 2), "x", np.linspace(0, 1, 51))
    assert found.intervals()[0][0] == 0


def test_the_parametric_bootstrap_of_a_line_gives_its_error(line):
    data, best = line
    samples = parametric_bootstrap(LINE, data, best, 150, seed=1)
    # 150 draws: 6 % of a standard deviation, four of these.
    np.testing.assert_allclose(
        samples.std(axis=0, ddof=1), np.sqrt(np.diag(best.covariance)), rtol=0.25
    )
    assert np.corrcoef(samples.T)[0, 1] < -0.7


def test_the_group_bootstrap_of_a_line_gives_the_sandwich_of_its_residuals(line):
    data, best = line
    samples = group_bootstrap(LINE, data, best, 150, seed=1)
    influence = (
        LINE.jacobian(best.values) * data.residuals(LINE.predict(best.values))[:, None] / 0.3
    )
    wanted = np.sqrt(np.diag(best.covariance @ (influence.T @ influence) @ best.covariance))
    # As above, and the leverage of 25 points, which the sandwich neglects.
    np.testing.assert_allclose(samples.std(axis=0, ddof=1), wanted, rtol=0.35)


def test_only_the_group_bootstrap_sees_errors_that_the_data_do_not_state():
    exact = LINE.predict(TRUTH)
    rng = np.random.default_rng(2)
    noisy = exact + 0.6 * rng.normal(size=25)  # three times what is stated
    data = Gaussian(noisy, np.full(25, 0.2))
    best = fit(LINE, data, 1)
    stated = parametric_bootstrap(LINE, data, best, 100, seed=0).std(axis=0)
    real = group_bootstrap(LINE, data, best, 100, seed=0).std(axis=0)
    assert np.all(real > 1.7 * stated)


def test_whole_groups_are_drawn():
    # Two groups that each want another slope: a draw of one group alone gives its slope.
    groups = np.arange(25) < 9
    data = Gaussian(np.where(groups, 1.0, -1.0) * TIMES, np.full(25, 0.1))
    best = fit(LINE, data, 1)
    found = group_bootstrap(LINE, data, best, 40, seed=0, groups=groups)
    slopes = found[:, 1]
    assert np.abs(slopes - 1).min() < 1e-6
    assert np.abs(slopes + 1).min() < 1e-6
    pure = np.minimum(np.abs(slopes - 1), np.abs(slopes + 1)) < 1e-6
    assert 8 <= pure.sum() <= 32  # half of the draws, 20 +- 3.2, within four


def test_a_weight_in_the_data_survives_the_draw_of_groups():
    # Two points of one constant: a draw holds one of them alone or both, and then the mean weighted 3 to 1.
    model = ForwardModel(lambda p: p[0] * jnp.ones(2), ("level",), (-5.0,), (5.0,))
    data = Gaussian(np.array([0.0, 1.0]), np.full(2, 0.1), np.array([3.0, 1.0]))
    found = group_bootstrap(model, data, fit(model, data, 1), 20, seed=0)
    np.testing.assert_allclose(np.unique(found.round(6)), [0, 0.25, 1])


def test_intervals_hold_the_truth_as_often_as_they_say():
    exact = Binomial(np.zeros(25), np.array(400))
    found = coverage(WAVE, exact, np.array([7.0]), 40, seed=0, starts=8)
    assert abs(found.fraction("omega").value - 0.683) < 4 * found.fraction("omega").stderr
    # Mean 0 +- 0.16 and standard deviation 1 +- 0.11 over 40 repeats.
    assert abs(found.pulls.mean()) < 0.63
    assert found.pulls.std(ddof=1) == pytest.approx(1, abs=0.45)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, b: profile(LINE, d, b, "x", np.arange(3.0)), "`name` must be one of start"),
        (lambda d, b: profile(LINE, d, b, "slope", np.zeros(3)), "`values` must rise"),
        (lambda d, b: parametric_bootstrap(LINE, d, b, 1, seed=0), "`n` must be at least 2"),
        (lambda d, b: group_bootstrap(LINE, d, b, 5, seed=0, groups=np.zeros(25)), "`groups` must"),
        (lambda d, b: coverage(LINE, d, TRUTH, 1, seed=0), "`n` must be at least 2"),
    ],
)
def test_bad_input_is_named(line, call, message):
    with pytest.raises(ValueError, match=message):
        call(*line)


def test_groups_that_share_noise_are_refused():
    covariance = 0.1 * np.eye(25) + 0.01
    data = Gaussian(np.zeros(25), covariance)
    with pytest.raises(ValueError, match="`groups` must keep correlated points together"):
        group_bootstrap(LINE, data, fit(LINE, data, 1), 5, seed=0)

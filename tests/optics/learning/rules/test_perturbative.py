"""Estimators against the gradient of the very hardware: expectation, projection on super-pixels, bad settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.learning.rules import FiniteDifference, ScoreFunction, Spsa
from optics.learning.superpixels import n_offsets
from tests.exact.small_bench import (
    GEOMETRY,
    estimate,
    inputs,
    network,
    relative_error,
    true_gradient,
    twin,
)

KEY = jax.random.key(0)
# An asymmetric bench: these estimators do not care.
HARDWARE = {"input_aberration": ((7, 1.0),), "camera_shift_px": 0.4}


@pytest.fixture(scope="module")
def scene():
    hardware, net, (field, labels) = twin(**HARDWARE), network(2), inputs(2)
    truth = true_gradient(hardware, net, field, labels)
    return OpticalBench(GEOMETRY, hardware), net, field, labels, truth


def block_average(gradient, superpixel):
    """Mean of the gradient over each block, in every pixel of it; the last block of a row may be narrower."""
    average = np.array(gradient)
    starts = range(0, average.shape[-1], superpixel)
    for y in starts:
        for x in starts:
            block = average[:, y : y + superpixel, x : x + superpixel]
            block[:] = block.mean(axis=(1, 2), keepdims=True)
    return average


@pytest.mark.parametrize("superpixel", [8, 7])
def test_all_finite_differences_are_the_block_average_of_the_gradient(scene, superpixel):
    bench, net, field, labels, truth = scene
    count = n_offsets(net, superpixel)
    # Truncation h^2 / 6 times the third derivative; 64 phases at h = 1e-4 turn together: 1e-8 * 64^2 at most.
    rule = FiniteDifference(count, 1e-4, superpixel)
    found = estimate(rule, net, bench, field, labels).gradient.phase
    assert relative_error(found, block_average(truth.phase, superpixel)) < 1e-5


def test_single_pixels_by_finite_differences_are_the_gradient_there(scene):
    bench, net, field, labels, truth = scene
    rule = FiniteDifference(20, 1e-4)
    found = np.asarray(estimate(rule, net, bench, field, labels, jax.random.key(3)).gradient.phase)
    assert np.count_nonzero(found) == 20
    # h^2 / 6 is 2e-9; rounding of the loss 1e-16 / 1e-4 against gradients of 1e-4: 1e-8.
    chosen = found != 0
    np.testing.assert_allclose(found[chosen], truth.phase[chosen], rtol=1e-5, atol=1e-10)


def test_coordinates_change_from_step_to_step(scene):
    bench, net, field, labels, _ = scene
    rule = FiniteDifference(5, 1e-3, 8)
    a, b = (
        np.asarray(estimate(rule, net, bench, field, labels, jax.random.key(k)).gradient.phase)
        for k in (0, 1)
    )
    assert np.any((a != 0) != (b != 0))


@pytest.mark.parametrize("superpixel", [1, 4])
@pytest.mark.parametrize("rule", [Spsa, ScoreFunction])
def test_mean_estimate_is_the_gradient(scene, rule, superpixel):
    bench, net, field, labels, truth = scene
    size = 1e-4 / superpixel  # bias: second order in the size
    if rule is Spsa:
        estimator, repeats = Spsa(size, 2, superpixel), 80
    else:
        # Two masks: a baseline that counted a mask's own loss would halve the estimate.
        estimator, repeats = ScoreFunction(size, 2, superpixel), 160
    expected = block_average(truth.phase, superpixel)

    @jax.jit
    def many(keys):
        return jax.lax.map(
            lambda k: estimator.gradient(net, bench, field, labels, key=k).gradient.phase, keys
        )

    found = np.asarray(many(jax.random.split(jax.random.key(5), repeats)))
    # Along the true gradient the estimate is a mean of squares of Gaussians: variance 1 for two pairs, 2 for two
    # masks.
    along = (found * expected).sum(axis=(1, 2, 3)) / np.sum(expected**2)
    assert along.mean() == pytest.approx(1, abs=3 * along.std(ddof=1) / np.sqrt(repeats))
    assert along.std(ddof=1) / np.sqrt(repeats) < 0.16  # else the line above could not fail
    # And it has no direction but this one: the rest is noise of mean square sum / repeats.
    rest = found - along[:, None, None, None] * expected
    ratio = np.sum(rest.mean(axis=0) ** 2) / (np.sum(rest.var(axis=0, ddof=1)) / repeats)
    assert 0.5 < ratio < 2


def test_amplitudes_are_estimated_too():
    hardware, net, (field, labels) = twin(), network(1, train_amplitude=True), inputs(2)
    bench, size = OpticalBench(GEOMETRY, hardware), 12
    truth = true_gradient(hardware, net, field, labels)
    rule = FiniteDifference(n_offsets(net, size), 1e-4, size)
    found = estimate(rule, net, bench, field, labels).gradient
    assert relative_error(found.amplitude, block_average(truth.amplitude, size)) < 1e-5


def test_laboratory_time_runs_through_all_trials():
    # A drifting laser changes nothing (shares of power), a drifting reference between layers neither: only times count.
    net, (field, labels) = network(2), inputs(2)
    seen = []

    class Clock:
        def measure_field(self, field, phase, amplitude=None, *, key, time=0):
            jax.debug.callback(lambda now: seen.append(int(now)), time)
            return field

        def measure_intensity(self, field, phase, amplitude=None, *, key, time=0):
            jax.debug.callback(lambda now: seen.append(int(now)), time)
            return jnp.abs(field) ** 2

    for rule in (Spsa(n_pairs=2), FiniteDifference(2), ScoreFunction(n_masks=2)):
        seen.clear()
        late = jax.jit(
            lambda time, rule=rule: rule.gradient(net, Clock(), field, labels, key=KEY, time=time)
        )
        jax.block_until_ready(late(7).loss)
        jax.effects_barrier()
        assert sorted(seen) == list(range(7, 7 + rule.measurements_per_sample(2)))


def test_frames_are_those_of_holography_between_layers_and_one_picture_at_the_end():
    assert Spsa(n_pairs=3).frames_per_sample(2) == 2 * 3 * (4 + 1)
    assert FiniteDifference(7).frames_per_sample(3) == 2 * 7 * (4 + 4 + 1)
    assert ScoreFunction(n_masks=128).frames_per_sample(1) == 128


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Spsa(size=0.0), "`size` must be positive"),
        (lambda: Spsa(n_pairs=0), "`n_pairs` must be at least 1, but is 0"),
        (lambda: FiniteDifference(n_coordinates=0), "`n_coordinates` must be at least 1"),
        (lambda: ScoreFunction(n_masks=1), "`n_masks` must be at least 2, but is 1"),
        (lambda: ScoreFunction(sigma=-1.0), "`sigma` must be positive"),
        (lambda: Spsa(superpixel=0), "`superpixel` must be at least 1"),
        (lambda: FiniteDifference(None).frames_per_sample(1), "`n_coordinates` must be a number"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_more_coordinates_than_there_are_is_refused(scene):
    bench, net, field, labels, _ = scene
    with pytest.raises(ValueError, match="`n_coordinates` must be at most the 18"):
        FiniteDifference(19, superpixel=8).gradient(
            net, bench, field, labels, key=jax.random.key(0)
        )


@pytest.mark.parametrize("rule", [Spsa(), FiniteDifference(), ScoreFunction()])
def test_needs_a_bench(rule):
    net, (field, labels) = network(), inputs()
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        rule.gradient(net, None, field, labels, key=jax.random.key(0))

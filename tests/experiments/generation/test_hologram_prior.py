import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from experiments.generation import hologram_methods as methods
from experiments.generation import hologram_prior as experiment
from nn.generation.exact_flow import make_gaussian_flow
from optics.waves import Field, propagate

TINY = dataclasses.replace(
    experiment.SCALES["quick"],
    window=16,
    photons=(1.0, 1e4),
    n_prior=300,
    n_objects=3,
    n_draws=2,
    n_calibrated=2,
    n_intervals=24,
    descent_steps=60,
    flow_steps=20,
)


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


def test_every_method_is_measured_and_many_photons_leave_the_descents_no_error(outcome):
    value = lambda name: outcome.metrics[name].value  # noqa: E731
    for method in experiment.METHODS:
        assert np.isfinite(value(f"psnr.{method}.1"))
        assert 0 <= value(f"recognised.{method}.1") <= 100
    for method in ("descent", "map"):
        assert value(f"psnr.{method}.10000") > value(f"psnr.{method}.1") + 8
    assert value("gain_over_map.1") == pytest.approx(value("psnr.mean.1") - value("psnr.map.1"))


def test_the_errors_are_those_over_objects_and_the_exact_coverage_is_counted(outcome):
    samples = outcome.arrays["psnr"][0, 0, 0]
    expected = np.std(samples, ddof=1) / len(samples) ** 0.5
    assert outcome.metrics["psnr.descent.1"].stderr == pytest.approx(expected)
    assert 40 < outcome.metrics["coverage.exact.1"].value < 95


def test_the_hologram_is_the_propagated_intensity_of_the_object_in_a_plane_wave():
    """A window so large that the edge of a wide plane wave is far off says the same."""
    rng = np.random.default_rng(0)
    z = rng.random((1, 16))
    config = dataclasses.replace(TINY, window=12, distance_mm=1.0)
    found = experiment.hologram(experiment.camera_matrix(config, 4), jnp.asarray(z))
    wide = np.ones((120, 120), complex)
    wide[58:62, 58:62] = np.exp(1j * np.pi * z.reshape(4, 4))
    field = propagate(Field(wide, 532e-9, 16e-6), 1e-3)
    expected = np.asarray(field.intensity)[54:66, 54:66].ravel()
    np.testing.assert_allclose(found[0], expected, atol=0.03)


def test_gerchberg_saxton_keeps_an_object_whose_hologram_is_exact_and_mends_a_start_nearby():
    rng = np.random.default_rng(1)
    z = jnp.asarray(0.2 + 0.6 * rng.random((2, 16)))
    matrix = experiment.camera_matrix(dataclasses.replace(TINY, window=16), 4)
    found = methods.retrieve(matrix, experiment.hologram(matrix, z), 300)
    start = float(jnp.abs(0.5 - z).mean())
    assert float(jnp.abs(found - z).mean()) < 0.1 * start


def test_the_objective_is_the_poisson_law_and_its_two_additions():
    matrix = experiment.camera_matrix(dataclasses.replace(TINY, window=6), 2)
    prior = make_gaussian_flow(jnp.zeros((1, 4)), jnp.eye(4)[None])
    z = jnp.asarray([[0.1, 0.2, 0.5, 0.9]])
    counts = jnp.asarray(np.random.default_rng(2).poisson(3.0, (1, 36)), float)
    target = jax.jit(methods.Objective(matrix, counts, jnp.float32(3), prior).__call__)
    expected = 3 * np.asarray(experiment.hologram(matrix, z))
    poisson = scipy.stats.poisson.logpmf(counts, expected).sum()
    constant = scipy.special.gammaln(np.asarray(counts) + 1).sum()
    assert float(target(z, 0.0, 0.0)) == pytest.approx(float(-poisson - constant), rel=1e-5)
    trust = float(target(z, 0.0, 1.0) - target(z, 0.0, 0.0))
    assert trust == pytest.approx(float((z**2).sum() / 2 + 2 * np.log(2 * np.pi)), rel=1e-5)
    # From (0, 0), (0.1, 0.2), (0.5, 0.9), of the padded picture; by hand.
    p = np.zeros((4, 4))
    p[1:3, 1:3] = np.asarray(z).reshape(2, 2)
    slopes = np.hypot(p[1:, :-1] - p[:-1, :-1], p[:-1, 1:] - p[:-1, :-1])
    assert float(target(z, 1.0, 0.0) - target(z, 0.0, 0.0)) == pytest.approx(slopes.sum(), abs=0.01)


def test_nearest_neighbours_vote_and_errors_are_in_decibels():
    known = np.array([[0.0]] * 6 + [[1.0]] * 6)
    labels = np.array([3] * 6 + [7] * 6)
    np.testing.assert_array_equal(
        experiment.nearest_class(known, labels, np.array([[0.1], [0.8]])), [3, 7]
    )
    np.testing.assert_allclose(
        experiment.psnr(np.array([[0.5, 2.0]]), np.array([[0.3, 0.8]])), [-10 * np.log10(0.04)]
    )


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="`window` must hold the object of 8 x 8 pixels, but is 6"):
        experiment.camera_matrix(dataclasses.replace(TINY, window=6), 8)
    with pytest.raises(ValueError, match="`pool` must divide the 8 pixels along a side, but is 3"):
        experiment.run(dataclasses.replace(TINY, pool=3))


def test_the_figure_has_its_panels(outcome):
    assert len(outcome.figure().axes) == 3 + 2 * (len(experiment.METHODS) + 1)

import dataclasses
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.generation import latent_straightness as experiment
from nn.generation import frechet_distance
from nn.generation.exact_flow import make_finite_flow

TINY = experiment.Config(
    data="digits",
    patch=2,
    hidden=4,
    channels=4,
    n_axes=6,
    judge_channels=6,
    n_train=200,
    n_points=80,
    n_samples=40,
    n_real=60,
    steps=(1, 5, 25),
    label_steps=20,
    vicreg_steps=20,
    batch_size=16,
    repeats=1,
    n_bootstrap=2,
)


@pytest.fixture(scope="module")
def outcome():
    # Without the trainings, which take most of the time and which no test here needs: all encoders are random.
    with (
        patch.object(experiment.encoders, "train_with_labels", lambda model, *_, **__: model),
        patch.object(
            experiment.encoders, "train_without_labels", lambda encoder, *_, **__: encoder
        ),
    ):
        return experiment.run(TINY)


def test_every_codec_is_measured_with_its_controls(outcome):
    for codec in experiment.CODECS:
        for kind in ("class", "all"):
            straight = outcome.metrics[f"straightness.{kind}.{codec}"]
            assert straight.value < 1
            assert straight.stderr > 0
            for n_steps in TINY.steps:
                distance = outcome.metrics[f"frechet.{kind}.{codec}.{n_steps}"]
                assert distance.value > 0
                assert distance.stderr > 0
        # Of one class the paths are straighter than of all, and more dimensions straighten.
        value = lambda kind, codec=codec: outcome.metrics[f"straightness.{kind}.{codec}"].value  # noqa: E731
        assert value("class") > value("all")
    assert outcome.metrics["bend_by_dimension.class"].value > 1


def test_one_step_ends_on_the_mean_in_every_codec(outcome):
    misses = [outcome.metrics[f"one_step_miss.{codec}"].value for codec in experiment.CODECS]
    assert max(misses) < 1e-5


def test_pixels_decode_to_themselves(outcome):
    assert outcome.metrics["frechet_decoded.pixels"].value == pytest.approx(
        outcome.metrics["floor"].value, rel=0.3
    )


def test_the_share_between_classes_is_that_of_two_numbers():
    # Means -1 and 1 about 0, variance 1 between and 1/4 within.
    latents = np.array([[-1.5], [-0.5], [0.5], [1.5]])
    assert experiment._between(latents, np.array([3, 3, 7, 7])) == pytest.approx(1 / 1.25)


def test_the_straightness_of_the_paths_is_that_of_numpy(outcome):
    # The same law in NumPy: three points, 25 steps, uniform times shifted towards the noise.
    rng = np.random.default_rng(0)
    points, start = rng.normal(size=(3, 2)), rng.normal(size=(8, 2)).astype(np.float32)
    flow = make_finite_flow(jnp.asarray(points, jnp.float32), jnp.zeros(3, int))
    config = dataclasses.replace(TINY, n_bootstrap=2)
    real = rng.normal(size=(9, 2))
    found = experiment._follow(
        config, "x", flow, jnp.asarray(start), np.zeros(8, int), lambda flat: np.asarray(flat, float), real
    )  # fmt: skip
    u = np.arange(26) / 25
    times = 0.4 * u / (1 - 0.6 * u)
    x, velocities = start.astype(float), []
    for t, h in zip(times[:-1], np.diff(times), strict=True):
        logits = -((x[:, None] - t * points[None]) ** 2).sum(axis=-1) / (2 * (1 - t) ** 2)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        velocities.append((weights @ points - x) / (1 - t))
        x = x + h * velocities[-1]
    d = x - start
    bent = sum(
        h * ((d - v) ** 2).sum(axis=1) for h, v in zip(np.diff(times), velocities, strict=True)
    )
    expected = 1 - bent.mean() / (d**2).sum(axis=1).mean()
    assert found["straightness.class.x"] == pytest.approx(expected, abs=1e-4)
    far = frechet_distance(x, real, feature="judge").value
    assert found["frechet.class.x"][-1] == pytest.approx(far, rel=1e-3)


def test_the_error_of_one_seed_is_the_scatter_of_its_draws():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(300, 2))
    fresh = [
        frechet_distance(
            rng.normal(size=(300, 2)) + 1, rng.normal(size=(300, 2)), feature="x"
        ).value
        for _ in range(100)
    ]
    config = dataclasses.replace(TINY, n_bootstrap=100)
    found = experiment._scatter(config, rng.normal(size=(300, 2)) + 1, real)
    assert found == pytest.approx(np.std(fresh, ddof=1), rel=0.35)


def test_steps_without_five_are_refused():
    with pytest.raises(ValueError, match="`steps` must hold 5 and 25"):
        dataclasses.replace(TINY, steps=(1, 25))


def test_the_figure_has_its_panels(outcome):
    assert len(outcome.figure().axes) == 4

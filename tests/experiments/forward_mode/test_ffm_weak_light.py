import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.forward_mode import ffm_weak_light, ffm_weak_light_classifiers
from experiments.forward_mode.panel import Optics
from optics.hardware.detectors import PhotonCounter
from optics.hardware.imperfections import Imperfections
from tests.exact.given_pieces import Given, rng

TINY = ffm_weak_light.Config(
    n_classes=3,
    repeats=2,
    n_train=150,
    n_test=60,
    levels=(0.01, 10.0),
    optics=Optics(pixels=16, distance=1e-3, n_steps=50, batch_size=16),
    wall=False,
    hardware=Imperfections(),
)


def piece(label, *_):
    """A bench that is at chance in the dark and at 80 % in the light, as without noise."""
    draw = rng(label).uniform
    found = {f"accuracy.{case}": draw(30, 90, 2) for case in TINY.cases}
    found |= {"accuracy.bench": [100 / 3, 80.0], "noiseless": 80.0}
    found |= {"level.regions": draw(0.1, 1), "level.object": draw(1, 10)}
    counts = {"picture.levels": [10.0], "picture.counts": draw(size=(1, 16, 16))}
    return found | counts | {"picture.regions": draw(size=(16, 16))}


@pytest.fixture(scope="module")
def outcome():
    return ffm_weak_light.run(TINY, Given(piece))


def test_accuracies_stand_at_their_light(outcome):
    for case in TINY.cases:
        mean = np.mean([piece(f"repeat{r}")[f"accuracy.{case}"] for r in range(2)], axis=0)
        for level, accuracy in zip(("0.01", "10"), mean, strict=True):
            assert outcome.metrics[f"accuracy.{case}.{level}"].value == pytest.approx(accuracy)
    assert outcome.metrics["accuracy.bench.noiseless"].value == 80


def test_half_the_loss_is_half_way_on_the_scale_of_light(outcome):
    half = np.sqrt(0.01 * 10)
    assert outcome.metrics["photons_for_half_loss"].value == pytest.approx(half)
    light = np.mean([piece(f"repeat{r}")["level.object"] for r in range(2)])
    assert outcome.metrics["level.object"].value == pytest.approx(light)
    assert outcome.metrics["photons_for_half_loss.object"].value == pytest.approx(half * light)


def test_bookkeeping_is_the_closed_form(outcome):
    n_photons = outcome.metrics["level.object"].value * 64
    energy = n_photons * 6.62607015e-34 * 299792458 / 532e-9
    found = {k: outcome.metrics[f"ops_per_joule.{k}"].value for k in ("panel", "regions", "image")}
    assert found["panel"] == pytest.approx(2 * 256 * 256 / energy)
    assert found["regions"] == pytest.approx(2 * 256 * 3 / energy)
    assert found["image"] == pytest.approx(2 * 64 * 3 / energy)
    # With 3 W at 1 kHz the light is nothing: 384 operations for 3 mJ.
    whole = outcome.metrics["ops_per_joule.with_camera"].value
    assert whole == pytest.approx(384 / 3e-3, rel=1e-6)
    assert outcome.metrics["paper_ops_per_photon"].value == pytest.approx(2.016, abs=1e-3)


def test_at_its_own_light_a_count_equals_the_paper(outcome):
    light = outcome.metrics["photons_at_paper.image"].value
    assert outcome.metrics["ops_per_joule.image"].value / light == pytest.approx(5.40e18)


def test_figure_shows_accuracy_energy_and_counts(outcome):
    labels = [axes.get_ylabel() for axes in outcome.figure().axes]
    assert "Accuracy (%)" in labels
    assert "Operations per joule (1/J)" in labels


def test_no_light_scores_by_chance():
    labels = jnp.arange(400) % 4
    # All light would fall into the first region: a tie told apart by order would score 100 % on class 0.
    dark = jnp.zeros((400, 4, 4)).at[:, 0, 0].set(1e-9)
    regions = jnp.eye(16).reshape(16, 4, 4)[:4]
    scores, frames = ffm_weak_light_classifiers.optical_accuracies(
        dark, regions, labels * 0, [1e-9], PhotonCounter(1.0, 0.0, 10.0), jax.random.key(0)
    )
    assert frames.sum() == 0
    # 25 % with a standard error of 2.2 %; four of them.
    assert scores[0] == pytest.approx(25, abs=9)


def test_image_of_the_digital_classifier_is_the_object():
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 8, 8)))
    counter = PhotonCounter(0.5, 5e3, 1e9)
    seen = ffm_weak_light_classifiers._image(images, (24, 24), 0.9, 1e7, counter, jax.random.key(0))
    wanted = images**2 / jnp.mean(images**2, axis=(1, 2), keepdims=True)
    # About 8e4 counts of light and 2e4 of dark in a mean pixel: 0.4 % of shot noise; five of them on the brightest.
    np.testing.assert_allclose(seen.reshape(5, 8, 8), wanted, atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": (0.0, 1.0)}, "`levels` must be above 0 photons"),
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_light_beyond_the_full_well_stops_the_run():
    counter = dataclasses.replace(TINY, full_well=1.0).counter
    light = jnp.ones((2, 4, 4))
    with pytest.raises(Exception, match="full well"):
        ffm_weak_light_classifiers.optical_accuracies(
            light, light, jnp.arange(2), [100.0], counter, jax.random.key(0)
        )

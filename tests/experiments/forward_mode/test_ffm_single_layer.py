import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.forward_mode import ffm_single_layer
from experiments.forward_mode.panel import Optics
from optics.hardware.imperfections import Imperfections, preset

TINY = ffm_single_layer.Config(
    n_classes=4,
    repeats=1,
    n_train=200,
    n_test=40,
    n_compared=3,
    optics=Optics(pixels=16, distance=1e-3, n_steps=40, batch_size=16),
)


@pytest.fixture(scope="module")
def outcome():
    return ffm_single_layer.run(TINY)


def test_prints_similarity_and_accuracy_by_method(outcome):
    assert 0 < outcome.metrics["ssim"].value <= 1
    assert outcome.metrics["ssim"].n == 3
    for method in ("ideal", "ffm", "physics_aware", "in_silico"):
        assert outcome.metrics[f"accuracy.{method}"].value > 40  # chance is 25


def test_measured_light_is_like_the_simulated_one_the_more_the_better_the_bench(outcome):
    rough = ffm_single_layer.run(dataclasses.replace(TINY, gap=preset("rough")))
    assert rough.metrics["ssim"].value < outcome.metrics["ssim"].value - 0.1


def test_only_camera_noise_is_left_on_an_ideal_bench():
    ideal = ffm_single_layer.run(dataclasses.replace(TINY, gap=Imperfections()))
    assert ideal.metrics["fidelity"].value > 0.995


def test_similarity_leaves_exposure_open_and_nothing_else():
    picture = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 16, 16)))
    assert ffm_single_layer._similarity(5 * picture, picture)[0] == pytest.approx(1)
    assert ffm_single_layer._similarity(picture[:, ::-1], picture)[0] < 0.5


def test_figure_shows_curves_and_both_fields(outcome):
    titles = [axes.get_title() for axes in outcome.figure().axes]
    assert "measured amplitude" in titles
    assert "simulated amplitude" in titles


def test_unknown_numbers_stay_unknown():
    assert all(
        r.value is None for r in ffm_single_layer.REFERENCES if r.name.startswith("accuracy")
    )

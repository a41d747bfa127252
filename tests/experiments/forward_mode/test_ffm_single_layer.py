import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.forward_mode import ffm_single_layer
from experiments.forward_mode.panel import Optics, draw_bench
from optics.hardware.imperfections import Imperfections

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


def compared(hardware):
    """Light of an untrained layer, measured on a bench with these errors."""
    optics, keys = TINY.optics, jax.random.split(jax.random.key(0), 4)
    images = jax.random.uniform(keys[0], (3, 8, 8), jnp.float32)
    network = optics.network(1, TINY.n_classes, keys[1])
    bench = draw_bench(optics, hardware, keys[2])
    return ffm_single_layer._compare(network, optics.encode(images), bench, keys[3], 0)


def test_measured_light_is_like_the_simulated_one_the_more_the_better_the_bench(outcome):
    bench, rough = (
        compared(hardware)["ssim"].mean()
        for hardware in (TINY.hardware, Imperfections.preset("rough"))
    )
    assert rough < min(bench, outcome.metrics["ssim"].value) - 0.1


def test_only_camera_noise_is_left_on_an_ideal_bench():
    assert compared(Imperfections())["fidelity"].min() > 0.99


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

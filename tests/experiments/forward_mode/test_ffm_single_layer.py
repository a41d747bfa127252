import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.forward_mode import ffm_single_layer
from experiments.forward_mode.panel import Optics, draw_bench
from optics.hardware.imperfections import Imperfections
from tests.exact.given_pieces import Given, rng

TINY = ffm_single_layer.Config(
    n_classes=4,
    repeats=2,
    n_train=200,
    n_test=40,
    n_compared=3,
    optics=Optics(pixels=16, distance=1e-3, n_steps=40, batch_size=16),
)


def piece(label, *_):
    draw = rng(label).uniform
    found = {name: draw(size=3) for name in ("ssim", "ssim_intensity", "fidelity")}
    found |= {f"accuracy.{m}": draw(50, 100) for m in (*ffm_single_layer.RULES, "ideal")}
    found |= {f"curve.{method}": draw(size=40) for method in ffm_single_layer.RULES}
    pictures = {f"picture.{name}": draw(size=(16, 16)) for name in ("object", "phase", "regions")}
    fields = {f"picture.{name}": 1j * draw(size=(16, 16)) for name in ("measured", "simulated")}
    return found | pictures | fields


@pytest.fixture(scope="module")
def outcome():
    return ffm_single_layer.run(TINY, Given(piece))


def test_prints_similarity_and_accuracy_by_method(outcome):
    given = [piece(f"repeat{r}") for r in range(2)]
    for metric, name in (("ssim", "ssim"), ("ssim.intensity", "ssim_intensity"), ("fidelity",) * 2):
        assert outcome.metrics[metric].n == 6
        assert outcome.metrics[metric].value == pytest.approx(np.mean([p[name] for p in given]))
    for method in ("ideal", "ffm", "physics_aware", "in_silico"):
        name = f"accuracy.{method}"
        assert outcome.metrics[name].value == pytest.approx(np.mean([p[name] for p in given]))


def compared(hardware):
    """Light of an untrained layer, measured on a bench with these errors."""
    optics, keys = TINY.optics, jax.random.split(jax.random.key(0), 4)
    images = jax.random.uniform(keys[0], (3, 8, 8), jnp.float32)
    network = optics.network(1, TINY.n_classes, keys[1])
    bench = draw_bench(optics, hardware, keys[2])
    return ffm_single_layer._compare(network, optics.encode(images), bench, keys[3], 0)


def test_measured_light_is_like_the_simulated_one_the_more_the_better_the_bench():
    bench, rough = (
        compared(hardware)["ssim"].mean()
        for hardware in (TINY.hardware, Imperfections.preset("rough"))
    )
    assert rough < bench - 0.1


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

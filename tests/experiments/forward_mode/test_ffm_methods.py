import dataclasses

import jax
import numpy as np
import pytest

from experiments.forward_mode import ffm_methods
from experiments.forward_mode.ffm_methods_grid import METHODS, TRIALS
from experiments.forward_mode.panel import Optics
from optics.hardware.bench import OpticalBench
from optics.hardware.imperfections import Imperfections
from optics.hardware.twin import draw_twin
from tests.exact.given_pieces import Given, rng

TINY = ffm_methods.Config(
    n_classes=2,
    frames=12_000,
    max_steps=100,
    methods=("in_silico", "forward_mode", "spsa"),
    trials=2,
    repeats=2,
    n_test=0,
    optics=Optics(pixels=16, distance=1e-3, batch_size=16),
)


def piece(label, *_):
    """Of two settings the second is the better one, in silico by its loss alone."""
    name, kind = label.split(".")
    if kind == "tuning":
        accuracy = [80.0, 80.0] if name == "in_silico" else [70.0, 90.0]
        return {"accuracy": accuracy, "loss": [2e-3, 1e-3]}
    draw, frames = rng(label).uniform, {"in_silico": 0, "forward_mode": 256, "spsa": 160}[name]
    looks = 2 ** np.arange(6)
    accuracy, loss = draw(50, 100, 6), draw(size=6)
    return {"accuracy": accuracy, "loss": loss, "frames": frames * looks, "steps": looks[-1]}


@pytest.fixture(scope="module")
def outcome():
    return ffm_methods.run(TINY, Given(piece))


def test_the_better_setting_is_chosen(outcome):
    for name in TINY.methods:
        ((key, value), *_) = METHODS[name].trials(2)[1].items()
        assert f"{key} {value:g}" in str(outcome.arrays[f"setting.{name}"])
        assert (
            str(outcome.arrays[f"setting.{name}"]).count(",") == len(METHODS[name].trials(2)[1]) - 1
        )


def test_no_method_uses_more_than_the_budget_and_simulation_uses_none(outcome):
    assert outcome.metrics["frames.in_silico"].value == 0
    assert outcome.metrics["frames.forward_mode"].value == 256 * 32
    assert outcome.metrics["steps.forward_mode"].value == 32
    network = TINY.optics.network(2, 2, jax.random.key(0))
    # 2 layers, 2 passes, 4 frames, 16 images; 2 runs of 5 frames.
    wanted = {"in_silico": 100, "forward_mode": 12_000 // 256, "spsa": 12_000 // 160}
    for name, steps in wanted.items():
        method = METHODS[name].build(network, jax.random.key(1), **METHODS[name].trials(1)[0])
        assert ffm_methods.steps_within(12_000, method, network, 16, 100) == steps


def test_curves_end_with_the_printed_numbers(outcome):
    for name in TINY.methods:
        curves = outcome.arrays[f"accuracy.{name}"]
        assert curves.shape == (2, len(outcome.arrays[f"frames.{name}"]))
        assert curves[:, -1].mean() == pytest.approx(outcome.metrics[f"accuracy.{name}"].value)


def test_figure_shows_accuracy_loss_and_final_bars(outcome):
    left, middle, right = outcome.figure().axes
    assert "frames" in left.get_xlabel()
    assert "entropy" in middle.get_ylabel()
    assert len(right.patches) == len(TINY.methods)


def test_grid_offers_every_method_the_same_number_of_settings():
    for entry in METHODS.values():
        trials = entry.trials(TRIALS)
        assert len(trials) == TRIALS
        assert len({tuple(sorted(trial.items())) for trial in trials}) == TRIALS
        assert entry.needs in ("model only", "model", "no model", "loss only")


@pytest.mark.parametrize("name", METHODS)
def test_every_entry_builds_a_method_with_a_cost(name):
    optics = TINY.optics
    network = optics.network(2, 2, jax.random.key(0))
    for setting in METHODS[name].trials(TRIALS)[::5]:
        method = METHODS[name].build(network, jax.random.key(1), **setting)
        frames = method.cost(network, 16, step=0, n_steps=10).frames
        assert (frames == 0) == (name in ("in_silico", "noise_aware", "layerwise"))
        assert ffm_methods.steps_within(10 * max(frames, 1), method, network, 16, 7) <= 10


def test_test_scores_are_those_of_the_hardware():
    # The ideal bench answers as the model: accuracy and loss by a route of their own.
    optics, task = TINY.optics, ffm_methods.load_task("digits", 2, 0, 64, 0)
    network = optics.network(2, 2, jax.random.key(0))
    twin = draw_twin(optics.geometry, Imperfections(), key=jax.random.key(1))
    bench = OpticalBench(optics.geometry, twin)
    method = METHODS["in_silico"].build(network, jax.random.key(1), rate=0.1)
    found = ffm_methods._test(optics, method, network, task, jax.random.key(2), bench)
    output = network(optics.encode(task.x_test))
    good = np.mean(network.readout.correct(output, task.y_test))
    assert found[0] == pytest.approx(100 * good)
    assert found[1] == pytest.approx(float(network.readout.loss(output, task.y_test)), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ("magic",)}, "`methods` must be one of .* but is 'magic'"),
        ({"trials": 7}, "`trials` must lie between 1 and 6, but is 7"),
        ({"frames": 0}, "`frames` must be at least 1, but is 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

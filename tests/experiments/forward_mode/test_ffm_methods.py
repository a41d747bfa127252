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

TINY = ffm_methods.Config(
    n_classes=2,
    frames=12_000,
    max_steps=60,
    methods=("in_silico", "forward_mode", "spsa"),
    trials=2,
    repeats=2,
    n_test=0,
    optics=Optics(pixels=16, distance=1e-3, batch_size=16),
    # A wrong stroke of this size leaves in-silico weights at chance.
    hardware=Imperfections(slm_gain=-0.6, both_faces_aberration=((6, 2.0),)),
)


@pytest.fixture(scope="module")
def outcome():
    return ffm_methods.run(TINY)


def test_forward_mode_beats_what_only_simulates_and_is_not_behind_what_only_sees_the_loss(outcome):
    found = {name: outcome.metrics[f"accuracy.{name}"] for name in TINY.methods}
    assert found["forward_mode"].value > found["in_silico"].value + 10
    # At this size 95.4 against 89.6 % in the mean of three seeds, single ones -4 to +18: two repeats tell no
    # more than that it is not clearly behind. The order of all methods is held by the accepted numbers.
    error = np.hypot(found["forward_mode"].stderr, found["spsa"].stderr)
    assert found["forward_mode"].value > found["spsa"].value - 2 * error


def test_no_method_uses_more_than_the_budget_and_simulation_uses_none(outcome):
    frames = {name: outcome.metrics[f"frames.{name}"].value for name in TINY.methods}
    assert frames["in_silico"] == 0
    # 2 layers, 2 passes, 4 frames, 16 images; 2 runs of 5 frames.
    assert frames["forward_mode"] == 256 * outcome.metrics["steps.forward_mode"].value <= 12_000
    assert frames["spsa"] == 160 * outcome.metrics["steps.spsa"].value
    assert frames["forward_mode"] > 12_000 * 31 / 33  # what rounding to 32 looks may leave


def test_every_method_had_the_same_number_of_trials(outcome):
    for name in TINY.methods:
        assert outcome.arrays[f"tuning.accuracy.{name}"].shape == (2,)
        assert "rate" in str(outcome.arrays[f"setting.{name}"])


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

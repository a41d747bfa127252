import dataclasses

import numpy as np
import pytest

from experiments.photonic_chips import taichi_depth
from experiments.photonic_chips.taichi_chiplets import Chips
from tests.exact.drawn import error_bars

TINY = taichi_depth.Config(
    n_classes=4,
    depths=(1, 3),
    errors=(0.0, 0.2),
    repeats=2,
    n_chips=2,
    n_train=300,
    n_test=100,
    chips=Chips(side=4, n_ports=6, n_steps=60, batch_size=32),
)


@pytest.fixture(scope="module")
def outcome():
    return taichi_depth.run(TINY)


def test_one_chiplet_is_the_same_in_every_arrangement(outcome):
    for training in taichi_depth.TRAININGS:
        same = [outcome.arrays[f"{training}.{a}.depth1"] for a in taichi_depth.ARRANGEMENTS]
        np.testing.assert_array_equal(same[0], same[1])
        np.testing.assert_array_equal(same[0], same[2])


def test_ideal_chips_classify(outcome):
    for kind in taichi_depth.ARRANGEMENTS:
        assert outcome.metrics[f"accuracy.{kind}.in_silico.depth3.error0"].value > 40  # chance 25


def test_errors_cost_the_series_more_than_the_row(outcome):
    broad, deep = (
        outcome.metrics[f"accuracy.{kind}.in_silico.depth3.error0.2"].value
        for kind in ("broad", "detected")
    )
    assert broad > deep
    gap = outcome.metrics["broad_minus_deep.in_silico.depth3.error0.2"]
    assert gap.value == pytest.approx(broad - deep)
    assert gap.n == 2
    ideal = outcome.metrics["accuracy.broad.in_silico.depth3.error0"].value
    lost = outcome.metrics["lost.broad.in_silico.depth3.error0.2"].value
    assert lost == pytest.approx(ideal - broad)


def test_without_errors_both_trainings_are_one(outcome):
    for kind in taichi_depth.ARRANGEMENTS:
        arrays = [outcome.arrays[f"{t}.{kind}.depth3"] for t in taichi_depth.TRAININGS]
        np.testing.assert_array_equal(arrays[0][0], arrays[1][0])
        assert not np.array_equal(arrays[0][1], arrays[1][1])
        # The ideal chip is the same chip each time, a rough one is not.
        assert np.ptp(arrays[0][0], axis=1).max() == 0
        assert np.ptp(arrays[0][1], axis=1).max() > 0


def test_a_coherent_series_gets_darker(outcome):
    one, three = (outcome.metrics[f"transmission.coherent.depth{d}"].value for d in (1, 3))
    assert three < 0.1 * one


def test_figure_has_a_panel_for_each_error_and_training(outcome):
    axes = outcome.figure().axes
    assert len(axes) == 4
    panels = [(t, e) for t in taichi_depth.TRAININGS for e in outcome.config.errors]
    for panel, (training, error) in zip(axes, panels, strict=True):
        for (values, halves), kind in zip(
            error_bars(panel), taichi_depth.ARRANGEMENTS, strict=True
        ):
            found = [
                outcome.metrics[f"accuracy.{kind}.{training}.depth{d}.error{error:g}"]
                for d in outcome.config.depths
            ]
            np.testing.assert_allclose(values, [m.value for m in found])
            np.testing.assert_allclose(halves, [2 * (m.sd or 0) for m in found], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (0, 2)}, "`depths` must be at least 1, but is 0"),
        ({"errors": (-0.1,)}, "`errors` must be at least 0 rad"),
        ({"n_chips": 0}, "`n_chips` must be at least 1, but is 0"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)

import dataclasses

import numpy as np
import pytest

from experiments.data.tasks import load_task
from experiments.harness.context import ALONE
from experiments.photonic_chips import taichi_depth
from experiments.photonic_chips.taichi_chiplets import Chips, shrink_task
from tests.exact.drawn import error_bars
from tests.exact.given_pieces import Given, rng

TINY = taichi_depth.Config(
    n_classes=4,
    depths=(1, 3),
    errors=(0.0, 0.2),
    repeats=2,
    n_chips=2,
    n_train=100,
    n_test=40,
    chips=Chips(side=4, n_ports=6, n_steps=5, batch_size=16),
)


def piece(label, *_):
    draw = rng(label).uniform
    found = {training: draw(50, 100, (2, 2, 2)) for training in taichi_depth.TRAININGS}
    return found | {"transmission": draw(size=2)}


@pytest.fixture(scope="module")
def outcome():
    return taichi_depth.run(TINY, Given(piece))


def test_one_chiplet_is_the_same_in_every_arrangement(outcome):
    for training in taichi_depth.TRAININGS:
        for arrangement in taichi_depth.ARRANGEMENTS:
            found = outcome.arrays[f"{training}.{arrangement}.depth1"]
            np.testing.assert_array_equal(found, piece("broad1")[training])


def test_accuracies_are_means_over_chips_with_the_spread_of_the_repeats(outcome):
    for kind in taichi_depth.ARRANGEMENTS:
        for training in taichi_depth.TRAININGS:
            ideal, rough = piece(f"{kind}3")[training].mean(axis=2)
            found = outcome.metrics[f"accuracy.{kind}.{training}.depth3.error0.2"]
            assert (found.value, found.n) == (pytest.approx(rough.mean()), 2)
            ideal = piece(f"{kind}3")["in_silico"].mean(axis=2)[0]
            lost = outcome.metrics[f"lost.{kind}.{training}.depth3.error0.2"]
            assert lost.value == pytest.approx((ideal - rough).mean())
            assert lost.stderr == pytest.approx((ideal - rough).std(ddof=1) / np.sqrt(2))
        light = outcome.metrics[f"transmission.{kind}.depth3"].value
        assert light == pytest.approx(piece(f"{kind}3")["transmission"].mean())
    gap = outcome.metrics["broad_minus_deep.aware.depth3.error0.2"]
    broad, deep = (piece(f"{k}3")["aware"].mean(axis=2)[1] for k in ("broad", "detected"))
    assert (gap.value, gap.n) == (pytest.approx((broad - deep).mean()), 2)


def test_without_errors_both_trainings_are_one_and_a_coherent_series_is_dark():
    task = shrink_task(load_task("digits", 4, 100, 40, 0), 4)
    found = taichi_depth._train_and_test(TINY, ALONE, task, "coherent", 3)
    arrays = [found[training] for training in taichi_depth.TRAININGS]
    np.testing.assert_array_equal(arrays[0][0], arrays[1][0])
    assert not np.array_equal(arrays[0][1], arrays[1][1])
    # The ideal chip is the same chip each time, a rough one is not.
    assert np.ptp(arrays[0][0], axis=1).max() == 0
    assert np.ptp(arrays[0][1], axis=1).max() > 0
    assert found["transmission"].max() < 1e-3  # one chiplet lets some 0.5 % through


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

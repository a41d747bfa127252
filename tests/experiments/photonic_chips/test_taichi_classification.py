import dataclasses

import numpy as np
import pytest

from experiments.photonic_chips import taichi_classification
from experiments.photonic_chips.taichi_chiplets import Chips
from tests.exact.drawn import error_bars

# As many chiplets as classes, so that one-vs-rest trains by the same program.
TINY = taichi_classification.Config(
    n_classes=4,
    counts=(2, 4),
    monolith_counts=(4,),
    repeats=2,
    n_train=300,
    n_test=100,
    chips=Chips(side=4, n_ports=6, n_steps=60, batch_size=32),
)


@pytest.fixture(scope="module")
def outcome():
    return taichi_classification.run(TINY)


def test_more_chiplets_classify_better(outcome):
    for method in ("apart", "together"):
        few, several = (
            outcome.metrics[f"accuracy.{method}.ideal.chiplets{n}"].value for n in (2, 4)
        )
        assert 30 < few < several  # chance is 25


def test_every_baseline_is_there_and_better_than_chance(outcome):
    names = ("one_vs_rest.ideal.chiplets4", "monolith.ideal.chiplets4", "linear")
    for name in names:
        assert outcome.metrics[f"accuracy.{name}"].value > 50
    assert "accuracy.monolith.ideal.chiplets2" not in outcome.metrics


def test_errors_cost_the_large_chip_more(outcome):
    def loss(method):
        ideal, rough = (
            outcome.metrics[f"accuracy.{method}.{c}.chiplets4"].value for c in ("ideal", "rough")
        )
        return ideal - rough

    assert loss("monolith") > loss("apart") - 5


def test_codes_of_more_chiplets_are_farther_apart(outcome):
    assert outcome.metrics["code.distance.chiplets2"].value == 1
    assert (
        outcome.metrics["code.distance.chiplets4"].value == 2
    )  # that of a simplex code of length 3


def test_bookkeeping_is_not_called_comparable(outcome):
    for reference in outcome.references:
        if reference.name in ("energy.efficiency", "area.efficiency", "neurons"):
            assert not reference.comparable
    assert outcome.metrics["parameters"].value == 4 * (36 + 2 * 17)
    parts = ("heaters", "modulators", "receivers", "laser")
    total = sum(outcome.metrics[f"energy.{p}"].value for p in parts)
    assert outcome.metrics["energy.total"].value == pytest.approx(total)
    assert "accuracy.omniglot" not in outcome.metrics


def test_faster_chips_share_their_heaters(outcome):
    fast = dataclasses.replace(TINY, assumed=dataclasses.replace(TINY.assumed, rate=1e10))
    slow = taichi_classification._bookkeeping(TINY, 4)["energy.efficiency"].value
    assert taichi_classification._bookkeeping(fast, 4)["energy.efficiency"].value > 2 * slow


def test_figure_shows_ideal_rough_and_noisy_chips(outcome):
    axes = outcome.figure().axes
    for panel, condition in zip(axes, taichi_classification.CONDITIONS, strict=True):
        shown = iter(error_bars(panel))
        for method in taichi_classification.METHODS:
            start = f"accuracy.{method}.{condition}.chiplets"
            names = [name for name in outcome.metrics if name.startswith(start)]
            if names:
                points = [
                    outcome.metrics[n] for n in sorted(names, key=lambda n: int(n[len(start) :]))
                ]
                values, halves = next(shown)
                np.testing.assert_allclose(values, [m.value for m in points])
                np.testing.assert_allclose(halves, [2 * (m.sd or 0) for m in points], atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": ()}, "`counts` must have at least one entry"),
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


def test_too_few_chiplets_for_the_classes_are_named():
    with pytest.raises(ValueError, match="`length` must be at least 2 to tell 4 classes apart"):
        taichi_classification.run(dataclasses.replace(TINY, counts=(1,)))

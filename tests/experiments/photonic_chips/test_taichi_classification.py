import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.harness.context import ALONE
from experiments.photonic_chips import taichi_classification
from experiments.photonic_chips.taichi_chiplets import Chips
from tests.exact.drawn import error_bars
from tests.exact.given_pieces import Given, rng

TINY = taichi_classification.Config(
    n_classes=4,
    counts=(2, 4),
    monolith_counts=(4,),
    repeats=2,
    n_train=40,
    n_test=20,
    chips=Chips(side=4, n_ports=6, n_steps=60, batch_size=32),
)


def piece(label, *_):
    if label == "linear":
        return {"score": 77.0}
    draw = rng(label).uniform
    vs = ("one_vs_rest", "one_vs_rest_together")
    methods = vs if label == "one_vs_rest" else ("apart", "together")
    found = {f"transmission.{method}": draw(size=2) for method in methods}
    methods += ("monolith",) if label == "chiplets4" else ()
    for method in methods:
        for condition in (*taichi_classification.CONDITIONS, "hard"):
            found[f"accuracy.{method}.{condition}"] = draw(50, 100, 2)
    return found | ({} if label == "one_vs_rest" else {"code.distance": draw(1, 3, 2)})


@pytest.fixture(scope="module")
def outcome():
    return taichi_classification.run(TINY, Given(piece))


def test_every_method_has_its_count_and_the_mean_of_its_repeats(outcome):
    for label, count in (("chiplets2", 2), ("chiplets4", 4), ("one_vs_rest", 4)):
        for name, values in piece(label).items():
            found = outcome.metrics[f"{name}.chiplets{count}"]
            assert (found.value, found.n) == (pytest.approx(values.mean()), 2)
            assert found.unit == ("%" if name.startswith("accuracy") else "")
    assert outcome.metrics["accuracy.linear"].value == 77
    assert "accuracy.monolith.ideal.chiplets2" not in outcome.metrics


def test_the_monolith_has_the_phases_of_the_counts_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(taichi_classification, "_coded", lambda *_: {})
    monkeypatch.setattr(
        taichi_classification, "_monolith", lambda *given: asked.append(given[3]) or {}
    )
    task = SimpleNamespace(n_classes=4)
    found = [taichi_classification._count(TINY, ALONE, task, n) for n in (2, 4)]
    assert asked == [4]
    # One bit apart with two chiplets; two, that of a simplex code of length 3, with four.
    assert [set(piece["code.distance"].tolist()) for piece in found] == [{1}, {2}]


def test_the_linear_classifier_takes_the_penalty_that_fits():
    # Faint features and a fifth of one class: a strong penalty always says the other, 80 %.
    x = 0.2 * np.random.default_rng(0).normal(size=(200, 2))
    y = (x[:, 0] > 0.16).astype(int)
    task = SimpleNamespace(x_train=x[:150], y_train=y[:150], x_test=x[150:], y_test=y[150:])
    assert taichi_classification._linear(task)["score"] > 90


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

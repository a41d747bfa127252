import dataclasses

import numpy as np
import pytest

from experiments.forward_mode import ffm_nonlinear
from tests.exact.given_pieces import Given, rng
from tests.exact.small_panel import PANEL

TINY = ffm_nonlinear.Config(n_classes=4, activations=("linear", "square_law"), **PANEL)


def piece(label, *_):
    return {"accuracy": rng(label).uniform(50, 100, 2)}


@pytest.fixture(scope="module")
def outcome():
    return ffm_nonlinear.run(TINY, Given(piece))


def test_prints_accuracy_by_activation_and_depth(outcome):
    for name in ("linear", "square_law"):
        given = [piece(f"{name}.depth2.repeat{r}")["accuracy"] for r in range(2)]
        ideal, ours = np.mean(given, axis=0)
        assert outcome.metrics[f"accuracy.{name}.depth2"].n == 2
        assert outcome.metrics[f"accuracy.{name}.depth2"].value == pytest.approx(ours)
        assert outcome.metrics[f"ideal.{name}.depth2"].value == pytest.approx(ideal)


def test_gain_is_the_paired_difference_to_linear(outcome):
    ours = outcome.arrays["accuracy.square_law.depth2"][:, 1]
    linear = outcome.arrays["accuracy.linear.depth2"][:, 1]
    assert outcome.metrics["gain.square_law.depth2"].value == pytest.approx((ours - linear).mean())
    assert "gain.linear.depth2" not in outcome.metrics


def test_figure_has_a_panel_for_each_depth(outcome):
    figure = outcome.figure()
    assert [axes.get_title() for axes in figure.axes] == ["2 layers, digits, 4 classes"]


@pytest.mark.parametrize("activations", [("square_law", "linear"), ("linear", "magic")])
def test_unknown_or_misplaced_activation_is_named(activations):
    with pytest.raises(ValueError, match="`activations` must be names of linear, saturable"):
        dataclasses.replace(TINY, activations=activations)

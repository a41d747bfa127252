import dataclasses

import numpy as np
import pytest

from experiments.harness.context import Context
from experiments.harness.settings import precision
from experiments.photonic_chips import exceptional_point

TINY = exceptional_point.Config(
    devices=1, starts=4, noise_levels=(), n_steps=24, n_frequencies=81, order_three=False
)


@pytest.fixture(scope="module")
def outcome():
    with precision("double"):
        return exceptional_point.run(TINY)


def test_every_start_finds_the_point_and_the_data_sheet_does_not(outcome):
    metrics = outcome.metrics
    assert metrics["found.forward_mode"].value == 1
    assert metrics["found.in_silico"].value == 0
    assert metrics["splitting.forward_mode"].value < 0.1


def test_the_point_found_has_every_mark_of_an_exceptional_point(outcome):
    metrics = outcome.metrics
    # Theory: 0.5; within 0.05.
    assert metrics["exponent.near"].value == pytest.approx(0.5, abs=0.05)
    assert metrics["exponent.far"].value == pytest.approx(0.97, abs=0.02)  # closed form 0.971
    assert metrics["overlap_deficit.found"].value < 0.02 < metrics["overlap_deficit.start"].value
    assert metrics["encircling.one_turn_swaps"].value == 1
    assert metrics["encircling.two_turns_restore"].value == 1
    assert metrics["encircling.outside_swaps"].value == 0


def test_both_methods_spend_the_same_sweeps(outcome):
    arrays = outcome.arrays
    spent = [arrays[f"order2.sweeps.{m}"][0, -1] for m in exceptional_point.METHODS]
    assert abs(spent[0] - spent[1]) <= 10


def test_sheets_descent_growth_and_turn_are_drawn(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 5
    assert figure.axes[2].get_xlabel() == "Laser sweeps"


def test_orders_are_judged_by_the_same_residual(outcome, monkeypatch):
    # A splitting of 0.2 couplings leaves (0.2 / 2)^q, 0.01 at order two and 0.001 at three; the bar is the 0.0025 of
    # 0.1 couplings at order two.
    piece = {k.removeprefix("order2."): v[0] for k, v in outcome.arrays.items()}
    piece |= {k: np.full_like(v, 0.2) for k, v in piece.items() if k.startswith("splitting.")}
    context = Context()
    monkeypatch.setattr(context, "map", lambda function, pieces: dict.fromkeys(pieces, piece))
    metrics = exceptional_point.run(dataclasses.replace(TINY, order_three=True), context).metrics
    assert metrics["found.forward_mode"].value == 0
    assert metrics["found.forward_mode.order_three"].value == 1
    assert metrics["exponent.order_three"].value == metrics["exponent.near"].value


def test_a_noise_that_cannot_be_is_named():
    with precision("double"), pytest.raises(ValueError, match="`field_noise` must lie between"):
        exceptional_point.run(dataclasses.replace(TINY, field_noise=-1.0))

import dataclasses
import math

import pytest

from experiments.echoes import random_circuit_sampling as rcs

TINY = rcs.Config(
    rows=2, columns=4, n_cycles=(6, 12), n_circuits=4, n_trajectories=8, n_samples=2000,
    noise_factors=(1.0, 5.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return rcs.run(TINY)


@pytest.mark.parametrize("mark", ["x1", "x5"])
def test_xeb_follows_the_digital_error_model(outcome, mark):
    ratio = outcome.metrics[f"xeb_over_digital.{mark}"]
    # Errors that move no bitstring put XEB above: at most the last layers' share of the errors.
    assert 1 - 4 * ratio.stderr < ratio.value < 1.2
    assert outcome.metrics["digital.x1"].value > outcome.metrics["digital.x5"].value + 0.2


@pytest.mark.parametrize("name", ["xeb_log", "xeb_sampled", "root_purity"])
def test_all_estimators_agree(outcome, name):
    for mark in ("x1", "x5"):
        linear, other = outcome.metrics[f"xeb.{mark}"], outcome.metrics[f"{name}.{mark}"]
        # 2000 samples alone put 1 / sqrt(2000) = 0.022 on each of four circuits.
        error = math.hypot(linear.stderr, other.stderr, 0.022 / 2)
        assert abs(linear.value - other.value) < 4 * error


def test_ideal_output_is_near_porter_thomas(outcome):
    found = outcome.metrics["porter_thomas"]
    # A sum over D = 256 probabilities spreads by sqrt(20 / 256), over four circuits by half of that.
    assert found.value == pytest.approx(2 * 256 / 257, abs=4 * 0.28 / 2)


def test_the_digital_model_at_the_size_of_willow_is_the_one_by_hand(outcome):
    # 41 x 103 one-qubit gates, 182 / 4 x 103 / 105 x 40 = 1785 two-qubit gates, 103 readouts.
    by_hand = (1 - 3.6e-4) ** 4223 * (1 - 1.4e-3) ** 1785 * (1 - 6.7e-3) ** 103
    assert outcome.metrics["willow_xeb"].value == pytest.approx(100 * by_hand, rel=1e-3)
    assert outcome.metrics["willow_xeb"].unit == "%"
    willow = next(r for r in outcome.references if r.name == "willow_xeb")
    assert not willow.comparable
    assert "memory" in willow.note


def test_circuits_have_a_last_layer_of_one_qubit_gates(outcome):
    # 2 x 4: A and B hold 3 pairs each, C and D 2 each; 12 cycles of ABCDCDAB are A, B, C, D three times each.
    by_hand = (1 - 3.6e-4) ** (8 * 13) * (1 - 1.4e-3) ** 30 * (1 - 6.7e-3) ** 8
    assert outcome.metrics["digital.x1"].value == pytest.approx(by_hand, rel=1e-9)


def test_fidelity_and_statistics_are_drawn(outcome):
    figure = outcome.figure()
    assert [axes.get_xlabel() for axes in figure.axes] == ["Cycles", "Probability × 2ⁿ"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_circuits": 1}, "`n_circuits` must be at least 2"),
        ({"n_trajectories": 1}, "`n_trajectories` must be at least 2"),
        ({"n_cycles": (8, 8)}, "`n_cycles` must be 2 or more"),
        ({"min_ratio_cycles": 20}, "`min_ratio_cycles` must be at most 12"),
        ({"noise_factors": (-1.0,)}, "`noise_factors` must be at least 0"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_an_unknown_layer_order_is_named():
    with pytest.raises(ValueError, match="`order` must be one of A, B, C, D"):
        rcs.run(dataclasses.replace(TINY, order="AXBD"))

import dataclasses
import math

import numpy as np
import pytest

from experiments.harness.context import called
from experiments.molecules import nmr_echo as experiment
from experiments.molecules import nmr_echo_pulses
from tests.exact.drawn import error_bars
from tests.exact.given_pieces import Given, rng

TINY = experiment.Config(
    angles=(2.0,), points=9, fine=2, biphenyl_points=2, n_states=2, readings=("once",), n_steps=(0, 1, 2, 4),
    toluene_spins=(0, 1, 2, 4, 6, 7), biphenyl_spins=(0, 1, 2, 9, 10), shortened=(4, 8), whole_steps=(),
)  # fmt: skip


BUMP = 1.5e-3  # s


def piece(label, *_):
    """Curves of closed form: a fall with a bump where the reading is slow; powers of the length of a pulse."""
    kind, _, name = label.partition("_")
    draw = rng(label).uniform
    if kind == "toluene":
        times = np.linspace(0, 3e-3, 17)
        curve = 1 - 100 * times + 0.3 * np.exp(-(((times - BUMP) / 2e-4) ** 2))
        found = {"times": times, "couplings": experiment._couplings(TINY, "toluene")}
        for k, reading in enumerate(experiment.READINGS):
            found |= {f"toluene.{reading}": curve, f"with_j.{reading}": 1 - 100 * times}
            found[f"angles.{reading}"] = np.stack([1 - 100 * times, curve])
            for changed, size in (("only_bond", 0.1), ("pair", 0.2), ("ring", 0.3)):
                found[f"{changed}.{reading}"] = size * (1 + k) * (-1.0) ** np.arange(9)
        return found
    if kind == "biphenyl":
        return {f"biphenyl.{name}": draw(size=(2, 2)), "biphenyl_times": np.array([0, 1e-3])}
    if kind == "butterfly":
        return {"butterfly": [3.5, 0.99], "butterfly_echoes": [[0.9, 0.8], [0.9, 0.9]]}
    if kind == "reversal":
        return {f"reversal.{name}": draw(size=5), f"lost.{name}": [2.0**-3, 2.0**-7]}
    pulsed, average = draw(0.5, 0.9, (3, 2, 4)), draw(0.5, 0.9, 4)
    pulsed[0, 1] = average + np.array([0.1, -0.1, 0.1, -0.1])
    times = 1e-3 * np.arange(4)
    return {f"pulsed.{name}": pulsed, f"average.{name}": average,
            f"pulsed_times.{name}": times, f"factors.{name}": draw(size=2)}  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY, Given(piece))


def test_coordinates_give_the_couplings_of_the_sheet(outcome):
    values = {name: measured.value for name, measured in outcome.metrics.items()}
    assert values["coupling.c_h1"] == pytest.approx(-4139, abs=3)
    assert values["coupling.off_estimates"] < 0.51  # rounded to 1 Hz


def test_numbers_are_those_of_the_curves(outcome):
    values = {name: measured.value for name, measured in outcome.metrics.items()}
    assert values["sensitivity"] == pytest.approx(0.2)
    assert values["sensitivity_of_ring"] == pytest.approx(0.3)
    for k, reading in enumerate(experiment.READINGS):
        assert values[f"only_bond.{reading}"] == pytest.approx(0.1 * (1 + k))
        assert values[f"bump_ms.{reading}"] == pytest.approx(1e3 * BUMP)
        assert values[f"bump_ms_with_j.{reading}"] == 0  # a fall has none
        assert values[f"bump_at_published.{reading}"] == values[f"bump_height.{reading}"] > 0.05
    assert (values["butterfly.angle"], values["butterfly.overlap"]) == (3.5, 0.99)
    assert values["butterfly.off_ideal"] == pytest.approx(0.1 / np.sqrt(2))
    estimate = experiment.ESTIMATED_CURVE[:9]
    curve = piece("toluene")["toluene.printed"][::2][: len(estimate)]
    assert values["curve.off_estimates"] == pytest.approx(np.abs(curve - estimate).max())
    assert values["biphenyl.once"] == piece("biphenyl_once")["biphenyl.once"][0, -1]
    for name in nmr_echo_pulses.SEQUENCES:
        assert values[f"pulsed_off_average.{name}"] == pytest.approx(0.1)
        assert values[f"slope.{name}"] == pytest.approx(4)  # a 16th at half the length
        undone = piece(f"reversal_{name}")[f"reversal.{name}"]
        terms = ("identity", "first", "second", "unreversed_average", "unreversed_second")
        assert [values[f"{term}.{name}"] for term in terms] == list(undone)
        echoes = piece(f"pulsed_{name}")[f"pulsed.{name}"][:, 0, -1]
        assert [values[f"loschmidt.{name}.{case}"] for case in nmr_echo_pulses.CASES] == list(
            echoes
        )


def test_pulses_follow_the_average_where_they_are_short():
    rms = []
    for pulse in (10.5e-6, 5.25e-6):
        steps = (0, 1, 2) if pulse > 6e-6 else (0, 2, 4)
        config = dataclasses.replace(TINY, pulse=pulse, n_steps=steps)
        found = called(*experiment._pulsed_work(config)["pulsed_two_blocks"])
        rms.append(np.abs(found["pulsed.two_blocks"][0, 1] - found["average.two_blocks"]).max())
        assert found["average.two_blocks"].min() < 0.95  # there is an echo to follow
    assert rms[1] < rms[0] / 3  # F_2 is quadratic in the length of the cycle


def test_readings_are_a_factor_of_two_and_what_finite_pulses_give():
    for molecule, printed, pulses in (
        ("toluene", 2 / 9, 4 / (9 * math.pi)), ("biphenyl", 2 / 3, 4 / (3 * math.pi)),
    ):  # fmt: skip
        found = [experiment.eta_heter(molecule, reading) for reading in experiment.READINGS]
        assert found == pytest.approx([printed, printed / 2, pulses], rel=1e-12)


def test_a_curve_without_a_bump_has_zeros():
    assert experiment._bump(np.linspace(0, 1, 9), np.linspace(1, 0, 9)) == (0.0, 0.0)


def test_all_panels_are_drawn(outcome):
    axes = outcome.figure().axes
    assert len(axes) == 4
    readings = [name for name in experiment.READINGS if name in outcome.config.readings]
    for shown, reading in zip(error_bars(axes[1]), readings, strict=False):
        np.testing.assert_allclose(shown, outcome.arrays[f"biphenyl.{reading}"], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"angles": (math.nan,)}, "`angles` must be finite"),
        ({"points": 5}, "`points` must be at least 6"),
        ({"n_states": 1}, "`n_states` must be at least 2"),
        ({"whole_steps": (1, 0)}, "`whole_steps` must be rising numbers from 0 on"),
        ({"pulse": 0.0}, "`pulse` must lie between 0 and 1e-4 s"),
        ({"rf_spread": 0.5}, "`rf_spread` must lie from 0 to 0.5"),
        ({"n_steps": (2, 1)}, "`n_steps` must be 2 or more rising"),
        ({"shortened": (0, 1)}, "`shortened` must be 2 or more rising numbers from 1"),
        ({"readings": ("twice",)}, "`readings` must be one of printed"),
        ({"toluene_spins": (1, 2)}, "`toluene_spins` must be rising numbers from the probe 0"),
        ({"biphenyl_spins": (0, 15)}, "`biphenyl_spins` must be rising numbers"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

import dataclasses
import math

import numpy as np
import pytest

from experiments.harness.context import called
from experiments.molecules import nmr_echo as experiment
from tests.exact.drawn import error_bars

TINY = experiment.Config(
    angles=(2.0,), points=9, fine=2, biphenyl_points=2, n_states=2, readings=("once",), n_steps=(0, 1, 2, 4),
    toluene_spins=(0, 1, 2, 4, 6, 7), biphenyl_spins=(0, 1, 2, 9, 10), shortened=(4, 8), whole_steps=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


def test_coordinates_give_the_couplings_and_the_curve_of_the_sheet(outcome):
    values = {name: measured.value for name, measured in outcome.metrics.items()}
    assert values["coupling.c_h1"] == pytest.approx(-4139, abs=3)
    assert values["coupling.off_estimates"] < 0.51  # rounded to 1 Hz
    assert values["curve.off_estimates"] < 5.1e-4  # rounded to three digits
    assert values["sensitivity"] == pytest.approx(0.004, abs=5e-4)


def test_finite_pulses_reverse_all_but_the_second_magnus_term(outcome):
    for name in experiment.SEQUENCES:
        found = {
            k.split(".")[0]: m.value for k, m in outcome.metrics.items() if k.endswith("." + name)
        }
        assert found["identity"] < 1e-12
        assert found["unreversed_average"] < 1e-12
        assert found["first"] < 1e-12
        assert found["unreversed_second"] > 0.01
        assert found["slope"] == pytest.approx(4, abs=0.1)
        lost = [1 - outcome.metrics[f"loschmidt.{name}.{case}"].value for case in experiment.CASES]
        assert 1e-5 < lost[0] < 0.03
        assert min(lost[1:]) > lost[0] / 2


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


def test_the_bump_moves_with_the_reading(outcome):
    # Slower turning of the carbon puts it later, and none of the three is fitted.
    times = [outcome.metrics[f"bump_ms.{reading}"].value for reading in ("pulses", "once")]
    assert times[0] < times[1] < 2
    assert outcome.metrics["bump_height.once"].value > outcome.metrics["bump_height.printed"].value


def test_pulses_make_the_butterfly(outcome):
    values = {name: m.value for name, m in outcome.metrics.items() if name.startswith("butterfly")}
    # 4 x 12 pulses of 10.5 us on an offset scaled by 0.4745.
    assert values["butterfly.angle"] == pytest.approx(
        2 * math.pi * 2348 * 0.47451 * 504e-6, rel=1e-4
    )
    assert 0.95 < values["butterfly.overlap"] < 0.9999
    assert values["butterfly.off_ideal"] < 0.02


def test_a_bump_is_the_most_prominent_maximum():
    times = np.linspace(0, 1, 200)
    curve = 1 - times + 0.2 * np.exp(-(((times - 0.6) / 0.05) ** 2))
    time, height = experiment._bump(times, curve)
    assert time == pytest.approx(0.59, abs=0.02)
    assert 0.1 < height < 0.2
    assert experiment._bump(times, 1 - times) == (0.0, 0.0)
    fine = np.linspace(0, 3e-3, 200)
    small = 1 - 100 * fine + 0.1 * np.exp(-(((fine - 1.4e-3) / 1e-4) ** 2))
    small += 0.3 * np.exp(-(((fine - 2.4e-3) / 1e-4) ** 2))
    assert experiment._bump(fine, small)[0] == pytest.approx(2.4e-3, abs=5e-5)
    assert experiment._bump(fine, small, 1.5e-3)[0] == pytest.approx(1.4e-3, abs=5e-5)
    assert experiment._bump(fine, small, 0.5e-3) == (0.0, 0.0)


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

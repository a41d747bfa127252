import dataclasses

import numpy as np
import pytest

from experiments.scattering import ffm_focus, ffm_focus_report
from optics.imaging.focus_search import SwarmSettings

TINY = ffm_focus.Config(
    pixels=32,
    aperture=0.512e-3,
    distance=0.0621,  # lambda z / D as in the paper, on the pixels of the laptop scale
    repeats=1,
    n_iterations=20,
    swarm=SwarmSettings(n_particles=6, n_blocks=8),
    swarm_iterations=40,
    matrix_blocks=8,
    scan_side=1,
)


@pytest.fixture(scope="module")
def outcome():
    return ffm_focus.run(TINY)


def value(outcome, name):
    return outcome.metrics[name].value


def test_forward_mode_beats_the_swarm_with_fewer_frames(outcome):
    for medium in ("plate", "tape"):
        assert value(outcome, f"loss.ffm.{medium}") < value(outcome, f"loss.swarm.{medium}") - 0.5
        assert value(outcome, f"frames.ffm.{medium}") < value(outcome, f"frames.swarm.{medium}")
        assert value(outcome, f"iterations.ffm.{medium}") <= 20
        assert value(outcome, f"psnr.ffm.{medium}") > value(outcome, f"psnr.swarm.{medium}")


def test_focus_is_as_wide_as_a_speckle_grain(outcome):
    # The plate half-way at full aperture: 0.886 lambda (z / 2) / D = 28.6 um; a pixel is 16 um.
    assert value(outcome, "fwhm.ffm.plate") == pytest.approx(28.6, rel=0.3)
    assert value(outcome, "limit") == pytest.approx(64.5, rel=1e-3)
    assert value(outcome, "limit.fwhm") == pytest.approx(57.2, rel=2e-3)


def test_gradient_needs_the_symmetric_place(outcome):
    # 8 bit modulators and camera noise leave a few permille.
    assert value(outcome, "ablation.cosine.mid-way") > 0.99
    assert value(outcome, "ablation.cosine.mirrored_pair") > 0.99
    assert value(outcome, "ablation.cosine.quarter") < 0.6
    assert value(outcome, "ablation.loss.quarter") > value(outcome, "ablation.loss.mid-way") + 0.5


def test_frames_follow_the_settings(outcome):
    expected = {"ffm": 4 * 41, "swarm": 6 * 41, "stepwise": 256, "matrix": 256, "conjugation": 4}
    for method, frames in expected.items():
        assert value(outcome, f"frames.{method}.plate") == frames


def test_numbers_of_an_undefined_loss_are_not_compared():
    by_name = {reference.name: reference for reference in ffm_focus.REFERENCES}
    assert not by_name["loss.ffm.plate"].comparable
    assert not by_name["psnr.ffm"].comparable
    assert by_name["fwhm.ratio"].value == pytest.approx(1.478, abs=1e-3)


def test_figure_shows_the_way_to_the_focus(outcome):
    figure = ffm_focus_report.draw(outcome, ffm_focus.PLACES, np.arange(5))
    titles = [axes.get_title() for axes in figure.axes]
    assert "plate: 0 iterations" in titles
    assert "tape: 1 foci, one phase each" in titles


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repeats": 0}, "`repeats` must be at least 1, but is 0"),
        ({"target_side": 1e-6}, "`target_side` must lie between a pixel of 1.6e-05 m"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

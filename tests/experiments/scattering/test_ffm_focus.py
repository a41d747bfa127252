import dataclasses

import numpy as np
import pytest

from experiments.scattering import ffm_focus, ffm_focus_report
from experiments.scattering.ffm_focus_report import METHODS, QUANTITIES
from optics.imaging.focus_search import SwarmSettings
from tests.exact.given_pieces import Given, rng

TINY = ffm_focus.Config(
    pixels=32,
    aperture=0.512e-3,
    distance=0.0621,  # lambda z / D as in the paper, on the pixels of the laptop scale
    repeats=2,
    n_iterations=20,
    swarm=SwarmSettings(n_particles=6, n_blocks=8),
    swarm_iterations=40,
    matrix_blocks=8,
    scan_side=1,
)


def piece(label, *_):
    draw = rng(label).uniform
    if label.startswith("scan"):
        return {"scan.width": draw(20, 30, 4), "scan.foci": draw(size=(32, 32))}
    if label.startswith("place"):
        return {"found": draw(size=(3, 2))}
    pictures = {f"picture.{name}": draw(size=(32, 32)) for name in ("before", *METHODS)}
    curves = {"curve.ffm": draw(1, 5, 21), "curve.swarm": draw(1, 5, 41)}
    numbers = draw(20, 30, (len(METHODS), len(QUANTITIES)))
    return {"numbers": numbers, "picture.way": draw(size=(5, 32, 32))} | pictures | curves


@pytest.fixture(scope="module")
def outcome():
    return ffm_focus.run(TINY, Given(piece))


def value(outcome, name):
    return outcome.metrics[name].value


def test_every_number_is_the_mean_over_the_draws_of_its_medium(outcome):
    for medium in ("plate", "tape"):
        mean = np.mean([piece(f"{medium}{d}")["numbers"] for d in range(2)], axis=0)
        for method, row in zip(METHODS, mean, strict=True):
            for quantity, number in zip(QUANTITIES, row, strict=True):
                name = f"{quantity}.{method}.{medium}"
                if quantity == "iterations" and method not in ("ffm", "swarm"):
                    assert name not in outcome.metrics
                else:
                    assert value(outcome, name) == pytest.approx(number)
        scanned = piece(f"scan-{medium}")["scan.width"]
        assert value(outcome, f"fwhm.scan.{medium}") == pytest.approx(scanned.mean())
    assert outcome.metrics["fwhm.ffm.plate"].unit == "um"
    places = np.mean([piece(f"place{d}")["found"] for d in range(2)], axis=0)
    for place, (cosine, loss) in zip(("mid-way", "mirrored_pair", "quarter"), places, strict=True):
        assert value(outcome, f"ablation.cosine.{place}") == pytest.approx(cosine)
        assert value(outcome, f"ablation.loss.{place}") == pytest.approx(loss)


def test_forward_mode_is_compared_with_the_swarm_draw_by_draw(outcome):
    numbers = np.stack([piece(f"{m}{d}")["numbers"] for m in ("plate", "tape") for d in range(2)])
    width, psnr = (numbers[:, :2, QUANTITIES.index(name)] for name in ("fwhm", "psnr"))
    gap, ratio = outcome.metrics["psnr.gap"], outcome.metrics["fwhm.ratio"]
    differences = psnr[:, 0] - psnr[:, 1]
    assert (gap.value, gap.n) == (pytest.approx(differences.mean()), 4)
    assert gap.stderr == pytest.approx(differences.std(ddof=1) / 2)
    assert ratio.value == pytest.approx(np.mean(width[:, 1] / width[:, 0]))
    scans = [piece(f"scan-{medium}")["scan.width"].min() for medium in ("plate", "tape")]
    assert value(outcome, "fwhm.ffm.best") == pytest.approx(min(width[:, 0].min(), *scans))


def test_the_limit_is_that_of_the_aperture(outcome):
    assert value(outcome, "limit") == pytest.approx(64.5, rel=1e-3)
    assert value(outcome, "limit.fwhm") == pytest.approx(57.2, rel=2e-3)


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

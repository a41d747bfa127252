import numpy as np
import pytest

from experiments.forward_mode import ffm_gap
from experiments.forward_mode.panel import Optics
from tests.exact.drawn import error_bars


@pytest.fixture(scope="module")
def outcome():
    return ffm_gap.run(
        ffm_gap.Config(
            depths=(2,),
            strokes=(0.0, -0.9),
            astigmatisms=(0.0, 0.2, 2.0),
            phase_error=0.0,
            camera_shift_px=0.0,
            repeats=1,
            n_test=64,
            optics=Optics(pixels=16, distance=1e-3, n_steps=60, batch_size=16),
        )
    )


def test_a_bench_without_errors_gives_the_ideal_accuracy(outcome):
    scores = outcome.arrays["accuracy.in_silico"]
    assert scores.shape == (1, 1, 2, 3)
    # Eight-bit modulators are not part of the scan, so the operator is the model's own.
    assert scores[0, 0, 0, 0] == outcome.arrays["accuracy.ideal"][0, 0]


def test_large_errors_cost_accuracy(outcome):
    scores = outcome.arrays["accuracy.in_silico"][0, 0]
    assert scores[1, 2] < scores[0, 0] - 20


def test_the_chosen_bench_is_the_nearest_to_the_published_column(outcome):
    scores = outcome.arrays["accuracy.in_silico"][0, 0]
    nearest = np.unravel_index(np.argmin(abs(scores - 44.0)), scores.shape)
    assert outcome.metrics["chosen.stroke_error"].value == outcome.config.strokes[nearest[0]]
    assert outcome.metrics["chosen.astigmatism"].value == outcome.config.astigmatisms[nearest[1]]
    assert outcome.metrics["misfit"].value == pytest.approx(abs(scores - 44.0).min())


def test_figure_has_a_panel_for_each_stroke(outcome):
    axes = outcome.figure().axes
    scores = outcome.arrays["accuracy.in_silico"]
    assert [panel.get_title() for panel in axes] == ["stroke error +0", "stroke error -0.9"]
    for i, panel in enumerate(axes):
        shown = np.array([values for values, _ in error_bars(panel)])
        np.testing.assert_allclose(shown, scores[:, :, i].mean(axis=1).T)

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from experiments.echoes.otoc_noise import Config
from experiments.echoes.otoc_noise_figure import (
    METHODS,
    draw_methods,
    draw_scatter,
    draw_sizes,
)
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

REFERENCES = (
    Reference("a.n40", 3.9, None, "", "Fig. 4b", "stated in text", False, note="other"),
    Reference("a.n65", 2.5, 0.5, "", "text", "stated in text", False, note="other"),
)


@pytest.fixture(scope="module")
def outcome():
    metrics = {}
    for n in (4, 6):
        for rank, name in enumerate(METHODS):
            if (n, name) != (4, "zne_gaussian"):
                metrics[f"snr.{name}.n{n}"] = Measurement(rank + 1.0, 0.1)
                metrics[f"snr_rescaled.{name}.n{n}"] = Measurement(rank + 2.0, 0.1)
    values = np.array([[0.1, -0.2, 0.3], [0.01, 0.02, 0.03]])
    arrays = {f"n6.{name}": values for name in METHODS} | {"n6.exact": 2 * values[0]}
    return Outcome("otoc_noise", Config(), metrics, arrays, REFERENCES)


def test_scatter_has_exact_values_along_x(outcome):
    axes = Figure().subplots()
    draw_scatter(axes, outcome, "n6")
    line = axes.containers[0][0]
    np.testing.assert_allclose(line.get_xdata(), [0.2, -0.4, 0.6])
    np.testing.assert_allclose(line.get_ydata(), [0.1, -0.2, 0.3])


def test_sizes_show_what_is_there_and_the_papers_values(outcome):
    axes = Figure().subplots()
    draw_sizes(axes, outcome, [4, 6])
    drawn = [c[0] for c in axes.containers if isinstance(c, ErrorbarContainer)]
    points = {tuple(line.get_xdata()) for line in drawn}
    assert points == {(4, 6), (6,), (40,), (65,)}
    assert [line.get_ydata()[0] for line in drawn[-2:]] == [3.9, 2.5]


def test_every_method_has_two_bars(outcome):
    axes = Figure().subplots()
    draw_methods(axes, outcome, "n6")
    heights = [bar.get_height() for bar in axes.patches]  # pyright: ignore[reportAttributeAccessIssue]
    assert heights == [k + 1 for k in range(len(METHODS))] + [k + 2 for k in range(len(METHODS))]
    assert len(axes.get_xticklabels()) == len(METHODS)

import numpy as np

from experiments.benchmarks import bench_generation as bench
from experiments.benchmarks.ratio_figure import plot_ratios
from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome


def test_each_ratio_has_a_bar_and_its_own_aim_and_what_did_not_run_is_said():
    metrics = {
        "ratio.first": Measurement(0.5),
        "cpu.first": Measurement(3.0),
        "ratio.second": Measurement(2.0),
    }
    absent = np.array(["diffusers, train: no interpreter"])
    outcome = Outcome("bench", bench.SCALES["quick"], metrics, {"not_run": absent}, ())
    axes = plot_ratios(outcome, {"first": 0.7}.get).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.5]
    assert names == ["second", "first"]
    aims = [
        line for line in axes.lines if len(set(line.get_ydata())) == 2 and line.get_color() == "k"
    ]
    assert [list(line.get_xdata()) for line in aims] == [[0.7, 0.7]]
    assert np.mean(aims[0].get_ydata()) == names.index("first")
    assert axes.get_title() == "not run: diffusers, train"

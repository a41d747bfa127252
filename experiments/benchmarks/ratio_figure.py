"""Figure of the benchmarks whose result is a ratio for each peer: bars, and the ratio that was wanted."""

from collections.abc import Callable

from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, label, new_figure, style


@style()
def plot_ratios(outcome: Outcome, aim_of: Callable[[str], float | None]) -> Figure:
    """CPU time of ours over that of each other engine, and what was wanted; engines that did not run in the title.

    Args:
        outcome: Has metrics `ratio.NAME` and an array `not_run` of lines "ENGINE, TASK: reason".
        aim_of: NAME -> largest ratio that was wanted; None for none.
    """
    names = [name.removeprefix("ratio.") for name in outcome.metrics if name.startswith("ratio.")]
    figure = new_figure(2, 1.2 + 0.2 * len(names))
    axes = figure.subplots()
    for row, name in enumerate(reversed(names)):
        found = outcome.metrics[f"ratio.{name}"]
        axes.barh(row, found.value, xerr=found.stderr, color="C0")
        if (aim := aim_of(name)) is not None:
            axes.plot([aim] * 2, [row - 0.4, row + 0.4], color="k")
    axes.axvline(1, color=GREY, lw=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), list(reversed(names)), fontsize="small")
    axes.set_xlabel(label("CPU time, ours / its; a line is the aim"))
    absent = outcome.arrays["not_run"]
    if absent.size:
        lines = ", ".join(str(line).split(":")[0] for line in absent)
        axes.set_title(f"not run: {lines}", fontsize="small", wrap=True)
    return figure

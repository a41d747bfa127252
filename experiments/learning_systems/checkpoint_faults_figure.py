"""The figure of `checkpoint_faults`: damages, kills, and what each writer of one save did when."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, label, new_figure, style
from experiments.learning_systems.checkpoint_damage import KINDS
from nn.checkpoint.timeline import STAGES, Timeline

_WHAT = {"bit": "one bit", "byte": "one byte", "block": "64 bytes", "cut": "the end cut off"}


@style()
def plot(outcome: Outcome) -> Figure:
    """What became of damages and of killed saves; one save as a timeline and as a table of its writers."""
    figure = new_figure(2, 5.6)
    panels = figure.subplots(2, 2)
    _damages(panels[0, 0], outcome)
    _kills(panels[0, 1], outcome)
    times = Timeline(
        *(outcome.arrays[f"timeline.{name}"] for name in Timeline.__dataclass_fields__)
    )
    _lines(panels[1, 0], times)
    _table(figure, panels[1, 1], times)
    return figure


def _damages(panel: Axes, outcome: Outcome) -> None:
    metrics = outcome.metrics
    for row, kind in enumerate(KINDS):
        located, named, silent = (
            metrics[f"{what}.{kind}"].value for what in ("located", "named", "silent")
        )
        parts = (
            (located, "C0", "found to the byte"),
            (named - located, "C2", "tensor and range named"),
            (1 - named - silent, GREY, "refused only"),
            (silent, "C3", "silent"),
        )
        start = 0.0
        for value, color, text in parts:
            text = text if row == 0 else None
            panel.barh(row, 100 * value, left=100 * start, color=color, label=text)
            start += value
    panel.set_yticks(range(len(KINDS)), [_WHAT[kind] for kind in KINDS])
    panel.set(xlabel=label("damages of data", "%"), xlim=(0, 100))
    panel.set_ylim(len(KINDS) + 0.9, -0.6)
    panel.legend(fontsize="x-small", loc="lower center", ncols=2)


def _kills(panel: Axes, outcome: Outcome) -> None:
    arrays = outcome.arrays
    calls = np.unique(arrays["kills.call"])
    bad = arrays["kills.lost"] | arrays["kills.half"] | arrays["kills.failed"]
    for cases, form, text in (
        (arrays["kills.committed"], "C0", "the new checkpoint is there, whole"),
        (bad, "C3", "the old one lost, or half a new one"),
    ):
        share = [100 * np.mean(cases[arrays["kills.call"] == call]) for call in calls]
        panel.step(calls, share, form, where="mid", label=text)
    panel.set(
        xlabel="system call at which a save is killed",
        ylabel=label("saves", "%"),
        ylim=(-4, 104),
    )
    panel.legend(fontsize="x-small", loc="center left")


def _lines(panel: Axes, times: Timeline) -> None:
    for place, stage in enumerate(STAGES):
        chosen = times.stages == place
        panel.barh(
            times.writers[chosen],
            1e3 * times.seconds[chosen],
            left=1e3 * times.starts[chosen],
            height=0.7,
            color=f"C{place}",
            label=stage,
            zorder=1 if stage == "write" else 2,  # which goes on while the next chunk is prepared
        )
    n_writers = times.writers.max() + 1
    panel.set_yticks(range(-1, n_writers), ["process", *map(str, range(n_writers))])
    panel.set(xlabel=label("time since the call", "ms"), ylabel="writer")
    panel.set_ylim(-2.6, n_writers - 0.4)
    panel.legend(fontsize="x-small", loc="lower center", ncols=3)


def _table(figure: Figure, panel: Axes, times: Timeline) -> None:
    own = [STAGES.index(stage) for stage in ("serialise", "checksum", "write")]
    table = 1e3 * times.heat_map()[:, own]
    shown = panel.imshow(table, aspect="auto", origin="lower", cmap="cividis")
    panel.set_xticks(range(len(own)), [STAGES[stage] for stage in own])
    panel.set_yticks(range(len(table)))
    panel.set(ylabel="writer")
    figure.colorbar(shown, ax=panel, label=label("time", "ms"))

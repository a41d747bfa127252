"""Figure of `experiments.generation.hologram_prior`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure, style


@style()
def plot(outcome: Outcome, methods: Sequence[str]) -> Figure:
    """PSNR, recognition and coverage against photons; one object and the worst miss by each method."""
    config, metrics = outcome.config, outcome.metrics
    figure = new_figure(2, 5.0)
    grid = figure.add_gridspec(3, 1, height_ratios=(2.4, 1, 1))
    panels = figure.add_subfigure(grid[0]).subplots(1, 3)
    series = {"psnr": ("PSNR / dB", panels[0]), "recognised": ("recognised / %", panels[1])}
    for quantity, (text, panel) in series.items():
        for method, colour in zip(methods, PALETTE, strict=False):
            _curve(panel, config.photons, metrics, f"{quantity}.{method}", colour, method)
        panel.set(ylabel=text)
    panels[1].axhline(metrics["recognised_clean"].value, color=GREY, lw=0.8)
    panels[0].legend(fontsize=6)
    for kind, colour in (("exact", "black"), ("steered", PALETTE[0])):
        _curve(panels[2], config.photons, metrics, f"coverage.{kind}", colour, kind)
    panels[2].axhline(68, color=GREY, lw=0.8)
    panels[2].set(ylabel="in 68 % intervals / %", ylim=(0, 100))
    panels[2].legend()
    for panel in panels:
        panel.set(xscale="log", xlabel="photons a pixel")
    for row, text in enumerate(("an object", "worst miss")):
        shown = figure.add_subfigure(grid[1 + row]).subplots(1, len(methods) + 1)
        pictures = [outcome.arrays["objects"][0, row], *outcome.arrays["pictures"][0, :, row]]
        for panel, picture, name in zip(shown, pictures, ["object", *methods], strict=True):
            panel.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
            panel.set_title(name, fontsize=7)
            panel.set(xticks=[], yticks=[])
        shown[0].set_ylabel(f"{text},\n{config.photons[0]:g} a pixel", fontsize=7)
    return figure


def _curve(panel, photons, metrics, name, colour, text):
    found = [metrics[f"{name}.{n:g}"] for n in photons]
    panel.errorbar(
        photons, [m.value for m in found], [m.stderr or 0 for m in found],
        fmt="o-", ms=3, color=colour, label=text,
    )  # fmt: skip

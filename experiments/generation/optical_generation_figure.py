"""Figure of `experiments.generation.optical_generation`."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure, style


@style()
def plot(outcome: Outcome, methods: Sequence[str], bounds: Sequence[str]) -> Figure:
    """Frechet distance against severity, losses, and one picture of each class by each method."""
    config, metrics, arrays = outcome.config, outcome.metrics, outcome.arrays
    figure = new_figure(2, 5.6)
    top, bottom = cast(Any, figure.subfigures(2, 1, height_ratios=(1, 1.5)))
    distance, losses = top.subplots(1, 2)
    for method, colour in zip(methods, PALETTE, strict=False):
        found = [metrics[f"frechet.{method}.{s:g}"] for s in config.severities]
        distance.errorbar(
            config.severities, [m.value for m in found], [m.stderr or 0 for m in found],
            fmt="o-", ms=3, color=colour, label=method.replace("_", " "),
        )  # fmt: skip
    for name, line in zip((*bounds, "ideal"), (":", "--", "-.", (0, (5, 3)), "-"), strict=True):
        distance.axhline(
            metrics[f"frechet.{name}"].value,
            color=GREY,
            ls=line,
            lw=0.9,
            label=name.replace("_", " "),
        )
    distance.set(xlabel="severity of the errors", ylabel="Frechet distance", yscale="log")
    distance.legend(fontsize=5.5, ncols=2)
    middle = config.severities[len(config.severities) // 2]
    curves = {"ideal": "ideal"} | {
        method: f"{method}.{middle:g}" for method in methods if method != "in_silico"
    }
    colours = dict(zip(methods, PALETTE, strict=False)) | {"ideal": GREY}
    for method, name in curves.items():
        mean = arrays[f"losses.{name}"].mean(axis=0)
        width = max(1, len(mean) // 40)
        smooth = mean[: len(mean) // width * width].reshape(-1, width).mean(axis=1)
        losses.plot(width * (np.arange(len(smooth)) + 0.5), smooth, lw=0.9, color=colours[method])
    losses.set(
        xlabel="step", ylabel="mean square difference", yscale="log", title=f"severity {middle:g}"
    )
    rows = ["teacher", "digital", "ideal", *(f"{method}.{middle:g}" for method in methods)]
    n_classes = arrays["pictures.teacher"].shape[1]
    panels = bottom.subplots(len(rows), n_classes)
    for row, name in enumerate(rows):
        for column in range(n_classes):
            panel = panels[row, column]
            picture = np.clip(arrays[f"pictures.{name}"][0, column], 0, 1)
            panel.imshow(picture, cmap="gray", vmin=0, vmax=1)
            panel.set(xticks=[], yticks=[])
        text = name.removesuffix(f".{middle:g}").replace("_", " ")
        panels[row, 0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=6)
    return figure

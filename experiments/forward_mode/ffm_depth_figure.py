"""Panels of the figure of `ffm_depth`; they read nothing but the outcome."""

import numpy as np

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label

METHODS = ("ideal", "in_silico", "ffm")
_NAMES = {
    "ideal": "ideal",
    "in_silico": "in silico, on hardware",
    "ffm": "forward mode, on hardware",
}
COLORS: dict[str, str] = dict(zip(METHODS, PALETTE[:3], strict=True))


def plot_accuracy(axes, outcome: Outcome, prefix: str, with_paper: bool) -> None:
    """Accuracy against depth of every method, and the paper's open marks."""
    depths = outcome.config.depths
    for method in METHODS:
        found = [outcome.metrics[f"{prefix}.{method}.depth{d}"] for d in depths]
        bars = [2 * (m.sd or 0) for m in found]
        axes.errorbar(
            depths, [m.value for m in found], yerr=bars, color=COLORS[method], marker="o", ms=3,
            lw=1, capsize=2, label=_NAMES[method],
        )  # fmt: skip
    for reference in outcome.references if with_paper else ():
        _, method, depth = reference.name.split(".")
        at = int(depth.removeprefix("depth"))
        if at in depths and reference.value is not None:
            bar = 2 * reference.uncertainty if reference.uncertainty else None
            axes.errorbar(
                at + 0.3, reference.value, yerr=bar, color=COLORS[method], fmt="D", ms=3.5, lw=0.7,
                mfc="white", alpha=0.75,
            )  # fmt: skip
    axes.errorbar([], [], color="k", fmt="D", ms=3.5, mfc="white", label="paper; all bars 2 sd")
    axes.set(
        xlabel=label("Layers"), ylabel=label("Test accuracy", "%"), ylim=(0, 102), xticks=depths
    )


def plot_pictures(figure, outcome: Outcome) -> None:
    """Light after each layer for one object, a row a method."""
    config, arrays = outcome.config, outcome.arrays
    n_layers = arrays["object.ideal"].shape[0]
    grid = figure.subplots(3, n_layers + 2, width_ratios=[1] * (n_layers + 1) + [1.3])
    half = config.optics.pixels * config.optics.pixel_pitch * 1e3 / 2
    extent = (-half, half, half, -half)
    for row, method in enumerate(METHODS):
        grid[row, 0].imshow(arrays["object.input"], cmap="gray")
        grid[row, 0].set_ylabel(method.replace("_", " "), fontsize=7)
        for layer in range(n_layers):
            axes = grid[row, layer + 1]
            axes.imshow(np.sqrt(arrays[f"object.{method}"][layer]), cmap="magma", extent=extent)
            if row == 0:
                axes.set_title(f"after {layer + 1}", fontsize=7)
        grid[row, n_layers].contour(
            np.linspace(-half, half, config.optics.pixels),
            np.linspace(-half, half, config.optics.pixels),
            arrays["object.regions"], levels=[0.5], colors="w", linewidths=0.4,
        )  # fmt: skip
        shares = arrays["object.powers"][row]
        truth = int(arrays["object.label"])
        colors = [PALETTE[2] if i == truth else GREY for i in range(len(shares))]
        grid[row, -1].bar(range(len(shares)), 100 * shares, color=colors)
        grid[row, -1].set(xticks=range(len(shares)), ylim=(0, 100))
        grid[row, -1].tick_params(labelsize=5)
        grid[row, -1].yaxis.tick_right()
    grid[0, 0].set_title("object", fontsize=7)
    grid[0, -1].set_title("share of region (%)", fontsize=7)
    for axes in grid[:, :-1].ravel():
        axes.set(xticks=[], yticks=[])
    grid[-1, 0].set_xlabel(f"window {2 * half:.2g} mm", fontsize=6)

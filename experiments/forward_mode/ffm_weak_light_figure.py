"""Panel of photons in the figure of `ffm_weak_light`; it reads nothing but the outcome."""

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import label


def plot_counts(figure, outcome: Outcome) -> None:
    """Regions of the classes, and one picture of counted photons a level."""
    arrays, optics = outcome.arrays, outcome.config.optics
    half = optics.pixels * optics.pixel_pitch * 1e3 / 2
    extent = (-half, half, half, -half)
    grid = figure.subplots(1, 1 + len(arrays["picture.levels"]))
    grid[0].imshow(arrays["picture.regions"], extent=extent, cmap="gray")
    grid[0].set_title("class regions", fontsize=6.5)
    for axes, level, counts in zip(
        grid[1:], arrays["picture.levels"], arrays["picture.counts"], strict=True
    ):
        shown = axes.imshow(counts, extent=extent, cmap="magma")
        axes.set_title(f"counts at {level:g} photons per pixel", fontsize=6.5)
        figure.colorbar(shown, ax=axes, shrink=0.7)
    for axes in grid:
        axes.set_xlabel(label("x", "mm"), fontsize=6)
        axes.tick_params(labelsize=5)

"""Panels of the figure of `ffm_hidden_object`; they read nothing but the outcome."""

import numpy as np

from experiments.harness.outcome import Outcome


def plot_matrices(figure, outcome: Outcome) -> None:
    """Light of every region for every cell, a panel a method."""
    methods = outcome.config.methods
    grid = figure.subplots(1, len(methods), sharey=True)
    for axes, method in zip(grid, methods, strict=True):
        shown = axes.imshow(
            outcome.arrays[f"picture.matrix.{method}"], vmin=0, vmax=1, cmap="magma"
        )
        share = outcome.metrics[f"diagonal_share.{method}"]
        frames = outcome.metrics[f"frames.{method}"].value
        axes.set_title(
            f"{method.replace('_', ' ')}\n{100 * share.value:.0f} % on the diagonal\n{frames:,.0f} frames",
            fontsize=6,
        )
        axes.set_xlabel("Region", fontsize=6)
        axes.tick_params(labelsize=5)
    grid[0].set_ylabel("Cell", fontsize=6)
    figure.colorbar(shown, ax=list(grid), label="Share of region light", shrink=0.8)


def plot_letter(figure, outcome: Outcome) -> None:
    """The letter at some positions: the truth, and one camera frame of each method."""
    n = outcome.config.cells
    rows = ("truth", "frames.ffm", "frames.phase_conjugation", "frames.untrained")
    n_frames = outcome.config.n_frames
    chosen = np.linspace(0, n_frames, min(8, n_frames), endpoint=False).astype(int)
    grid = figure.subplots(len(rows), len(chosen), squeeze=False)
    for row, name in zip(grid, rows, strict=True):
        for axes, frame in zip(row, chosen, strict=True):
            picture = outcome.arrays[f"picture.{name}"][frame].reshape(n, n)
            axes.imshow(picture, vmin=0, vmax=1, cmap="gray")
            axes.set(xticks=[], yticks=[])
        words = name.removeprefix("frames.").replace("phase_conjugation", "conjugation")
        row[0].set_ylabel(words.replace("_", " "), rotation=0, ha="right", va="center", fontsize=6)
    figure.suptitle(
        f"A letter that drifts and turns: {len(chosen)} of {n_frames} positions, one camera frame each",
        fontsize=7,
    )

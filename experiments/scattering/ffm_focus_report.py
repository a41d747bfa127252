"""What `ffm_focus` makes of its foci: their numbers, the table of metrics, and the figure."""

import math
from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure
from optics.imaging import FocusResult, focus_loss
from optics.imaging.focus_quality import (
    enhancement,
    focus_psnr,
    focus_width,
    ideal_enhancement,
    iterations_to_converge,
)
from optics.waves import intensity

METHODS = ("ffm", "swarm", "stepwise", "matrix", "conjugation")
QUANTITIES = ("loss", "iterations", "frames", "fwhm", "psnr", "enhancement", "law_share")
UNITS = {"fwhm": "um", "psnr": "dB"}


def judge(config, field, target, before, result: FocusResult, n_modes: int) -> list[float]:
    """The numbers of `QUANTITIES`; iterations are zero for a method that has none."""
    after = intensity(field)
    gain = enhancement(after, target, before)
    return [
        float(focus_loss(field, target)),
        iterations_to_converge(result.losses) if result.losses.size else 0,
        result.frames,
        1e6 * focus_width(field, target, config.pitch, search=config.limit),
        focus_psnr(after, target, config.pitch, config.limit),
        gain,
        gain / ideal_enhancement(n_modes),
    ]


def table(numbers: np.ndarray, medium: str) -> dict[str, Measurement]:
    """Metrics of one medium from its numbers, axes (draw, method, quantity)."""
    found = {}
    for i, method in enumerate(METHODS):
        for j, quantity in enumerate(QUANTITIES):
            if quantity == "iterations" and method not in ("ffm", "swarm"):
                continue
            found[f"{quantity}.{method}.{medium}"] = Measurement.from_samples(
                numbers[:, i, j], UNITS.get(quantity, "")
            )
    return found


def summary(config, found: dict, arrays: dict) -> dict[str, Measurement]:
    """Widths and PSNR over all media and draws, and forward mode against the swarm."""
    both = np.concatenate(list(found.values()))
    ffm, swarm = both[:, METHODS.index("ffm")], both[:, METHODS.index("swarm")]
    width, psnr = QUANTITIES.index("fwhm"), QUANTITIES.index("psnr")
    scans = [arrays[f"{medium}.scan.width"] for medium in found]
    limit = 1e6 * config.limit
    metrics = {
        "limit": Measurement(limit, unit="um"),
        "limit.fwhm": Measurement(0.886 * limit, unit="um"),
        "fwhm.ratio": Measurement.from_samples(swarm[:, width] / ffm[:, width]),
        "fwhm.ffm.over_limit": Measurement.from_samples(ffm[:, width] / limit),
        "fwhm.ffm.best": Measurement(min(ffm[:, width].min(), *(s.min() for s in scans)), unit="um"),
        "psnr.gap": Measurement.from_samples(ffm[:, psnr] - swarm[:, psnr], "dB"),
    }  # fmt: skip
    for name, numbers in (("ffm", ffm), ("swarm", swarm)):
        metrics[f"fwhm.{name}"] = Measurement.from_samples(numbers[:, width], "um")
        metrics[f"psnr.{name}"] = Measurement.from_samples(numbers[:, psnr], "dB")
    for medium, widths in zip(found, scans, strict=True):
        metrics[f"fwhm.scan.{medium}"] = Measurement.from_samples(widths, "um")
    return metrics


def draw(outcome: Outcome, places, steps) -> Figure:
    """Draws the figure.

    Args:
        outcome: Outcome of `ffm_focus`.
        places: Places of the medium in the ablation.
        steps: Iterations whose pictures were kept.
    """
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(columns=2, height=7.0)
    curves, way, fields = cast(Any, figure.subfigures(3, 1, height_ratios=(2.3, 2.2, 2.5)))
    axes = curves.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _plot_curves(axes[0], outcome)
    _plot_bars(axes[1], outcome, "fwhm", "FWHM of the focus", 1e6 * config.limit)
    _plot_bars(axes[2], outcome, "psnr", "PSNR (our definition)")
    rows = way.subplots(2, 6)
    for medium, row in zip(config.lengths, rows, strict=True):
        pictures = [*arrays[f"{medium}.picture.way"], arrays[f"{medium}.picture.swarm"]]
        names = [f"{medium}: {i} iterations" for i in steps] + ["swarm, at its end"]
        for axis, picture, name in zip(row, pictures, names, strict=True):
            _show(
                axis, config, _middle(config, picture / picture.max()), name, reach=6 * config.limit
            )
    panels = fields.subplots(1, 3, width_ratios=(1, 1, 1))
    for axis, medium in zip(panels, config.lengths, strict=False):
        _show(
            axis,
            config,
            arrays[f"{medium}.scan.foci"],
            f"{medium}: {config.scan_side**2} foci, one phase each",
        )
        axis.set(xlabel=label("x", "mm"), ylabel=label("y", "mm"))
        axis.tick_params(labelleft=True, labelbottom=True)
    _plot_places(panels[2], outcome, places)
    return figure


def _plot_curves(axes, outcome: Outcome) -> None:
    for i, medium in enumerate(outcome.config.lengths):
        for method, dashes in (("ffm", "-"), ("swarm", "--")):
            losses = outcome.arrays[f"{medium}.curve.{method}"]
            steps = 1 + np.arange(losses.shape[1])
            for line in losses:
                axes.plot(steps, line, color=PALETTE[i], ls=dashes, lw=0.7, alpha=0.7)
            axes.plot([], [], color=PALETTE[i], ls=dashes, label=f"{method}, {medium}")
    axes.set(xscale="log", xlabel=label("Iteration + 1"), ylabel=label("Loss, -ln of share"))
    axes.set_ylim(0, None)
    axes.set_title(
        "swarm: 20 frames each; ffm: 8" if outcome.config.swarm.n_particles == 20 else ""
    )
    axes.legend(fontsize=6)


def _plot_bars(
    axes, outcome: Outcome, quantity: str, title: str, limit: float | None = None
) -> None:
    for i, medium in enumerate(outcome.config.lengths):
        found = [outcome.metrics[f"{quantity}.{method}.{medium}"] for method in METHODS]
        at = np.arange(len(METHODS)) + 0.38 * (i - 0.5)
        spread = [m.sd or 0 for m in found]
        axes.bar(at, [m.value for m in found], 0.36, yerr=spread, color=PALETTE[i], label=medium)
    if limit is not None:
        axes.axhline(limit, color=GREY, lw=0.8, label="lambda z / D")
        axes.axhline(0.886 * limit, color=GREY, lw=0.8, ls=":", label="0.886 of it")
    axes.set_xticks(range(len(METHODS)), METHODS, rotation=40, ha="right", fontsize=6)
    axes.set(ylabel=label(title, UNITS[quantity]))
    low, high = axes.get_ylim()
    axes.set_ylim(low, 1.35 * high)
    axes.legend(fontsize=5.5, ncols=2)


def _plot_places(axes, outcome: Outcome, places) -> None:
    names = [place.replace(" ", "_") for place in places]
    for i, quantity in enumerate(("cosine", "loss")):
        found = [outcome.metrics[f"ablation.{quantity}.{name}"] for name in names]
        spread = [m.sd or 0 for m in found]
        axes.errorbar(range(3), [m.value for m in found], yerr=spread, fmt="os"[i], color=PALETTE[2 + i],
                      label=("cosine with the true gradient", "loss reached")[i])  # fmt: skip
    axes.axhline(1, color=GREY, lw=0.6)
    axes.set_xticks(range(3), places, fontsize=6)
    axes.set(xlim=(-0.5, 2.5))
    axes.set_title("plate in three places; at a quarter T^T is not T", fontsize=6)
    axes.set_ylim(-0.1, 1.3 * axes.get_ylim()[1])
    axes.legend(fontsize=6)


def _middle(config, picture: np.ndarray) -> np.ndarray:
    """Twelve lambda z / D about the target in the middle of the field."""
    half = min(round(6 * config.limit / config.pitch), config.pixels // 2)
    at = slice(config.pixels // 2 - half, config.pixels // 2 + half)
    return picture[at, at]


def _show(axes, config, picture: np.ndarray, title: str, reach: float | None = None) -> None:
    half = 1e3 * min(reach or math.inf, config.aperture / 2)
    # Amplitude in place of intensity, so that the speckle around a focus is seen.
    axes.imshow(np.sqrt(picture), extent=(-half, half, half, -half), cmap="magma", vmin=0, vmax=1)
    axes.set_title(title, fontsize=6)
    axes.tick_params(labelsize=5, labelleft=False, labelbottom=False)

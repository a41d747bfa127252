"""Figure of `nmr_geometry`: a curve with its fit, what was learned against the truth, pulls against the normal law."""

import math

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from quantum.spins import candidates

_TITLES = {"toluene": "Toluene", "dmbp": "Dimethylbiphenyl", "molecule": "Molecule"}


@style()
def plot(outcome: Outcome) -> Figure:
    """A curve with its fit; what was learned against the truth; pulls against the normal law."""
    config, arrays = outcome.config, outcome.arrays
    names = [name for name in _TITLES if f"{name}.data" in arrays]
    figure = new_figure(columns=2, height=2.5 * len(names))
    axes = figure.subplots(len(names), 3, squeeze=False)
    for row, name in zip(axes, names, strict=True):
        _draw_curves(row[0], config, arrays, name)
        _draw_learned(row[1], config, arrays, name)
        _draw_pulls(row[2], config, arrays, name)
    return figure


def _draw_curves(axes, config, arrays, name: str) -> None:
    times = 1e3 * arrays[f"{name}.times"]
    for k, sigma in enumerate(config.noise):
        shift = 0.05 * k * (times[1] - times[0])
        axes.errorbar(
            times + shift, arrays[f"{name}.data"][k, 0], sigma, fmt="o", ms=2.5, lw=0.8, color=PALETTE[k],
            label=f"noise {sigma:g}",
        )  # fmt: skip
        axes.plot(times, arrays[f"{name}.line.{k}"], color=PALETTE[k], lw=0.8)
    axes.set_xlabel(label("Evolution time", "ms"))
    axes.set_ylabel("Echo C(t)")
    axes.set_title(f"{_TITLES[name]}: data and fit")
    axes.legend()


def _draw_learned(axes, config, arrays, name: str) -> None:
    truth, unit = arrays[f"{name}.truth"][:, 0], "degrees" if name == "dmbp" else "Å"
    for k, _ in reversed(list(enumerate(config.noise))):
        values, errors = arrays[f"{name}.values.{k}"][:, 0], arrays[f"{name}.errors.{k}"][:, 0]
        axes.errorbar(truth, values, errors, fmt="o", ms=2.5, lw=0.8, color=PALETTE[k])
    ends = [truth.min(), truth.max()]
    axes.plot(ends, ends, color=GREY, lw=0.8)
    if name == "dmbp":
        for angle in np.rad2deg(candidates()):
            axes.axhline(angle, color=GREY, lw=0.3, ls=":")
    what = {"toluene": "r$_{om}$", "dmbp": "dihedral angle", "molecule": "distance"}[name]
    axes.set_xlabel(label(f"True {what}", unit))
    axes.set_ylabel(label(f"Learned {what}", unit))


def _draw_pulls(axes, config, arrays, name: str) -> None:
    grid = np.linspace(-3.5, 3.5, 200)
    truth = arrays[f"{name}.truth"][:, 0]
    for k, sigma in enumerate(config.noise):
        miss = arrays[f"{name}.values.{k}"][:, 0] - truth
        pulls = np.sort(miss / arrays[f"{name}.errors.{k}"][:, 0])
        shares = (np.arange(len(pulls)) + 0.5) / len(pulls)
        axes.step(pulls, shares, where="mid", color=PALETTE[k], label=f"noise {sigma:g}")
    axes.plot(grid, [0.5 * math.erfc(-x / math.sqrt(2)) for x in grid], color=GREY, label="normal")
    axes.set_xlabel("(learned - true) / stated error")
    axes.set_ylabel("Share below")
    axes.legend()

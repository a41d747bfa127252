"""Panels of the figure of `hamiltonian_learning`; they read nothing but the outcome."""

import numpy as np
from matplotlib.axes import Axes

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label

# Order of the correlator; 0 is the TOC.
CORRELATORS = {"toc": 0, "otoc": 1, "otoc2": 2}
NAMES = {"toc": "TOC", "otoc": "OTOC", "otoc2": "OTOC(2)"}


def draw_cost(axes: Axes, outcome: Outcome, cycles: int, kind: str) -> None:
    """Cost against the phase for each correlator, with the mean error over draws."""
    config, x = outcome.config, outcome.arrays["phases"] / np.pi
    for name, color in zip(CORRELATORS, PALETTE, strict=False):
        rows = outcome.arrays.get(f"{kind}.{name}.t{cycles}")
        if rows is None:
            continue
        shown = rows / rows[:, :-1].mean(axis=1, keepdims=True) if kind == "noiseless" else rows
        mean = shown.mean(axis=0)
        error = shown.std(axis=0, ddof=1) / np.sqrt(len(shown))
        axes.plot(x, mean, color=color, label=NAMES[name])
        axes.fill_between(x, np.maximum(mean - error, 1e-12), mean + error, color=color, alpha=0.25, lw=0)  # fmt: skip
    axes.axvline(config.phase_over_pi, color=GREY, ls="--", lw=0.9)
    axes.set_xlabel(label("Phase ξ / π"))
    if kind == "cost":
        axes.axhline(1 / config.shots, color=GREY, ls=":", lw=0.9)
        axes.annotate("1 / shots", (0, 1 / config.shots), (2, 2), textcoords="offset points",
                      fontsize=6, color=GREY)  # fmt: skip
        axes.set(yscale="log", ylabel="Mean squared error, with shots", xlim=(0, 2))
        axes.set_title(f"{config.layout().lattice.n_qubits} qubits, {cycles} cycles")
        axes.legend()
    else:
        near = config.phase_over_pi
        axes.set(xlim=(near - 0.5, near + 0.5), ylim=(0, 2), ylabel="Noiseless cost over its mean")


def draw_widths(axes: Axes, outcome: Outcome) -> None:
    """Cramér-Rao width and rms distance against the depth."""
    for name, color in zip(CORRELATORS, PALETTE, strict=False):
        for kind, line, mark in (("width", "-", "o"), ("error", "none", "x")):
            found = [
                (t, outcome.metrics.get(f"{kind}.{name}.t{t}")) for t in outcome.config.n_cycles
            ]
            points = [(t, m.value, m.stderr) for t, m in found if m is not None]
            if points:
                axes.errorbar(*zip(*points, strict=True), fmt=mark, ls=line, color=color,
                              label=NAMES[name] if kind == "width" else None)  # fmt: skip
    axes.plot([], [], "o-", color=GREY, label="Cramér-Rao")
    axes.plot([], [], "x", color=GREY, label="rms distance")
    axes.set(yscale="log", xlabel="Cycles", ylabel="Error of ξ / π, one set")
    axes.set_xticks(outcome.config.n_cycles)
    axes.legend(fontsize=6)


def draw_estimates(axes: Axes, outcome: Outcome, cycles: int) -> None:
    """Phase learned from each set; bars are Cramér-Rao widths."""
    for row, (name, color) in enumerate(zip(CORRELATORS, PALETTE, strict=False)):
        values = outcome.arrays.get(f"estimate.{name}.t{cycles}")
        if values is None:
            continue
        bars = np.minimum(outcome.arrays[f"width.{name}.t{cycles}"] / np.pi, 2)
        shift = row + np.linspace(-0.3, 0.3, len(values))
        axes.errorbar(shift, values / np.pi, bars, fmt="o", ms=3, color=color)
    axes.axhline(outcome.config.phase_over_pi, color=GREY, ls="--", lw=0.9)
    axes.set_xticks(range(len(NAMES)), list(NAMES.values()))
    axes.set(ylabel="Learned ξ / π, each set", ylim=(0, 2), xlim=(-0.5, 2.5))

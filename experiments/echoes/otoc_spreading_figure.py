"""Figure of `otoc_spreading`: the four steps, the front cycle by cycle, its speed, and how far each method carries."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure, SubFigure

from experiments.echoes.lattice_picture import draw_chip
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style

_STEPS = ("start", "1 forward", "2 butterfly", "3 backward; 4 measure")
_N_PICTURES = 6
_MARKERS = {"exact": "o", "paths": "s", "clifford": "^"}


@style()
def plot(outcome: Outcome) -> Figure:
    """Chips above, curves below."""
    figure = new_figure(columns=2, height=8.0)
    rows: Any = figure.subfigures(4, 1, height_ratios=(1.1, 0.95, 1.2, 1.2))
    _draw_steps(rows[0], outcome)
    _draw_cycles(rows[1], outcome)
    profiles, front = rows[2].subplots(1, 2)
    _draw_profiles(profiles, outcome.arrays)
    _draw_front(front, outcome)
    validity, doping = rows[3].subplots(1, 2)
    _draw_validity(validity, outcome)
    _draw_doping(doping, outcome)
    return figure


def _draw_steps(row: SubFigure, outcome: Outcome) -> None:
    axes = row.subplots(1, 4)
    chip, config = outcome.config.chip(), outcome.config
    drawn = None
    for place, name, values in zip(axes, _STEPS, outcome.arrays["steps"], strict=True):
        marks = {chip.qubit(config.butterfly): "B"}
        drawn = draw_chip(place, chip, values, marks=marks, title=name)
    assert drawn is not None
    text = rf"$\langle Z\rangle$, one circuit of {config.steps_cycles} cycles"
    row.colorbar(drawn, ax=axes, label=text, shrink=0.8)


def _draw_cycles(row: SubFigure, outcome: Outcome) -> None:
    axes = row.subplots(1, _N_PICTURES)
    chip, arrays = outcome.config.chip(), outcome.arrays
    last = outcome.config.n_cycles
    shown = np.unique(np.linspace(1, last, _N_PICTURES).round().astype(int))
    drawn = None
    for place, t in zip(axes, shown, strict=False):
        method = "exact" if t <= len(arrays["map.exact"]) else "paths"
        values = arrays[f"map.{method}"][t - 1]
        drawn = draw_chip(
            place, chip, values, title=f"{t} {'cycle' if t == 1 else 'cycles'}\n({method})"
        )
    for place in axes[len(shown) :]:
        place.set_axis_off()
    assert drawn is not None
    row.colorbar(drawn, ax=axes, label="Mean OTOC $C^{(2)}$", shrink=0.8)


def _draw_profiles(axes, arrays) -> None:
    profile = arrays["profile.paths"].mean(axis=0)
    exact = arrays["profile.exact"].mean(axis=0)
    distances = np.arange(profile.shape[1])
    cycles = np.unique(np.linspace(1, len(profile), 6).round().astype(int))
    for colour, t in zip(PALETTE, cycles, strict=False):
        axes.plot(distances, profile[t - 1], color=colour, label=f"{t}")
        if t <= len(exact):
            axes.plot(distances, exact[t - 1], "o", color=colour, fillstyle="none")
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel(label("Distance from B", "steps"))
    axes.set_ylabel("Mean of $1 - C^{(2)}$")
    axes.legend(title="Cycles; line: paths, ring: exact", ncols=3)


def _draw_front(axes, outcome: Outcome) -> None:
    arrays = outcome.arrays
    for colour, method in zip(PALETTE, _MARKERS, strict=False):
        cycles, radii, errors = arrays[f"front.{method}"]
        slope, offset = arrays[f"line.{method}"]
        found = outcome.metrics[f"velocity.{method}"]
        text = f"{method}: {found.value:.3f} ± {found.stderr:.3f}"
        axes.errorbar(cycles, radii, errors, fmt=_MARKERS[method], color=colour, label=text)
        axes.plot(cycles, slope * cycles + offset, color=colour, linewidth=0.8)
    reach = arrays["reach"]
    axes.step(np.arange(1, len(reach) + 1), reach, where="mid", color=GREY, label="light cone")
    axes.set_xlabel("Cycles")
    axes.set_ylabel(label("Front radius", "steps"))
    axes.legend(title="Velocity (steps per cycle)")


def _draw_validity(axes, outcome: Outcome) -> None:
    arrays, config = outcome.arrays, outcome.config
    kept = arrays["kept"]
    cycles = np.arange(1, kept.shape[1] + 1)
    axes.plot(cycles, kept.mean(axis=0), "o-", color=PALETTE[0])
    axes.fill_between(cycles, kept.min(axis=0), kept.max(axis=0), color=PALETTE[0], alpha=0.2)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("Cycles")
    axes.set_ylabel("Squared norm kept", color=PALETTE[0])
    other = axes.twinx()
    other.spines["right"].set_visible(True)
    cone = arrays["cone"]
    other.plot(np.arange(1, len(cone) + 1), cone, "s-", color=PALETTE[1])
    other.axhline(config.most_qubits, color=PALETTE[1], linestyle=":", linewidth=0.8)
    other.set_ylabel("Qubits in the cone of B", color=PALETTE[1])
    axes.set_title(f"{config.most_terms} Pauli strings; dotted: largest exact cone")


def _draw_doping(axes, outcome: Outcome) -> None:
    counts = np.array(outcome.config.doping)
    found = [outcome.metrics[f"doping.sd.{n}"] for n in counts]
    axes.errorbar(
        counts, [m.value for m in found], [m.stderr for m in found], fmt="o-", color=PALETTE[2],
        label="standard deviation",
    )  # fmt: skip
    means = outcome.arrays["doping"].mean(axis=1)
    axes.plot(counts, means, "s--", color=GREY, label="mean")
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.set_xlabel("Non-Clifford gates in both cones")
    axes.set_ylabel("OTOC over circuits")
    axes.set_title(f"{outcome.config.clifford_circuits} circuits of {outcome.config.doping_cycles} cycles")  # fmt: skip
    axes.legend()

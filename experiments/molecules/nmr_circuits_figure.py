"""Panels of the figure of `nmr_circuits`; they read nothing but the outcome."""

import numpy as np
from matplotlib.axes import Axes

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE

SEARCHED = {"first_order": "first order, as published", "searched": "all"}
WAYS = ("order1", "order2", "order4", "nearest")


def draw_errors(axes: Axes, outcome: Outcome) -> None:
    """Error of the echo against the number of gates for each product formula."""
    labels = ("order 1", "order 2", "order 4", "order 1, C-H1 only")
    for way, label, color in zip(WAYS, labels, PALETTE, strict=False):
        keys = [f"{way}.x{density}" for density in outcome.config.densities]
        gates, errors = (
            [outcome.metrics[f"{kind}.{key}"].value for key in keys] for kind in ("gates", "error")
        )
        axes.plot(gates, [100 * e for e in errors], "o-", color=color, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="fSim gates, mean over times",
        ylabel="Error of the echo (%)",
    )
    axes.set_title(f"toluene, {len(outcome.config.spins)} spins")
    axes.legend(fontsize=6)


def draw_counts(axes: Axes, outcome: Outcome, step: float) -> None:
    """Gates of the circuits against the time, with the published counts; steps of `step` seconds."""
    config, arrays = outcome.config, outcome.arrays
    first = config.densities[0]
    times = 1e3 * config.times
    for way, label, color in (
        ("order1", "all couplings", PALETTE[0]),
        ("nearest", "C-H1 only", PALETTE[3]),
    ):
        counts = arrays[f"{way}_x{first}.counts"]
        axes.plot(times, counts[:, 0], "o-", color=color, label=f"toluene, {label}, fSim")
    if config.biphenyl:
        steps = np.array(config.biphenyl)
        rows = np.stack([arrays[f"biphenyl_{s}.counts"] for s in config.biphenyl])
        axes.plot(1e3 * step * steps, rows[:, 2], "s-", color=PALETTE[1], label="biphenyl, CZ")
    for value, label in ((540, "540 fSim"), (792, "792 CZ")):
        axes.axhline(value, color=GREY, lw=0.8, ls="--")
        axes.text(
            times[0], value, f" at most {label} (paper)", fontsize=5.5, va="bottom", color=GREY
        )
    axes.set(xlabel="Time out (ms)", ylabel="Two-qubit gates there and back", yscale="log")
    axes.legend(fontsize=5.5, loc="lower right")


def draw_programs(axes: Axes, outcome: Outcome) -> None:
    """Error of first order and of the searched program on both sets of molecules."""
    for place, name in enumerate(SEARCHED):
        for shift, kind in ((-0.2, "training"), (0.2, "held_out")):
            found = outcome.metrics[f"program.{name}.{kind}"]
            axes.bar(place + shift, 100 * found.value, 0.4, yerr=100 * (found.stderr or 0.0),
                     color=PALETTE[0 if kind == "training" else 4],
                     label=kind.replace("_", " ") if not place else None)  # fmt: skip
    gates = outcome.metrics["program.first_order.gates"].value
    axes.set_xticks(range(len(SEARCHED)), ["first order", "searched"])
    axes.set(ylabel="Error of the echo (%)", title=f"{gates:.0f} pair gates, any couplers")
    axes.legend(fontsize=6)

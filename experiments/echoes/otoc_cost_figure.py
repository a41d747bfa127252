"""Picture of `otoc_cost`."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure
from quantum.engines import classical_cost

_PAPER_YEARS = 3.2
_METHODS = (
    ("state_vector", "state vector", PALETTE[2], "^"),
    ("pauli_strings", "Pauli strings", PALETTE[3], "v"),
    ("monte_carlo", "drawn Pauli loops", PALETTE[4], "d"),
)
_KINDS = (("sliced", "-", "s"), ("unlimited", ":", "o"))


def draw(outcome: Outcome, willow_hours: float) -> Figure:
    """Operations of every method, time by layer order, and time against search effort for the largest size."""
    config = outcome.config
    machine = classical_cost.make_frontier(config.efficiency)
    figure = new_figure(columns=2, height=3.7)
    methods, orders, effort = figure.subplots(1, 3)
    _draw_methods(methods, outcome)
    _draw_orders(orders, outcome)
    _draw_effort(effort, outcome, machine)
    willow = willow_hours * 3600 / classical_cost.SECONDS_PER_YEAR
    for axes in (orders, effort):
        axes.axhline(willow, color=GREY, linewidth=0.8)
        axes.set_yscale("log")
    orders.text(18, willow * 3, "Willow, 2.1 h", color=GREY, fontsize=6.5)
    orders.plot([65], [_PAPER_YEARS], "*", color=GREY, markersize=9, zorder=5)
    orders.annotate(
        "paper, 3.2 years", (65, _PAPER_YEARS), (-8, 0), textcoords="offset points", ha="right", va="center",
        color=GREY, fontsize=6.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip
    effort.axhline(_PAPER_YEARS, color=GREY, linewidth=0.8, linestyle="--")
    years = f"Time at {100 * config.efficiency:g} % of Frontier's peak (years)"
    methods.set(xlabel="Qubits", ylabel="Operations (flop)")
    orders.set(xlabel="Qubits", ylabel=years)
    effort.set(xlabel="Annealing sweeps of one search", ylabel=years)
    effort.set_title(f"{max(config.sizes)} qubits")
    figure.legend(
        handles=_handles(config.orders), loc="outside lower center", ncols=3, fontsize=6.5
    )
    return figure


def _draw_methods(axes: Axes, outcome: Outcome) -> None:
    """Solid: counted for our circuits; open and dotted: extrapolated from the rectangles on the left."""
    order = outcome.config.orders[0]
    sizes = outcome.config.sizes
    for kind, line, marker in _KINDS:
        flops = [outcome.arrays[f"{kind}.{size}.{order}"][0].min() for size in sizes]
        axes.semilogy(sizes, flops, line, marker=marker, color=PALETTE[0])
    for name, _, color, marker in _METHODS:
        flops = [10 ** outcome.metrics[f"{name}.log10_flop.{size}.{order}"].value for size in sizes]
        measured = name == "state_vector"
        axes.semilogy(
            sizes, flops, "-" if measured else ":", marker=marker, color=color,
            markerfacecolor=color if measured else "white",
        )  # fmt: skip
    axes.set_ylim(1e6, 1e90)
    axes.set_title(f"Layer order {order}")


def _draw_orders(axes: Axes, outcome: Outcome) -> None:
    for color, order in zip(PALETTE, outcome.config.orders, strict=False):
        for kind, line, marker in _KINDS:
            sizes = outcome.config.sizes
            years = [10 ** outcome.metrics[f"log10_years.{n}.{order}.{kind}"].value for n in sizes]
            axes.plot(sizes, years, line, marker=marker, color=color, markersize=3)


def _draw_effort(axes: Axes, outcome: Outcome, machine) -> None:
    """Every search is a dot, the best of each effort on the line; the paper searched up to 24 h on 1,200 CPUs."""
    size = max(outcome.config.sizes)
    per_year = machine.peak_flops * machine.efficiency * classical_cost.SECONDS_PER_YEAR
    for color, order in zip(PALETTE, outcome.config.orders, strict=False):
        for kind, line, marker in _KINDS:
            flops, _, _, _, sweeps = outcome.arrays[f"{kind}.{size}.{order}"]
            axes.plot(sweeps, flops / per_year, marker, color=color, markersize=2.5, alpha=0.6)
            efforts = np.unique(sweeps)
            best = [flops[sweeps == effort].min() / per_year for effort in efforts]
            axes.plot(efforts, best, line, color=color)
    axes.set_xscale("log")
    axes.text(efforts[0], _PAPER_YEARS * 2, "paper", color=GREY, fontsize=6.5)


def _handles(orders) -> list[Line2D]:
    line = [
        Line2D([], [], color="black", linestyle="-", marker="s", label="contraction within Frontier's memory"),
        Line2D([], [], color="black", linestyle=":", marker="o", label="contraction, any memory"),
    ]  # fmt: skip
    methods = [
        Line2D([], [], color=color, marker=marker, linestyle="-" if name == "state_vector" else ":",
               markerfacecolor=color if name == "state_vector" else "white",
               label=label if name == "state_vector" else f"{label}, extrapolated")
        for name, label, color, marker in _METHODS
    ]  # fmt: skip
    colours = [
        Line2D([], [], color=color, label=f"layer order {order}")
        for color, order in zip(PALETTE, orders, strict=False)
    ]
    return line + methods + colours

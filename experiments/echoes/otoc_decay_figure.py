"""Picture of `otoc_decay`."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure
from quantum.estimates import std_with_error
from quantum.inference import scrambled_std

NAMES = {"toc": "TOC", "otoc": "OTOC", "otoc2": "OTOC(2)", "off_diagonal": "OTOC(2), off-diag."}
_MARKERS = "osD^v"
_LAWS = {"exponential": ("-", PALETTE[2]), "power_law": (":", PALETTE[3])}


def draw(outcome: Outcome, decay: Callable) -> Figure:
    """A row of panels per size, one curve per order; below what the fits say of every order, size and correlator."""
    config = outcome.config
    keys = [name for name in NAMES if any(a.startswith(f"{name}.") for a in outcome.arrays)]
    n_rows = len(config.sizes)
    figure = new_figure(columns=2, height=1.65 * n_rows + 4.0)
    grid = figure.add_gridspec(n_rows + 3, len(keys), height_ratios=(*(1.6,) * n_rows, 1, 1, 1))
    first = None
    for row, size in enumerate(config.sizes):
        for column, name in enumerate(keys):
            axes = figure.add_subplot(grid[row, column], sharex=first, sharey=first)
            first = first or axes
            _draw_decays(axes, outcome, size, name, decay)
            axes.tick_params(labelleft=column == 0, labelbottom=row == n_rows - 1)
            axes.set_ylabel("Spread (sd)" if column == 0 else "")
            axes.set_xlabel("Cycles" if row == n_rows - 1 else "")
    _draw_legend(figure.axes[len(keys) - 1], config)
    shared = None
    for row, (kind, text) in enumerate(
        (
            ("tau", "τ (cycles)"),
            ("alpha", "α"),
            ("power_law_weight", "Power-law weight"),
        )
    ):
        shared = figure.add_subplot(grid[n_rows + row, :], sharex=shared)
        _draw_orders(shared, outcome, keys, kind, text)
        shared.tick_params(labelbottom=row == 2)
    _label_orders(figure.axes[-3:], config, keys)
    return figure


def _draw_decays(axes, outcome: Outcome, size: str, name: str, decay: Callable) -> None:
    config = outcome.config
    n = config.n_qubits(size)
    cycles, floor = np.array(config.n_cycles), scrambled_std(n)
    for order in reversed(config.orders):
        values = outcome.arrays[f"{name}.n{n}.{order_key(order)}"]
        sd = np.array([std_with_error(row).value for row in values])
        color = PALETTE[1] if order.islower() else PALETTE[0]
        shown = sd > floor / 8  # before the cones meet all values are one
        axes.plot(
            cycles[shown], sd[shown], ".", ls="-", ms=2.5, lw=0.6, alpha=0.6, color=color, zorder=1
        )
    fitted = decay(config, size, outcome.arrays[f"{name}.n{n}.{order_key(config.orders[0])}"])
    if fitted is not None:
        fine = np.linspace(fitted[0][0], fitted[0][-1], 100)
        for law, (line, color) in _LAWS.items():
            axes.plot(fine, getattr(fitted[1], law)(fine), line, lw=1.2, color=color, zorder=2)
    axes.axhline(floor, color=GREY, ls="--", lw=0.9)
    axes.set_yscale("log")
    axes.set_ylim(bottom=scrambled_std(max(config.n_qubits(s) for s in config.sizes)) / 6, top=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{NAMES[name]}, {n} qubits", fontsize=7)


def order_key(order: str) -> str:
    """Name of an order in metrics and arrays."""
    return f"aligned_{order.upper()}" if order.islower() else order


def _draw_legend(axes, config) -> None:
    handles = [Line2D([], [], color=PALETTE[0], lw=0.8, label="staggered orders")]
    if any(order.islower() for order in config.orders):
        handles.append(Line2D([], [], color=PALETTE[1], lw=0.8, label="aligned orders"))
    handles += [
        Line2D([], [], color=color, ls=line, lw=1.2, label=f"{law.replace('_', ' ')}, {config.orders[0]}")
        for law, (line, color) in _LAWS.items()
    ]  # fmt: skip
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.9, label="scrambled"))
    axes.legend(
        handles=handles, fontsize=5.5, loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0.2
    )


def _draw_orders(axes, outcome: Outcome, keys: list[str], kind: str, text: str) -> None:
    """One number of every fit, orders side by side, sizes slightly apart."""
    config = outcome.config
    for place, order in enumerate(config.orders):
        for row, size in enumerate(config.sizes):
            for column, name in enumerate(keys):
                key = f"{kind}.{name}.n{config.n_qubits(size)}.{order_key(order)}"
                found = outcome.metrics.get(key)
                if found is None:
                    continue
                step = 0.8 / (len(config.sizes) * len(keys))
                x = place + step * (column * len(config.sizes) + row + 0.5) - 0.4
                axes.errorbar(
                    x, found.value, found.stderr, fmt=_MARKERS[row % len(_MARKERS)], ms=2.5, lw=0.7,
                    capsize=0, color=(PALETTE[6], PALETTE[4], PALETTE[3], PALETTE[5])[column],
                )  # fmt: skip
        axes.axvline(place + 0.5, color=GREY, lw=0.3)
    if kind == "power_law_weight":
        axes.set_ylim(-0.08, 1.08)
        axes.axhline(0.5, color=GREY, ls="--", lw=0.7)
    else:
        axes.set_yscale("log")
        ticks = (1, 2, 5, 10, 20)
        axes.set_yticks(ticks, [str(t) for t in ticks])
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(text)


def _label_orders(rows, config, keys: list[str]) -> None:
    rows[-1].set_xticks(range(len(config.orders)), config.orders, fontsize=6)
    rows[-1].set_xlim(-0.5, len(config.orders) - 0.5)
    rows[-1].set_xlabel("Layer order; lower case: aligned groups")
    for column, name in enumerate(keys):
        color = (PALETTE[6], PALETTE[4], PALETTE[3], PALETTE[5])[column]
        rows[0].plot([], [], "s", ms=3, color=color, label=NAMES[name])
    for row, size in enumerate(config.sizes):
        text = f"{config.n_qubits(size)} qubits"
        rows[0].plot([], [], _MARKERS[row % len(_MARKERS)], ms=3, color=GREY, label=text)
    rows[0].legend(
        ncols=len(keys) + len(config.sizes), fontsize=5.5, loc="lower left", bbox_to_anchor=(0, 1),
        borderaxespad=0.1,
    )  # fmt: skip

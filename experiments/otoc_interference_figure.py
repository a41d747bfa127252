"""Picture of `otoc_interference`."""

import numpy as np
from matplotlib.figure import Figure

from experiments.otoc_published import GOLDEN, REFERENCES, n_qubits, order_name
from experiments.plotting import GREY, PALETTE, new_figure, reference_band
from experiments.records import Outcome, Reference


def draw(outcome: Outcome) -> Figure:
    """Every order: mean and spread; what insertion does circuit by circuit; distributions; the larger layouts."""
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(columns=2, height=6.0)
    grid = figure.add_gridspec(3, 3, height_ratios=(1, 0.8, 1.5))
    mean = figure.add_subplot(grid[0, :])
    spread = figure.add_subplot(grid[1, :], sharex=mean)
    _draw_orders(mean, spread, outcome)
    _draw_insertion(figure.add_subplot(grid[2, 0]), outcome)
    _draw_distribution(figure.add_subplot(grid[2, 1]), config, arrays)
    _draw_sizes(figure.add_subplot(grid[2, 2]), outcome)
    return figure


def _reference(name: str) -> Reference | None:
    return next((r for r in REFERENCES if r.name == name), None)


def _draw_orders(mean, spread, outcome: Outcome) -> None:
    config = outcome.config
    n = n_qubits(config, config.sizes[0])
    for place, order in enumerate(config.orders):
        color = PALETTE[1] if order == config.order else PALETTE[2 if order.islower() else 0]
        for axes, part in ((mean, "mean"), (spread, "sd")):
            found = outcome.metrics[f"order.{order_name(order)}.{part}"]
            axes.errorbar(place, found.value, found.stderr, fmt="o", ms=3, color=color)
    for axes, part, text in ((mean, "mean", "mean"), (spread, "sd", "sd")):
        reference = _reference(f"off_diagonal.n{n}.{part}")
        if reference:
            reference_band(axes, reference, name="published (order unknown)")
        axes.axhline(0, color="k", lw=0.5)
        axes.set_ylabel(f"Off-diagonal {text}")
    mean.tick_params(labelbottom=False)
    spread.set_xticks(range(len(config.orders)), config.orders, rotation=90, fontsize=6)
    spread.set_xlabel("Layer order; lower case: aligned groups")
    for k, name in ((0, "staggered"), (2, "aligned"), (1, f"default {config.order}")):
        mean.plot([], [], "o", ms=3, color=PALETTE[k], label=name)
    mean.legend(ncols=4, fontsize=6, loc="best")
    mean.set_title(
        f"{n} qubits, same gates for all orders; bars: one standard error, {config.order_circuits} circuits"
    )


def _draw_insertion(axes, outcome: Outcome) -> None:
    n = n_qubits(outcome.config, outcome.config.sizes[0])
    total, inserted = (outcome.arrays[f"n{n}.{part}"] for part in ("total", "inserted"))
    metrics = outcome.metrics
    pairs = (
        (inserted[:, 0], GREY, "o", "with_insertion", "one pair of strings"),
        (inserted.mean(axis=1), PALETTE[0], "s", "with_insertion_mean", "mean of the pairs"),
        (outcome.arrays["measured"], PALETTE[1], ".", "without_insertion", "none, finite shots"),
    )
    for values, color, marker, name, text in pairs:
        rho = metrics[f"correlation.{name}"].value
        axes.plot(total, values, marker, ms=3, color=color, label=f"{text}: {rho:.3f}")
    axes.set(xlabel="C$^{(4)}$ without insertion", ylabel="C$^{(4)}$ measured")
    axes.legend(fontsize=5.5, title="correlation", title_fontsize=6)
    axes.set_title(f"{n} qubits, {outcome.config.order}")


def _draw_distribution(axes, config, arrays) -> None:
    names = [f"n{n_qubits(config, size)}" for size in config.sizes]
    names.append(f"theta_per_circuit.{names[0]}")
    values = [(arrays[f"{n}.total"] - arrays[f"{n}.inserted"].mean(axis=1)) for n in names]
    for name, sample, color in zip(names, values, PALETTE, strict=False):
        text = name.removeprefix("theta_per_circuit.")[1:]
        text += ", one theta" if "theta" in name else ""
        axes.ecdf(sample, color=color, label=f"{text}: {100 * np.mean(sample < 0):.0f} % below 0")
    axes.axvline(0, color="k", lw=0.5)
    axes.set(xlabel="Off-diagonal C$^{(4)}$", ylabel="Share of circuits below")
    axes.legend(fontsize=5.5, loc="upper left")
    axes.set_title(f"distribution, {config.order}")


def _draw_sizes(axes, outcome: Outcome) -> None:
    config = outcome.config
    sizes = [n_qubits(config, size) for size in config.sizes]
    shown = [n for n, *_ in GOLDEN if n <= max(*sizes, 36)]
    for n in shown:
        reference = _reference(f"off_diagonal.n{n}.mean")
        if reference:
            reference_band(
                axes, reference, at=n, width=2.5, name="published" if n == shown[0] else ""
            )
    for n in sizes:
        series = [(config.order, f"off_diagonal.n{n}.mean")]
        if n != sizes[0]:
            series += [
                (order, f"order.n{n}.{order_name(order)}.mean") for order in config.larger_orders
            ]
        else:
            series += [
                (o, f"order.{order_name(o)}.mean")
                for o in config.larger_orders
                if o in config.orders
            ]
        for k, (order, name) in enumerate(series):
            found = outcome.metrics[name]
            axes.errorbar(
                n + 0.6 * k, found.value, found.stderr, fmt="o", ms=3, color=PALETTE[(1, 0, 2, 3, 4, 5)[k % 6]],
                label=order if n == sizes[-1] else None,
            )  # fmt: skip
    axes.axhline(0, color="k", lw=0.5)
    axes.set(xlabel="Qubits", ylabel="Off-diagonal mean")
    axes.legend(fontsize=6)

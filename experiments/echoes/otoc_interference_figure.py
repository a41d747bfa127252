"""Picture of `otoc_interference`."""

import numpy as np
from matplotlib.figure import Figure

from experiments.echoes.otoc_published import GOLDEN, REFERENCES, n_qubits, order_name
from experiments.harness.measurement import Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure, reference_band


def draw(outcome: Outcome) -> Figure:
    """Every order: mean and spread; what insertion does circuit by circuit; distributions; the larger layouts."""
    config, arrays = outcome.config, outcome.arrays
    figure = new_figure(columns=2, height=6.6)
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 0.7, 0.7, 1.6))
    mean = figure.add_subplot(grid[0, :])
    spread = figure.add_subplot(grid[1, :], sharex=mean)
    rho = figure.add_subplot(grid[2, :], sharex=mean)
    _draw_orders((mean, spread, rho), outcome)
    _draw_insertion(figure.add_subplot(grid[3, 0]), outcome)
    _draw_distribution(figure.add_subplot(grid[3, 1]), config, arrays)
    _draw_sizes(figure.add_subplot(grid[3, 2]), outcome)
    return figure


def _reference(name: str) -> Reference | None:
    return next((r for r in REFERENCES if r.name == name), None)


def _draw_orders(rows, outcome: Outcome) -> None:
    config = outcome.config
    n = n_qubits(config, config.sizes[0])
    parts = (
        ("mean", "Off-diag. mean", f"off_diagonal.n{n}.mean"),
        ("sd", "Off-diag. sd", f"off_diagonal.n{n}.sd"),
        ("correlation", "Correlation", "correlation.with_insertion"),
    )
    for axes, (part, text, published) in zip(rows, parts, strict=True):
        for place, order in enumerate(config.orders):
            color = PALETTE[1] if order == config.order else PALETTE[2 if order.islower() else 0]
            found = outcome.metrics.get(f"order.{order_name(order)}.{part}")
            if found:
                axes.errorbar(place, found.value, found.stderr, fmt="o", ms=3, color=color)
        reference = _reference(published)
        if reference:
            reference_band(axes, reference, name="published (order unknown)")
        axes.axhline(0, color="k", lw=0.5)
        axes.set_ylabel(text)
        axes.tick_params(labelbottom=axes is rows[-1])
    # Most orders lie within 0.02 of zero, some far off; a mixed scale shows both.
    rows[0].set_yscale("symlog", linthresh=0.02, linscale=2)
    rows[0].set_yticks([-0.2, -0.05, -0.02, -0.01, 0], ["-0.2", "-0.05", "-0.02", "-0.01", "0"])
    rows[0].autoscale(axis="y")  # margins in the new scale
    rows[-1].set_xticks(range(len(config.orders)), config.orders, rotation=90, fontsize=6)
    rows[-1].set_xlabel("Layer order; lower case: aligned groups")
    for k, name in ((0, "staggered"), (2, "aligned"), (1, f"default {config.order}")):
        rows[1].plot([], [], "o", ms=3, color=PALETTE[k], label=name)
    # Spreads are large for a few staggered orders alone, so the corner above the aligned ones is free.
    rows[1].legend(ncols=2, fontsize=6, loc="upper right")
    rows[0].set_title(
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
        rho = metrics.get(f"correlation.{name}")
        text += f": {rho.value:.3f}" if rho else ""
        axes.plot(total, values, marker, ms=3, color=color, label=text)
    axes.set(xlabel="C$^{(4)}$ without insertion", ylabel="C$^{(4)}$ measured")
    _legend_above(axes, f"correlation, {n} qubits, {outcome.config.order}")


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
    _legend_above(axes, f"distribution, {config.order}")


def _draw_sizes(axes, outcome: Outcome) -> None:
    """Means of the main order, and of the orders followed up, on every layout."""
    config, metrics = outcome.config, outcome.metrics
    sizes = [n_qubits(config, size) for size in config.sizes]
    shown = [n for n in GOLDEN if n <= max(*sizes, 36)]
    for n in shown:
        reference = _reference(f"off_diagonal.n{n}.mean")
        if reference:
            reference_band(
                axes, reference, at=n, width=3, name="published" if n == shown[0] else ""
            )
    for n in sizes[1:]:
        followed = [
            m for k, m in metrics.items() if k.startswith(f"order.n{n}.") and k.endswith("mean")
        ]
        for place, found in enumerate(followed):
            x = n + 2.5 * (place + 1) / (len(followed) + 1)
            axes.errorbar(
                x, found.value, found.stderr, fmt="s", ms=2.5, lw=0.8, color=PALETTE[0],
                label="orders left after the first size" if n == sizes[1] and place == 0 else None,
            )  # fmt: skip
    for n in sizes:
        found = metrics[f"off_diagonal.n{n}.mean"]
        text = config.order if n == sizes[0] else None
        axes.errorbar(n, found.value, found.stderr, fmt="o", ms=3, color=PALETTE[1], label=text)
    axes.axhline(0, color="k", lw=0.5)
    axes.set(xlabel="Qubits", ylabel="Off-diagonal mean")
    _legend_above(axes, "larger layouts")


def _legend_above(axes, title: str) -> None:
    """Outside, since no corner is free for every outcome."""
    axes.legend(
        fontsize=5.5, title=title, title_fontsize=8, loc="lower left", bbox_to_anchor=(0, 1),
        alignment="left", borderaxespad=0.2,
    )  # fmt: skip

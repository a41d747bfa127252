"""The figure of `photonic_transformer`: accuracy by way against each error, carried matrices, and gradients."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from experiments.harness.plotting import GREY, PALETTE, label, new_figure, style
from experiments.learning_systems.photonic_orders import CARRIERS, GRADIENTS, SIZES

COLORS = {
    "in_silico": PALETTE[1],
    "fitted": PALETTE[3],
    "vaccinated": PALETTE[4],
    "mean_device": PALETTE[5],
    "forward": PALETTE[0],
    "true_gradient": PALETTE[6],
}
MARKERS = dict(zip(COLORS, "osD^vx", strict=True))


@style()
def draw(outcome: Any) -> Figure:
    """Draws an outcome; an error that was not varied has no panel."""
    config = outcome.config
    swept = {
        "splitter": (label("error of splitters", "rad"), config.base.splitter_error, config.splitter_errors),
        "loss": (label("loss of a cell", "dB"), config.base.loss_db, config.losses_db),
        "bits": ("bits of the converters", config.base.voltage_bits, config.bits),
        "noise": ("noise of the detectors", config.base.detector_noise, config.detector_noises),
    }  # fmt: skip
    panels = [name for name, (_, _, levels) in swept.items() if levels]
    names = [*(panels or ["base"]), "orders", "gradients"]
    rows = 1 if len(names) <= 3 else 2
    figure = new_figure(2, 2.6 * rows + 0.4)
    axes = figure.subplots(rows, -(-len(names) // rows), squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        if name == "orders":
            _draw_orders(axis, outcome)
        elif name == "gradients":
            _draw_gradients(axis, outcome)
        elif name == "base":
            _draw_base(axis, outcome)
        else:
            _draw_sweep(axis, outcome, name, *swept[name])
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    if panels:
        handles, texts = axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside upper center", ncols=7, fontsize="x-small")
    return figure


def _draw_sweep(axis, outcome, name: str, text: str, base, levels) -> None:
    metrics, ways = outcome.metrics, outcome.config.ways
    points = ["base", *(f"{name}{level:g}" for level in levels)]
    at = np.arange(len(points))
    axis.axhline(metrics["accuracy.digital"].value, color=GREY, lw=0.8, label="digital")
    for i, way in enumerate(ways):
        found = [metrics[f"accuracy.{way}.{point}"] for point in points]
        axis.errorbar(
            at + 0.05 * (i - (len(ways) - 1) / 2),
            [m.value for m in found],
            [m.stderr or 0 for m in found],
            color=COLORS[way], marker=MARKERS[way], ms=3, lw=1, capsize=1.5,
            label=way.replace("_", " "),
        )  # fmt: skip
    axis.set_xticks(at, [f"{value:g}" for value in (base, *levels)])
    axis.set(xlabel=text, ylabel=label("test accuracy", "%"), ylim=(0, 102))


def _draw_base(axis, outcome) -> None:
    ways = ("digital", *(f"{way}.base" for way in outcome.config.ways))
    found = [outcome.metrics[f"accuracy.{way}"] for way in ways]
    colors = [GREY, *(COLORS[way] for way in outcome.config.ways)]
    errors = [m.stderr or 0 for m in found]
    axis.barh(range(len(ways)), [m.value for m in found], xerr=errors, color=colors)
    axis.set_yticks(range(len(ways)), [w.removesuffix(".base").replace("_", " ") for w in ways])
    axis.set(xlabel=label("test accuracy", "%"))


def _draw_orders(axis, outcome) -> None:
    for kind, color in (("splitter_error", PALETTE[0]), ("phase_error", PALETTE[1])):
        for carrier, line in zip(CARRIERS, ("o-", "s--"), strict=True):
            errors = outcome.arrays[f"matrix_error.{carrier}.{kind}"].mean(axis=1)
            slope = outcome.metrics[f"order.{carrier}.{kind}"].value
            text = f"{kind.split('_')[0]}, {carrier.replace('_', ' ')}: {slope:.2f}"
            axis.plot(SIZES[kind], errors, line, color=color, ms=3, lw=1, label=text)
    axis.set(
        xscale="log", yscale="log", xlabel=label("error", "rad"),
        ylabel="relative error of a matrix",
    )  # fmt: skip
    low, high = axis.get_ylim()
    axis.set(xlim=(2e-3, 3e-2), ylim=(low, high * 30))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize="xx-small", loc="upper left", title="order", title_fontsize="xx-small")


def _draw_gradients(axis, outcome) -> None:
    sizes = outcome.config.gradient_errors
    colors = dict(zip(GRADIENTS, (PALETTE[0], PALETTE[2], PALETTE[5], PALETTE[1]), strict=True))
    texts = {"forward": "forward, folded", "forward_mirrored": "forward, mirrored"}
    for name in GRADIENTS:
        found = [outcome.metrics[f"cosine.{name}.error{size:g}"] for size in sizes]
        axis.errorbar(
            sizes, [m.value for m in found], [m.stderr or 0 for m in found],
            color=colors[name], marker="o", ms=3, lw=1, capsize=1.5,
            label=texts.get(name, name.replace("_", " ")),
        )  # fmt: skip
    axis.set(
        xscale="log", xlabel=label("splitters and phases", "rad"),
        ylabel="cosine with the true gradient", ylim=(0, 1.05), xlim=(min(*sizes, 0.01) / 2, 2 * max(*sizes, 0.1)),
    )  # fmt: skip
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.legend(fontsize="xx-small", loc="lower left")

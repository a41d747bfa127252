"""Figure of the experiment `ffm_chip`, as Fig. 5c to 5f of the paper."""

from typing import Any, cast

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure

NAMES = {
    "ideal": "ideal",
    "in_silico": "in silico, on chip",
    "ffm": "forward mode, on chip",
}
COLORS = dict(zip(NAMES, PALETTE, strict=False))


def draw(outcome: Outcome) -> Figure:
    """Fidelity, drift, gradients and their errors above; accuracy against epoch for each ratio below."""
    figure = new_figure(columns=2, height=4.6)
    top, bottom = cast(Any, figure.subfigures(2, 1, height_ratios=(1.0, 1.1)))
    panels = top.subplots(1, 4)
    _fidelity(panels[0], outcome)
    _drift(panels[1], outcome)
    _scatter(panels[2], outcome)
    _errors(panels[3], outcome)
    ratios = outcome.config.ratios
    axes = np.atleast_1d(bottom.subplots(1, len(ratios), sharey=True))
    for i, ratio in enumerate(ratios):
        _accuracy(axes[i], outcome, ratio)
    axes[0].set_ylabel(label("Test accuracy", "%"))
    handles, names = axes[0].get_legend_handles_labels()
    handles.append(axes[0].errorbar([], [], color="k", fmt="D", ms=3.5, mfc="white"))
    names.append("paper, in its order of ratios")
    bottom.legend(handles, names, loc="outside lower center", ncols=4, fontsize=6.5)
    return figure


def _fidelity(axes, outcome: Outcome) -> None:
    for ratio, color in zip(outcome.config.ratios, PALETTE[3:], strict=False):
        epochs = outcome.arrays[f"epochs.ratio{ratio:g}"]
        _band(axes, epochs, outcome.arrays[f"fidelity.ratio{ratio:g}"], color, f"r = {ratio:g}")
    axes.set(xlabel="Epoch", ylabel="Fidelity of programming", ylim=(0, 1.02))
    axes.legend(fontsize=6, loc="lower right")


def _drift(axes, outcome: Outcome) -> None:
    """One element of each matrix, the one nearest full scale."""
    interval = outcome.config.drift_interval
    for i, values in enumerate(outcome.arrays["drift"]):
        flat = values.reshape(len(values), -1)
        element = flat[:, np.argmax(np.abs(flat[0]))]
        change = np.real((element - element.mean()) * np.exp(-1j * np.angle(element.mean())))
        found = outcome.metrics[f"drift.matrix{i + 1}"].value
        axes.plot(
            np.arange(len(values)) * interval / 1e3,
            100 * change / np.abs(values).max(),
            lw=0.7,
            color=PALETTE[i],
            label=f"sd {found:.3f} %",
        )
    axes.set(xlabel="Measurements (1000)", ylabel=label("Drift of an element", "%"))
    axes.set_title("paper: sd 0.010-0.012 %", fontsize=6.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.5 * (high - low))
    axes.legend(fontsize=5.5, loc="upper right", title="all elements", title_fontsize=5.5)


def _scatter(axes, outcome: Outcome) -> None:
    name = f"ratio{outcome.config.ratios[0]:g}"
    measured, simulated = (outcome.arrays[f"scatter.{k}.{name}"] for k in ("measured", "simulated"))
    full = np.abs(simulated).max()
    for part, color, text in ((np.real, PALETTE[0], "Re"), (np.imag, PALETTE[1], "Im")):
        axes.plot(
            part(simulated).ravel() / full, part(measured).ravel() / full, ".", ms=2,
            color=color, label=text, alpha=0.7,
        )  # fmt: skip
    edge = [-1, 1]
    axes.plot(edge, edge, color=GREY, lw=0.6, zorder=0)
    axes.set(xlabel="True gradient", ylabel="Measured gradient", xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
    axes.set_title(f"layer 2, iteration {outcome.config.iteration}", fontsize=6.5)
    axes.legend(fontsize=6, loc="upper left", handletextpad=0)


def _errors(axes, outcome: Outcome) -> None:
    layers = np.arange(outcome.config.n_blocks) + 1
    published = {r.name: r.value for r in outcome.references}
    for shift, method in ((-0.2, "ffm"), (0.2, "in_silico")):
        names = [f"gradient_error.{method}.layer{i}" for i in layers]
        found = [outcome.metrics[name] for name in names]
        axes.bar(
            layers + shift, [m.value for m in found], 0.38, yerr=[m.sd or 0 for m in found],
            color=COLORS[method], capsize=1.5, error_kw={"lw": 0.7},
        )  # fmt: skip
        paper = [published.get(name) for name in names]
        axes.plot(layers + shift, paper, "D", ms=3, mfc="white", color="k", mew=0.6)
    axes.set(xlabel="Layer", ylabel=label("Gradient error", "%"), xticks=layers)
    axes.set_title(f"r = {outcome.config.ratios[0]:g}; diamonds: paper", fontsize=6.5)


def _accuracy(axes, outcome: Outcome, ratio: float) -> None:
    name = f"ratio{ratio:g}"
    n_epochs = outcome.config.n_epochs
    published = {r.name: r.value for r in outcome.references}
    for method, color in COLORS.items():
        values = 100 * outcome.arrays[f"accuracy.{method}.{name}"]
        epochs = (
            outcome.arrays[f"epochs.{name}"]
            if method == "in_silico"
            else np.arange(values.shape[1])
        )
        _band(axes, epochs, values, color, NAMES[method])
        paper = published.get(f"accuracy.{method}.{name}")
        if paper is not None:
            axes.plot(1.06 * n_epochs, paper, "D", ms=3.5, mfc="white", color=color, clip_on=False)
    final = " / ".join(f"{outcome.metrics[f'accuracy.{m}.{name}'].value:.1f}" for m in NAMES)
    axes.set_title(f"r = {ratio:g}: {final} %", fontsize=7)
    axes.set(xlabel="Epoch", ylim=(0, 102), xlim=(0, 1.1 * n_epochs))


def _band(axes, at, values, color, name) -> None:
    """Mean over runs with one standard deviation; shares stay below 100 % although the band would not."""
    mean = values.mean(axis=0)
    axes.plot(at, mean, color=color, lw=1, label=name)
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.18, lw=0)

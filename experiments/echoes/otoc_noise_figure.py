"""Panels of the figure of `otoc_noise`; they read nothing but the outcome."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label

METHODS = (
    "raw", "other_column", "readout", "normalised", "decoupled", "decoupled_normalised",
    "off_diagonal", "off_diagonal_normalised",
    "global_rescale", "zne_linear", "zne_exponential", "zne_gaussian", "coherent", "twirled",
)  # fmt: skip
SHOTS = (1e4, 1e5, 1e6, 1e7, 1e8)
_SHOWN = ("raw", "normalised", "off_diagonal_normalised", "decoupled_normalised", "zne_gaussian")


def draw_scatter(axes: Axes, outcome: Outcome, size: str) -> None:
    """Values as measured and mitigated against exact ones; bars are our sampling errors."""
    exact = outcome.arrays[f"{size}.exact"]
    ends = np.array([exact.min(), exact.max()])
    axes.plot(ends, ends, color=GREY, linewidth=0.8)
    for color, name in zip(PALETTE, ("raw", "normalised", "zne_gaussian"), strict=False):
        value, error = outcome.arrays[f"{size}.{name}"]
        axes.errorbar(exact, value, error, fmt="o", color=color, markersize=3, label=_say(name))
    axes.set(xlabel=f"Exact C$^{{(4)}}$, {size[1:]} qubits", ylabel="As measured, mitigated")
    axes.legend()


def draw_sizes(axes: Axes, outcome: Outcome, sizes: list[int]) -> None:
    """Ratio after rescale against the number of qubits, the paper's values in grey."""
    for color, name in zip(PALETTE, _SHOWN, strict=False):
        found = [(n, outcome.metrics.get(f"snr_rescaled.{name}.n{n}")) for n in sizes]
        points = [(n, m.value, m.stderr) for n, m in found if m is not None]
        if points:
            axes.errorbar(*zip(*points, strict=True), fmt="o-", color=color, label=_say(name))
    for n, reference in ((40, outcome.references[0]), (65, outcome.references[1])):
        axes.errorbar(n, reference.value or 0.0, reference.uncertainty or 0.0, fmt="s", color=GREY)
    axes.plot([], [], "s", color=GREY, label="paper, not comparable")
    axes.set(xlabel="Qubits", ylabel="SNR after rescale", yscale="log")
    _plain_ticks(axes)
    axes.legend(fontsize=6)


def draw_fidelity(axes: Axes, outcome: Outcome, sizes: list[int]) -> None:
    """Fidelity estimates, what the undisturbed echo says, and how much the signal is damped."""
    names = {
        "fidelity.gates": "gates, $\\prod(1-e)$",
        "fidelity.gates_and_idling": "gates and idling",
        "fidelity.reference_echo": "undisturbed echo",
    }
    for color, (name, text) in zip(PALETTE, names.items(), strict=False):
        values = [outcome.metrics[f"{name}.n{n}"].value for n in sizes]
        axes.plot(sizes, values, "o-", color=color, label=text)
    slopes = [1 / outcome.metrics[f"rescale.factor.n{n}"].value for n in sizes]
    axes.plot(sizes, slopes, "s--", color=PALETTE[3], label="slope of raw on exact")
    axes.set(xlabel="Qubits", ylabel="Fidelity, damping", ylim=(0, 1))
    axes.legend(fontsize=6)


def draw_methods(axes: Axes, outcome: Outcome, size: str) -> None:
    """Both ratios of every method at one size."""
    names = [name for name in METHODS if f"snr.{name}.{size}" in outcome.metrics]
    place = np.arange(len(names))
    for shift, prefix, text in ((-0.2, "snr", "as it is"), (0.2, "snr_rescaled", "after rescale")):
        found = [outcome.metrics[f"{prefix}.{name}.{size}"] for name in names]
        axes.bar(
            place + shift, [m.value for m in found], 0.38, yerr=[m.stderr or 0.0 for m in found],
            color=PALETTE[0 if shift < 0 else 1], label=text,
        )  # fmt: skip
    axes.set_xticks(place, [_say(name) for name in names], rotation=35, ha="right")
    axes.set(ylabel=label(f"SNR, {size[1:]} qubits"), yscale="log")
    _plain_ticks(axes)
    axes.legend()


def draw_shots(axes: Axes, outcome: Outcome, size: str) -> None:
    """Ratio after rescale against the number of shots."""
    for color, row, text in zip(
        PALETTE, outcome.arrays[f"{size}.shots"], ("raw", "normalised"), strict=False
    ):
        axes.plot(SHOTS, row, "o-", color=color, label=text)
    axes.axvline(outcome.config.shots, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(
        xscale="log",
        xlabel="Shots (paper's unknown)",
        ylabel=f"SNR after rescale, {size[1:]} qubits",
    )
    axes.legend()


def _plain_ticks(axes: Axes) -> None:
    """Numbers 1, 2, 5, 10, ... on a logarithmic axis of little more than a decade."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _say(name: str) -> str:
    return name.replace("zne", "ZNE").replace("_", " ")

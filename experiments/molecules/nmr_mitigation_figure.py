"""Panels of the figure of `nmr_mitigation`; they read nothing but the outcome."""

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import norm

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE
from quantum.estimates import root_mean_with_error
from quantum.noise.extrapolation import fit_gaussian
from quantum.noise.path_weight import PathWeights

DEPOLARIZING = "depolarizing"
METHODS = (
    "raw", "linear", "richardson", "exponential", "gaussian", "gaussian_free", "exponential_shared", "gaussian_shared",
)  # fmt: skip


def draw_weights(axes: Axes, outcome: Outcome) -> None:
    """Amplitudes of the Pauli paths by their weight."""
    steps = outcome.config.n_steps[-1]
    rows = outcome.arrays.get(f"amplitudes.s{steps}")
    axes.set(xlabel="Path weight h (noisy gates touched)", ylabel="c(h), mean over molecules")
    if rows is None:
        axes.text(
            0.5, 0.5, "too many spins for path weights", transform=axes.transAxes, ha="center"
        )
        return
    mean = PathWeights(rows.mean(axis=0), (0, 1))
    h = np.arange(rows.shape[1])
    axes.bar(h, mean.amplitudes, 1.0, color=PALETTE[5], label=f"{steps} steps")
    axes.plot(h, rows[0], color=GREY, lw=0.6, label="one molecule")
    middle, variance = mean.cumulants()[:2]
    if variance > 0:
        law = mean.noiseless * norm.pdf(h, middle, np.sqrt(variance))
        axes.plot(h, law, color=PALETTE[1], label="normal, same mean and variance")
    high = np.abs(mean.amplitudes).max()
    axes.set_ylim(-0.6 * high, 1.2 * high)
    axes.legend(fontsize=6)


def draw_decay(axes: Axes, outcome: Outcome) -> None:
    """The circuit whose signal bends most, at the longest duration."""
    config, steps = outcome.config, outcome.config.n_steps[-1]
    x, values = np.array(config.scales), outcome.arrays[f"{DEPOLARIZING}.s{steps}"]
    exact = outcome.arrays[f"exact.s{steps}"]
    off = [abs(fit_gaussian(x, v, np.full(x.size, 1e-3), law="exponential").parameters[0] - s)
           for v, s in zip(values, exact, strict=True)]  # fmt: skip
    index = int(np.argmax(off))
    fine, y = np.linspace(0, x[-1], 100), values[index]
    axes.plot(x, y, "o", color=PALETTE[6], label="noisy, exact")
    axes.plot(0, exact[index], "*", ms=9, color=PALETTE[6], label="noiseless", zorder=5)
    for law, color in (("exponential", PALETTE[0]), ("gaussian", PALETTE[1])):
        fitted = fit_gaussian(x, y, np.full(x.size, 1e-3), law=law)
        axes.plot(fine, fitted(fine), color=color, label=law)
    polynomial = np.polynomial.Polynomial.fit(x, y, x.size - 1)
    axes.plot(fine, polynomial(fine), color=PALETTE[2], ls="--", label="richardson")
    axes.set(xlabel="Noise scale", ylabel="Echo ⟨X⟩ of the probe")
    axes.legend(fontsize=6)


def draw_methods(axes: Axes, outcome: Outcome) -> None:
    """Bias and rms error of every law under each noise."""
    place = np.arange(len(METHODS))
    bars = [(kind, noise) for noise in outcome.config.noises for kind in ("bias", "rms")]
    width = 0.8 / len(bars)
    for number, (kind, noise) in enumerate(bars):
        found = [outcome.metrics[f"{kind}.{name}.{noise}"] for name in METHODS]
        axes.bar(place + (number - (len(bars) - 1) / 2) * width, [m.value for m in found], width,
                 yerr=[m.stderr for m in found], color=PALETTE[number], error_kw={"lw": 0.6, "capsize": 1},
                 label=f"{noise}, {'no shots' if kind == 'bias' else f'{outcome.config.shots:.0e} shots'}")  # fmt: skip
    axes.set_xticks(place, [name.replace("_", "\n") for name in METHODS], rotation=35, fontsize=6)
    axes.set(yscale="log", ylabel="rms error over circuits")
    axes.legend(fontsize=5.5)


def draw_shots(axes: Axes, outcome: Outcome) -> None:
    """Rms error of every law against the number of shots."""
    shots = outcome.arrays["shots"]
    for name, color in zip(METHODS[1:], PALETTE, strict=True):
        rows = [
            root_mean_with_error(s.mean(axis=0))
            for s in outcome.arrays[f"squares.{name}.{DEPOLARIZING}"][1:]
        ]
        axes.errorbar(shots, [m.value for m in rows], [m.stderr for m in rows], fmt="o-", ms=3,
                      color=color, label=name.replace("_", " "))  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="Shots at each scale (paper's unknown)",
             ylabel="rms error, depolarizing")  # fmt: skip
    axes.set_ylim(top=8 * axes.get_ylim()[1])
    axes.legend(fontsize=5.5, ncols=2)

"""Panels of the figure of `exceptional_point`; they read nothing but its configuration and arrays."""

import numpy as np

from experiments.harness.plotting import GREY, PALETTE, label

METHODS = ("forward_mode", "finite_difference")


def draw_sheet(axes, arrays, part, name: str) -> None:
    """Half the pole difference over the true differences of detuning and loss, and the searches of the first device."""
    coupling = arrays["order2.couplings"][0, 0, 1]
    diagonal = arrays["order2.diagonal.forward_mode"][0]
    paths = diagonal[..., 0] - diagonal[..., 1]  # detuning difference - i loss difference
    edge = 5 * coupling
    x, y = np.meshgrid(np.linspace(-edge, edge, 61), np.linspace(-edge, edge, 61))
    height = np.abs(part(np.sqrt(coupling**2 + (x - 1j * y) ** 2 / 4 + 0j)))
    for sign, color in ((1, PALETTE[5]), (-1, PALETTE[4])):
        axes.plot_surface(x, y, sign * height, color=color, alpha=0.35, linewidth=0, rstride=2, cstride=2)  # fmt: skip
    for path in paths:
        shown = path[(np.abs(path.real) < edge) & (np.abs(path.imag) < edge)]
        track = (shown.real, -shown.imag, np.abs(part(np.sqrt(coupling**2 + shown**2 / 4))))
        axes.plot(*track, color=PALETTE[0], lw=0.9, zorder=10)
        axes.plot(*(t[:1] for t in track), "o", ms=2.5, color=PALETTE[0], zorder=11)
    for side in (-2, 2):
        axes.plot([0], [side * coupling], [0], "*", ms=9, color=PALETTE[1], zorder=12)
    axes.set_xlabel("Detuning difference", labelpad=-6)
    axes.set_ylabel("Loss difference", labelpad=-6)
    axes.tick_params(pad=-2, labelsize=6)
    axes.set_title(f"{name} part of the poles, in couplings", y=0.98)
    axes.view_init(elev=28, azim=-62)


def draw_descent(axes, config, arrays) -> None:
    """Splitting against the sweeps spent, both ways of measuring the derivative."""
    for method, color in zip(METHODS, PALETTE, strict=False):
        sweeps = arrays[f"order2.sweeps.{method}"][0]
        split = arrays[f"order2.splitting.{method}"].reshape(-1, sweeps.size)
        low, middle, high = np.quantile(split, (0.1, 0.5, 0.9), axis=0)
        axes.fill_between(sweeps, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(sweeps, middle, color=color, label=method.replace("_", " "))
    level = float(np.median(arrays["order2.splitting.in_silico"]))
    axes.axhline(level, color=GREY, lw=1, label="data sheet")
    axes.axhline(config.found_below, color="k", lw=0.7, ls=":")
    axes.set(yscale="log", xlabel="Laser sweeps", ylabel="True splitting (couplings)")
    axes.set_title("10 %, median, 90 % of the starts")
    axes.legend(fontsize=6, loc="upper right", bbox_to_anchor=(1.0, 0.9))


def draw_growth(axes, arrays) -> None:
    """Splitting against the distance from the point found."""
    kinds = [("order2", "second order", 1 / 2)]
    if "order3.split_near" in arrays:
        kinds.append(("order3", "third order", 1 / 3))
    for (order, name, power), color in zip(kinds, PALETTE, strict=False):
        for where, marker in (("near", "o"), ("far", "s")):
            x = arrays[f"{order}.perturbation_{where}"][0]
            split = arrays[f"{order}.split_{where}"].reshape(-1, x.size)
            low, middle, high = np.quantile(split, (0.1, 0.5, 0.9), axis=0)
            bars = [middle - low, high - middle]
            axes.errorbar(x, middle, bars, fmt=marker, ms=2.5, lw=0.7, color=color, capsize=0,
                          label=name if where == "near" else None)  # fmt: skip
            slope = power if where == "near" else 1.0
            guide = middle[-1] * (x / x[-1]) ** slope
            axes.plot(x, guide, color="k", lw=0.6, ls="--", zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="Detuning from the point (couplings)")
    axes.set_ylabel("Measured splitting (couplings)")
    axes.set_title("dashed: power 1/2 or 1/3, then 1")
    axes.legend(fontsize=6, loc="upper left")


def draw_turn(axes, arrays) -> None:
    """Paths of the poles in one turn about the point."""
    poles = arrays["order2.loop.one_turn_swaps"][0, 0]
    poles = poles - poles.mean()
    for track, color in zip(poles.T, PALETTE, strict=False):
        axes.plot(track.real, track.imag, "-o", ms=2, lw=0.8, color=color)
        axes.plot(track.real[:1], track.imag[:1], "o", ms=6, mfc="none", color=color)
        axes.annotate("", (track.real[-1], track.imag[-1]), (track.real[-2], track.imag[-2]),
                      arrowprops={"arrowstyle": "->", "color": color})  # fmt: skip
    axes.set_xlabel(label("Frequency", "couplings"))
    axes.set_ylabel(label("Growth rate", "couplings"))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("Poles over one turn")

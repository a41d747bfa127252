"""Picture of `nmr_echo`."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure
from experiments.molecules.nmr_echo_published import ESTIMATED_CURVE

READINGS = {
    "printed": "as printed, {}",
    "once": "half of it, {}",
    "pulses": "our pulses, {:.3f}",
}
FRACTIONS = {
    "toluene": {"printed": "2/9", "once": "1/9"},
    "biphenyl": {"printed": "2/3", "once": "1/3"},
}
SEQUENCES = {
    "two_blocks": "toluene, two blocks of three",
    "one_block": "toluene, one block of three",
    "tardis_1": "DMBP fragment, twelve pulses",
}


def draw(outcome: Outcome) -> Figure:
    """Echoes of both molecules, what the Loschmidt echo lacks, and how that falls with the length of pulses."""
    figure = new_figure(columns=2, height=5.0)
    top, bottom = figure.subplots(2, 2)
    _draw_toluene(top[0], outcome)
    _draw_biphenyl(top[1], outcome)
    _draw_loschmidt(bottom[0], outcome)
    _draw_slopes(bottom[1], outcome)
    return figure


def _name(molecule: str, reading: str, factor: float) -> str:
    return READINGS[reading].format(FRACTIONS[molecule].get(reading, factor))


def _draw_toluene(axes: Axes, outcome: Outcome) -> None:
    arrays, config = outcome.arrays, outcome.config
    times = 1e3 * arrays["times"]
    axes.axvline(1.5, color=GREY, ls="--", lw=0.8)
    axes.text(1.53, 1.02, "published bump", color=GREY, fontsize=6)
    for k, reading in enumerate(READINGS):
        name = _name("toluene", reading, arrays["factors.one_block"][1])
        axes.plot(times, arrays[f"toluene.{reading}"], color=PALETTE[k], label=name)
    shared = ESTIMATED_CURVE[: config.points]
    grid = times[:: config.fine][: len(shared)]
    axes.plot(grid, shared, "x", color="k", ms=4, label="estimate, other code")
    if len(config.toluene_spins) == 9:
        pulsed = 1e3 * arrays["pulsed_times.one_block"], arrays["pulsed.one_block"][0, 1]
        axes.plot(*pulsed, "o", mfc="none", color=PALETTE[2], label="pulse by pulse")
    axes.set(title="Toluene, 9 spins, exact", xlabel="Time out (ms)", ylabel="Echo C")
    axes.legend(title="$\\eta_{heter}$", title_fontsize=7, fontsize=6)


def _draw_biphenyl(axes: Axes, outcome: Outcome) -> None:
    arrays, config = outcome.arrays, outcome.config
    times = 1e3 * arrays["biphenyl_times"]
    for k, reading in enumerate(READINGS):
        if reading not in config.readings:
            continue
        mean, error = arrays[f"biphenyl.{reading}"]
        name = _name("biphenyl", reading, arrays["factors.tardis_1"][1])
        axes.errorbar(times, mean, error, fmt="o-", ms=3, lw=1, color=PALETTE[k], label=name)
    if config.whole_steps:
        mean, error = arrays["whole"][:, 1]
        times, name = 1e3 * arrays["whole_times"], "pulse by pulse"
        axes.errorbar(times, mean, error, fmt="o", mfc="none", color=PALETTE[2], label=name)
    worst = max(arrays[f"biphenyl.{r}"][1].max() for r in config.readings)
    title = f"Dimethylbiphenyl, 15 spins, {config.n_states} states (error < {worst:.1g})"
    axes.set(title=title, xlabel="Time out (ms)", ylabel="Echo C")
    axes.legend(title="$\\eta_{heter}$", title_fontsize=7, fontsize=6)


def _draw_loschmidt(axes: Axes, outcome: Outcome) -> None:
    arrays = outcome.arrays
    for k, name in enumerate(SEQUENCES):
        times = 1e3 * arrays[f"pulsed_times.{name}"]
        for case, style in enumerate(("o-", "s--", "^:")):
            lacking = 1 - arrays[f"pulsed.{name}"][case, 0]
            seen = times > 0
            axes.plot(times[seen], lacking[seen], style, ms=2.5, lw=1, color=PALETTE[k])
        axes.plot([], [], color=PALETTE[k], label=SEQUENCES[name])
    if outcome.config.whole_steps:
        times, (mean, error) = 1e3 * arrays["whole_times"], arrays["whole"][:, 0]
        seen = times > 0
        lacking, error = 1 - mean[seen], error[seen]
        axes.errorbar(times[seen], lacking, error, fmt="*-", ms=5, lw=1, color=PALETTE[3])
        axes.plot([], [], "*-", color=PALETTE[3], label="DMBP, all 15 spins")
    spread = 100 * outcome.config.rf_spread
    cases = {"ko-": "clean", "ks--": "methyl offset", "k^:": f"RF off by 0, ±{spread:g} %"}
    for style, text in cases.items():
        axes.plot([], [], style, ms=2.5, lw=1, label=text)
    axes.set(
        title=f"No butterfly, pulses of {1e6 * outcome.config.pulse:g} us",
        xlabel="Time out (ms)",
        ylabel="1 - Loschmidt echo",
        yscale="log",
    )
    axes.set_ylim(top=30 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=6, ncols=2)


def _draw_slopes(axes: Axes, outcome: Outcome) -> None:
    arrays, config = outcome.arrays, outcome.config
    lengths = 1e6 * config.pulse / np.array(config.shortened)
    for k, name in enumerate(SEQUENCES):
        lost = arrays[f"lost.{name}"]
        slope = outcome.metrics[f"slope.{name}"].value
        axes.loglog(lengths, lost, "o-", color=PALETTE[k], label=f"{SEQUENCES[name]}: {slope:.2f}")
    base = min(arrays[f"lost.{name}"][0] for name in SEQUENCES)
    law = 0.3 * base * (lengths / lengths[0]) ** 4
    axes.loglog(lengths, law, color=GREY, ls="--", label="fourth power")
    total = 1e3 * arrays["pulsed_times.two_blocks"][-1]
    axes.set(
        title=f"Six spins, {total:.2f} ms out",
        xlabel="Pulse of 90 degrees (us)",
        ylabel="1 - Loschmidt echo",
    )
    axes.set_xticks(lengths, [f"{length:.3g}" for length in lengths])
    axes.minorticks_off()
    axes.legend(title="power", title_fontsize=7, fontsize=6)

"""Figure of `experiments.generation.latent_straightness`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, new_figure, style

_WORDS = {"class": "a class", "all": "all classes"}


@style()
def plot(outcome: Outcome, sources: Sequence[str], codecs: Sequence[str]) -> Figure:
    """Bend by codec; distance against steps for whole latents and on axes; distance at 5 steps against bend."""
    config, metrics = outcome.config, outcome.metrics
    figure = new_figure(2, 5.2)
    bends, whole, axes_panel, both = figure.subplots(2, 2).ravel()
    at = np.arange(len(codecs))
    for kind, marker in (("class", "o"), ("all", "s")):
        found = [metrics[f"straightness.{kind}.{codec}"] for codec in codecs]
        bends.errorbar(
            [1 - m.value for m in found], at, xerr=[m.stderr or 0 for m in found],
            fmt=marker, color=GREY if kind == "all" else "black", label=f"flow to {_WORDS[kind]}",
        )  # fmt: skip
    bends.set_yticks(at, [codec.replace("_", ", ") for codec in codecs])
    bends.invert_yaxis()
    bends.set(xlabel="bend, 1 - S", xlim=(0, None))
    bends.legend(loc="upper right")
    floor = metrics["floor"].value
    for panel, ending in ((whole, ""), (axes_panel, "_axes")):
        for source, colour in zip(sources, PALETTE, strict=False):
            for kind, line in (("class", "o-"), ("all", "s:")):
                found = [metrics[f"frechet.{kind}.{source}{ending}.{n}"] for n in config.steps]
                panel.errorbar(
                    config.steps, [m.value for m in found], [m.stderr or 0 for m in found],
                    fmt=line, ms=3, color=colour, label=source if kind == "class" else None,
                )  # fmt: skip
        panel.axhline(floor, color=GREY, lw=0.8)
        title = "whole latents" if not ending else f"{config.n_axes} axes"
        panel.set(
            xlabel="Euler steps", ylabel="Frechet distance", xscale="log", yscale="log", title=title
        )
        panel.set_xticks(config.steps, [str(n) for n in config.steps])
        panel.minorticks_off()
    whole.legend(title="solid: class, dotted: all", title_fontsize=7)
    for codec in codecs:
        source, _, ending = codec.partition("_")
        colour = PALETTE[sources.index(source)]
        bend, far = metrics[f"straightness.class.{codec}"], metrics[f"frechet.class.{codec}.5"]
        both.errorbar(
            1 - bend.value, far.value, far.stderr or 0, bend.stderr or 0,
            fmt={"": "o", "axes": "^", "white": "v"}[ending], color=colour,
        )  # fmt: skip
    for marker, text in (("o", "whole"), ("^", "on axes"), ("v", "whitened")):
        both.plot([], [], marker, color=GREY, label=text)
    both.set(xlabel="bend of the flow to a class, 1 - S", ylabel="Frechet distance, 5 steps")
    both.legend()
    return figure

"""Figure of `mesh_errors`, and the table that it is compared with.

Z. Zheng et al., "Dual adaptive training of photonic neural networks", Nat. Mach. Intell. 5, 1119-1129 (2023), DOI
10.1038/s42256-023-00723-4; values from the logs of its code, github.com/THPCILab/DAT_MPNN.
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.measurement import Reference
from experiments.harness.outcome import Outcome
from experiments.harness.plotting import GREY, PALETTE, label, new_figure

SIZES = (0.02, 0.04, 0.06, 0.08, 0.1)
KINDS = {"bs": "Splitter error", "ps": "Phase error", "both": "Both errors"}
TABLE_ERRORS = (
    *((s, 0.0) for s in SIZES),
    *((0.0, s) for s in SIZES),
    *((s, s) for s in (0.04, 0.06)),
)


def setting(splitter: float, phase: float) -> str:
    """Name of a setting: bs0.06, ps0.04, bs0.06+ps0.06, or none."""
    parts = [f"{name}{size:g}" for name, size in (("bs", splitter), ("ps", phase)) if size]
    return "+".join(parts) or "none"


# Columns: BS .02 to .10, PS .02 to .10, BS + PS .04 and .06. The two joint DAT values are of the large predictor.
_TABLE = {
    "mnist.in_silico": "96.3 93.7 89.4 85.6 72.8 95.9 88.7 86.6 69.1 59.7 86.3 66.6",
    "mnist.pat_output": "95.9 95.3 93.0 86.4 73.8 96.0 93.6 90.2 76.4 70.3 92.6 84.6",
    "mnist.dat_small": "96.5 96.3 95.4 93.7 89.8 96.5 96.1 94.2 90.2 75.8 - -",
    "mnist.dat_large": "- - 95.7 94.1 91.4 - - 94.5 90.5 83.7 95.5 90.3",
    "fashion_mnist.in_silico": "85.5 75.8 76.5 72.1 55.5 82.2 73.7 70.0 61.4 41.4 62.2 54.3",
    "fashion_mnist.pat_output": "85.1 83.1 78.7 71.1 67.7 85.1 80.4 71.5 60.9 53.3 73.6 65.4",
    "fashion_mnist.dat_small": "85.5 85.4 84.8 82.3 75.9 85.5 85.3 83.1 79.1 62.6 - -",
    "fashion_mnist.dat_large": "- - - - - - - - - - 84.7 78.6",
}


def published(like_conditions: bool) -> tuple[Reference, ...]:
    """The table as references; comparable where our run has its sizes and its training."""
    values = {"mnist.none.in_silico": 96.8, "fashion_mnist.none.in_silico": 86.0}
    for row, numbers in _TABLE.items():
        data, method = row.split(".")
        for errors, number in zip(TABLE_ERRORS, numbers.split(), strict=True):
            if number != "-":
                values[f"{data}.{setting(*errors)}.{method}"] = float(number)
    note = "one draw of errors there; draws differ by several points"
    if not like_conditions:
        note = "fewer steps, started from weights trained in the model; one draw of errors there"
    return tuple(
        Reference(
            name,
            value,
            None,
            "%",
            "logs of github.com/THPCILab/DAT_MPNN",
            "table",
            like_conditions,
            note,
        )
        for name, value in values.items()
    )


def draw_table(outcome: Outcome) -> Figure:
    """Accuracy against the size of the errors: ours filled, the table's hollow; one row a data set."""
    config = outcome.config
    figure = new_figure(columns=2, height=0.9 + 2.1 * len(config.datasets))
    grid = figure.subplots(len(config.datasets), len(KINDS), sharey="row", squeeze=False)
    for row, data in zip(grid, config.datasets, strict=True):
        for axes, (kind, title) in zip(row, KINDS.items(), strict=True):
            _panel(axes, outcome, data, kind)
            axes.set_title(f"{title}, {data}", fontsize=7)
            axes.set(xticks=(0, *SIZES), xlim=(0, 1.08 * SIZES[-1]))
            axes.set_xlabel(label("Standard deviation", "share" if kind == "bs" else "rad"))
        row[0].set_ylabel(label("Test accuracy on the chip", "%"))
    grid[0, 2].set_xlabel(label("Standard deviation", "share and rad"))
    handles = {h.get_label(): h for axes in grid.flat for h in axes.get_legend_handles_labels()[0]}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=6)
    return figure


def _panel(axes: Axes, outcome: Outcome, data: str, kind: str) -> None:
    table = {r.name: r.value for r in outcome.references}
    names = ("in_silico", *outcome.config.methods)
    names += ("folded_in_silico",) if "ffm" in names else ()
    for i, name in enumerate(names):
        color = PALETTE[i % len(PALETTE)]
        shift = 0.0008 * (i - len(names) / 2)  # so that points on one another can be told apart
        published, ours = [], []
        for size in SIZES:
            pair = {"bs": (size, 0.0), "ps": (0.0, size), "both": (size, size)}[kind]
            key = f"{data}.{setting(*pair)}.{name}"
            if key in table:
                published.append((size, table[key]))
            if key in outcome.metrics:
                found = outcome.metrics[key]
                ours.append((size + shift, found.value, found.sd or 0))
        if published:
            style = {"marker": "o", "mfc": "none", "ls": ":", "lw": 0.8, "ms": 4}
            axes.plot(*zip(*published, strict=True), color=color, **style)
        if ours:
            x, y, sd = zip(*ours, strict=True)
            axes.errorbar(
                x, y, yerr=sd, color=color, marker="s", ms=3.5, lw=1, label=name.replace("_", " ")
            )
    ideals = (("in_silico", "-", "ideal, no errors"), ("folded_ideal", "--", "ideal folded"))
    for name, line, text in ideals:
        if found := outcome.metrics.get(f"{data}.none.{name}"):
            axes.axhline(found.value, color=GREY, lw=0.8, ls=line, label=text)
    axes.plot([], [], color=GREY, marker="o", mfc="none", ls=":", lw=0.8, label="table (hollow)")

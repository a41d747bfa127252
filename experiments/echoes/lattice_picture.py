"""A picture of the chip: the qubit lattice with one value per qubit, and the qubits that measure and strike marked.

Rows go down and columns to the right, as on the chip's drawings. Qubits without a value (NaN) stay empty.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Rectangle

from experiments.harness.plotting import GREY
from quantum.circuits import Lattice

CORRELATOR_COLORS = "RdBu"  # +1 blue, -1 red, 0 white: the sign of a correlator at a glance
_SIZE = 0.92  # side of a qubit's square in lattice steps, so that neighbours stay apart


def draw_chip(
    axes: Axes,
    lattice: Lattice,
    values: Sequence[float] | np.ndarray | None = None,
    *,
    limits: tuple[float, float] = (-1.0, 1.0),
    colors: str | Colormap = CORRELATOR_COLORS,
    marks: Mapping[int, str] | None = None,
    couplers: bool = False,
    title: str = "",
) -> ScalarMappable:
    """Draws one chip on axes of its own.

    Args:
        axes: Axes to draw on; their frame and ticks go.
        lattice: The qubits.
        values: Value of every qubit, NaN for an empty square; None leaves all empty.
        limits: Values of the first and the last colour.
        colors: Colour map.
        marks: Letters written onto qubits, such as {3: "B"}.
        couplers: Whether couplers are drawn as lines.
        title: Text above.

    Returns:
        What a colour bar needs: `figure.colorbar(drawn, ax=axes, label=...)`.

    Raises:
        ValueError: If there is not one value per qubit.
    """
    shown = np.full(lattice.n_qubits, np.nan) if values is None else np.asarray(values, dtype=float)
    if shown.shape != (lattice.n_qubits,):
        raise ValueError(
            f"`values` must hold one value for each of {lattice.n_qubits} qubits, but its shape is {shown.shape}."
        )
    centres = np.array([(column, row) for row, column in lattice.sites], dtype=float)
    mapped = ScalarMappable(Normalize(*limits), matplotlib.colormaps.get_cmap(colors))
    faces = mapped.to_rgba(np.ma.masked_invalid(shown))
    faces[np.isnan(shown)] = (1, 1, 1, 1)
    squares = [Rectangle((x - _SIZE / 2, y - _SIZE / 2), _SIZE, _SIZE) for x, y in centres]
    axes.add_collection(PatchCollection(squares, facecolors=faces, edgecolors=GREY, linewidths=0.3))
    if couplers:
        lines = [(centres[a], centres[b]) for a, b in lattice.couplers]
        axes.add_collection(LineCollection(lines, colors=GREY, linewidths=0.6))
    for qubit, letter in (marks or {}).items():
        dark = np.dot(faces[qubit, :3], (0.3, 0.6, 0.1)) < 0.5
        x, y = centres[qubit]
        ink = "white" if dark else "black"
        axes.text(x, y, letter, ha="center", va="center", fontsize=6, color=ink)
    axes.set_xlim(centres[:, 0].min() - 0.7, centres[:, 0].max() + 0.7)
    axes.set_ylim(centres[:, 1].max() + 0.7, centres[:, 1].min() - 0.7)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, pad=2)
    return mapped

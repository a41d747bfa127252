"""One figure style, and pictures of a field, a mask and a bench.

Figures are made without pyplot, so nothing global is opened or leaks. Widths are those of a journal column, colours are
the palette of Okabe and Ito (2008), which stays distinct for colour-blind readers, and a published value is a grey
band as wide as its uncertainty.
"""

import base64
import contextlib
import html
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.colors
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.harness.measurement import Reference
from experiments.harness.png import KEYWORD, description

COLUMN_WIDTH = 3.4  # inches
DOUBLE_WIDTH = 7.0  # inches
# Okabe and Ito, "Color universal design" (2008), without the yellow, which is too faint for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#8c8c8c"
AMPLITUDE_COLORS = "magma"
PHASE_COLORS = "twilight"  # cyclic, so that -pi and +pi look the same

_STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "errorbar.capsize": 2.0,
    "image.interpolation": "nearest",
    "savefig.dpi": 300,
    "figure.dpi": 150,
    "pdf.fonttype": 42,  # text stays text in the PDF
}


class HarnessFigure(Figure):
    """A figure that Jupyter shows by itself, although pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Applies the style within a `with` block, or to a function as the decorator `@style()`."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(columns: int = 1, height: float = 2.4) -> HarnessFigure:
    """Makes an empty figure.

    Args:
        columns: 1 for a single column (3.4 in), 2 for the double width (7.0 in).
        height: Height in inches.

    Returns:
        Figure with a layout that keeps labels apart.
    """
    if columns not in (1, 2):
        raise ValueError(f"`columns` must be 1 or 2, but is {columns}.")
    width = COLUMN_WIDTH if columns == 1 else DOUBLE_WIDTH
    figure = HarnessFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label(quantity: str, unit: str = "") -> str:
    """Axis label with its unit: `label("Accuracy", "%")` gives "Accuracy (%)"."""
    return f"{quantity} ({unit})" if unit else quantity


def reference_band(
    axes: Axes, reference: Reference, at: float | None = None, width: float = 0.8, name: str = ""
) -> None:
    """Draws a published value as a grey line with a grey band of one standard deviation; unknown draws nothing.

    Args:
        axes: Axes to draw on, the value along y.
        reference: Published value.
        at: Position along x; None draws across the whole axes.
        width: Width along x around `at`, in its unit.
        name: Text for the legend.
    """
    if reference.value is None:
        return
    low = reference.value - (reference.uncertainty or 0.0)
    high = reference.value + (reference.uncertainty or 0.0)
    if at is None:
        axes.axhspan(low, high, color=GREY, alpha=0.25, linewidth=0)
        axes.axhline(reference.value, color=GREY, label=name or None)
        return
    ends = np.array([at - width / 2, at + width / 2])
    axes.fill_between(ends, low, high, color=GREY, alpha=0.25, linewidth=0)
    axes.plot(ends, [reference.value] * 2, color=GREY, label=name or None)


def described(figure: Figure) -> str:
    """What a figure shows, for who cannot see it: of each panel its title, axes and the names of its curves."""
    panels = []
    for axes in figure.axes:
        plane = " against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))
        names = ", ".join(axes.get_legend_handles_labels()[1])
        text = ": ".join(filter(None, (axes.get_title(), plane)))
        panels.append(f"{text} ({names})" if text and names else text or names)
    return "; ".join(dict.fromkeys(" ".join(panel.split()) for panel in panels if panel))


def png_bytes(figure: Figure) -> bytes:
    """Figure as PNG at the resolution of a screen."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi="figure")
    return buffer.getvalue()


def embedded_png(figure: Figure, alt: str = "") -> str:
    """Figure as an `<img>` element that carries its own data."""
    data = base64.b64encode(png_bytes(figure)).decode()
    return f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}">'


def save_figure(figure: Figure, stem: Path, dpi: int = 300) -> None:
    """Writes `<stem>.png` at `dpi` and `<stem>.pdf`; the same figure gives the same bytes."""
    words = {"Software": None, KEYWORD: described(figure)}
    with style():
        figure.savefig(stem.with_suffix(".png"), dpi=dpi, metadata=words)
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None, "Producer": None})


def save_small(picture: Path, target: Path, width: int = 1400) -> None:
    """Writes a picture for README and docs: fewer pixels and 256 colours, among which those of curves are exact.

    Without the fixed ones the most frequent tones (paper, a colour map) take all 256, and two curves may share one.

    Args:
        picture: PNG as `save_figure` wrote it.
        target: Where the small one goes.
        width: Width in pixels.
    """
    from PIL import Image, PngImagePlugin

    with Image.open(picture) as opened:
        large = opened.convert("RGB")
    small = large.resize(
        (width, round(large.height * width / large.width)), Image.Resampling.LANCZOS
    )
    fixed = [matplotlib.colors.to_rgb(color) for color in (*PALETTE, GREY, "white")]
    exact = np.round(255 * np.array(fixed)).astype(int).ravel().tolist()
    rest = small.quantize(256 - len(fixed), dither=Image.Dither.NONE).getpalette() or []
    table = Image.new("P", (1, 1))
    table.putpalette(exact + rest[: 768 - len(exact)])
    words = PngImagePlugin.PngInfo()
    words.add_text(KEYWORD, description(picture))
    reduced = small.quantize(palette=table, dither=Image.Dither.NONE)
    reduced.save(target, format="PNG", optimize=True, pnginfo=words)


def show_field(field, title: str = "") -> Figure:
    """Draws amplitude and phase of a field side by side, axes in millimetres.

    Args:
        field: `optics.waves.field.Field` of two axes; anything with `amplitude` and `pixel_pitch` (m) will do.
        title: Text above.

    Returns:
        Figure of double width. Phase is faint where there is next to no light, since it means nothing there.

    Raises:
        ValueError: If the field has batch axes.
    """
    amplitude = _two_axes(np.asarray(field.amplitude), "field.amplitude")
    modulus = np.abs(amplitude)
    # Below a thousandth of the peak the phase is rounding or noise.
    visible = modulus > 1e-3 * modulus.max()
    with style():
        figure = new_figure(columns=2, height=3.0)
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        _picture(left, modulus, field.pixel_pitch, AMPLITUDE_COLORS, "Amplitude", vmin=0.0)
        phase = np.where(visible, np.angle(amplitude), np.nan)
        _picture(right, phase, field.pixel_pitch, PHASE_COLORS, "Phase (rad)", -math.pi, math.pi)
        figure.suptitle(title)
    return figure


def show_mask(phase, pixel_pitch: float, title: str = "") -> Figure:
    """Draws a phase mask wrapped to [0, 2 pi), axes in millimetres.

    Args:
        phase: Phase in radians, axes (y, x).
        pixel_pitch: Distance between pixels in metres.
        title: Text above.

    Returns:
        Figure of column width.
    """
    wrapped = np.mod(_two_axes(np.asarray(phase), "phase"), 2 * math.pi)
    with style():
        figure = new_figure(height=2.9)
        _picture(
            figure.subplots(), wrapped, pixel_pitch, PHASE_COLORS, "Phase (rad)", 0.0, 2 * math.pi
        )
        figure.suptitle(title)
    return figure


def show_bench(description: Sequence[tuple[str, float, float]], title: str = "") -> Figure:
    """Draws the planes of a bench along the optical axis, to scale in each direction but not between them.

    Args:
        description: Planes as (name, position along the axis in m, half height in m).
        title: Text above.

    Returns:
        Figure of double width; x is the position in mm, y the height in mm.

    Raises:
        ValueError: If there is no plane, or a half height is not positive.
    """
    if not description:
        raise ValueError("`description` must name at least one plane, but is empty.")
    for name, _, half_height in description:
        if not half_height > 0:
            raise ValueError(f"`half height` of {name} must be positive, but is {half_height:g} m.")
    planes = sorted(description, key=lambda plane: plane[1])
    with style():
        figure = new_figure(columns=2, height=2.2)
        axes = figure.subplots()
        _draw_planes(axes, planes)
        axes.set_xlabel("Position along the axis (mm)")
        axes.set_ylabel("Height (mm)")
        figure.suptitle(title)
    return figure


def _draw_planes(axes: Axes, planes: Sequence[tuple[str, float, float]]) -> None:
    positions = np.array([1e3 * plane[1] for plane in planes])
    heights = np.array([1e3 * plane[2] for plane in planes])
    axes.fill_between(positions, -heights, heights, color=PALETTE[5], alpha=0.15, linewidth=0)
    axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle="-.")
    for (name, _, _), x, half in zip(planes, positions, heights, strict=True):
        axes.plot([x, x], [-half, half], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
        axes.annotate(
            name, (x, half), (0, 4), textcoords="offset points", ha="left", va="bottom", rotation=35
        )
    axes.set_ylim(-1.15 * heights.max(), 1.15 * heights.max())


def _picture(axes: Axes, image, pitch, colors: str, name: str, vmin=None, vmax=None) -> None:
    pitch_mm = 1e3 * float(pitch)
    ny, nx = image.shape
    # Edges lie half a pixel around the samples, and sample N // 2 sits at zero.
    left, bottom = (-(nx // 2) - 0.5) * pitch_mm, (-(ny // 2) - 0.5) * pitch_mm
    extent = (left, left + nx * pitch_mm, bottom, bottom + ny * pitch_mm)
    shown = axes.imshow(image, origin="lower", extent=extent, cmap=colors, vmin=vmin, vmax=vmax)
    axes.set_xlabel("x (mm)")
    axes.set_ylabel("y (mm)")
    assert axes.figure is not None
    axes.figure.colorbar(shown, ax=axes, label=name, shrink=0.85)


def _two_axes(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have axes (y, x), but its shape is {array.shape}. Pick one of the batch."
        )
    return array

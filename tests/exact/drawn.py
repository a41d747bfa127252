"""What a figure shows: the values and the error bars on its axes, to be held against an outcome."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer


def error_bars(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values and half lengths of the vertical bars of every series, in the order they were drawn."""
    found = []
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer) and container.lines[0] is not None:
            y = np.asarray(container.lines[0].get_ydata(), float)
            ends = np.array([segment[:, 1] for segment in container.lines[2][0].get_segments()])
            found.append((y, np.diff(ends, axis=1)[:, 0] / 2))
    return found


def columns(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Heights and half lengths of the error bars of every series of columns."""
    found = []
    for container in axes.containers:
        if isinstance(container, BarContainer):
            heights = np.array([patch.get_height() for patch in container.patches])
            ends = [segment[:, 1] for segment in container.errorbar.lines[2][0].get_segments()]
            found.append((heights, np.diff(ends, axis=1)[:, 0] / 2))
    return found

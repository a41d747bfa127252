"""The maximum that stands out of a curve: where it lies and how far it rises over what surrounds it.

Prominence of a maximum: its height over the higher of the two lowest points that must be crossed to reach higher ground
on either side, or the end of the curve.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.signal import find_peaks

from quantum._checks import check_array


class Maximum(NamedTuple):
    """A maximum of a sampled curve.

    Attributes:
        position: Where it lies, one of the positions sampled.
        prominence: How far it rises over what surrounds it, in the unit of the values.
    """

    position: float
    prominence: float


def most_prominent(
    positions: Float[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    least: float,
    *,
    near: tuple[float, float] = (0.0, np.inf),
) -> Maximum | None:
    """The maximum of the largest prominence, between the ends of the curve.

    Args:
        positions: Where the curve is sampled, such as times in s, rising.
        values: The curve there.
        least: Prominence below which nothing counts as a maximum.
        near: A position and how far from it the maximum may lie; anywhere by default.

    Returns:
        The maximum; None where there is none.

    Raises:
        ValueError: If there is not one value for each position.
    """
    check_array(values, "values", positions.shape)
    peaks, found = find_peaks(values, prominence=least)
    kept = np.abs(positions[peaks] - near[0]) <= near[1]
    if not kept.any():
        return None
    best = int(np.argmax(np.where(kept, found["prominences"], -np.inf)))
    return Maximum(float(positions[peaks[best]]), float(found["prominences"][best]))

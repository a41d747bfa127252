"""How far each propagator can be trusted on a given grid, and which one to take.

The phase of a sampled kernel may change by at most pi between neighbours. For N samples of pitch
dx, padded to P:

transfer function (angular spectrum, Fresnel)    z <= P dx^2 c / wavelength
impulse response (Rayleigh-Sommerfeld)           z >= 2 N dx^2 c / wavelength

with c = sqrt(1 - 2 (wavelength / 2 dx)^2) for the corner of the band (1 when the pitch is many
wavelengths). At P = 2 N the two ranges meet, so one of them is always right. Sources: K.
Matsushima, T. Shimobaba, Opt. Express 17, 19662 (2009), DOI 10.1364/OE.17.019662; D. Voelz, M.
Roggemann, Appl. Opt. 48, 6132 (2009), DOI 10.1364/AO.48.006132.
"""

import math
import warnings


class SamplingWarning(UserWarning):
    """A propagator was asked for outside the range in which its kernel is sampled well enough."""


def transfer_function_limit(n_padded: int, pixel_pitch, wavelength):
    """Largest distance in metres at which a sampled transfer function carries the whole band.

    Beyond it the highest frequencies of the grid walk off by more than half the padded window.
    Without the corner factor c (module docstring), which this function leaves out since it matters
    only below a few wavelengths of pitch.
    """
    return n_padded * pixel_pitch**2 / wavelength


def warn_beyond(method: str, distance: float, limit: float, what: str, remedy: str) -> None:
    """Warns that a distance exceeds a limit."""
    rule = f"distance {abs(distance):.4g} m exceeds the {limit:.4g} m up to which {what}"
    warnings.warn(f"{method}: {rule}. {remedy}", SamplingWarning, stacklevel=4)


def warn_below(method: str, distance: float, limit: float, what: str, remedy: str) -> None:
    """Warns that a distance falls short of a limit."""
    rule = f"distance {abs(distance):.4g} m is below the {limit:.4g} m from which on {what}"
    warnings.warn(f"{method}: {rule}. {remedy}", SamplingWarning, stacklevel=4)


def padding_needed(n: int, pixel_pitch: float, wavelength: float, distance: float) -> int:
    """Smallest whole padding factor with which a transfer function carries the whole band."""
    return max(1, math.ceil(abs(distance) * wavelength / (n * pixel_pitch**2)))

"""How far each propagator can be trusted on a given grid, and which one to take.

The phase of a sampled kernel may change by at most pi between neighbours. For N samples of pitch
dx, padded to P samples, wavelength w, distance z and an output window of side W:

    angular_spectrum, fresnel_transfer   z <= P dx^2 / w          (transfer function)
    rayleigh_sommerfeld                  z >= 2 N dx^2 c / w      (impulse response)
    fresnel_single_fft                   z >= N dx^2 / w          (input chirp)
    fresnel_chirp_z                      z >= dx (N dx + W) / w   (chirp between far corners)
    fraunhofer                           z >= dx W / w            (output inside the first replica)

with c = sqrt(1 - (w / 2 dx)^2), close to 1 when the pitch is many wavelengths. At P = 2 N the first
two ranges meet, and where the impulse response is sampled well it is exact: the sum over samples as
point sources, to rounding. The transfer function is not: its response has tails beyond the padded
window, which wrap around (`wrapped_share`). Near the limit a smooth beam sees 1e-6 of that, a lit
window 1e-2, light that changes from pixel to pixel up to 0.2; more padding, `pad` = 4 or 8, takes
them away, and `propagate` has none: nearer than the impulse response is sampled it takes the response
of an endless grid (`optics.waves.band`). For a pitch below the wavelength c is small and waves at
wide angles leave early, so the impulse response is taken as soon as it is sampled. Neglected phase
of the paraxial forms:
k z a^4 / 8 at an angle a; of Fraunhofer: pi r^2 / (w z) at r from the axis.

Sources: K. Matsushima, T. Shimobaba, Opt. Express 17, 19662 (2009), DOI 10.1364/OE.17.019662;
D. Voelz, M. Roggemann, Appl. Opt. 48, 6132 (2009), DOI 10.1364/AO.48.006132; J. Goodman,
Introduction to Fourier Optics, sections 4.2 and 4.3.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np

from optics._checks import check_positive
from optics.waves.band import FINE_BAND_ERROR, LARGEST_BAND, needs_fine_nodes

# Our choice: a paraxial form is recommended only if its neglected phase stays below this.
_TOLERABLE_PHASE = 1e-2
# Our choice: exact methods are recommended for windows up to this many times the grid.
_LARGEST_ENLARGEMENT = 2


class SamplingWarning(UserWarning):
    """A propagator is used outside the range in which its kernel is sampled well enough."""


def warn_if_swapped(pixel_pitch: float, wavelength: float) -> None:
    """Warns where pitch and wavelength, both in metres, look swapped; some functions take one first, some the other."""
    if pixel_pitch < wavelength / 10:
        warnings.warn(
            f"`pixel_pitch` of {pixel_pitch:.3g} m is below a tenth of the `wavelength` of {wavelength:.3g} m, so that "
            "most of the grid's band does not travel: if they are swapped, give them by name.",
            SamplingWarning,
            stacklevel=4,
        )


@dataclass(frozen=True)
class PropagatorAdvice:
    """A recommended propagator.

    Attributes:
        method: Name of the function.
        condition: Sampling condition that it meets (or misses least), with the numbers put in.
        error: Estimate of the relative field error: share of the band that is lost or aliased, what
            wraps of light that changes from pixel to pixel (smooth light wraps far less), and the
            largest neglected phase in radians. Zero where only rounding is left.
        alternatives: The other methods, each with its condition and error, best first.
    """

    method: str
    condition: str
    error: float
    alternatives: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.method}: {self.condition}, error about {self.error:.2g}"]
        return "\n".join(lines + [f"  or {text}" for text in self.alternatives])


def recommend_propagator(
    shape: tuple[int, int],
    pixel_pitch: float,
    wavelength: float,
    distance: float,
    window: float | None = None,
) -> PropagatorAdvice:
    """Recommends a propagator for a grid, a distance and an output window.

    Exact methods come first, as long as the window is at most twice the grid (the field is then
    zero-padded to the window): the Rayleigh-Sommerfeld sum where it is sampled, else `propagate`,
    which is that sum further out. For larger windows: Fraunhofer, then chirp-z Fresnel, if the phase
    that they neglect stays below 0.01 rad. Both limits are our choice. Otherwise the smallest
    error decides.

    Args:
        shape: Grid size (ny, nx).
        pixel_pitch: Distance between samples in metres.
        wavelength: Wavelength in metres.
        distance: Propagation distance in metres; its sign does not matter.
        window: Side of the wanted output window in metres; None for the input grid.

    Returns:
        Name, condition, error estimate and alternatives.

    Raises:
        ValueError: If pitch, wavelength or window is not positive, or the distance is not finite.
    """
    check_positive(pixel_pitch, "pixel_pitch", "m")
    check_positive(wavelength, "wavelength", "m")
    warn_if_swapped(pixel_pitch, wavelength)
    if window is not None:
        check_positive(window, "window", "m")
    if not math.isfinite(distance):
        raise ValueError(f"`distance` must be finite, but is {distance} m.")
    if min(shape) < 1:
        raise ValueError(f"`shape` must hold at least one sample a side, but is {shape}.")
    side = window or max(shape) * pixel_pitch
    candidates = _candidates(max(shape), pixel_pitch, wavelength, abs(distance), side)
    enlargement = side / (max(shape) * pixel_pitch)
    preferred = ("fraunhofer", "fresnel_chirp_z")
    if enlargement <= _LARGEST_ENLARGEMENT:
        preferred = ("rayleigh_sommerfeld", "propagate", "angular_spectrum")

    def rank(advice: PropagatorAdvice) -> tuple[int, float]:
        wanted = advice.error <= _TOLERABLE_PHASE and advice.method in preferred
        return preferred.index(advice.method) if wanted else len(preferred), advice.error

    best, *rest = sorted(candidates, key=rank)
    others = tuple(f"{a.method}: {a.condition}, error about {a.error:.2g}" for a in rest)
    return PropagatorAdvice(best.method, best.condition, best.error, others)


def _candidates(n: int, pitch: float, wavelength: float, z: float, side: float):
    enough = max(n, math.ceil(side / pitch * (1 - 1e-12)))
    reach = (n * pitch + side) / math.sqrt(2)  # between far corners of two squares
    angle = min(math.atan2(reach, z), math.sqrt(2) * wavelength / (2 * pitch))
    paraxial = 2 * math.pi / wavelength * z * angle**4 / 8
    far = math.pi * (n * pitch) ** 2 / 2 / (wavelength * z) if z else math.inf
    transfer = transfer_function_limit(2 * enough, pitch, wavelength)
    impulse = impulse_response_limit(enough, pitch, wavelength)
    single = n * pitch**2 / wavelength
    chirp = pitch * (n * pitch + side) / wavelength
    replica = pitch * side / wavelength
    # What a fine pitch carries at wide angles walks off the padded window long before the limit; `_upto` adds the rest.
    grazing = lost_at_wide_angles(2 * enough, pitch, wavelength, z) if z <= transfer else 0.0
    wrapped = wrapped_share(2 * enough, pitch, wavelength, z) if z <= transfer else 0.0
    exact = FINE_BAND_ERROR if needs_fine_nodes(pitch, wavelength) else 0.0
    if enough > LARGEST_BAND:
        exact = grazing + wrapped
    on = f"on {enough} samples padded 2x"
    fft_side = wavelength * z / pitch
    return [
        _from("rayleigh_sommerfeld", z, impulse, 0.0, on),
        PropagatorAdvice(
            "propagate", f"{z:.4g} m, as any distance ({on})", exact if z < impulse else 0.0, ()
        ),
        _upto("angular_spectrum", z, transfer, grazing + wrapped, on),
        _from("fresnel_chirp_z", z, chirp, paraxial, f"window {side:.4g} m"),
        _from("fraunhofer", z, replica, far + paraxial, f"window {side:.4g} m"),
        _from("fresnel_single_fft", z, single, paraxial, f"window {fft_side:.4g} m"),
        _upto("fresnel_transfer", z, transfer, wrapped + paraxial, on),
    ]


def _upto(method: str, z: float, limit: float, error: float, note: str) -> PropagatorAdvice:
    lost = 1 - min(1.0, limit / z) ** 2 if z else 0.0
    sign = "<=" if z <= limit else ">"
    return PropagatorAdvice(method, f"{z:.4g} m {sign} {limit:.4g} m ({note})", error + lost, ())


def _from(method: str, z: float, limit: float, error: float, note: str) -> PropagatorAdvice:
    lost = 1 - min(1.0, z / limit) ** 2 if limit else 0.0
    sign = ">=" if z >= limit else "<"
    return PropagatorAdvice(method, f"{z:.4g} m {sign} {limit:.4g} m ({note})", error + lost, ())


def lost_at_wide_angles(
    n_padded: int, pixel_pitch: float, wavelength: float, distance: float
) -> float:
    """Share of the band that leaves half the padded window on its way, whatever the pitch.

    A wave of sine s walks off by z s / sqrt(1 - s^2); the band ends at s = min(1, wavelength / (2 pitch)).
    """
    half, edge = n_padded * pixel_pitch / 2, min(1.0, wavelength / (2 * pixel_pitch))
    return 1 - min(1.0, half / math.hypot(half, distance) / edge) ** 2


def wrapped_share(n_padded: int, pixel_pitch: float, wavelength: float, distance: float) -> float:
    """Relative field error by which a transfer function on a grid padded twice wraps light of pixels at random.

    The end of the band, which walks off by X = wavelength z / (2 pitch^2) samples, makes a response
    (-1)^m / (2 pi i) (1 / (m - X) - 1 / (m + X)) at m samples. Its images m + j P, of which
    sum 1 / (m + j P) = (pi / P) cot(pi m / P), are the error; a root of 2 stands for the two axes. Within a
    quarter of what is found, up to the limit of the transfer function; there and beyond, as at the limit.
    """
    n = n_padded // 2
    lags = np.arange(1 - n, n)
    walk = min(wavelength * distance / (2 * pixel_pitch**2), n - 0.5)

    def images(m):
        turns = np.pi * m / n_padded
        near = np.abs(turns) < 1e-6  # where the lag itself cancels: -turns / 3 is left
        turns = np.where(near, 1.0, turns)
        return np.where(near, 0.0, (1 / np.tan(turns) - 1 / turns) * np.pi / n_padded)

    error = (images(lags - walk) - images(lags + walk)) / (2 * np.pi)
    weights = n - np.abs(lags)
    kept = np.sum(weights * (np.abs(lags) <= walk)) / (2 * walk) if walk > 1 else n
    return float(np.sqrt(2 * np.sum(weights * error**2) / kept))


def transfer_function_limit(n_padded: int, pixel_pitch, wavelength):
    """Largest distance in metres at which a sampled transfer function carries the whole band.

    Beyond it the highest frequencies of the grid walk off by more than half the padded window. The
    factor c of the module docstring is left out; `lost_at_wide_angles` says what a fine pitch loses before.
    """
    return n_padded * pixel_pitch**2 / wavelength


def impulse_response_limit(n: int, pixel_pitch, wavelength, xp=np):
    """Smallest distance in metres at which the Rayleigh-Sommerfeld impulse response is resolved.

    At a shift of N dx its local frequency sin(angle) / wavelength must not exceed 1 / (2 dx). In
    addition four pitches, at which the evanescent part at that frequency is exp(-4 pi) = 3e-6.
    """
    cotangent = xp.sqrt(xp.maximum((2 * pixel_pitch / wavelength) ** 2 - 1, 0.0))
    return xp.maximum(n * pixel_pitch * cotangent, 4 * pixel_pitch)


def padding_needed(n: int, pixel_pitch: float, wavelength: float, distance: float) -> int:
    """Smallest whole padding factor with which a transfer function carries the whole band."""
    return max(1, math.ceil(abs(distance) * wavelength / (n * pixel_pitch**2)))


def warn_beyond(method: str, distance: float, limit: float, what: str, remedy: str) -> None:
    """Warns if a distance exceeds a limit."""
    if abs(distance) > limit:
        rule = f"distance {abs(distance):.4g} m exceeds the {limit:.4g} m up to which {what}"
        warnings.warn(f"{method}: {rule}. {remedy}", SamplingWarning, stacklevel=4)


def warn_below(method: str, distance: float, limit: float, what: str, remedy: str) -> None:
    """Warns if a distance falls short of a limit."""
    if abs(distance) < limit:
        rule = f"distance {abs(distance):.4g} m is below the {limit:.4g} m from which on {what}"
        warnings.warn(f"{method}: {rule}. {remedy}", SamplingWarning, stacklevel=4)

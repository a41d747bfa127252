"""Lines and free induction decay of an oriented molecule: where each transition stands, how strong it is.

After a pulse that turns one nuclide along x, its transverse magnetisation is

    s(t) = Tr[e^(-iHt) F_x e^(iHt) F_-] / Tr[F_x F_-] = sum_l w_l e^(2 pi i f_l t),   sum_l w_l = 1

with F the sum over the observed spins and F_- = F_x - i F_y; for a negative gyromagnetic ratio F_+ stands in its
place, so that a line always stands at the offset of its spin. Two like spins give lines 3 D apart (a Pake pair),
unlike ones 2 D + J.

Left out: relaxation but for one width of all lines, pulse errors, couplings to spins above 1/2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from quantum._checks import check_in_range
from quantum.nmr.species import read_probes, read_spins
from quantum.nmr.strike import check_times
from quantum.spins.hamiltonian import SpinHamiltonian, dense, spin_product

_MOST_SPINS = 10  # matrices of 17 MB
_FAINT = 1e-9  # share of the whole below which a line is left out
_SAME_HZ = 1e-6  # lines that are nearer are one


class Lines(NamedTuple):
    """A spectrum of sticks.

    Attributes:
        frequencies_hz: f_l, rising, from the carrier.
        intensities: w_l, 1 in all.
    """

    frequencies_hz: Float[np.ndarray, " lines"]
    intensities: Float[np.ndarray, " lines"]


def spectrum_lines(hamiltonian: SpinHamiltonian, observed: Sequence[int]) -> Lines:
    """Lines of the observed spins.

    Args:
        hamiltonian: Such as of `secular_hamiltonian`, with offsets.
        observed: Spins of one nuclide, such as `table.where("1H")`.

    Raises:
        ValueError: If there are over ten spins, none is observed or they are of several nuclides.
    """
    n = hamiltonian.n_spins
    if n > _MOST_SPINS:
        raise ValueError(f"`hamiltonian` must have at most {_MOST_SPINS} spins, but has {n}.")
    spins = read_probes(n, observed)
    known = read_spins(n, None, hamiltonian.isotopes or None)
    names = {known.kinds()[k] for k in spins}
    if len(names) != 1:
        raise ValueError(
            f"`observed` must be spins of one nuclide, but are {tuple(observed)} of "
            f"{', '.join(sorted(names)) or 'none'}; a receiver hears one at a time."
        )
    sign = known.signs()[spins[0]]
    x, y = (sum(spin_product(n, {k: axis}) for k in spins) for axis in (0, 1))
    energies, states = np.linalg.eigh(dense(hamiltonian))
    start, seen = (states.conj().T @ part @ states for part in (x, x - 1j * sign * y))
    weights = np.real(start * seen.T).ravel()
    frequencies = (energies[None, :] - energies[:, None]).ravel() / (2 * np.pi)
    total = weights.sum()
    kept = np.abs(weights) > _FAINT * total
    return _merged(frequencies[kept], weights[kept] / total)


def free_induction(
    lines: Lines, times: Sequence[float] | Float[np.ndarray, " times"], width_hz: float | int = 0.0
) -> Complex[np.ndarray, " times"]:
    """s(t) of lines that all have one Lorentzian width.

    Args:
        lines: Of `spectrum_lines`.
        times: Seconds, not negative.
        width_hz: Full width of each line at half height in Hz, 1 / (pi T2).

    Raises:
        ValueError: If a time is negative or the width is.
    """
    check_times(times)
    check_in_range(width_hz, "width_hz", 0, 1e6, "Hz")
    at = np.asarray(times, dtype=float)
    turning = np.exp(2j * np.pi * at[:, None] * lines.frequencies_hz[None])
    return np.exp(-np.pi * width_hz * at) * (turning @ lines.intensities)


def _merged(frequencies: np.ndarray, weights: np.ndarray) -> Lines:
    """Lines in order, those at one place added up."""
    order = np.argsort(frequencies)
    frequencies, weights = frequencies[order], weights[order]
    first = np.flatnonzero(np.diff(frequencies, prepend=-np.inf) > _SAME_HZ)
    return Lines(frequencies[first], np.add.reduceat(weights, first))

"""Which spins are like, which are pulsed, and whose gamma is negative: what a Hamiltonian of NMR asks of its nuclides.

A pulse sequence has two channels, "C" for the nuclide of the probe and "H" for the one it is read through.
`pulse_channels` says which spin is on which; a third nuclide has a channel of its own that no pulse is on, and so it
acts as it would in a spectrometer that leaves it alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from quantum.spins.hamiltonian import SpinHamiltonian
from quantum.spins.nuclides import GYROMAGNETIC, isotope

Probe = int | Sequence[int] | None


@dataclass(frozen=True)
class Spins:
    """Spins of a Hamiltonian.

    Attributes:
        n: How many.
        isotopes: Nuclide of each, () where they are not known.
        probes: The spins that are measured; of a rare nuclide where nuclides are not known.
    """

    n: int
    isotopes: tuple[str, ...]
    probes: tuple[int, ...]

    def kinds(self) -> tuple[str, ...]:
        """A name for each; equal names are like spins."""
        if self.isotopes:
            return self.isotopes
        return tuple("rare" if k in self.probes else "others" for k in range(self.n))

    def like(self) -> Bool[np.ndarray, "spins spins"]:
        """Which pairs are of one nuclide."""
        kinds = np.array(self.kinds())
        return (kinds[:, None] == kinds) & ~np.eye(self.n, dtype=bool)

    def unlike(self) -> Bool[np.ndarray, "spins spins"]:
        """Which pairs are of two nuclides."""
        return ~self.like() & ~np.eye(self.n, dtype=bool)

    def signs(self) -> Float[np.ndarray, " spins"]:
        """Sign of each gyromagnetic ratio, 1 where nuclides are not known."""
        return np.array([-1.0 if GYROMAGNETIC.get(k, 1.0) < 0 else 1.0 for k in self.kinds()])

    def pulsed(self) -> Bool[np.ndarray, " spins"]:
        """Which spins the pulses of a reversible cycle are on: the nuclide that the probe is not of.

        Raises:
            ValueError: If there are two of them.
        """
        kinds = self.kinds()
        rare = {kinds[k] for k in self.probes}
        others = [kind for kind in dict.fromkeys(kinds) if kind not in rare]
        if len(others) > 1:
            raise ValueError(
                f"`couplings_hz` must be of the probe's nuclide and one that is pulsed, but hold "
                f"{', '.join(others)} beside {', '.join(sorted(rare))}; leave one out (`without`), or average a cycle "
                "(`cycle_average`)."
            )
        # One nuclide alone: nothing is rare, and all of it is pulsed.
        return np.array([kind in others or not others for kind in kinds])


def read_spins(n: int, probe: Probe, isotopes: Sequence[str] | None) -> Spins:
    """Checks probe and nuclides.

    Raises:
        ValueError: If there is no such spin, one is named twice, or there is not one nuclide of spin 1/2 a spin.
    """
    names = tuple(isotope(name) for name in isotopes or ())
    if isotopes is not None and len(names) != n:
        raise ValueError(
            f"`isotopes` must name each of {n} spins, but are {len(names)}; give one a spin."
        )
    wrong = [name for name in names if not GYROMAGNETIC.get(name)]
    if wrong:
        raise ValueError(f"`isotopes` must be spins 1/2, but hold {wrong[0]}; leave its row out.")
    return Spins(n, names, read_probes(n, probe))


def read_probes(n_spins: int, probe: Probe) -> tuple[int, ...]:
    """The probes as a tuple.

    Raises:
        ValueError: If there is no such spin, or one is named twice.
    """
    if probe is None:
        return ()
    found = tuple(int(k) for k in np.atleast_1d(np.asarray(probe, dtype=int)))
    if any(not 0 <= k < n_spins for k in found):
        shown = found[0] if len(found) == 1 else found
        raise ValueError(f"`probe` must be a spin from 0 to {n_spins - 1}, but is {shown}.")
    if len(set(found)) < len(found):
        raise ValueError(f"`probe` must name each spin once, but is {found}.")
    return found


def pulse_channels(hamiltonian: SpinHamiltonian, probe: int | Sequence[int] = 0) -> tuple[str, ...]:
    """Channel of each spin: "C" for the nuclide of the probe, "H" for the pulsed one, its own name for a third.

    Where nuclides are not known, the probe is on "C" and all others are on "H".

    Raises:
        ValueError: If all spins are of one nuclide, which no pulse tells apart, or the pulsed one is not clear.
    """
    spins = read_spins(hamiltonian.n_spins, probe, hamiltonian.isotopes or None)
    kinds = spins.kinds()
    turned = [k for k in spins.probes if not keeps_probe(hamiltonian, k)]
    if turned and not spins.isotopes and len(spins.probes) == 1:
        raise ValueError(
            "`probe` must be the spin that the Hamiltonian was made for, with couplings of its S_z alone, but "
            f"{turned[0]} has others; pulses could not tell it from its partners."
        )
    rare = {kinds[k] for k in spins.probes}
    others = list(dict.fromkeys(kind for kind in kinds if kind not in rare))
    if not others or len(rare) > 1:
        raise ValueError(
            "`probe` must be of one nuclide that is not that of all other spins, but the spins are "
            f"{', '.join(kinds)} and the probe is {', '.join(sorted(rare))}; pulses could not tell them apart."
        )
    if len(others) > 1 and "1H" not in others:
        raise ValueError(
            "`hamiltonian` must hold 1H or one nuclide beside the probe, but holds "
            f"{', '.join(others)}; which is pulsed?"
        )
    pulsed = "1H" if "1H" in others else others[0]
    names = {pulsed: "H"} | dict.fromkeys(rare, "C")
    return tuple(names.get(kind, kind) for kind in kinds)


def keeps_probe(hamiltonian: SpinHamiltonian, probe: int) -> bool:
    """Whether S_z of a spin commutes with H: it takes part through S_z alone."""
    rows, fields = np.asarray(hamiltonian.couplings)[probe], np.asarray(hamiltonian.fields)[probe]
    return not (rows[:, :2].any() or fields[:2].any())


def probe_first(
    hamiltonian: SpinHamiltonian, struck: Sequence[int], probe: int
) -> tuple[SpinHamiltonian, tuple[int, ...]]:
    """The same echo with the probe as spin 0: the Hamiltonian in that order, and where the struck spins are in it.

    Raises:
        ValueError: If there is no such spin.
    """
    (first,) = read_probes(hamiltonian.n_spins, int(probe))
    if first == 0:
        return hamiltonian, tuple(struck)
    order = [first, *(k for k in range(hamiltonian.n_spins) if k != first)]
    return hamiltonian.of(order), tuple(order.index(k) for k in struck)

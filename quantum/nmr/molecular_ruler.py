"""The echo as a ruler: from one distance or angle of a molecule over dipolar couplings to the echo of its probe.

    H / (2 pi hbar) = eta_homo sum D_ij F_ij + eta_heter sum 2 D_0j I_z S_z,   F = IyIy - IxIx or IxIy + IyIx
    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2] = Re Tr[W_+ W_-^dag] / 2^protons

Geometries are those of `quantum.spins.molecule`, couplings those of `quantum.spins.dipolar`, average Hamiltonians
those of `quantum.nmr.average_hamiltonian`; sources and conventions stand there. What is here: both molecules as
families of one number with names for their spins. The echo is `methods.echo`, fastest here by "real_sectors".

Molecules (spin 0 is 13C, then protons):
- toluene, 8 protons: para H, H2/H3 (beside the probe), H4/H5 (beside the methyl carbon), methyl. Its distance r_om
  between H2 and H4 is stretched by pulling the ring apart between ortho and meta carbons.
- 3',5'-dimethylbiphenyl, 14 protons: the dihedral angle between its rings, fixed or turning in a potential (`torsion`).

Left out: J couplings, offsets (averaged away by the cycles), couplings beyond the average Hamiltonian, vibrations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from quantum._checks import check_choice, check_in_range
from quantum.nmr import average_hamiltonian
from quantum.spins import molecule
from quantum.spins.dipolar import DIMETHYLBIPHENYL_SAUPE, TOLUENE_SAUPE, molecule_couplings
from quantum.spins.hamiltonian import SpinHamiltonian
from quantum.spins.molecule import Molecule
from quantum.spins.torsion import torsion_weights

DIMETHYLBIPHENYL_LABELS = (
    "C", "H2", "H3", "H4", "H5", "H6", "H2'", "H4'", "H6'", *(f"M{k}" for k in range(6))
)  # fmt: skip
_TURNS = 48  # dihedral angles of an average, which converges geometrically
# Form of the proton part to the variant of `nmr` that has it; factors are given apart.
_VARIANTS = {form: name for name, (form, *_) in average_hamiltonian.VARIANTS.items()}


@dataclass(frozen=True, eq=False)
class Ruler:
    """A molecule at one geometry.

    Attributes:
        molecule: Its nuclei with spin.
        saupe: Order tensor.
        labels: Name of each spin.
    """

    molecule: Molecule
    saupe: Float[np.ndarray, "3 3"]
    labels: tuple[str, ...]

    def struck(self) -> tuple[int, ...]:
        """Spins that the butterfly turns: all methyl protons."""
        return tuple(k for group in self.molecule.rotors for k in group)

    def couplings_hz(self) -> Float[np.ndarray, "spins spins"]:
        """D_ij in Hz, averaged over the methyl turns, zero on the diagonal."""
        return np.asarray(molecule_couplings(self.molecule, self.saupe))


def toluene_ruler(ortho_meta: float | int) -> Ruler:
    """[4-13C]toluene with a distance between ortho and meta protons.

    Args:
        ortho_meta: r_om in metres.

    Raises:
        ValueError: If the distance is not between 2 and 3.5 angstrom.
    """
    check_in_range(ortho_meta, "ortho_meta", 2e-10, 3.5e-10, "m", "Is it in metres?")
    labels = ("C", "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8")
    return Ruler(molecule.toluene(float(ortho_meta)).spins(), TOLUENE_SAUPE, labels)


def dimethylbiphenyl_ruler(dihedral: float | int) -> Ruler:
    """[1-13C]-3',5'-dimethylbiphenyl at a dihedral angle in radians: 5 + 3 ring protons, then two methyl groups.

    Raises:
        ValueError: If the angle is not finite.
    """
    check_in_range(dihedral, "dihedral", -1e3, 1e3, "rad")
    spins = molecule.dimethylbiphenyl(float(dihedral)).spins()
    return Ruler(spins, DIMETHYLBIPHENYL_SAUPE, DIMETHYLBIPHENYL_LABELS)


def turning_dimethylbiphenyl(
    minimum: float | int,
    height: float | int,
    temperature: float | int,
    labels: Sequence[str] = DIMETHYLBIPHENYL_LABELS,
) -> tuple[Float[np.ndarray, "spins spins"], tuple[int, ...]]:
    """Couplings of 3',5'-dimethylbiphenyl in Hz averaged over the turn of its rings, and the struck spins among them.

    Args:
        minimum: phi_0 of `torsion` in radians.
        height: B of `torsion` in J/mol.
        temperature: Kelvin.
        labels: Spins that are kept, of `DIMETHYLBIPHENYL_LABELS`, the probe "C" first.

    Raises:
        ValueError: If a label is unknown, or as `torsion_weights`.
    """
    for label in labels:
        check_choice(label, "labels", DIMETHYLBIPHENYL_LABELS)
    first, table = _turns()
    angles = np.arange(_TURNS) * 2 * math.pi / _TURNS
    weights = np.asarray(torsion_weights(angles, minimum, height, temperature))
    kept = [first.labels.index(label) for label in labels]
    struck = tuple(k for k, spin in enumerate(kept) if spin in first.struck())
    return np.tensordot(weights, table, 1)[np.ix_(kept, kept)], struck


@lru_cache(maxsize=1)
def _turns() -> tuple[Ruler, np.ndarray]:
    """Couplings of all 15 spins at dihedral angles round a turn."""
    rulers = [dimethylbiphenyl_ruler(2 * math.pi * k / _TURNS) for k in range(_TURNS)]
    return rulers[0], np.stack([ruler.couplings_hz() for ruler in rulers])


def double_quantum(
    couplings_hz: Float[np.ndarray, "spins spins"],
    eta_homo: float | int,
    eta_heter: float | int,
    form: str = "yy-xx",
) -> SpinHamiltonian:
    """The average Hamiltonian of a reversible cycle; spin 0 is the probe.

    Args:
        couplings_hz: D_ij in Hz.
        eta_homo: Factor of the couplings between protons.
        eta_heter: Factor of 2 D_0j I_z S_z.
        form: "yy-xx" (TARDIS-2) or "xy+yx" (TARDIS-1).

    Raises:
        ValueError: If the form is unknown or the couplings are not symmetric.
    """
    check_choice(form, "form", _VARIANTS)
    scaling = (float(eta_homo), float(eta_heter))
    return average_hamiltonian.reversible_hamiltonian(
        couplings_hz, variant=_VARIANTS[form], scaling=scaling
    )

"""A molecule of one's own with a distance to learn: read from a file, pulled apart, and turned into its echo.

A file in XYZ format says in its comment what coordinates do not:

    saupe="-0.1582 -0.0176 0.1758"   order tensor in the frame of the file: its diagonal, or all nine entries (needed)
    stretch=2,4                      the distance that is learned: between these atoms, counted from 0 (needed)
    probe=0                          atom that is measured; by default the only spin 1/2 that is no proton
    rotors="6,7,8 9,10,11"           groups that turn; by default the protons of every methyl group
    struck=6,7,8                     atoms that the butterfly turns; by default the protons of all groups that turn
    left_out=14N,2H                  nuclides of spin above 1/2 that take no part

The distance of i and j is changed by moving all atoms that lie beyond the plane halfway between them, normal to their
line, along that line: with i and j on either side of a ring the ring is pulled apart, as `molecule.toluene` does it.

The echo is that of the reversible average with factors of its own (`average_hamiltonian`). Left out: a molecule that
bends.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from quantum._checks import check_in_range
from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.spins.dipolar import check_saupe, molecule_couplings
from quantum.spins.hamiltonian import SpinHamiltonian
from quantum.spins.molecule import Molecule, read_xyz
from quantum.spins.rotors import check_rotors
from quantum.spins.xyz_file import comment_settings, read_comment

_BOND = 1.3e-10  # m, our choice: bonds of carbon to hydrogen are below, all other distances of the two above
_NEEDED = {"saupe": 'saupe="Sxx Syy Szz"', "stretch": "stretch=I,J, atoms from 0"}


@dataclass(frozen=True, eq=False)
class StretchedMolecule:
    """A molecule, how it is ordered, and which distance is to be learned; atoms are counted as in its file.

    Attributes:
        molecule: All its atoms.
        saupe: Order tensor in its frame.
        stretch: The two atoms whose distance changes.
        probe: Atom that is measured.
        struck: Atoms that the butterfly turns.
    """

    molecule: Molecule
    saupe: Float[np.ndarray, "3 3"]
    stretch: tuple[int, int]
    probe: int
    struck: tuple[int, ...]

    def __post_init__(self):
        n = len(self.molecule.isotopes)
        for name, atoms in (
            ("stretch", self.stretch),
            ("probe", (self.probe,)),
            ("struck", self.struck),
        ):
            if len(set(atoms)) < len(atoms) or not set(atoms) <= set(range(n)):
                raise ValueError(
                    f"`{name}` must name different atoms of 0 to {n - 1}, but names "
                    f"{', '.join(map(str, atoms)) or 'none'}."
                )
        places = self.molecule.spin_places()
        silent = [k for k in (self.probe, *self.struck) if k not in places]
        if silent or self.probe in self.struck or not self.struck:
            raise ValueError(
                f"`struck` must be spins 1/2 other than the probe {self.probe}, which is one too, but is "
                f"{self.struck}; count atoms from 0."
            )
        beyond = self._beyond()
        cut = [g for g in self.molecule.rotors if len({bool(beyond[k]) for k in g}) > 1]
        if cut:
            raise ValueError(
                f"`stretch` must not pull a group that turns apart, but {self.stretch} cuts {cut[0]}; name atoms whose "
                "midplane passes beside it."
            )

    @property
    def distance(self) -> float:
        """Distance of the two atoms in metres, as the file has it."""
        i, j = self.stretch
        places = np.asarray(self.molecule.positions)
        return float(np.linalg.norm(places[j] - places[i]))

    def at(self, distance: float | int) -> Molecule:
        """The molecule with another distance, in metres, of the two atoms.

        Raises:
            ValueError: If it is no length between 0.5 and 2 times that of the file.
        """
        least, most = 0.5 * self.distance, 2 * self.distance
        check_in_range(distance, "distance", least, most, "m", "Is it in metres?")
        i, j = self.stretch
        places = np.asarray(self.molecule.positions)
        along = (places[j] - places[i]) / self.distance
        shift = (distance - self.distance) * along
        moved = np.where(self._beyond()[:, None], places + shift, places)
        return replace(self.molecule, positions=self.molecule.positions * 0 + moved)

    def average(
        self, distance: float | int, eta_homo: float | int, eta_heter: float | int
    ) -> SpinHamiltonian:
        """The reversible average of TARDIS-2 at a distance in metres, with factors of its own."""
        table = molecule_couplings(self.at(distance), self.saupe)
        return reversible_hamiltonian(
            table, self.spins((self.probe,)), scaling=(float(eta_homo), float(eta_heter))
        )

    def spins(self, atoms: Sequence[int]) -> tuple[int, ...]:
        """Numbers of atoms among the spins of the Hamiltonian."""
        places = self.molecule.spin_places()
        return tuple(places.index(k) for k in atoms)

    def _beyond(self):
        i, j = self.stretch
        places = np.asarray(self.molecule.positions)
        along = places[j] - places[i]
        return (places - (places[i] + places[j]) / 2) @ along > 0


def read_stretched(path: str | Path) -> StretchedMolecule:
    """Reads a molecule and the settings in its comment.

    Raises:
        ValueError: If the file is none (`molecule.read_xyz`), a needed setting is missing, or one makes no sense.
    """
    said = comment_settings(read_comment(path))
    for name, form in _NEEDED.items():
        if name not in said:
            raise ValueError(
                f"`{path}` must say `{name}` in its second line, but does not; add {form} to it."
            )
    left_out = said.get("left_out", "").replace(",", " ").split()
    molecule = read_xyz(path, left_out=left_out)
    groups = methyl_groups(molecule)
    if "rotors" in said:
        groups = [_atoms(word, "rotors", path) for word in said["rotors"].split()]
    check_rotors(tuple(groups), len(molecule.isotopes))
    molecule = replace(molecule, rotors=tuple(groups))
    struck = tuple(k for group in groups for k in group if molecule.isotopes[k] == "1H")
    struck = _atoms(said["struck"], "struck", path) if "struck" in said else struck
    probe = _atoms(said["probe"], "probe", path) if "probe" in said else _rare(molecule, path)
    stretch = _atoms(said["stretch"], "stretch", path)
    for name, atoms, n in (("stretch", stretch, 2), ("probe", probe, 1)):
        if len(atoms) != n:
            raise ValueError(
                f"`{name}` must name {n} atom{'s' * (n > 1)} in {path}, but names {len(atoms)}."
            )
    saupe = _tensor(said["saupe"], path)
    return StretchedMolecule(molecule, saupe, (stretch[0], stretch[1]), probe[0], struck)


def methyl_groups(molecule: Molecule) -> list[tuple[int, ...]]:
    """The three protons of every carbon that has just three neighbours of hydrogen, all protons."""
    places = np.asarray(molecule.positions)
    hydrogens = [k for k, name in enumerate(molecule.isotopes) if name.lstrip("0123456789") == "H"]
    found = []
    for k, name in enumerate(molecule.isotopes):
        if name not in ("12C", "13C"):
            continue
        near = [h for h in hydrogens if np.linalg.norm(places[h] - places[k]) < _BOND]
        if len(near) == 3 and all(molecule.isotopes[h] == "1H" for h in near):
            found.append(tuple(near))
    return found


def _rare(molecule: Molecule, path) -> tuple[int, ...]:
    rare = tuple(k for k in molecule.spin_places() if molecule.isotopes[k] != "1H")
    if len(rare) != 1:
        raise ValueError(
            f"`probe` must be named in the second line of {path}, which holds {len(rare)} spins 1/2 other than 1H; add "
            "probe=ATOM, from 0."
        )
    return rare


def _atoms(text: str, name: str, path) -> tuple[int, ...]:
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"`{name}` must be numbers of atoms from 0 in {path}, but reads {text!r}.")
    return tuple(int(word) for word in words)


def _tensor(text: str, path) -> Float[np.ndarray, "3 3"]:
    try:
        numbers = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        numbers = np.zeros(0)
    if numbers.size not in (3, 9):
        raise ValueError(
            f"`saupe` must be three or nine numbers in {path}, but reads {text!r}; give Sxx Syy Szz."
        )
    tensor = np.diag(numbers) if numbers.size == 3 else numbers.reshape(3, 3)
    check_saupe(tensor)
    return tensor

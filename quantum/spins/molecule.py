"""Molecules for NMR: isotopes, positions in metres, groups that turn, and two built-in geometries.

Gyromagnetic ratios are those of bare nuclei: the proton's from CODATA (`scipy.constants`), the others from the table of
R. K. Harris, E. D. Becker, S. M. Cabral de Menezes, R. Goodfellow, P. Granger, Pure Appl. Chem. 73, 1795 (2001),
DOI 10.1351/pac200173111795. With the 6.728284e7 rad/s/T given there for 13C the constant of two nuclei at 1 A,
mu0 gamma_H gamma_C hbar / (8 pi^2), is 30.211 kHz.

Built in, as differentiable functions of their geometry (z is the long axis, x normal to the ring of the 13C, which is
spin 0 and stands at the origin):
- `toluene`: [4-13C]toluene; H1 at the 13C, H2 and H3 beside it, H4 and H5 beside the methyl group, H6 to H8 in it. The
  ring is stretched between ortho and meta carbons, so that H2-H4 and H3-H5 are `ortho_meta` apart; angles stay.
- `dimethylbiphenyl`: [1-13C]-3',5'-dimethylbiphenyl; H1 to H5 on the ring of the 13C, H6 to H8 on the other one (turned
  by the dihedral angle about z), H9 to H14 in the methyl groups.

Lengths are our estimates: C-C 1.397 and C-H 1.0865 A in the ring, C-CH3 1.51, C-H 1.095. Our choice too: 1.49 A between
the rings, and 110.5 degrees from C-C to C-H in the methyl group, where a tetrahedron would have 109.47; it gives +1883
Hz within a methyl group.

Left out: vibrations, spins above 1/2 (2H, 14N), the bond order of a drawn structure. An XYZ file holds positions only:
which groups turn is up to the caller.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float
from scipy.constants import physical_constants

from quantum._checks import check_array, check_in_range

ANGSTROM = 1e-10
ORTHO_META = 2.4835e-10  # m, our estimate: the regular ring, 1.397 + 1.0865 A
# rad/s/T; zero is a nucleus without spin. Harris et al. (2001), Table 1, but for the proton.
GYROMAGNETIC = {
    "1H": physical_constants["proton gyromag. ratio"][0],
    "12C": 0.0,
    "13C": 6.728284e7,
    "15N": -2.71261804e7,
    "16O": 0.0,
    "19F": 25.18148e7,
    "28Si": 0.0,
    "29Si": -5.3190e7,
    "31P": 10.8394e7,
    "32S": 0.0,
}
# What an element of an XYZ file is taken for: its most abundant isotope. Nitrogen has none with spin 0 or 1/2.
ELEMENTS = {"H": "1H", "C": "12C", "O": "16O", "F": "19F", "Si": "28Si", "P": "31P", "S": "32S"}
_METHYL_ANGLE = math.radians(110.5)
_LENGTHS = (1e-10, 1e-9)  # m, our choice: beyond, no distance of two protons of a ring
_CLOSEST = 0.3e-10  # m, our choice: under half of the 0.74 A of the hydrogen molecule


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Molecule:
    """Nuclei and where they are; a pytree whose only leaf is the positions.

    Attributes:
        positions: Metres, (atoms, 3).
        isotopes: Name of each, such as "13C".
        rotors: Groups of atoms that turn freely together, such as the three protons of a methyl group.
    """

    positions: Float[Array, "atoms 3"]
    isotopes: tuple[str, ...] = field(metadata={"static": True})
    rotors: tuple[tuple[int, ...], ...] = field(default=(), metadata={"static": True})

    @property
    def gyromagnetic(self) -> Float[np.ndarray, " atoms"]:
        """Gyromagnetic ratios in rad/s/T."""
        return np.array([GYROMAGNETIC[name] for name in self.isotopes])

    def spins(self) -> "Molecule":
        """Only the nuclei with spin, protons last, otherwise in their order: what a Hamiltonian is made of."""
        order = sorted(
            np.flatnonzero(self.gyromagnetic).tolist(), key=lambda k: self.isotopes[k] == "1H"
        )
        place = {old: new for new, old in enumerate(order)}
        rotors = tuple(tuple(place[k] for k in group if k in place) for group in self.rotors)
        isotopes = tuple(self.isotopes[k] for k in order)
        return Molecule(self.positions[np.array(order)], isotopes, tuple(g for g in rotors if g))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bonds:
    """Bond lengths in metres and one angle in radians, all differentiable.

    Attributes:
        ring: Carbon to carbon in a ring.
        ring_hydrogen: Carbon of a ring to its hydrogen.
        methyl_hydrogen: Carbon of a methyl group to its hydrogens.
        to_methyl: Carbon of a ring to that of its methyl group.
        between_rings: Between the rings (our choice).
        methyl_angle: Between the bond to the methyl group and those within (our choice).
    """

    ring: float | Float[Array, ""] = 1.397e-10
    ring_hydrogen: float | Float[Array, ""] = 1.0865e-10
    methyl_hydrogen: float | Float[Array, ""] = 1.095e-10
    to_methyl: float | Float[Array, ""] = 1.51e-10
    between_rings: float | Float[Array, ""] = 1.49e-10
    methyl_angle: float | Float[Array, ""] = _METHYL_ANGLE


def make_molecule(
    positions: Float[Array, "atoms 3"] | np.ndarray,
    isotopes: Sequence[str],
    rotors: Sequence[Sequence[int]] = (),
) -> Molecule:
    """Checks and makes a molecule.

    Args:
        positions: Metres.
        isotopes: Isotope ("13C") or element ("C", its most abundant isotope) of each atom.
        rotors: Groups of atoms that turn freely, such as the protons of each methyl group.

    Raises:
        ValueError: If shapes differ, a position is not finite, two atoms overlap, an isotope is unknown, or a rotor
            has fewer than three atoms, shares one with another, or names one that is not there.
    """
    places = np.asarray(positions)
    hint = "x, y and z in metres for each isotope"
    check_array(places, "positions", (len(isotopes), 3), "m", hint)
    check_positions(places)
    groups = tuple(tuple(int(k) for k in group) for group in rotors)
    check_rotors(groups, len(isotopes))
    return Molecule(jnp.asarray(places), tuple(_isotope(name) for name in isotopes), groups)


def check_positions(places: np.ndarray) -> None:
    """Raises ValueError unless positions (m) are (atoms, 3) and finite and no two atoms overlap."""
    check_array(
        places, "positions", ("atoms", 3), "m", "leave out an atom whose place is not known"
    )
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    distances[np.diag_indices(len(places))] = np.inf
    if distances.min(initial=np.inf) < _CLOSEST:
        i, j = np.unravel_index(distances.argmin(), distances.shape)
        raise ValueError(
            f"`positions` must keep atoms at least {_CLOSEST:g} m apart, but atoms {i} and {j} overlap at "
            f"{distances[i, j]:.3g} m; are they in metres?"
        )


def check_rotors(rotors: tuple[tuple[int, ...], ...], n_atoms: int) -> None:
    """Raises ValueError unless groups have three or more atoms that exist, each in one group only."""
    named = [k for group in rotors for k in group]
    if any(not 0 <= k < n_atoms for k in named) or len(set(named)) < len(named):
        raise ValueError(
            f"`rotors` must name each of atoms 0 to {n_atoms - 1} at most once, but are {rotors}."
        )
    if any(len(group) < 3 for group in rotors):
        raise ValueError(
            f"`rotors` must hold three atoms or more each, which fix an axis, but are {rotors}."
        )


def read_xyz(path: str | Path, rotors: Sequence[Sequence[int]] = ()) -> Molecule:
    """Reads an XYZ file: number of atoms, a comment line, then name and x y z in angstrom for each atom.

    Args:
        path: The file; names are elements ("C", its most abundant isotope) or isotopes ("13C").
        rotors: Groups of atoms that turn freely, counted from 0 in the order of the file.

    Raises:
        ValueError: If the file is not there, is truncated, lacks a column, names an unknown isotope, or atoms overlap.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise ValueError(
            f"`path` must be a file that can be read, but {path} is not: {why}; give an XYZ file."
        ) from error
    n = _n_atoms(lines, path)
    names, places = [], []
    for number, line in enumerate(lines[2 : 2 + n], start=3):
        cells = line.split()
        try:
            names.append(cells[0])
            places.append([float(cell) for cell in cells[1:4]])
        except (IndexError, ValueError):
            places.append([])
        if len(places[-1]) < 3:
            raise ValueError(
                f"`{path}` must have a name and three numbers in line {number}, but it reads {line.strip()!r}; "
                "give x, y and z in angstrom."
            )
    return make_molecule(ANGSTROM * np.array(places), names, rotors)


def _n_atoms(lines: list[str], path) -> int:
    first = lines[0].strip() if lines else ""
    if not first.isdecimal() or int(first) < 1:
        raise ValueError(
            f"`{path}` must open with the number of atoms, but its first line reads {first!r}; is it an XYZ file?"
        )
    n = int(first)
    rest = [line for line in lines[2:] if line.strip()]
    if len(rest) != n:
        hint = "is it truncated?" if len(rest) < n else "one molecule a file."
        raise ValueError(
            f"`{path}` must hold the {n} atoms of its first line, but holds {len(rest)}; {hint}"
        )
    return n


def _isotope(name: str) -> str:
    found = ELEMENTS.get(name, name)
    if found not in GYROMAGNETIC:
        known = ", ".join([*GYROMAGNETIC, *ELEMENTS])
        raise ValueError(
            f"`isotopes` must be among {known}, but hold {name!r}; name an isotope of spin 0 or 1/2, spins above 1/2 "
            "are left out."
        )
    return found


def toluene(
    ortho_meta: float | Float[Array, ""] = ORTHO_META, bonds: Bonds | None = None
) -> Molecule:
    """[4-13C]toluene: 13C, H1 to H8, then the six carbons without spin.

    Args:
        ortho_meta: Distance of H2 and H4 in metres, also that of H3 and H5; the ring is pulled apart for it.
        bonds: Bond lengths; those of the module docstring by default.

    Raises:
        ValueError: If the distance is no length of a molecule.
    """
    if not isinstance(ortho_meta, Tracer):
        check_in_range(float(ortho_meta), "ortho_meta", *_LENGTHS, "m", "Is it in metres?")
    bonds = bonds or Bonds()
    carbons, protons = _ring(bonds, ortho_meta - bonds.ring_hydrogen)
    carbon, methyl = _methyl(bonds, carbons[3], _vector(0.0, 0.0, 1.0))
    spins = [carbons[0], protons[0], protons[1], protons[5], protons[2], protons[4], *methyl]
    others = [carbons[k] for k in (1, 5, 2, 4, 3)] + [carbon]
    isotopes = ("13C",) + 8 * ("1H",) + 6 * ("12C",)
    return Molecule(jnp.stack(spins + others), isotopes, ((6, 7, 8),))


def dimethylbiphenyl(dihedral: float | Float[Array, ""], bonds: Bonds | None = None) -> Molecule:
    """[1-13C]-3',5'-dimethylbiphenyl: 13C, H1 to H14, then the thirteen carbons without spin.

    Args:
        dihedral: Angle between the rings in radians.
        bonds: Bond lengths; those of the module docstring by default.

    Raises:
        ValueError: If the angle is not finite.
    """
    check_array(dihedral, "dihedral", (), "rad", "give an angle")
    bonds = bonds or Bonds()
    mirror = jnp.array([1.0, 1.0, -1.0])  # the ring of the 13C hangs down from the origin
    carbons, protons = ([at * mirror for at in ring] for ring in _ring(bonds, bonds.ring))
    c, s = jnp.cos(dihedral), jnp.sin(dihedral)
    turn = jnp.stack([_vector(c, -s, 0.0), _vector(s, c, 0.0), _vector(0.0, 0.0, 1.0)])
    shift = _vector(0.0, 0.0, bonds.between_rings)
    far_carbons, far_protons = ([turn @ at + shift for at in r] for r in _ring(bonds, bonds.ring))
    groups = [
        _methyl(bonds, far_carbons[k], (far_protons[k] - far_carbons[k]) / bonds.ring_hydrogen)
        for k in (2, 4)
    ]
    spins = [carbons[0], *protons[1:], *(far_protons[k] for k in (1, 3, 5))]
    spins += [*groups[0][1], *groups[1][1]]
    others = [*carbons[1:], *far_carbons, groups[0][0], groups[1][0]]
    isotopes = ("13C",) + 14 * ("1H",) + 13 * ("12C",)
    return Molecule(jnp.stack(spins + others), isotopes, ((9, 10, 11), (12, 13, 14)))


def _vector(x, y, z):
    return jnp.stack([jnp.asarray(v, dtype=jnp.result_type(float)) for v in (x, y, z)])


def _ring(bonds: Bonds, stretched):
    """Carbons and hydrogens round a ring up from the carbon at the origin; `stretched` is its length along z."""
    side, half = bonds.ring * math.sqrt(3) / 2, bonds.ring / 2
    heights = (0.0, half, half + stretched, 2 * half + stretched, half + stretched, half)
    carbons = [
        _vector(0.0, y * side, z) for y, z in zip((0, 1, 1, 0, -1, -1), heights, strict=True)
    ]
    angles = np.deg2rad([180, 120, 60, 0, -60, -120])
    outward = [bonds.ring_hydrogen * _vector(0.0, math.sin(a), math.cos(a)) for a in angles]
    return carbons, [at + out for at, out in zip(carbons, outward, strict=True)]


def _methyl(bonds: Bonds, base, out):
    """Carbon and hydrogens of a methyl group on `base`, pointing along `out`, a unit vector not along x."""
    normal = jnp.cross(out, _vector(1.0, 0.0, 0.0))
    first = normal / jnp.linalg.norm(normal)
    second = jnp.cross(out, first)
    carbon = base + bonds.to_methyl * out
    along, across = -jnp.cos(bonds.methyl_angle), jnp.sin(bonds.methyl_angle)
    hydrogens = []
    for k in range(3):
        turned = math.cos(2 * math.pi * k / 3) * first + math.sin(2 * math.pi * k / 3) * second
        hydrogens.append(carbon + bonds.methyl_hydrogen * (along * out + across * turned))
    return carbon, hydrogens

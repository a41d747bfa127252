"""Molecules for NMR: isotopes, positions in metres, groups that turn, and two built-in geometries.

The constant of two nuclei at 1 A, mu0 gamma_H gamma_C hbar / (8 pi^2), is 30.211 kHz with the ratios of `nuclides`.
All atoms stay in a molecule, for they say about which line a group turns; a Hamiltonian is
made of its spins 1/2 (`spins`). Nuclei without spin take no part. One of spin above 1/2 would be wrong as a spin 1/2
and wrong if dropped without a word: `without("14N")` leaves it out by choice, as its fast relaxation may do.

Built in, as differentiable functions of their geometry (z is the long axis, x normal to the ring of the 13C, which is
spin 0 and stands at the origin):
- `toluene`: [4-13C]toluene; H1 at the 13C, H2 and H3 beside it, H4 and H5 beside the methyl group, H6 to H8 in it. The
  ring is stretched between ortho and meta carbons, so that H2-H4 and H3-H5 are `ortho_meta` apart; angles stay.
- `dimethylbiphenyl`: [1-13C]-3',5'-dimethylbiphenyl; H1 to H5 on the ring of the 13C, H6 to H8 on the other one (turned
  by the dihedral angle about z), H9 to H14 in the methyl groups.

Lengths are our estimates: C-C 1.397 and C-H 1.0865 A in the ring, C-CH3 1.51, C-H 1.095. Our choice too: 1.49 A between
the rings, and 110.5 degrees from C-C to C-H in the methyl group, where a tetrahedron would have 109.47; it gives +1883
Hz within a methyl group.

Left out: vibrations, spins above 1/2 (2H, 14N), the bond order of a drawn structure. An XYZ file (`xyz_file`) holds
positions only: which groups turn is up to the caller.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from quantum._checks import check_array, check_in_range
from quantum.spins.nuclides import GYROMAGNETIC, SPINS, above_half, isotope
from quantum.spins.rotors import check_rotors, turning_line
from quantum.spins.xyz_file import read_atoms

ANGSTROM = 1e-10
ORTHO_META = 2.4835e-10  # m, our estimate: the regular ring, 1.397 + 1.0865 A
_METHYL_ANGLE = math.radians(110.5)
_TURNS = (-4 * math.pi, 4 * math.pi)
_BONDS = (0.5e-10, 5e-10)  # m, our choice
_LENGTHS = (1e-10, 1e-9)  # m, our choice: beyond, no distance of two protons of a ring
_CLOSEST = 0.3e-10  # m, our choice: under half of the 0.74 A of the hydrogen molecule
# m, our choice: two protons so far apart couple by 0.1 Hz, and no molecule has such a gap.
_LONELY = 1e-8
# m, and as 1e-3 in radians: what coordinates in angstrom with three decimals are good for.
_SAME_LINE = 1e-13


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Molecule:
    """Nuclei and where they are; a pytree whose only leaf is the positions.

    Attributes:
        positions: Metres, (atoms, 3).
        isotopes: Name of each, such as "13C".
        rotors: Groups of atoms that turn freely together, such as the three protons of a methyl group.
        left_out: Nuclides that take no part although they have spin.
    """

    positions: Float[Array, "atoms 3"]
    isotopes: tuple[str, ...] = field(metadata={"static": True})
    rotors: tuple[tuple[int, ...], ...] = field(default=(), metadata={"static": True})
    left_out: tuple[str, ...] = field(default=(), metadata={"static": True})

    @property
    def gyromagnetic(self) -> Float[np.ndarray, " atoms"]:
        """Gyromagnetic ratios in rad/s/T, 0 for what has no spin or is left out.

        Raises:
            ValueError: If a nucleus has a spin above 1/2 and is not left out.
        """
        self._check_spins()
        return np.array(
            [0.0 if name in self.left_out else GYROMAGNETIC[name] for name in self.isotopes]
        )

    def without(self, *names: str) -> "Molecule":
        """The molecule in which some nuclides, such as "14N" or "D", take no part; their atoms stay where they are.

        Raises:
            ValueError: If there is no such nuclide in it.
        """
        chosen = tuple(isotope(name) for name in names)
        missing = [name for name in chosen if name not in self.isotopes]
        if missing:
            raise ValueError(
                f"`left_out` must name nuclides of the molecule ({', '.join(dict.fromkeys(self.isotopes))}), but names "
                f"{missing[0]}."
            )
        return replace(self, left_out=tuple(dict.fromkeys((*self.left_out, *chosen))))

    def spin_places(self) -> tuple[int, ...]:
        """Atoms whose spins a Hamiltonian is made of: protons last, otherwise in their order.

        Raises:
            ValueError: If there is none, or a nucleus has a spin above 1/2 and is not left out.
        """
        found = np.flatnonzero(self.gyromagnetic).tolist()
        if not found:
            raise ValueError(
                f"`molecule` must hold a nucleus of spin 1/2, but holds {', '.join(dict.fromkeys(self.isotopes))}; "
                'name the isotope, such as "13C".'
            )
        return tuple(sorted(found, key=lambda k: self.isotopes[k] == "1H"))

    def spins(self) -> "Molecule":
        """Only the spins 1/2, in the order of `spin_places`.

        Raises:
            ValueError: As `spin_places`, or if a group that turns would lose atoms that fix its axis.
        """
        order = self.spin_places()
        place = {old: new for new, old in enumerate(order)}
        rotors = []
        for group in self.rotors:
            kept = tuple(k for k in group if k in place)
            if kept:
                self._check_line(group, kept)
                rotors.append(tuple(place[k] for k in kept))
        isotopes = tuple(self.isotopes[k] for k in order)
        return Molecule(self.positions[np.array(order)], isotopes, tuple(rotors))

    def _check_spins(self) -> None:
        wrong = above_half(name for name in self.isotopes if name not in self.left_out)
        if wrong:
            at = [k for k, name in enumerate(self.isotopes) if name == wrong[0]]
            named = ", ".join(f'"{name}"' for name in wrong)
            raise ValueError(
                f"`molecule` must hold spins 1/2 or none, but holds {wrong[0]} of spin {SPINS[wrong[0]]:g} at "
                f"{', '.join(map(str, at[:4]))}{', ...' * (len(at) > 4)}; leave it out by choice: "
                f"molecule.without({named})."
            )

    def _check_line(self, group, kept) -> None:
        """Raises ValueError if the atoms that stay show another line than all of the group."""
        if len(kept) == len(group) or isinstance(self.positions, Tracer):
            return
        same = len(kept) >= 3
        if same:
            lines = [turning_line(self.positions[np.array(k)] / ANGSTROM) for k in (group, kept)]
            (centre, axis), (other, own) = (map(np.asarray, line) for line in lines)
            off = np.cross(axis, other - centre) * ANGSTROM
            same = (
                max(np.abs(off).max(), np.abs(np.cross(axis, own)).max() * ANGSTROM) <= _SAME_LINE
            )
        if not same:
            raise ValueError(
                f"`rotors` must keep their axis, but {group} loses atoms without a spin 1/2 that fix it; take the "
                "couplings of the whole molecule."
            )


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

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, float | int) and each.name == "methyl_angle":
                check_in_range(value, each.name, math.pi / 2, math.pi, "rad", "Is it in radians?")
            elif isinstance(value, float | int):
                check_in_range(value, each.name, *_BONDS, "m", "Is it in metres?")


def make_molecule(
    positions: Float[Array, "atoms 3"] | np.ndarray,
    isotopes: Sequence[str],
    rotors: Sequence[Sequence[int]] = (),
    *,
    left_out: Sequence[str] = (),
) -> Molecule:
    """Checks and makes a molecule.

    Args:
        positions: Metres.
        isotopes: Isotope ("13C") or element ("C", its most abundant isotope) of each atom, as `nuclides.isotope`
            reads it.
        rotors: Groups of atoms that turn freely, such as the protons of each methyl group, with or without its carbon.
        left_out: Nuclides that take no part although they have spin, such as "14N".

    Raises:
        ValueError: If shapes differ, a position is not finite, two atoms overlap or one is far from all others, an
            isotope is unknown, or a rotor has fewer than three atoms, shares an atom with another, or
            names one that is not there.
    """
    places = np.asarray(positions)
    hint = "x, y and z in metres for each isotope"
    check_array(places, "positions", (len(isotopes), 3), "m", hint)
    check_positions(places)
    groups = tuple(tuple(int(k) for k in group) for group in rotors)
    check_rotors(groups, len(isotopes))
    found = Molecule(jnp.asarray(places), tuple(isotope(name) for name in isotopes), groups)
    return found.without(*left_out)


def check_positions(places: np.ndarray) -> None:
    """Raises ValueError unless positions (m) are (atoms, 3), finite, and no two atoms overlap and none is far off."""
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
    nearest = distances.min(axis=1, initial=np.inf)
    if len(places) > 1 and nearest.max() > _LONELY:
        k = int(nearest.argmax())
        raise ValueError(
            f"`positions` must keep each atom within {_LONELY:g} m of another, but atom {k} is {nearest[k]:.3g} m from "
            "all others; are they in angstrom? Did you mean 1e-10 times these?"
        )


def read_xyz(
    path: str | Path,
    rotors: Sequence[Sequence[int]] = (),
    *,
    left_out: Sequence[str] = (),
    units: str | None = None,
    frame: int | None = None,
) -> Molecule:
    """Reads an XYZ file in the forms that `xyz_file` lists.

    Args:
        path: The file; names are elements ("C", its most abundant isotope) or isotopes ("13C").
        rotors: Groups of atoms that turn freely, counted from 0 in the order of the file.
        left_out: Nuclides that take no part although they have spin, such as "14N".
        units: "angstrom", "bohr" or "nm"; by default what the file says, angstrom where it says nothing.
        frame: Which of several molecules in one file, from 0; they are refused by default.

    Raises:
        ValueError: If the file is not there, is truncated, lacks a column, names an unknown isotope or unit, or atoms
            overlap.
    """
    names, places = read_atoms(path, units=units, frame=frame)
    return make_molecule(places, names, rotors, left_out=left_out)


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
        ValueError: If the angle is not finite or beyond two turns.
    """
    check_array(dihedral, "dihedral", (), "rad", "give an angle")
    if not isinstance(dihedral, Tracer):
        check_in_range(float(dihedral), "dihedral", *_TURNS, "rad", "Is it in radians?")
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

"""The echo as a ruler: from one distance or angle of a molecule over dipolar couplings to the echo of its probe.

    H / (2 pi hbar) = eta_homo sum D_ij F_ij + eta_heter sum 2 D_0j I_z S_z,   F = IyIy - IxIx or IxIy + IyIx
    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2] = Re Tr[W_+ W_-^dag] / 2^protons

Geometries are those of `quantum.spins.molecule`, couplings those of `quantum.spins.dipolar`, average Hamiltonians,
sectors W_+- and the butterfly those of `quantum.nmr.average_hamiltonian`; sources and conventions stand there. What is
here: both molecules as families of one number with names for their spins, and `probe_echo`, which does as `nmr.echo`
in real arithmetic, since

    xy + yx turned by 45 degrees about z is xx - yy,

so that with the axis of the butterfly turned alike both forms have real matrices: 1.7 times faster than complex ones
for nine protons. It needs no compilation for another number of spins or times and goes one proton further, but knows no
derivatives and no higher orders; Hamiltonians of other forms go through complex matrices.

Molecules (spin 0 is 13C, then protons):
- toluene, 8 protons: para H, H2/H3 (beside the probe), H4/H5 (beside the methyl carbon), methyl. Its distance r_om
  between H2 and H4 is stretched by pulling the ring apart between ortho and meta carbons.
- 3',5'-dimethylbiphenyl, 14 protons: the dihedral angle between its rings.

Left out: J couplings, offsets (averaged away by the cycles), couplings beyond the average Hamiltonian, vibrations.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from quantum._checks import check_array, check_choice, check_in_range
from quantum.nmr import average_hamiltonian
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.spins import molecule
from quantum.spins.dipolar import DIMETHYLBIPHENYL_SAUPE, TOLUENE_SAUPE, molecule_couplings
from quantum.spins.hamiltonian import SpinHamiltonian
from quantum.spins.molecule import ANGSTROM, Molecule

__all__ = [
    "ANGSTROM",
    "DIMETHYLBIPHENYL_LABELS",
    "Ruler",
    "dimethylbiphenyl",
    "double_quantum",
    "probe_echo",
    "toluene",
]
DIMETHYLBIPHENYL_LABELS = (
    "C", "H2", "H3", "H4", "H5", "H6", "H2'", "H4'", "H6'", *(f"M{k}" for k in range(6))
)  # fmt: skip
_MOST_PROTONS = 11
_ROUNDING = 1e-12  # imaginary parts below this share of a matrix come from turning it
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


def toluene(ortho_meta: float | int) -> Ruler:
    """[4-13C]toluene with a distance between ortho and meta protons.

    Args:
        ortho_meta: r_om in metres.

    Raises:
        ValueError: If the distance is not between 2 and 3.5 angstrom.
    """
    check_in_range(ortho_meta, "ortho_meta", 2e-10, 3.5e-10, "m", "Is it in metres?")
    labels = ("C", "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8")
    return Ruler(molecule.toluene(float(ortho_meta)).spins(), TOLUENE_SAUPE, labels)


def dimethylbiphenyl(dihedral: float | int) -> Ruler:
    """[1-13C]-3',5'-dimethylbiphenyl at a dihedral angle in radians: 5 + 3 ring protons, then two methyl groups.

    Raises:
        ValueError: If the angle is not finite.
    """
    check_in_range(dihedral, "dihedral", -1e3, 1e3, "rad")
    spins = molecule.dimethylbiphenyl(float(dihedral)).spins()
    return Ruler(spins, DIMETHYLBIPHENYL_SAUPE, DIMETHYLBIPHENYL_LABELS)


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
    return average_hamiltonian.average_hamiltonian(
        couplings_hz, variant=_VARIANTS[form], scaling=scaling
    )


def probe_echo(
    hamiltonian: SpinHamiltonian,
    struck: tuple[int, ...],
    angle: float | int,
    times: Float[np.ndarray, " times"],
    axis: Float[np.ndarray, " 3"] = BLEW_12_AXIS,
) -> Float[np.ndarray, " times"]:
    """C(t) of spin 0, exact, from the two blocks of its S_z.

    Args:
        hamiltonian: Hamiltonian in which spin 0 appears as S_z only.
        struck: Spins that the butterfly turns.
        angle: Butterfly angle theta in radians.
        times: Times of the forward evolution in seconds, not negative.
        axis: Axis of the butterfly, of length one.

    Raises:
        ValueError: If there are more than 11 protons, S_x or S_y appears, the probe is struck, a time is
            negative, the angle not finite, or the axis not of length one.
    """
    _check_echo(hamiltonian, struck, angle, times, axis)
    hamiltonian, axis = _real_frame(hamiltonian, axis)
    n = hamiltonian.n_spins - 1
    turn = np.asarray(average_hamiltonian.butterfly(n, [k - 1 for k in struck], float(angle), axis))
    blocks = []
    for sign in (0.5, -0.5):
        matrix = np.asarray(average_hamiltonian.sector(hamiltonian, sign))
        real = np.abs(np.imag(matrix)).max() <= _ROUNDING * np.abs(matrix).max()
        energies, states = np.linalg.eigh(np.real(matrix) if real else matrix)
        blocks.append((energies, states, states.conj().T @ turn @ states))
    (up, up_states, up_turn), (down, down_states, down_turn) = blocks
    between = up_states.conj().T @ down_states
    found = []
    for time in times:
        phase, other = np.exp(-1j * up * time), np.exp(-1j * down * time)
        first = phase.conj()[:, None] * up_turn * phase
        second = other.conj()[:, None] * down_turn * other
        found.append(np.vdot(_times(between, second), _times(between.T, first.T).T))
    return np.real(found) / len(up)


def _real_frame(hamiltonian: SpinHamiltonian, axis):
    """Turns all spins and the axis by 45 degrees about z where x and y are coupled: a z axis keeps the echo."""
    tensor = np.asarray(hamiltonian.couplings)
    if not np.any(tensor[..., 0, 1]):
        return hamiltonian, np.asarray(axis)
    half = math.sqrt(0.5)
    turn = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]])
    return hamiltonian.rotated(np.stack([turn] * len(tensor))), turn @ np.asarray(axis)


def _times(left, right):
    """A matrix product that uses a real left factor; one that is real on the right is given transposed."""
    if np.iscomplexobj(left):
        return left @ right
    return left @ np.real(right) + 1j * (left @ np.imag(right))


def _check_echo(hamiltonian: SpinHamiltonian, struck, angle, times, axis) -> None:
    n = hamiltonian.n_spins
    rows, field = np.asarray(hamiltonian.couplings)[0], np.asarray(hamiltonian.fields)[0]
    if not 2 <= n <= _MOST_PROTONS + 1:
        raise ValueError(
            f"`hamiltonian` must have 1 to {_MOST_PROTONS} protons and a probe, but has {n} spins."
        )
    if np.any(rows[:, :2]) or np.any(field[:2]):
        raise ValueError("`hamiltonian` must keep S_z of spin 0, but holds S_x or S_y of it.")
    if not set(struck) <= set(range(1, n)):
        raise ValueError(f"`struck` must be protons 1 to {n - 1}, but is {tuple(struck)}.")
    average_hamiltonian.check_times(times)
    average_hamiltonian.check_axis(axis)
    check_array(angle, "angle", (), "rad", "give an angle")

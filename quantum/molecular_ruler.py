"""The echo as a ruler: from one distance or angle of a molecule over dipolar couplings to the echo of its probe.

    D_ij = -mu0 gamma_i gamma_j hbar / (8 pi^2 r^3) u^T S u                                                   [Hz]
    H / (2 pi hbar) = eta_homo sum D_ij F_ij + eta_heter sum 2 D_0j I_z S_z,   F = IyIy - IxIx or IxIy + IyIx
    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2],   W = U^dag V U,   V = exp(-i theta n . sum_struck I)

with the Saupe tensor S, the unit vector u of the pair, averages over turning methyl groups, and n = (0, 2, 1) / sqrt(5)
of BLEW-12. H keeps S_z of the probe, so U has a block for each of its states and C(t) = Re Tr[W_+ W_-^dag] / 2^protons:
half the spins' states, exact.

Molecules (spin 0 is 13C, then protons; z is the long axis, x normal to the ring of the probe):
- toluene, 8 protons: para H, H2/H3 (beside the probe), H4/H5 (beside the methyl carbon), methyl. Its distance r_om
  between H2 and H4 is stretched by pulling the ring apart between ortho and meta carbons. S of the fact sheet 13.2.
- 3',5'-dimethylbiphenyl, up to 14 protons: the dihedral angle between its rings. Its order tensor is not in the sheet:
  uniaxial with S_zz = 0.4 is our choice, and so is the length of the bond between the rings (1.49 A).
Other lengths are those of the sheet's geometry (ring C-C 1.397, C-H 1.0865, methyl C-H 1.095, C-CH3 1.51 A), angles of
the ring 120 degrees and of the methyl group tetrahedral.

Left out: J couplings, offsets (averaged away by the cycles), couplings beyond the average Hamiltonian, vibrations.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float
from scipy.constants import hbar, mu_0, physical_constants

from quantum._checks import check_choice, check_in_range
from quantum.dipolar_sequences import BLEW_12_AXIS
from quantum.spin_hamiltonian import PAULIS, SpinHamiltonian, dense, make_hamiltonian

ANGSTROM = 1e-10
_GAMMA_H = physical_constants["proton gyromag. ratio"][0]
_GAMMA_C = 6.728284e7  # rad/s/T, 13C; fact sheet 13.2 has 6.7283e7
_RING, _RING_H, _METHYL_H, _TO_METHYL = 1.397, 1.0865, 1.095, 1.51  # A, fact sheet 13.2
_BETWEEN_RINGS = 1.49  # A, our choice
_TOLUENE_SAUPE = np.diag([-0.1582, -0.0176, 0.1758])  # fact sheet 13.2
_BIPHENYL_SAUPE = 0.4 * np.diag([-0.5, -0.5, 1.0])  # our choice
_ROTOR_STEPS = 12  # exact for pairs in a methyl group from 3, far below noise for others
_MOST_PROTONS = 11
FORMS = {"yy-xx": np.diag([-1.0, 1.0, 0.0]), "xy+yx": np.eye(3)[[1, 0, 2]] * [1, 1, 0]}


@dataclass(frozen=True, eq=False)
class Ruler:
    """A molecule at one geometry.

    Attributes:
        images: Positions in angstrom over the turn of the methyl groups, (spins, steps, 3).
        rotor: Methyl group of each spin, -1 for none.
        saupe: Order tensor.
        labels: Name of each spin.
    """

    images: Float[np.ndarray, "spins steps 3"]
    rotor: np.ndarray
    saupe: Float[np.ndarray, "3 3"]
    labels: tuple[str, ...]

    def struck(self) -> tuple[int, ...]:
        """Spins that the butterfly turns: all methyl protons."""
        return tuple(int(k) for k in np.flatnonzero(self.rotor >= 0))

    def couplings_hz(self) -> Float[np.ndarray, "spins spins"]:
        """D_ij in Hz, averaged over the methyl turns, zero on the diagonal."""
        n = len(self.images)
        found = np.zeros((n, n))
        gamma = np.full(n, _GAMMA_H)
        gamma[0] = _GAMMA_C
        for i in range(n):
            for j in range(i):
                together = self.rotor[i] == self.rotor[j]
                other = self.images[j] if together else self.images[j][:, None]
                found[i, j] = found[j, i] = gamma[i] * gamma[j] * self._mean(self.images[i] - other)
        return -mu_0 * hbar / (8 * math.pi**2 * ANGSTROM**3) * found

    def _mean(self, vectors) -> float:
        square = np.sum(vectors**2, axis=-1)
        projected = np.einsum("...a,ab,...b->...", vectors, self.saupe, vectors)
        return float(np.mean(projected / square**2.5))


def toluene(ortho_meta: float | int) -> Ruler:
    """[4-13C]toluene with a distance between ortho and meta protons.

    Args:
        ortho_meta: r_om in metres.

    Raises:
        ValueError: If the distance is not between 2 and 3.5 angstrom.
    """
    check_in_range(ortho_meta, "ortho_meta", 2e-10, 3.5e-10, "m", "Is it in metres?")
    stretched = ortho_meta / ANGSTROM - _RING_H
    carbons, protons = _ring(stretched)
    spots = [carbons[0], protons[0], protons[1], protons[5], protons[2], protons[4]]
    labels = ("C", "H1", "H2", "H3", "H4", "H5", "H6", "H7", "H8")
    return _assemble(spots, [(carbons[3], np.array([0.0, 0.0, 1.0]))], _TOLUENE_SAUPE, labels)


def dimethylbiphenyl(dihedral: float | int) -> Ruler:
    """[1-13C]-3',5'-dimethylbiphenyl at a dihedral angle in radians: 5 + 3 ring protons, then two methyl groups.

    Raises:
        ValueError: If the angle is not finite.
    """
    check_in_range(dihedral, "dihedral", -1e3, 1e3, "rad")
    carbons, protons = _ring(_RING)
    carbons, protons = carbons * [1, 1, -1], protons * [1, 1, -1]
    far_carbons, far_protons = _ring(_RING)
    c, s = math.cos(dihedral), math.sin(dihedral)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    shift = np.array([0, 0, _BETWEEN_RINGS])
    far_carbons, far_protons = far_carbons @ turn.T + shift, far_protons @ turn.T + shift
    spots = [carbons[0], *protons[1:], far_protons[1], far_protons[3], far_protons[5]]
    out = [(far_carbons[k], (far_protons[k] - far_carbons[k]) / _RING_H) for k in (2, 4)]
    labels = ("C", "H2", "H3", "H4", "H5", "H6", "H2'", "H4'", "H6'", *(f"M{k}" for k in range(6)))
    return _assemble(spots, out, _BIPHENYL_SAUPE, labels)


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
    check_choice(form, "form", FORMS)
    tensor = 2 * math.pi * eta_homo * couplings_hz[:, :, None, None] * FORMS[form]
    tensor[0] = tensor[:, 0] = 0
    tensor[0, :, 2, 2] = tensor[:, 0, 2, 2] = 4 * math.pi * eta_heter * couplings_hz[0]
    return make_hamiltonian(tensor)


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
        ValueError: If there are more than 11 protons, S_x or S_y appears, the probe is struck, or a time is negative.
    """
    tensor, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    _check_echo(tensor, fields, struck, times)
    turn = _butterfly(len(tensor) - 1, [k - 1 for k in struck], angle, axis)
    blocks = []
    for sign in (0.5, -0.5):
        protons = make_hamiltonian(tensor[1:, 1:], fields[1:] + sign * tensor[0, 1:, 2])
        energies, states = np.linalg.eigh(dense(protons))
        blocks.append((energies, states, states.conj().T @ turn @ states))
    (up, up_states, up_turn), (down, down_states, down_turn) = blocks
    between = up_states.conj().T @ down_states
    found = []
    for time in times:
        phase, other = np.exp(-1j * up * time), np.exp(-1j * down * time)
        first = phase.conj()[:, None] * up_turn * phase
        second = other.conj()[:, None] * down_turn * other
        found.append(np.vdot(between @ second, first @ between).real / len(up))
    return np.array(found)


def _butterfly(n: int, struck, angle, axis) -> Complex[np.ndarray, "states states"]:
    generator = np.tensordot(axis, PAULIS, 1)
    one = math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * generator
    total = np.eye(1, dtype=complex)
    for k in range(n):
        total = np.kron(total, one if k in struck else np.eye(2))
    return total


def _check_echo(tensor, fields, struck, times) -> None:
    n = len(tensor)
    if not 2 <= n <= _MOST_PROTONS + 1:
        raise ValueError(
            f"`hamiltonian` must have 1 to {_MOST_PROTONS} protons and a probe, but has {n} spins."
        )
    if np.any(tensor[0, :, :2]) or np.any(fields[0, :2]):
        raise ValueError("`hamiltonian` must keep S_z of spin 0, but holds S_x or S_y of it.")
    if not set(struck) <= set(range(1, n)):
        raise ValueError(f"`struck` must be protons 1 to {n - 1}, but is {tuple(struck)}.")
    if not (np.isfinite(times).all() and np.min(times, initial=0) >= 0):
        raise ValueError(f"`times` must not be negative, but the least is {np.min(times):g} s.")


def _ring(stretched: float):
    """Carbons and protons (A) round a ring from the carbon at the origin up the z axis; one pair of bonds stretched."""
    side, half = _RING * math.sqrt(3) / 2, _RING / 2
    carbons = np.array(
        [
            [0, 0, 0],
            [0, side, half],
            [0, side, half + stretched],
            [0, 0, 2 * half + stretched],
            [0, -side, half + stretched],
            [0, -side, half],
        ]
    )
    angles = np.deg2rad([180, 120, 60, 0, -60, -120])
    outward = np.stack([0 * angles, np.sin(angles), np.cos(angles)], axis=1)
    return carbons, carbons + _RING_H * outward


def _assemble(spots, methyl_bases, saupe, labels) -> Ruler:
    """Fixed spins, then the three protons of every methyl group on its carbon, turning."""
    images = [np.tile(spot, (_ROTOR_STEPS, 1)) for spot in spots]
    rotor = [-1] * len(spots)
    turn = 2 * math.pi * np.arange(_ROTOR_STEPS) / _ROTOR_STEPS
    for group, (base, out) in enumerate(methyl_bases):
        normal = np.array([1.0, 0.0, 0.0]) if abs(out[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
        first = np.cross(out, normal) / np.linalg.norm(np.cross(out, normal))
        second = np.cross(out, first)
        centre = base + (_TO_METHYL + _METHYL_H / 3) * out  # tetrahedral: cos = -1/3
        radius = _METHYL_H * math.sqrt(8) / 3
        for k in range(3):
            angle = turn + 2 * math.pi * k / 3
            circle = np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)
            images.append(centre + radius * circle)
            rotor.append(group)
    return Ruler(np.array(images), np.array(rotor), saupe, labels)

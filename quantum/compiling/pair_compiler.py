"""Two-qubit unitaries as gates of a chip: the canonical form of any of them, and fSim or CZ that make it.

    U = exp(i phase) (A_1 x A_2) exp(i (a XX + b YY + c ZZ)) (B_1 x B_2),     pi/4 >= a >= b >= |c|

A and B are turns of one qubit. In the basis of Bell states ("magic") turns of both qubits are real orthogonal matrices
and the middle is diagonal, so U^T U there is diagonalised by a real matrix, which gives B, and then A. Pauli matrices
on both qubits commute with the middle, swaps of axes and signs of two coordinates are turns: they bring any (a, b, c)
into the chamber above. What a step of a swap network looks like: with the singular values d of T (proper rotations on
both sides), exp(-i I_1 . T . I_2 t) SWAP is (a, b, c) = pi/4 - d t / 4 before it is brought there.

- fsim(theta, phi) is (-theta/2, -theta/2, -phi/4) up to turns about z. One makes every U with a = b or b = |c|: all
  secular NMR couplings fused with a swap, double-quantum (YY - XX or XY + YX), Ising (ZZ) and dipolar alike. Any other
  takes two, (a, a, c) + (0, b - a, 0), the second a controlled phase (our choice among (a - r, a - r, c - r) +
  (r, b - a + r, r)).
- CZ: three for any U (Vatan and Williams), two where c = 0, one for (pi/4, 0, 0), none for turns.

Sources: J. Zhang, J. Vala, S. Sastry, K. B. Whaley, Phys. Rev. A 67, 042313 (2003), DOI 10.1103/PhysRevA.67.042313
(canonical form, chamber); F. Vatan, C. Williams, Phys. Rev. A 69, 032315 (2004), DOI 10.1103/PhysRevA.69.032315 (three
CZ); B. Foxen et al., Phys. Rev. Lett. 125, 120504 (2020), DOI 10.1103/PhysRevLett.125.120504 (fsim). Everything is
equal up to a global phase. Left out: gates that keep |00> and |11> free of turns, approximate synthesis with fewer
gates.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from quantum._checks import check_choice
from quantum.circuits.gates import Gate, fsim, matrix_gate
from quantum.circuits.tolerance import EXACT, nearest_unitary, precision_of
from quantum.spins.hamiltonian import PAULIS

NATIVE = ("fsim", "cz")
_MAGIC = np.array([[1, 0, 0, 1j], [0, 1j, 1, 0], [0, 1j, -1, 0], [1, 0, 0, -1j]]) / math.sqrt(2)
_XX, _YY, _ZZ = (np.kron(p, p) for p in PAULIS)
# Diagonals of XX, YY and ZZ in the magic basis.
_SIGNS = np.stack([np.real(np.diag(_MAGIC.conj().T @ p @ _MAGIC)) for p in (_XX, _YY, _ZZ)])
# Quarter turns about x, y, z: each swaps the two other axes (one with a sign).
_QUARTERS = tuple((np.eye(2) - 1j * p) / math.sqrt(2) for p in PAULIS)
_MIXES = np.linspace(
    0.1, 3.0, 7
)  # angles of the combinations that are diagonalised; none is special

Part = Gate | tuple[Any, Any]  # a gate, or 2 x 2 matrices for both qubits


@dataclass(frozen=True)
class Canonical:
    """U = exp(i phase) (A_1 x A_2) exp(i (a XX + b YY + c ZZ)) (B_1 x B_2).

    Attributes:
        before: B_1 and B_2, (2, 2, 2).
        after: A_1 and A_2, (2, 2, 2).
        coordinates: a, b, c in radians, in the chamber pi/4 >= a >= b >= |c|.
        phase: In radians.
    """

    before: Complex[np.ndarray, "2 2 2"]
    after: Complex[np.ndarray, "2 2 2"]
    coordinates: Float[np.ndarray, " 3"]
    phase: float

    def matrix(self) -> Complex[np.ndarray, "4 4"]:
        """U."""
        middle = interaction(*self.coordinates)
        return np.exp(1j * self.phase) * np.kron(*self.after) @ middle @ np.kron(*self.before)


def interaction(a: float | int, b: float | int, c: float | int) -> Complex[np.ndarray, "4 4"]:
    """exp(i (a XX + b YY + c ZZ)), angles in rad."""
    return (_MAGIC * np.exp(1j * (np.array([a, b, c]) @ _SIGNS))) @ _MAGIC.conj().T


def canonical(matrix: np.ndarray) -> Canonical:
    """Canonical form of a two-qubit unitary.

    Args:
        matrix: U, (4, 4); the first qubit is the more significant bit.

    Raises:
        ValueError: If the matrix is not 4 x 4 and unitary.
    """
    if np.shape(matrix) != (4, 4):
        raise ValueError(f"`matrix` must be (4, 4), but its shape is {np.shape(matrix)}.")
    # A matrix in single precision is unitary to 1e-7 alone; U^T U of the nearest one is diagonalised exactly.
    unitary = nearest_unitary(matrix_gate(matrix).matrix())
    left, phases, right = _magic_form(_MAGIC.conj().T @ unitary @ _MAGIC)
    after, before = (_turns(_MAGIC @ real @ _MAGIC.conj().T) for real in (left, right))
    point = _into_chamber(_SIGNS @ phases / 4, before, after, precision_of(matrix))
    found = Canonical(before, after, point, 0.0)
    return Canonical(before, after, point, float(np.angle(np.vdot(found.matrix(), unitary))))


def coordinates(matrix: np.ndarray) -> Float[np.ndarray, " 3"]:
    """(a, b, c) of a two-qubit unitary in the chamber; equal ones differ by turns of single qubits only.

    On the face a = pi/4 the points with c and -c are the same; the one with c >= 0 is given.

    Raises:
        ValueError: If the matrix is not 4 x 4 and unitary.
    """
    return canonical(matrix).coordinates


def gate_count(matrix: np.ndarray, native: str = "fsim") -> int:
    """Two-qubit gates that `pair_gates` needs.

    Raises:
        ValueError: If the native gate is unknown or the matrix is not 4 x 4 and unitary.
    """
    return sum(isinstance(part, Gate) for part in pair_gates(matrix, native))


def pair_gates(matrix: np.ndarray, native: str = "fsim") -> tuple[Part, ...]:
    """Native gates and turns between them, in time order, that make a two-qubit unitary up to a global phase.

    Args:
        matrix: The unitary, (4, 4).
        native: "fsim" (0 to 2 of any angles) or "cz" (0 to 3).

    Returns:
        Two-qubit gates, and pairs of 2 x 2 matrices for both qubits. The first and last are such pairs.

    Raises:
        ValueError: If the native gate is unknown or the matrix is not 4 x 4 and unitary.
    """
    check_choice(native, "native", NATIVE)
    form = canonical(matrix)
    same = precision_of(matrix)
    a, b, c = form.coordinates
    middle = (_fsim_parts if native == "fsim" else _cz_parts)(a, b, c, same)
    return _merged([(form.before[0], form.before[1]), *middle, (form.after[0], form.after[1])])


def _magic_form(matrix):
    """L diag(exp(i phases)) R with L, R real, orthogonal and of determinant 1."""
    square = matrix.T @ matrix  # symmetric and unitary: real and imaginary part commute
    least, vectors = np.inf, np.eye(4)
    for mix in _MIXES:  # what is degenerate in one combination need not be so in the next
        _, tried = np.linalg.eigh(math.cos(mix) * square.real + math.sin(mix) * square.imag)
        rotated = tried.T @ square @ tried
        error = np.abs(rotated - np.diag(np.diag(rotated))).max()
        if error < least:
            least, vectors = error, tried
    vectors[:, 0] *= np.linalg.det(vectors).round()
    phases = np.angle(np.diag(vectors.T @ square @ vectors)) / 2
    left = (matrix @ (vectors * np.exp(-1j * phases))).real
    if np.linalg.det(left) < 0:
        left[:, 0] *= -1
        phases[0] += math.pi
    return left, phases, vectors.T


def _turns(product):
    """Both factors of A_1 x A_2, unitary."""
    flat = product.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    left, _, right = np.linalg.svd(flat)
    first, second = (math.sqrt(2) * v.reshape(2, 2) for v in (left[:, 0], right[0]))
    return np.stack([m / np.sqrt(np.linalg.det(m)) for m in (first, second)])  # up to a sign


def _into_chamber(point, before, after, same: float = EXACT):
    """Coordinates moved into the chamber; the turns `before` and `after` change with them, in place.

    Angles closer than `same` rad count as equal, here and below.
    """
    point = point.copy()

    def shift(axis: int, quarters: int) -> None:
        point[axis] -= quarters * math.pi / 2
        if quarters % 2:
            after[:] = after @ PAULIS[axis]

    def swap(one: int, other: int) -> None:
        quarter = _QUARTERS[3 - one - other]
        point[[one, other]] = point[[other, one]]
        before[:], after[:] = quarter @ before, after @ quarter.conj().T

    def flip(one: int, other: int) -> None:
        pauli = PAULIS[3 - one - other]
        point[[one, other]] *= -1
        before[0], after[0] = pauli @ before[0], after[0] @ pauli

    for axis in range(3):
        shift(axis, round(point[axis] / (math.pi / 2)))
    for one, other in ((0, 1), (1, 2), (0, 1)):
        if abs(point[one]) < abs(point[other]):
            swap(one, other)
    for axis in (0, 1):
        if point[axis] < 0:
            flip(axis, 2)
    if point[0] > math.pi / 4 - same and point[2] < 0:
        shift(0, 1)
        flip(0, 2)
    return point


def _fsim_parts(a: float, b: float, c: float, same: float) -> list[Part]:
    if a < same:
        return []
    if a - b < same:
        return _one_fsim((a + b) / 2, c)
    if b - abs(c) < same:  # (b, b, +-a) with the axes x and z swapped
        middle = _one_fsim((b + abs(c)) / 2, a if c >= 0 else -a)
        quarter = _QUARTERS[1]
        side = np.eye(2) if c >= 0 else PAULIS[1]
        into, out = (side @ quarter, quarter), (quarter.conj().T @ side, quarter.conj().T)
        return [into, *middle, out]
    quarter = _QUARTERS[0]
    back = quarter.conj().T
    return [*_one_fsim(a, c), (quarter, quarter), *_one_fsim(0.0, b - a), (back, back)]


def _one_fsim(a: float, c: float) -> list[Part]:
    """exp(i (a XX + a YY + c ZZ)): fsim leaves the phase of |11>, of which a quarter is ZZ and the rest turns."""
    turn = np.diag(np.exp([1j * c, -1j * c]))
    return [fsim(-2 * a, -4 * c), (turn, turn)]


def _cz_parts(a: float, b: float, c: float, same: float) -> list[Part]:
    cz = Gate("cz")
    one: Any = np.eye(2)
    if a < same:
        return []
    if math.pi / 4 - a < same and b < same:
        quarter, turn = _QUARTERS[1], np.diag(np.exp([0.25j * math.pi, -0.25j * math.pi]))
        back = quarter.conj().T
        return [(quarter, quarter), cz, (back @ turn, back @ turn)]
    not_, x, z = (one, Gate("h").matrix()), PAULIS[0], PAULIS[2]
    if abs(c) < same:  # XX and ZZ are X and Z of one qubit each between two CNOT
        quarter = _QUARTERS[0]
        back = quarter.conj().T
        turn = (_turn(x, -2 * a), _turn(z, -2 * b))
        return [(quarter, quarter), not_, cz, not_, turn, not_, cz, not_, (back, back)]
    # S_2^dagger CNOT_21 R_y(pi/2 - 2a) CNOT_12 (R_z(pi/2 - 2c) x R_y(2b - pi/2)) CNOT_21 S_1: SWAP at zero angles,
    # and each turn moves through the CNOT behind it to a coordinate.
    ton_, phase = (not_[1], not_[0]), Gate("s").matrix()
    first = (_turn(z, math.pi / 2 - 2 * c), _turn(PAULIS[1], 2 * b - math.pi / 2))
    second = (one, _turn(PAULIS[1], math.pi / 2 - 2 * a))
    there, back = (phase, one), (one, phase.conj())
    return [there, ton_, cz, ton_, first, not_, cz, not_, second, ton_, cz, ton_, back]


def _turn(pauli, angle: float):
    return math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * pauli


def _merged(parts: list[Part]) -> tuple[Part, ...]:
    """Turns that follow each other multiplied out."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, tuple) and isinstance(last, tuple):
            found[-1] = (part[0] @ last[0], part[1] @ last[1])
        else:
            found.append(part)
    return tuple(found)

"""The gate set, as matrices with exact inverses.

    phased_x(theta, phi) = exp[-i (theta/2) (cos phi X + sin phi Y)]
    rz(theta) = exp(-i theta Z / 2)
    fsim(theta, phi) = [[1, 0, 0, 0], [0, cos theta, -i sin theta, 0], [0, -i sin theta, cos theta, 0],
                        [0, 0, 0, exp(-i phi)]]
    iswap_like(phi) = fsim(pi/2, phi), CZ = fsim(0, pi)

Two more do nothing to a state and say something of time: `wait` for some seconds, and `align`, which holds a qubit
until all others that are aligned in the same moment are free. What is virtual is said in `played`.

The two-qubit gate of the echo experiment is an iSWAP followed by a controlled phase of about 0.35 rad; we fix it as
fsim(pi/2, pi/9), which is `cirq_google.WILLOW`. Mind the sign: this fsim has -i off the diagonal, `cirq.ISWAP` +i; the
two differ by a half turn about z of both qubits. Angles in radians. In a two-qubit matrix the first qubit is the more
significant bit. One-qubit angles of the echo circuits (theta/pi of 1/4, 1/2, 3/4 and a free axis) are second-hand.

Sources: Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6; cirq_google 1.7.0,
`ops/willow_gate.py`; B. Foxen et al., Phys. Rev. Lett. 125, 120504 (2020), DOI 10.1103/PhysRevLett.125.120504 (fsim).
"""

import math
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_choice, check_in_range
from quantum.circuits.tolerance import ACCEPTED, precision_of, unitary_error

# The controlled phase of `cirq_google.WILLOW`; its docstring says that it varies between processors.
WILLOW_PHASE = math.pi / 9

_FIXED = {
    "i": [[1, 0], [0, 1]],
    "x": [[0, 1], [1, 0]],
    "y": [[0, -1j], [1j, 0]],
    "z": [[1, 0], [0, -1]],
    "h": [[math.sqrt(0.5), math.sqrt(0.5)], [math.sqrt(0.5), -math.sqrt(0.5)]],
    "s": [[1, 0], [0, 1j]],
    "s_dagger": [[1, 0], [0, -1j]],
    "cz": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]],
    "align": [[1, 0], [0, 1]],
}
# Number of parameters of the others; a matrix carries its elements.
_FAMILIES = {"phased_x": (2,), "rz": (1,), "fsim": (2,), "matrix": (8, 32), "wait": (1,)}
_TWO_QUBIT = ("cz", "fsim")
_PARTNERS = {"s": "s_dagger", "s_dagger": "s"}


@dataclass(frozen=True)
class Gate:
    """A one- or two-qubit gate; equal gates compare equal and hash alike.

    Attributes:
        name: i, x, y, z, h, s, s_dagger, cz, phased_x, rz, fsim, matrix, wait or align.
        parameters: Angles in radians; for `matrix` the real and imaginary parts of its elements, row by row; for
            `wait` the time in s.

    Raises:
        ValueError: If the name is unknown, a parameter is missing or not finite, or a time is negative.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self):
        check_choice(self.name, "name", (*_FIXED, *_FAMILIES))
        wanted = _FAMILIES.get(self.name, (0,))
        if len(self.parameters) not in wanted:
            rule = " or ".join(str(n) for n in wanted)
            raise ValueError(
                f"`parameters` of `{self.name}` must hold {rule} numbers, but holds {len(self.parameters)}."
            )
        if not all(math.isfinite(p) for p in self.parameters):
            raise ValueError(
                f"`parameters` of `{self.name}` must be finite, but are {self.parameters}."
            )
        if self.name == "wait":
            check_in_range(
                self.parameters[0], "parameters", 0, 1, "s", "A wait is given in seconds."
            )

    @property
    def n_qubits(self) -> int:
        """Number of qubits it acts on."""
        if self.name == "matrix":
            return 1 if len(self.parameters) == 8 else 2
        return 2 if self.name in _TWO_QUBIT else 1

    def matrix(self) -> np.ndarray:
        """Unitary matrix, complex128, (2, 2) or (4, 4)."""
        if self.name in _FIXED:
            return np.array(_FIXED[self.name], dtype=complex)
        if self.name == "matrix":
            size = 2**self.n_qubits
            pairs = np.array(self.parameters).reshape(size, size, 2)
            return pairs[..., 0] + 1j * pairs[..., 1]
        if self.name == "wait":
            return np.eye(2, dtype=complex)
        if self.name == "rz":
            half = self.parameters[0] / 2
            return np.diag(np.exp([-1j * half, 1j * half]))
        if self.name == "phased_x":
            theta, phi = self.parameters
            turn = -1j * math.sin(theta / 2)
            cosine = math.cos(theta / 2)
            return np.array([[cosine, turn * np.exp(-1j * phi)], [turn * np.exp(1j * phi), cosine]])
        theta, phi = self.parameters
        swap = np.eye(4, dtype=complex)
        swap[1, 1] = swap[2, 2] = math.cos(theta)
        swap[1, 2] = swap[2, 1] = -1j * math.sin(theta)
        swap[3, 3] = np.exp(-1j * phi)
        return swap

    def precision(self) -> float:
        """How far its numbers may be off by the precision in which they came, see `tolerance.precision_of`."""
        return precision_of(self.matrix() if self.name == "matrix" else self.parameters)

    def inverse(self) -> "Gate":
        """The exact inverse; inverting twice gives the same gate back."""
        if self.name == "matrix":
            return matrix_gate(self.matrix().conj().T)
        if self.name == "wait":
            return self
        if self.name == "phased_x":
            return Gate("phased_x", (-self.parameters[0], self.parameters[1]))
        if self.name in _FAMILIES:
            return Gate(self.name, tuple(-p for p in self.parameters))
        return Gate(_PARTNERS.get(self.name, self.name))


def matrix_gate(matrix: np.ndarray) -> Gate:
    """Gate of any unitary matrix, (2, 2) or (4, 4).

    Raises:
        ValueError: If the shape is another one or the matrix is not unitary.
    """
    array = np.asarray(matrix, dtype=complex)
    if array.shape not in ((2, 2), (4, 4)):
        raise ValueError(f"`matrix` must be (2, 2) or (4, 4), but its shape is {array.shape}.")
    error = unitary_error(array)
    if not error < ACCEPTED:
        raise ValueError(f"`matrix` must be unitary, but U U^dagger misses 1 by {error:.2g}.")
    return Gate(
        "matrix", tuple(np.stack([np.real(array), np.imag(array)], axis=-1).ravel().tolist())
    )


def phased_x(theta: float | int, phi: float | int) -> Gate:
    """Turn by `theta` rad about the axis at angle `phi` rad in the x-y plane."""
    return Gate("phased_x", (float(theta), float(phi)))


def rz(theta: float | int) -> Gate:
    """Turn by `theta` rad about z."""
    return Gate("rz", (float(theta),))


def fsim(theta: float | int, phi: float | int) -> Gate:
    """Swap angle `theta` and controlled phase `phi`, both in rad."""
    return Gate("fsim", (float(theta), float(phi)))


def as_fsim(gate: Gate) -> Gate | None:
    """The fsim that a gate is by its matrix, angles within half a turn; None where it is none."""
    matrix = gate.matrix()
    if len(matrix) != 4:
        return None
    theta = math.atan2(-matrix[1, 2].imag, matrix[1, 1].real)
    found = fsim(theta, -float(np.angle(matrix[3, 3])))
    return found if np.abs(found.matrix() - matrix).max() < gate.precision() else None


def iswap_like(phase: float | int = WILLOW_PHASE) -> Gate:
    """The echo experiment's two-qubit gate, fsim(pi/2, phase); the default is `cirq_google.WILLOW`."""
    return fsim(math.pi / 2, phase)


def wait(seconds: float | int) -> Gate:
    """Time that passes on one qubit while nothing is played there, in s; backwards it passes as well."""
    return Gate("wait", (float(seconds),))


def pauli_gate(letter: str) -> Gate:
    """The gate of I, X, Y or Z."""
    check_choice(letter, "letter", tuple("IXYZ"))
    return Gate(letter.lower())

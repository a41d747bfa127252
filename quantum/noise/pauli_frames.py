"""Pauli frames around two-qubit gates: errors of the gates made stochastic (twirling, randomised compiling).

A random Pauli P comes before a gate G, and after it what undoes it, G P^dagger G^dagger. That must be a product of
one-qubit gates, or it could not be played. All 16 Paulis qualify for CZ and iSWAP. For fsim(pi/2, phi) with another phi
only 8 do, {I, Z} x {I, Z} times {II, XX}: they make errors of the swap angle and of the one-qubit phases stochastic,
while the ZZ part of an error of the controlled phase commutes with all of them and stays coherent.

Source: J. Wallman and J. Emerson, Phys. Rev. A 94, 052325 (2016), DOI 10.1103/PhysRevA.94.052325. Leaves out errors
of the added one-qubit gates.
"""

from functools import lru_cache

import numpy as np

from quantum.circuits.channels import PAULI_LETTERS, pauli_matrices
from quantum.circuits.circuit import Moment, Operation
from quantum.circuits.gates import Gate, matrix_gate, pauli_gate
from quantum.circuits.tolerance import split_product
from quantum.noise.model import Frame


@lru_cache(maxsize=256)
def frames(gate: Gate) -> tuple[tuple[tuple[str, str], tuple[Gate, Gate]], ...]:
    """Pauli letters that may precede a two-qubit gate, each with the one-qubit gates that undo it afterwards."""
    matrix, found = gate.matrix(), []
    for number, pauli in enumerate(pauli_matrices(2)):
        undo = _undo(matrix @ pauli @ matrix.conj().T)
        if undo is not None:
            letters = (PAULI_LETTERS[number // 4], PAULI_LETTERS[number % 4])
            found.append((letters, undo))
    return tuple(found)


def pauli_frame(*, seed: int) -> Frame:
    """Random Pauli frames for `noise.add_noise`: another valid one around every two-qubit gate."""
    rng = np.random.default_rng(seed)

    def frame(operation: Operation) -> tuple[Moment, Moment]:
        valid = frames(operation.gate)
        letters, undo = valid[rng.integers(len(valid))]
        before = tuple(
            Operation(pauli_gate(p), (q,)) for p, q in zip(letters, operation.qubits, strict=True)
        )
        after = tuple(Operation(g, (q,)) for g, q in zip(undo, operation.qubits, strict=True))
        return before, after

    return frame


def _undo(matrix: np.ndarray) -> tuple[Gate, Gate] | None:
    """Inverse of a two-qubit unitary as two one-qubit gates, or None if it is no product of such."""
    factors = split_product(matrix.conj().T)
    return factors and (matrix_gate(factors[0]), matrix_gate(factors[1]))

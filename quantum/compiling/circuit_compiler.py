"""Circuits of any two-qubit unitaries as circuits of fSim or CZ: fuse what meets on a pair, compile, merge turns.

Fusing multiplies one-qubit gates into the next two-qubit gate on their qubit (the last ones into the one before) and
two-qubit gates that follow each other on the same pair into one; what is the identity then goes. Two networks of an
odd number of spins meet in the same pairs, where a swap undoes the last one: there a fused gate saves six CZ of six, or
four if a coupling stays. Every fused gate is compiled by itself (`pair_compiler`), the turns left between are
multiplied out, and each gate is moved to the earliest moment that its qubits allow.

Left out: turns about z that a chip can track in its phases for nothing are counted as gates of a moment; moves of gates
past commuting ones.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_choice
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate
from quantum.compiling.pair_compiler import NATIVE, Part, pair_gates
from quantum.compiling.trotter import packed

_IDENTITY = 1e-12  # of 1 - |trace| / dimension; ten times rounding of a product would be 1e-14


@dataclass(frozen=True)
class GateCounts:
    """Size of a circuit.

    Attributes:
        two_qubit: Two-qubit gates.
        one_qubit: One-qubit gates.
        moments: Moments, of which those without a two-qubit gate count too.
        two_qubit_moments: Moments that hold a two-qubit gate.
        kinds: Different two-qubit gates, such as pairs of fSim angles that have to be calibrated.
    """

    two_qubit: int
    one_qubit: int
    moments: int
    two_qubit_moments: int
    kinds: int


def count_gates(circuit: Circuit) -> GateCounts:
    """Gates and moments of a circuit; angles that agree to 1e-9 are the same kind."""
    pairs = [op.gate for op in circuit.operations() if len(op.qubits) == 2]
    kinds = {(gate.name, tuple(round(p, 9) for p in gate.parameters)) for gate in pairs}
    held = sum(any(len(op.qubits) == 2 for op in moment) for moment in circuit.moments)
    return GateCounts(len(pairs), circuit.n_operations - len(pairs), len(circuit), held, len(kinds))


def fuse(circuit: Circuit) -> Circuit:
    """The same unitary, up to a phase, with one matrix for all that meets on a pair before another pair comes."""
    open_on: dict[int, int] = {}  # the last block on every qubit
    blocks: list[tuple[tuple[int, ...], np.ndarray]] = []
    waiting: dict[int, np.ndarray] = defaultdict(lambda: np.eye(2, dtype=complex))
    for operation in circuit.operations():
        matrix = operation.gate.matrix()
        if len(operation.qubits) == 1:
            (qubit,) = operation.qubits
            if qubit in open_on:
                _multiply(blocks, open_on[qubit], qubit, matrix)
            else:
                waiting[qubit] = matrix @ waiting[qubit]
            continue
        one, other = operation.qubits
        last = open_on.get(one)
        if last is not None and last == open_on.get(other):
            qubits, before = blocks[last]
            blocks[last] = (qubits, _ordered(matrix, operation.qubits, qubits) @ before)
            continue
        first = np.kron(waiting.pop(one, np.eye(2)), waiting.pop(other, np.eye(2)))
        open_on[one] = open_on[other] = len(blocks)
        blocks.append((operation.qubits, matrix @ first))
    blocks += [((qubit,), matrix) for qubit, matrix in waiting.items()]
    found = [Operation(matrix_gate(m), qubits) for qubits, m in blocks if not _is_identity(m)]
    return Circuit(circuit.n_qubits, packed(found))


def compile_circuit(circuit: Circuit, native: str = "fsim") -> Circuit:
    """The same unitary, up to a phase, of one-qubit matrices and native gates.

    Args:
        circuit: Any circuit; take out what cannot matter first.
        native: "fsim" or "cz".

    Raises:
        ValueError: If the native gate is unknown.
    """
    check_choice(native, "native", NATIVE)
    done: dict[Gate, tuple[Part, ...]] = {}
    waiting: dict[int, np.ndarray] = defaultdict(lambda: np.eye(2, dtype=complex))
    found: list[Operation] = []

    def flush(qubits: Iterable[int]) -> None:
        for qubit in qubits:
            matrix = waiting.pop(qubit, None)
            if matrix is not None and not _is_identity(matrix):
                found.append(Operation(matrix_gate(matrix), (qubit,)))

    for operation in fuse(circuit).operations():
        if operation.gate not in done:
            done[operation.gate] = _parts(operation.gate, native)
        for part in done[operation.gate]:
            if isinstance(part, Gate):
                flush(operation.qubits)
                found.append(Operation(part, operation.qubits))
                continue
            for qubit, turn in zip(operation.qubits, part, strict=False):
                waiting[qubit] = turn @ waiting[qubit]
    flush(sorted(waiting))
    return Circuit(circuit.n_qubits, packed(found))


def _parts(gate: Gate, native: str) -> tuple[Part, ...]:
    matrix = gate.matrix()
    return pair_gates(matrix, native) if len(matrix) == 4 else ((matrix, np.eye(2)),)


def _multiply(blocks, number: int, qubit: int, matrix: np.ndarray) -> None:
    qubits, before = blocks[number]
    first = qubits[0] == qubit
    wide = np.kron(matrix, np.eye(2)) if first else np.kron(np.eye(2), matrix)
    blocks[number] = (qubits, wide @ before)


def _ordered(matrix: np.ndarray, qubits: tuple[int, ...], wanted: tuple[int, ...]) -> np.ndarray:
    if qubits == wanted:
        return matrix
    return matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)


def _is_identity(matrix: np.ndarray) -> bool:
    return bool(1 - abs(np.trace(matrix)) / len(matrix) < _IDENTITY)

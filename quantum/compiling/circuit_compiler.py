"""Circuits of any two-qubit unitaries as circuits of fSim or CZ: fuse what meets on a pair, compile, merge turns.

Fusing multiplies one-qubit gates into the next two-qubit gate on their qubit (the last ones into the one before) and
two-qubit gates that follow each other on the same pair into one; what is the identity then goes. Two networks of an
odd number of spins meet in the same pairs, where a swap undoes the last one: there a fused gate saves six CZ of six, or
four if a coupling stays. Every fused gate is compiled by itself (`pair_compiler`), the turns left between are
multiplied out, and each gate is moved to the earliest moment that its qubits allow. Nothing is fused across a wait.

Left out: turns about z that a chip can track in its phases for nothing are counted as gates of a moment; moves of gates
past commuting ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_choice
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, matrix_gate
from quantum.circuits.played import is_waiting
from quantum.circuits.tolerance import same_up_to_phase
from quantum.compiling.pair_compiler import NATIVE, Part, pair_gates
from quantum.compiling.trotter import packed


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
    """Gates and moments of a circuit; angles that agree to 1e-6 are the same kind."""
    pairs = [op.gate for op in circuit.operations() if len(op.qubits) == 2]
    kinds = {(gate.name, tuple(round(p, 6) for p in gate.parameters)) for gate in pairs}
    held = sum(any(len(op.qubits) == 2 for op in moment) for moment in circuit.moments)
    return GateCounts(len(pairs), circuit.n_operations - len(pairs), len(circuit), held, len(kinds))


def fuse(circuit: Circuit) -> Circuit:
    """The same unitary, up to a phase, with one matrix for all that meets on a pair before another pair comes."""
    open_on: dict[int, int] = {}  # the last block on every qubit
    blocks: list[_Block] = []
    waiting: dict[int, _Block] = {}
    for operation in circuit.operations():
        gate, qubits = operation.gate, operation.qubits
        block = _Block(qubits, gate.matrix(), gate.precision())
        if is_waiting(gate):  # time on a qubit closes what is open there
            blocks += [b for b in [waiting.pop(qubits[0], None)] if b]
            open_on.pop(qubits[0], None)
            blocks.append(_Block(qubits, block.matrix, block.precision, gate))
        elif len(qubits) == 1:
            (qubit,) = qubits
            if qubit in open_on:
                blocks[open_on[qubit]] = block.after(blocks[open_on[qubit]])
            else:
                waiting[qubit] = block.after(waiting.get(qubit))
        else:
            last = {open_on.get(qubit) for qubit in qubits}
            (place,) = last if len(last) == 1 else (None,)
            if place is not None:
                blocks[place] = block.after(blocks[place])
                continue
            for qubit in qubits:
                block = block.after(waiting.pop(qubit, None))
            open_on.update(dict.fromkeys(qubits, len(blocks)))
            blocks.append(block)
    blocks += waiting.values()
    found = [Operation(b.wait or matrix_gate(b.matrix), b.qubits) for b in blocks if not b.vanishes]
    return Circuit(circuit.n_qubits, packed(found))


@dataclass(frozen=True)
class _Block:
    """What has been multiplied out on one or two qubits, or a wait, and the precision of its numbers."""

    qubits: tuple[int, ...]
    matrix: np.ndarray
    precision: float
    wait: Gate | None = None

    @property
    def vanishes(self) -> bool:
        """Whether it is the identity and no time passes."""
        identity = np.eye(len(self.matrix))
        return self.wait is None and same_up_to_phase(self.matrix, identity, self.precision)

    def after(self, before: "_Block | None") -> "_Block":
        """This one played after another, on the qubits of the wider of both."""
        if before is None:
            return self
        wide = max(before, self, key=lambda block: len(block.qubits)).qubits
        product = self._on(wide) @ before._on(wide)
        return _Block(wide, product, max(self.precision, before.precision))

    def _on(self, qubits: tuple[int, ...]) -> np.ndarray:
        if self.qubits == qubits:
            return self.matrix
        if len(self.qubits) == 2:
            return self.matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
        first = self.qubits[0] == qubits[0]
        return np.kron(self.matrix, np.eye(2)) if first else np.kron(np.eye(2), self.matrix)


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
    waiting: dict[int, _Block] = {}
    found: list[Operation] = []

    def flush(qubits: Iterable[int]) -> None:
        for qubit in qubits:
            block = waiting.pop(qubit, None)
            if block is not None and not block.vanishes:
                found.append(Operation(matrix_gate(block.matrix), (qubit,)))

    for operation in fuse(circuit).operations():
        if is_waiting(operation.gate):
            flush(operation.qubits)
            found.append(operation)
            continue
        if operation.gate not in done:
            done[operation.gate] = _parts(operation.gate, native)
        for part in done[operation.gate]:
            if isinstance(part, Gate):
                flush(operation.qubits)
                found.append(Operation(part, operation.qubits))
                continue
            for qubit, turn in zip(operation.qubits, part, strict=False):
                block = _Block((qubit,), turn, operation.gate.precision())
                waiting[qubit] = block.after(waiting.get(qubit))
    flush(sorted(waiting))
    return Circuit(circuit.n_qubits, packed(found))


def _parts(gate: Gate, native: str) -> tuple[Part, ...]:
    matrix = gate.matrix()
    return pair_gates(matrix, native) if len(matrix) == 4 else ((matrix, np.eye(2)),)

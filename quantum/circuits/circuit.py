"""Immutable circuits of moments: composing, inverting, and taking out what cannot matter.

A circuit is a tuple of moments, a moment a tuple of operations on disjoint qubits. All qubits start in |0>, qubit 0 is
the most significant bit.

Two reductions leave every measured number as it was. `cancel_inverses` takes out a gate and its inverse where nothing
on their qubits lies between: in U, B, U^dagger that leaves just the gates in the light cone of B. `light_cone` keeps
only the gates that a measured qubit can feel.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from quantum._checks import check_count
from quantum.circuits import diagram
from quantum.circuits.gates import Gate
from quantum.circuits.played import is_waiting


@dataclass(frozen=True)
class Operation:
    """A gate on certain qubits.

    Attributes:
        gate: The gate.
        qubits: Qubits it acts on; the first is the more significant bit of the gate's matrix.

    Raises:
        ValueError: If the number of qubits is not the gate's, or one is named twice.
    """

    gate: Gate
    qubits: tuple[int, ...]

    def __post_init__(self):
        if type(self.qubits) is not tuple:
            object.__setattr__(self, "qubits", tuple(int(qubit) for qubit in self.qubits))
        if len(self.qubits) != self.gate.n_qubits or len(set(self.qubits)) != len(self.qubits):
            raise ValueError(
                f"`qubits` of `{self.gate.name}` must be {self.gate.n_qubits} different qubits, but are {self.qubits}."
            )

    def inverse(self) -> "Operation":
        """The inverse gate on the same qubits."""
        return Operation(self.gate.inverse(), self.qubits)


Moment = tuple[Operation, ...]


@dataclass(frozen=True)
class Circuit:
    """Moments of operations on `n_qubits` qubits.

    Attributes:
        n_qubits: Number of qubits.
        moments: Operations on disjoint qubits, in time order.

    Raises:
        ValueError: If an operation leaves the register, or two of one moment share a qubit.
    """

    n_qubits: int
    moments: tuple[Moment, ...] = ()

    def __post_init__(self):
        check_count(self.n_qubits, "n_qubits", 1)
        if not isinstance(self.moments, tuple) or any(type(m) is not tuple for m in self.moments):
            object.__setattr__(self, "moments", tuple(tuple(moment) for moment in self.moments))
        for number, moment in enumerate(self.moments):
            used = [q for op in moment for q in op.qubits]
            if any(not 0 <= q < self.n_qubits for q in used):
                raise ValueError(
                    f"`moments` must act on qubits 0 to {self.n_qubits - 1}, but moment {number} acts on {used}."
                )
            if len(set(used)) != len(used):
                raise ValueError(
                    f"`moments` must use a qubit once per moment, but moment {number} acts on {used}."
                )

    @cached_property
    def n_operations(self) -> int:
        """Number of operations."""
        return sum(len(moment) for moment in self.moments)

    @cached_property
    def n_two_qubit(self) -> int:
        """Number of two-qubit operations."""
        return sum(len(op.qubits) == 2 for op in self.operations())

    def operations(self) -> Iterator[Operation]:
        """All operations in time order."""
        for moment in self.moments:
            yield from moment

    def __str__(self) -> str:
        """What it holds in a line, then its wires; see `diagram.text`."""
        return diagram.text(self.n_qubits, self.moments)

    def draw(self, axes: Any, *, most_columns: int = 60) -> Any:
        """Draws it into Matplotlib's `axes` and returns them; see `diagram.figure`."""
        return diagram.figure(self.n_qubits, self.moments, axes, most_columns=most_columns)

    def inverse(self) -> "Circuit":
        """The circuit backwards, every gate inverted."""
        return Circuit(
            self.n_qubits,
            tuple(tuple(op.inverse() for op in moment) for moment in reversed(self.moments)),
        )

    def __add__(self, other: "Circuit") -> "Circuit":
        if self.n_qubits != other.n_qubits:
            raise ValueError(
                f"`other` must have {self.n_qubits} qubits like the first circuit, but has {other.n_qubits}."
            )
        return Circuit(self.n_qubits, self.moments + other.moments)

    def __getitem__(self, part: slice) -> "Circuit":
        return Circuit(self.n_qubits, self.moments[part])

    def __len__(self) -> int:
        return len(self.moments)


def cancel_inverses(circuit: Circuit) -> Circuit:
    """Takes out pairs of a gate and its inverse with nothing between them on their qubits.

    What remains keeps its moment; moments left empty go. The unitary is the same to rounding.
    """
    kept: list[list[Operation | None]] = []
    # For every qubit the places of the operations on it that are still there, the latest on top.
    last: list[list[tuple[int, int]]] = [[] for _ in range(circuit.n_qubits)]
    for number, moment in enumerate(circuit.moments):
        kept.append([])
        for operation in moment:
            tops = {last[q][-1] if last[q] else None for q in operation.qubits}
            place = tops.pop() if len(tops) == 1 else None
            before = kept[place[0]][place[1]] if place else None
            if place and before and _undo_each_other(before, operation):
                kept[place[0]][place[1]] = None
                for qubit in operation.qubits:
                    last[qubit].pop()
            else:
                for qubit in operation.qubits:
                    last[qubit].append((number, len(kept[number])))
                kept[number].append(operation)
    return _without_gaps(circuit.n_qubits, kept)


def light_cone(circuit: Circuit, qubits: Iterable[int]) -> Circuit:
    """Keeps the operations that can reach `qubits` at the end; what is measured there does not change."""
    reached = set(qubits)
    kept: list[list[Operation | None]] = []
    for moment in reversed(circuit.moments):
        inside = [op for op in moment if reached.intersection(op.qubits)]
        for operation in inside:
            reached.update(operation.qubits)
        kept.append(list(inside))
    return _without_gaps(circuit.n_qubits, reversed(kept))


def restrict(circuit: Circuit, keep: Iterable[int] = ()) -> tuple[Circuit, tuple[int, ...]]:
    """The same operations on only the qubits that any of them uses, renumbered in the same order.

    Args:
        circuit: The circuit; prune it first, so that few qubits are used.
        keep: Further qubits to keep, such as those that are measured.

    Returns:
        The smaller circuit, and the old number of each of its qubits. Qubits left out stay in |0>. A circuit without
        any operation keeps its first qubit.
    """
    used = {q for op in circuit.operations() for q in op.qubits} | set(keep)
    kept = tuple(sorted(used or {0}))
    number = {old: new for new, old in enumerate(kept)}
    moments = tuple(
        tuple(Operation(op.gate, tuple(number[q] for q in op.qubits)) for op in moment)
        for moment in circuit.moments
    )
    return Circuit(len(kept), moments), kept


def _undo_each_other(before: Operation, after: Operation) -> bool:
    if is_waiting(before.gate):  # time that has passed does not come back
        return False
    return before.qubits == after.qubits and before.gate.inverse() == after.gate


def _without_gaps(n_qubits: int, moments: Iterable[list[Operation | None]]) -> Circuit:
    filled = (tuple(op for op in moment if op is not None) for moment in moments)
    return Circuit(n_qubits, tuple(moment for moment in filled if moment))

"""When every gate is played and how long every qubit waits: time kept by qubit.

Moments follow each other as their gates allow: the next one begins when the slowest gate of this one is over, and a
qubit idles for what its own gate, or none, leaves of the moment. A wait belongs to its qubit alone. Where it lasts
longer than the moment the qubit's next gate begins late, a partner of that gate waits for it, and all others go on. A
moment begins late where all qubits are still busy. At the end all wait for the last one, since they are read together.
`align` lets the qubits aligned in one moment wait for the latest of them: a barrier of Qiskit, or the end of a moment
of Cirq that holds a wait.

A qubit before its first gate is in |0>, which neither T1 nor T_phi touches, so no idling is told of there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.played import is_played, is_waiting


@dataclass(frozen=True)
class Idle:
    """A qubit to which nothing happens for `seconds`."""

    qubit: int
    seconds: float


def schedule(
    circuit: Circuit, duration: Callable[[Operation], float], mixed: Iterable[int] = ()
) -> Iterator[Operation | Idle]:
    """Operations but waits, and idle times of all qubits that have begun, in an order in which they can be played.

    Args:
        circuit: The circuit; waits and alignments are turned into idle time.
        duration: Seconds that a gate takes; a wait takes those it says.
        mixed: Qubits that do not start in |0>, so that they idle from the beginning.
    """
    # How long after the beginning of the present moment a qubit is done with what it plays.
    ahead = [0.0] * circuit.n_qubits
    begun = set(mixed)
    used = sorted({qubit for op in circuit.operations() for qubit in op.qubits})

    def hold(qubit: int, until: float) -> Iterator[Idle]:
        if until > ahead[qubit]:
            if qubit in begun:
                yield Idle(qubit, until - ahead[qubit])
            ahead[qubit] = until

    for moment in circuit.moments:
        late = min(ahead[qubit] for qubit in used) if used else 0.0
        for qubit in used:
            ahead[qubit] -= late
        gates = [(op, duration(op)) for op in moment if not is_waiting(op.gate)]
        for operation, seconds in gates:
            # A turn about z of two qubits is no reason for one to wait for the other.
            held = operation.qubits if is_played(operation.gate) else ()
            start = max((ahead[q] for q in held), default=0.0)
            for qubit in held:
                yield from hold(qubit, start)
                ahead[qubit] = start + seconds
            yield operation
            begun.update(operation.qubits)
        for qubit, until in _waits(moment, ahead) if len(gates) < len(moment) else ():
            yield from hold(qubit, until)
        length = max((seconds for _, seconds in gates), default=0.0)
        for qubit in used:
            yield from hold(qubit, length)
            ahead[qubit] -= length
    for qubit in used:
        yield from hold(qubit, max(ahead))


def _waits(moment: Moment, ahead: list[float]) -> list[tuple[int, float]]:
    """Qubits that wait in a moment, and until when."""
    aligned = [op.qubits[0] for op in moment if op.gate.name == "align"]
    latest = max((ahead[q] for q in aligned), default=0.0)
    waits = [
        (op.qubits[0], ahead[op.qubits[0]] + op.gate.parameters[0])
        for op in moment
        if op.gate.name == "wait"
    ]
    return waits + [(qubit, latest) for qubit in aligned]

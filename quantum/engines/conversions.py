"""Whatever a user calls a circuit or an observable, as ours: Cirq's and Qiskit's objects, and text.

Cirq names its qubits and Qiskit numbers them from the other end, so circuits and observables are converted together:
the qubits of all Cirq objects of one call are sorted as Cirq sorts them, and their places are our numbers. A simulator
is imported only if one of its objects is there. Text is read with qubit 0 first; beside a Qiskit circuit, where a user
may well mean Qiskit's labels with qubit 0 last, it is refused.
"""

from collections.abc import Sequence
from typing import Any

from quantum.circuits.circuit import Circuit
from quantum.circuits.pauli import Observable, PauliString


def as_circuit(circuit: Any) -> Circuit:
    """One circuit of ours, Cirq's or Qiskit's as ours; see `as_ours`."""
    return as_ours([circuit], [])[0][0]


def as_ours(
    circuits: Sequence[Any], observables: Sequence[Any]
) -> tuple[list[Circuit], list[Observable]]:
    """Circuits and observables as ours.

    Args:
        circuits: `Circuit`, `cirq.Circuit` (frozen too) or `qiskit.QuantumCircuit`, without measurements.
        observables: `PauliString`, `Observable`, text such as "ZI" or "0.5 ZI - XX" (qubit 0 first), `cirq.PauliString`
            or `PauliSum`, `qiskit.quantum_info.Pauli` or `SparsePauliOp`.

    Raises:
        TypeError: If one is of another kind.
        ValueError: If one has no counterpart here, or text stands beside a Qiskit circuit.
    """
    names = _cirq_qubits([*circuits, *observables])
    ours = [_circuit(circuit, names) for circuit in circuits]
    from_qiskit = any(_made_by(circuit) == "qiskit" for circuit in circuits)
    return ours, [_observable(o, names, from_qiskit) for o in observables]


def _made_by(value: Any) -> str:
    """The simulator that an object belongs to: cirq, qiskit or none."""
    homes = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return next((name for name in ("cirq", "qiskit") if name in homes), "")


def _cirq_qubits(values: Sequence[Any]) -> dict[Any, int]:
    """Our number of every qubit that Cirq's circuits and observables name."""
    found: set[Any] = set()
    for value in values:
        if _made_by(value) == "cirq":
            named = getattr(value, "all_qubits", None)
            found.update(named() if named else getattr(value, "qubits", ()))
    return {qubit: number for number, qubit in enumerate(sorted(found))}


def _circuit(circuit: Any, names: dict[Any, int]) -> Circuit:
    if isinstance(circuit, Circuit):
        return circuit
    match _made_by(circuit):
        case "cirq" if hasattr(circuit, "all_qubits"):
            from quantum.engines import cirq_engine

            return cirq_engine.from_cirq(circuit, list(names))
        case "qiskit" if hasattr(circuit, "data") and hasattr(circuit, "qubits"):
            from quantum.engines import qiskit_engine

            return qiskit_engine.from_qiskit(circuit)
    raise TypeError(
        "`circuit` must be a `Circuit`, a `cirq.Circuit` or a `qiskit.QuantumCircuit`, but is "
        f"{type(circuit).__name__}."
    )


def _observable(observable: Any, names: dict[Any, int], from_qiskit: bool) -> Observable:
    if isinstance(observable, Observable):
        return observable
    if isinstance(observable, PauliString):
        return Observable(((1.0, observable),))
    if isinstance(observable, str):
        if from_qiskit:
            raise ValueError(
                f"`observable` must say where qubit 0 stands beside a Qiskit circuit, but is the text {observable!r}; "
                "give `SparsePauliOp` (qubit 0 last) or `Observable.parse` (qubit 0 first)."
            )
        return Observable.parse(observable)
    match _made_by(observable):
        case "cirq":
            from quantum.engines import cirq_engine

            return cirq_engine.read_observable(observable, names)
        case "qiskit":
            from quantum.engines import qiskit_engine

            return qiskit_engine.read_observable(observable)
    raise TypeError(
        "`observable` must be a `PauliString`, an `Observable`, text, or one of Cirq's or Qiskit's, but is "
        f"{type(observable).__name__}."
    )

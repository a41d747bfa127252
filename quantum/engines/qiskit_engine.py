"""Our circuits to Qiskit and back, and runs on Aer: the only file that imports qiskit and qiskit_aer.

Qiskit counts bits from the other end: its qubit 0 is the least significant bit of a state's index, and the first qubit
of a gate the least significant of its matrix. Bridges keep the number of every qubit and turn gate matrices; `state`
turns the register instead, so that the state comes out in our order without being copied.

Single precision loses norm with depth (1e-5 in 3000 gates), so expectation values are divided by the norm.

fsim has no counterpart in Qiskit; it goes over as a unitary gate and is known again by its matrix, its angles then
modulo 2 pi. Global phases are dropped on the way back.

Source: Qiskit and Qiskit Aer; A. Javadi-Abhari et al., arXiv:2405.08810 (2024).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Instruction
from qiskit.circuit import library as gates
from qiskit.circuit.exceptions import CircuitError
from qiskit.quantum_info import Pauli, SparsePauliOp
from qiskit_aer import AerSimulator

from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz
from quantum.circuits.pauli import Observable, PauliString, real_weight
from quantum.engines.memory import n_threads

# States held at a time for expectation values.
N_STATES = {"single": 1, "double": 1}

_FIXED = {
    "i": gates.IGate, "x": gates.XGate, "y": gates.YGate, "z": gates.ZGate, "h": gates.HGate, "s": gates.SGate,
    "s_dagger": gates.SdgGate, "cz": gates.CZGate,
}  # fmt: skip
_NAMES = {kind().name: name for name, kind in _FIXED.items()}
_FSIM_TOLERANCE = 1e-12  # rounding of a double; a gate that misses by more stays a matrix


def to_qiskit(circuit: Circuit) -> QuantumCircuit:
    """The same circuit in Qiskit; qubit q stays qubit q, though Qiskit makes it bit q from the right."""
    return _to_qiskit(circuit, range(circuit.n_qubits))


def from_qiskit(circuit: QuantumCircuit) -> Circuit:
    """A Qiskit circuit of one- and two-qubit gates, up to a global phase; every gate moves to the earliest moment.

    Raises:
        ValueError: If an instruction has no unitary of one or two qubits; barriers are passed over.
    """
    numbers = {qubit: number for number, qubit in enumerate(circuit.qubits)}
    operations = (
        Operation(_read_gate(item), tuple(numbers[q] for q in item.qubits))
        for item in circuit.data
        if item.operation.name != "barrier" and item.qubits
    )
    return Circuit(max(len(circuit.qubits), 1), _packed(operations))


def read_observable(observable: Any) -> Observable:
    """A Pauli operator or sum of Qiskit as ours; its labels have qubit 0 last.

    Raises:
        TypeError: If it is neither a `Pauli` nor a `SparsePauliOp`.
        ValueError: If a coefficient is not real.
    """
    if not isinstance(observable, Pauli | SparsePauliOp):
        raise TypeError(
            f"`observable` must be Qiskit's `Pauli` or `SparsePauliOp`, but is {type(observable).__name__}."
        )
    terms = SparsePauliOp(observable).to_list()
    return Observable(
        tuple((real_weight(weight), PauliString.parse(label[::-1])) for label, weight in terms)
    )


def state(circuit: Circuit, precision: str = "single") -> np.ndarray:
    """State after a circuit, qubit 0 the most significant bit."""
    program = _to_qiskit(circuit, range(circuit.n_qubits)[::-1])
    program.save_statevector()  # pyright: ignore[reportAttributeAccessIssue]
    found = np.asarray(_run(program, circuit.n_qubits, precision)["statevector"])
    # Aer hands over a double, whatever it computed in.
    return found.astype(np.complex64 if precision == "single" else np.complex128, copy=False)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "single"
) -> np.ndarray:
    """Expectation values, (circuits, observables); the state never leaves Aer."""
    found = np.ones((len(circuits), len(observables)))
    for row, circuit in enumerate(circuits):
        program = to_qiskit(circuit)
        program.save_expectation_value(SparsePauliOp("I"), [0], label="norm")  # pyright: ignore[reportAttributeAccessIssue]
        for column, observable in enumerate(observables):
            if observable.weight:
                # The first qubit of the list is the last letter of a label.
                letters = "".join(letter for _, letter in reversed(observable.factors))
                program.save_expectation_value(  # pyright: ignore[reportAttributeAccessIssue]
                    SparsePauliOp(letters), list(observable.qubits), label=str(column)
                )
        values = _run(program, circuit.n_qubits, precision)
        for column, observable in enumerate(observables):
            if observable.weight:
                found[row, column] = values[str(column)] / values["norm"]
    return found


def _run(program: QuantumCircuit, n_qubits: int, precision: str) -> dict:
    simulator = AerSimulator(
        method="statevector", precision=precision, max_parallel_threads=n_threads(n_qubits)
    )
    result = simulator.run(program, shots=1).result()
    if not result.success:
        raise RuntimeError(f"Aer could not run the circuit: {result.status}")
    return result.data(0)


def _to_qiskit(circuit: Circuit, places: Sequence[int]) -> QuantumCircuit:
    program = QuantumCircuit(circuit.n_qubits)
    converted: dict[Gate, Instruction] = {}
    for operation in circuit.operations():
        gate = operation.gate
        if gate not in converted:
            converted[gate] = _gate(gate)
        on = [program.qubits[places[q]] for q in reversed(operation.qubits)]
        program.append(CircuitInstruction(converted[gate], on))
    return program


def _gate(gate: Gate) -> Instruction:
    """Counterpart to be put on the qubits in reversed order."""
    if gate.name in _FIXED:
        return _FIXED[gate.name]()
    if gate.name == "rz":
        return gates.RZGate(gate.parameters[0])
    if gate.name == "phased_x":
        return gates.RGate(gate.parameters[0], gate.parameters[1])
    return gates.UnitaryGate(gate.matrix(), label=gate.name)


def _read_gate(item: Any) -> Gate:
    operation = item.operation
    if operation.name in _NAMES:
        return Gate(_NAMES[operation.name])
    try:
        matrix = np.asarray(operation.to_matrix()) if len(item.qubits) <= 2 else None
    except (AttributeError, TypeError, CircuitError):
        matrix = None  # a measurement, a reset, or an angle without a value
    if matrix is None:
        raise ValueError(
            f"`circuit` must hold unitary gates on one or two qubits, but holds `{operation.name}` on "
            f"{len(item.qubits)}; decompose it, give its parameters values, or take measurements out."
        )
    if len(item.qubits) == 1:
        return _turn(operation) or matrix_gate(matrix)
    ours = matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
    return _fsim(ours) or matrix_gate(ours)


def _turn(operation) -> Gate | None:
    angles = [float(p) for p in operation.params] if operation.name != "unitary" else []
    match operation.name:
        case "r":
            return phased_x(*angles)
        case "rx":
            return phased_x(angles[0], 0)
        case "ry":
            return phased_x(angles[0], math.pi / 2)
        case "rz" | "p":
            return rz(angles[0])
    return None


def _fsim(matrix: np.ndarray) -> Gate | None:
    """The fsim of a matrix, where it is one."""
    theta = math.atan2(-matrix[1, 2].imag, matrix[1, 1].real)
    found = fsim(theta, -float(np.angle(matrix[3, 3])))
    return found if np.abs(found.matrix() - matrix).max() < _FSIM_TOLERANCE else None


def _packed(operations: Iterable[Operation]) -> tuple[Moment, ...]:
    moments: list[list[Operation]] = []
    busy: dict[int, int] = {}
    for operation in operations:
        place = max(busy.get(q, 0) for q in operation.qubits)
        if place == len(moments):
            moments.append([])
        moments[place].append(operation)
        busy.update(dict.fromkeys(operation.qubits, place + 1))
    return tuple(tuple(moment) for moment in moments)

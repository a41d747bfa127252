"""Our circuits to Qiskit and back, and runs on Aer: the only file that imports qiskit and qiskit_aer.

Qiskit counts bits from the other end: its qubit 0 is the least significant bit of a state's index, and the first qubit
of a gate the least significant of its matrix. Bridges keep the number of every qubit and turn gate matrices; `state`
turns the register instead, so that the state comes out in our order without being copied.

Single precision loses norm with depth (1e-5 in 3000 gates), so expectation values are divided by the norm.

fsim has no counterpart in Qiskit; it goes over as a unitary gate and is known again by its matrix, its angles then
modulo 2 pi. Global phases are dropped on the way back. A gate is known by its name only where its matrix says the same,
and what has a definition of its own (a user's gate, `to_gate()`) is read gate by gate. A circuit of Qiskit has no
moments: gates move to the earliest one after the last barrier on their qubits.

Source: Qiskit and Qiskit Aer; A. Javadi-Abhari et al., arXiv:2405.08810 (2024).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Barrier, CircuitInstruction, Delay, Instruction
from qiskit.circuit import Gate as TheirGate
from qiskit.circuit import library as gates
from qiskit.circuit.exceptions import CircuitError
from qiskit.quantum_info import Pauli, SparsePauliOp
from qiskit_aer import AerSimulator

from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import Gate, as_fsim, matrix_gate, phased_x, rz, wait
from quantum.circuits.pauli import Observable, PauliString, real_weight
from quantum.circuits.tolerance import EXACT, same_up_to_phase, split_product
from quantum.engines.memory import n_threads

# States held at a time for expectation values.
N_STATES = {"single": 1, "double": 1}

_FIXED = {
    "i": gates.IGate, "x": gates.XGate, "y": gates.YGate, "z": gates.ZGate, "h": gates.HGate, "s": gates.SGate,
    "s_dagger": gates.SdgGate, "cz": gates.CZGate,
}  # fmt: skip
_NAMES = {kind().name: name for name, kind in _FIXED.items()}
# Qiskit's own gates; what one on three qubits costs depends on how it is made, which is the user's choice.
_STANDARD = frozenset(gate.base_class for gate in gates.get_standard_gate_name_mapping().values())
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}

# An operation, or the qubits of a barrier.
Read = Operation | tuple[int, ...]


def to_qiskit(circuit: Circuit) -> QuantumCircuit:
    """The same circuit in Qiskit; qubit q stays qubit q, though Qiskit makes it bit q from the right."""
    return _to_qiskit(circuit, range(circuit.n_qubits))


def from_qiskit(circuit: QuantumCircuit, *, dt: float | None = None) -> Circuit:
    """A Qiskit circuit of one- and two-qubit gates, up to a global phase; every gate moves to the earliest moment.

    Gates that are a product of one-qubit gates come over as those. A `Delay` becomes a wait. A barrier keeps what is
    behind it in later moments, and where there are waits it aligns its qubits.

    Args:
        circuit: Circuit without measurements and free parameters.
        dt: Length of the backend's unit of time in s, needed where a delay is given in it; `backend.dt`.

    Raises:
        ValueError: If an instruction has no unitary of one or two qubits, or a delay is in units of dt without `dt`.
    """
    numbers = {qubit: number for number, qubit in enumerate(circuit.qubits)}
    return Circuit(max(len(circuit.qubits), 1), _packed(list(_read(circuit, numbers, dt))))


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
    for moment in circuit.moments:
        for operation in moment:
            gate = operation.gate
            if gate.name == "align":
                continue
            if gate not in converted:
                converted[gate] = _gate(gate)
            on = [program.qubits[places[q]] for q in reversed(operation.qubits)]
            program.append(CircuitInstruction(converted[gate], on))
        aligned = [places[op.qubits[0]] for op in moment if op.gate.name == "align"]
        if aligned:
            program.barrier(aligned)
    return program


def _gate(gate: Gate) -> Instruction:
    """Counterpart to be put on the qubits in reversed order."""
    if gate.name in _FIXED:
        return _FIXED[gate.name]()
    if gate.name == "wait":
        return Delay(gate.parameters[0], "s")
    if gate.name == "rz":
        return gates.RZGate(gate.parameters[0])
    if gate.name == "phased_x":
        return gates.RGate(gate.parameters[0], gate.parameters[1])
    # Ours in single precision are unitary to 1e-7, which Qiskit would refuse.
    return gates.UnitaryGate(gate.matrix(), label=gate.name, check_input=False)


def _read(circuit: Any, numbers: dict, dt: float | None) -> Iterator[Read]:
    """Operations and barriers in order; what has a definition of its own is read gate by gate."""
    for item in circuit.data:
        operation = item.operation
        on = tuple(numbers[q] for q in item.qubits)
        if isinstance(operation, Barrier):
            yield on
        elif isinstance(operation, Delay):
            yield from (Operation(wait(_seconds(operation, dt)), (q,)) for q in on)
        elif _is_block(operation) and on:
            inside = dict(zip(operation.definition.qubits, on, strict=True))
            yield from _read(operation.definition, inside, dt)
        elif on:
            gate = _read_gate(item)
            factors = split_product(gate.matrix()) if gate.name == "matrix" and on[1:] else None
            pairs = zip(map(matrix_gate, factors), on, strict=True) if factors else [(gate, on)]
            yield from (Operation(g, q if isinstance(q, tuple) else (q,)) for g, q in pairs)


def _is_block(operation: Any) -> bool:
    """Whether an instruction stands for others: a user's gate with a definition, or a wide one of Qiskit's library."""
    kind = getattr(operation, "base_class", type(operation))
    own = kind not in (TheirGate, Instruction) and kind.__module__.startswith("qiskit.")
    if getattr(operation, "num_clbits", 0) or (
        own and (operation.num_qubits < 3 or kind in _STANDARD)
    ):
        return False
    return getattr(operation, "definition", None) is not None


def _seconds(delay: Delay, dt: float | None) -> float:
    length = delay.params[0]
    unit = delay.unit
    if unit == "dt" and dt is not None:
        scale = dt
    elif unit in _SECONDS:
        scale = _SECONDS[unit]
    else:
        raise ValueError(
            f"`dt` must be given in s for a delay of {length} {unit}; take `from_qiskit(circuit, dt=backend.dt)`, or "
            "delays in s, us or ns."
        )
    try:
        return float(length) * scale
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`circuit` must hold delays of known length, but holds one of {length} {unit}; give its parameters values."
        ) from error


def _read_gate(item: Any) -> Gate:
    operation = item.operation
    try:
        matrix = np.asarray(operation.to_matrix()) if len(item.qubits) <= 2 else None
    except (AttributeError, TypeError, CircuitError):
        matrix = None  # a measurement, a reset, or an angle without a value
    if matrix is None or item.clbits:
        raise ValueError(
            f"`circuit` must hold unitary gates on one or two qubits, but holds `{operation.name}` on "
            f"{len(item.qubits)}; decompose it, give its parameters values, or take measurements out."
        )
    if len(item.qubits) == 2:
        matrix = matrix.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
    named = _named(operation)
    if named is not None and same_up_to_phase(named.matrix(), matrix, EXACT):
        return named
    found = matrix_gate(matrix)
    return as_fsim(found) or found


def _named(operation: Any) -> Gate | None:
    """Our gate of the same name, if its parameters fit."""
    if operation.name in _NAMES:
        return Gate(_NAMES[operation.name])
    angles = operation.params if operation.name in ("r", "rx", "ry", "rz", "p") else []
    match operation.name, [float(p) for p in angles]:
        case "r", [theta, phi]:
            return phased_x(theta, phi)
        case "rx", [theta]:
            return phased_x(theta, 0)
        case "ry", [theta]:
            return phased_x(theta, math.pi / 2)
        case (("rz" | "p"), [theta]):
            return rz(theta)
    return None


def _packed(read: Sequence[Read]) -> tuple[Moment, ...]:
    timed = any(isinstance(step, Operation) and step.gate.name == "wait" for step in read)
    moments: list[list[Operation]] = []
    busy: dict[int, int] = {}
    for step in read:
        qubits = step.qubits if isinstance(step, Operation) else step
        place = max((busy.get(q, 0) for q in qubits), default=0)
        added = [step] if isinstance(step, Operation) else []
        if timed and not added:
            # Qubits aligned in one moment wait for each other, so a barrier has one to itself.
            while place < len(moments) and any(op.gate.name == "align" for op in moments[place]):
                place += 1
            added = [Operation(Gate("align"), (q,)) for q in qubits]
        if added:
            while place >= len(moments):
                moments.append([])
            moments[place] += added
        busy.update(dict.fromkeys(qubits, place + bool(added)))
    return tuple(tuple(moment) for moment in moments)

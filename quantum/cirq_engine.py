"""Our circuits to Cirq and back, and runs on qsim: the only file that imports cirq, cirq_google and qsimcirq."""

from collections.abc import Sequence

import cirq
import numpy as np
import qsimcirq

from quantum import statevector
from quantum.circuit import Circuit, Operation
from quantum.pauli import PauliString


def to_cirq(circuit: Circuit, qubits: Sequence[cirq.Qid] | None = None) -> cirq.Circuit:
    """The same circuit in Cirq, moment by moment; `cirq.LineQubit`s unless `qubits` are given."""
    line = list(qubits) if qubits is not None else cirq.LineQubit.range(circuit.n_qubits)
    return cirq.Circuit(
        cirq.Moment(_gate(op).on(*(line[q] for q in op.qubits)) for op in moment)
        for moment in circuit.moments
    )


def state(circuit: Circuit, precision: str = "single") -> np.ndarray:
    """State after a circuit; qsim in single precision, Cirq's own simulator in double."""
    line = cirq.LineQubit.range(circuit.n_qubits)
    double = precision == "double"
    simulator = cirq.Simulator(dtype=np.complex128) if double else qsimcirq.QSimSimulator({"f": 4})  # pyright: ignore[reportPrivateImportUsage]
    result = simulator.simulate(to_cirq(circuit), qubit_order=line)
    return np.asarray(result.final_state_vector)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "single"
) -> np.ndarray:
    """Expectation values, (circuits, observables)."""
    found = np.empty((len(circuits), len(observables)))
    for row, circuit in enumerate(circuits):
        final = state(circuit, precision)
        found[row] = [statevector.expectation(final, o) for o in observables]
    return found


def _gate(operation: Operation) -> cirq.Gate:
    gate = operation.gate
    if gate.name == "fsim":
        return cirq.FSimGate(*gate.parameters)
    if gate.name == "phased_x":
        theta, phi = gate.parameters
        return cirq.PhasedXPowGate(
            exponent=theta / np.pi, phase_exponent=phi / np.pi, global_shift=-0.5
        )
    return cirq.MatrixGate(gate.matrix())

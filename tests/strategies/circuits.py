"""Random valid circuits as users write them, ours, Cirq's and Qiskit's, each from a seed.

They hold what has gone wrong in bug reports: turns about z of every guise, identities, gates in single precision, waits
in several units, blocks, gates with the name of another one, products that come as one gate.
"""

import cirq
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Gate as QiskitGate
from qiskit.circuit import library

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import matrix_gate, rz, wait
from tests.exact.random_circuits import random_gate

# Angles at which something special happens, in units of pi.
SPECIAL = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, -0.5)


def angle(rng) -> float:
    """In units of pi, special ones as often as others."""
    return float(rng.choice(SPECIAL)) if rng.random() < 0.5 else float(rng.uniform(-2, 2))


def unitary(rng, size: int) -> np.ndarray:
    """Random, in single precision half of the time."""
    found = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]
    return found.astype(np.complex64) if rng.random() < 0.5 else found


def our_circuit(seed: int) -> Circuit:
    """Two or three qubits, gates of every name, turns about z as matrices, waits."""
    rng = np.random.default_rng([seed, 0])
    n = int(rng.integers(2, 4))
    moments = []
    for _ in range(rng.integers(2, 7)):
        free, moment = [int(q) for q in rng.permutation(n)], []
        while free:
            kind = rng.integers(6)
            gate = (
                wait(float(rng.choice([1e-8, 1e-6]))) if kind == 0
                else matrix_gate(rz(np.pi * angle(rng)).matrix()) if kind == 1
                else random_gate(rng)
            )  # fmt: skip
            if gate.n_qubits <= len(free):
                moment.append(Operation(gate, tuple(free.pop() for _ in range(gate.n_qubits))))
            else:
                free.pop()
        moments.append(tuple(moment))
    return Circuit(n, tuple(moments))


def _cirq_gate(rng) -> cirq.Gate:
    single = [
        lambda: cirq.X ** angle(rng), lambda: cirq.Y ** angle(rng), lambda: cirq.Z ** angle(rng), lambda: cirq.H,
        lambda: cirq.T, lambda: cirq.rx(angle(rng)), lambda: cirq.rz(angle(rng)), lambda: cirq.I,
        lambda: cirq.PhasedXZGate(x_exponent=angle(rng), z_exponent=angle(rng), axis_phase_exponent=angle(rng)),
        lambda: cirq.PhasedXPowGate(exponent=float(rng.uniform(0.1, 1.9)), phase_exponent=angle(rng)),
        lambda: cirq.MatrixGate(unitary(rng, 2), unitary_check=False),
        lambda: cirq.WaitGate(cirq.Duration(nanos=float(rng.choice([10, 30, 1000])))),
    ]  # fmt: skip
    double = [
        lambda: cirq.CZ ** angle(rng), lambda: cirq.ISWAP ** angle(rng), lambda: cirq.CNOT, lambda: cirq.SWAP,
        lambda: cirq.FSimGate(angle(rng), angle(rng)), lambda: cirq.ZZPowGate(exponent=angle(rng)),
        lambda: cirq.MatrixGate(unitary(rng, 4), unitary_check=False), lambda: cirq.IdentityGate(2),
        lambda: cirq.ParallelGate(cirq.H, 2),
        lambda: cirq.DensePauliString("ZX"), lambda: cirq.ControlledGate(cirq.rx(angle(rng))),
        lambda: cirq.WaitGate(cirq.Duration(micros=0.5), num_qubits=2),
    ]  # fmt: skip
    wide = [
        lambda: cirq.ParallelGate(cirq.X, 3), lambda: cirq.IdentityGate(3), lambda: cirq.DensePauliString("XIZ"),
    ]  # fmt: skip
    kinds = rng.choice(3, p=[0.5, 0.45, 0.05])
    return (single, double, wide)[kinds][rng.integers(len((single, double, wide)[kinds]))]()


def cirq_circuit(seed: int) -> cirq.Circuit:
    """Two or three qubits, packed as Cirq packs; now and then a sub-circuit that repeats."""
    rng = np.random.default_rng([seed, 1])
    line = cirq.LineQubit.range(int(rng.integers(2, 4)))
    operations: list[cirq.Operation] = []
    for _ in range(rng.integers(3, 12)):
        gate = _cirq_gate(rng)
        if gate.num_qubits() <= len(line):
            on = rng.permutation(len(line))[: gate.num_qubits()]
            operations.append(gate.on(*(line[q] for q in on)))
    if rng.random() < 0.2:
        inner = cirq.FrozenCircuit(operations[-2:])
        operations.append(cirq.CircuitOperation(inner, repetitions=2))
    return cirq.Circuit(operations, [cirq.I(q) for q in line])


def _qiskit_gate(rng):
    single = [
        library.HGate, library.XGate, library.TGate, library.SdgGate, library.SXGate, library.IGate,
        lambda: library.RXGate(np.pi * angle(rng)), lambda: library.RZGate(np.pi * angle(rng)),
        lambda: library.PhaseGate(np.pi * angle(rng)),
        lambda: library.UGate(np.pi * angle(rng), np.pi * angle(rng), angle(rng)),
        lambda: library.RGate(float(rng.uniform(0.1, 6)), np.pi * angle(rng)),
        lambda: library.UnitaryGate(unitary(rng, 2), check_input=False), lambda: misnamed("h"), lambda: misnamed("rz"),
    ]  # fmt: skip
    double = [
        library.CXGate, library.CZGate, library.iSwapGate, library.SwapGate, library.ECRGate,
        lambda: library.CPhaseGate(np.pi * angle(rng)), lambda: library.RZZGate(np.pi * angle(rng)),
        lambda: library.CRXGate(np.pi * angle(rng)), lambda: library.XXPlusYYGate(np.pi * angle(rng)),
        lambda: library.UnitaryGate(unitary(rng, 4), check_input=False), lambda: library.PauliGate("XZ"), block,
        lambda: library.UnitaryGate(np.eye(4)),
    ]  # fmt: skip
    kinds = (single, double)[int(rng.random() < 0.45)]
    return kinds[rng.integers(len(kinds))]()


def misnamed(name: str) -> QiskitGate:
    """A user's own gate that has the name of another one."""
    gate, inside = QiskitGate(name, 1, []), QuantumCircuit(1)
    inside.rx(0.3, 0)
    gate.definition = inside
    return gate


def block() -> QiskitGate:
    """Three gates behind one name."""
    inside = QuantumCircuit(2, name="block")
    inside.h(1)
    inside.cx(1, 0)
    inside.t(0)
    return inside.to_gate()


def qiskit_circuit(seed: int) -> QuantumCircuit:
    """Two or three qubits, with delays in several units and barriers."""
    rng = np.random.default_rng([seed, 2])
    n = int(rng.integers(2, 4))
    circuit = QuantumCircuit(n)
    for _ in range(rng.integers(3, 12)):
        kind = rng.random()
        qubit = int(rng.integers(n))
        if kind < 0.15:
            amount, unit = [(300, "ns"), (1.5, "us"), (2000, "dt")][rng.integers(3)]
            circuit.delay(amount, qubit, unit)
        elif kind < 0.25:
            circuit.barrier(*([qubit, (qubit + 1) % n] if rng.random() < 0.5 else range(n)))
        else:
            gate = _qiskit_gate(rng)
            circuit.append(gate, [int(q) for q in rng.permutation(n)[: gate.num_qubits]])
    return circuit


def pauli_text(seed: int, n: int) -> str:
    """A Pauli string other than the identity, first qubit first."""
    rng = np.random.default_rng([seed, 3])
    letters = "".join(rng.choice(list("IXYZ"), size=n))
    return letters if letters.strip("I") else "Z" + letters[1:]

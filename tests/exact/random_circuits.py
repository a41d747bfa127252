"""Random circuits of every gate of the set on qubits in any order, and what they are as dense matrices."""

import numpy as np

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, fsim, matrix_gate, phased_x, rz
from quantum.engines.statevector import apply

FIXED = ("i", "x", "y", "z", "h", "s", "s_dagger", "cz")


def random_gate(rng):
    kind = rng.integers(len(FIXED) + 5)
    if kind < len(FIXED):
        return Gate(FIXED[kind])
    angles = rng.uniform(-7, 7, size=2)  # beyond a full turn
    if kind == len(FIXED):
        return phased_x(*angles)
    if kind == len(FIXED) + 1:
        return rz(angles[0])
    if kind == len(FIXED) + 2:
        return fsim(*angles)
    size = 2 if kind == len(FIXED) + 3 else 4
    return matrix_gate(
        np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]
    )


def random_moment(n_qubits, rng):
    free = [int(q) for q in rng.permutation(n_qubits)]
    moment = []
    while free:
        gate = random_gate(rng)
        if gate.n_qubits <= len(free):
            moment.append(Operation(gate, tuple(free.pop() for _ in range(gate.n_qubits))))
        elif rng.random() < 0.5:
            free.pop()
    return tuple(moment)


def random_mixture(n_qubits, n_moments, seed):
    rng = np.random.default_rng(seed)
    return Circuit(n_qubits, tuple(random_moment(n_qubits, rng) for _ in range(n_moments)))


def dense(circuit):
    """The unitary of a circuit by Kronecker products and permutations, which shares nothing with the engines."""
    n = circuit.n_qubits
    total = np.eye(2**n, dtype=complex)
    for operation in circuit.operations():
        rest = [q for q in range(n) if q not in operation.qubits]
        block = np.kron(operation.gate.matrix(), np.eye(2 ** len(rest)))
        order = [*operation.qubits, *rest]  # bit k of the block's index is qubit order[k]
        bits = (np.arange(2**n)[:, None] >> (n - 1 - np.array(order))) & 1
        inside = bits @ (1 << np.arange(n - 1, -1, -1))
        total = block[np.ix_(inside, inside)] @ total
    return total


def unitary(circuit):
    """The unitary of a circuit by the plain reference, all columns at once."""
    n = circuit.n_qubits
    columns = np.eye(2**n, dtype=complex).reshape((2,) * n + (2**n,))
    for operation in circuit.operations():
        columns = apply(columns, operation)
    return columns.reshape(2**n, 2**n)


def equal_up_to_phase(a, b, tolerance=1e-12):
    """Whether two matrices or states of the same norm differ by a phase alone."""
    return np.linalg.norm(a * np.exp(-1j * np.angle(np.vdot(b, a))) - b) < tolerance

"""Many states that walk through one circuit together, each with Paulis or Kraus jumps of its own.

The trajectory is the last axis, so a gate is one matrix product over all states. One-qubit gates wait until they can be
multiplied into a two-qubit gate, or until something else touches their qubit. Plain NumPy: circuits of noise studies
are small and many, and nothing has to be compiled.
"""

import numpy as np

from quantum.circuits.channels import pauli_matrices
from quantum.circuits.circuit import Operation
from quantum.circuits.noisy_circuit import Fault
from quantum.circuits.pauli import Observable, PauliString


class BatchedStates:
    """States of all trajectories, at first |0...0>: n axes of size 2 in the order `order`, then the trajectory."""

    def __init__(self, n_qubits: int, n_trajectories: int, dtype: type):
        self.order = list(range(n_qubits))
        self.state = np.zeros((2,) * n_qubits + (n_trajectories,), dtype)
        self.state[(0,) * n_qubits] = 1
        self.waiting: dict[int, np.ndarray] = {}

    def fork(self) -> int:
        """Adds a copy of the first trajectory; number of the copy."""
        self.state = np.concatenate([self.state, self.state[..., :1]], axis=-1)
        return self.state.shape[-1] - 1

    def play(self, operation: Operation) -> None:
        """One gate on all trajectories."""
        matrix = operation.gate.matrix()
        if len(operation.qubits) == 1:
            (qubit,) = operation.qubits
            self.waiting[qubit] = matrix @ self.waiting.get(qubit, np.eye(2))
            return
        first, second = (self.waiting.pop(q, np.eye(2)) for q in operation.qubits)
        self._apply(matrix @ np.kron(first, second), operation.qubits)

    def strike(self, qubits: tuple[int, ...], trajectory: int, pauli: int) -> None:
        """A Pauli string on one trajectory."""
        self._settle(qubits)
        column = self.state[..., trajectory]
        self.state[..., trajectory] = self._contract(
            column, pauli_matrices(len(qubits))[pauli], qubits
        )

    def jump(self, fault: Fault, rng: np.random.Generator) -> None:
        """A Kraus operator on every trajectory, each drawn with its probability."""
        self._settle(fault.qubits)
        kraus = fault.channel.kraus
        size, axes = kraus.shape[1], [self.order.index(q) for q in fault.qubits]
        front = np.moveaxis(self.state, axes, range(len(axes)))
        states = front.reshape(size, -1, self.state.shape[-1])
        reduced = np.einsum("iat,jat->tij", states, states.conj())
        weights = np.einsum("kij,tjl,kil->tk", kraus, reduced, kraus.conj()).real
        weights = np.maximum(weights, 0)
        cumulative = np.cumsum(weights, axis=1)
        chosen = (rng.random(len(weights))[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)
        norms = np.sqrt(weights[np.arange(len(weights)), chosen])
        picked = (kraus[chosen] / norms[:, None, None]).astype(self.state.dtype)
        played = np.einsum("tij,jat->iat", picked, states).reshape(front.shape)
        self.state = np.moveaxis(played, range(len(axes)), axes)

    def expectations(self, observable: PauliString | Observable) -> np.ndarray:
        """Expectation value of a Pauli string, or of a weighted sum of them, on every trajectory."""
        if isinstance(observable, Observable):
            zero = np.zeros(self.state.shape[-1])
            return sum((w * self.expectations(string) for w, string in observable.terms), zero)
        self._settle(tuple(self.waiting))
        turned = self.state
        for operation in observable.moment():
            turned = self._contract(turned, operation.gate.matrix(), operation.qubits)
        axes = tuple(range(self.state.ndim - 1))
        norms = np.sum(np.abs(self.state) ** 2, axis=axes, dtype=float)
        return np.sum(np.real(self.state.conj() * turned), axis=axes, dtype=float) / norms

    def _settle(self, qubits: tuple[int, ...]) -> None:
        for qubit in qubits:
            if qubit in self.waiting:
                self._apply(self.waiting.pop(qubit), (qubit,))

    def _apply(self, matrix: np.ndarray, qubits: tuple[int, ...]) -> None:
        k, axes = len(qubits), [self.order.index(q) for q in qubits]
        gate = matrix.astype(self.state.dtype).reshape((2,) * (2 * k))
        # The new axes stay in front; moving them back would cost another pass through memory.
        self.state = np.tensordot(gate, self.state, axes=(range(k, 2 * k), axes))
        self.order = [*qubits, *(q for q in self.order if q not in qubits)]

    def _contract(self, tensor: np.ndarray, matrix: np.ndarray, qubits: tuple[int, ...]):
        k, axes = len(qubits), [self.order.index(q) for q in qubits]
        gate = matrix.astype(tensor.dtype).reshape((2,) * (2 * k))
        moved = np.tensordot(gate, tensor, axes=(range(k, 2 * k), axes))
        return np.moveaxis(moved, range(k), axes)

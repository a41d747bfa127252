"""Exact states by applying gates one by one to a tensor: the plain reference that every engine is held against.

The state of n qubits is a NumPy tensor of n axes of size 2, qubit 0 first; its flat index has qubit 0 as the most
significant bit. Always complex128. Slow beyond about 20 qubits: `engines.expectation` picks a fast engine.
"""

from collections.abc import Sequence

import numpy as np

from quantum.circuit import Circuit, Operation
from quantum.pauli import PauliString

_MOST_QUBITS = 24  # 16 bytes x 2^24 = 268 MB, and seconds for every gate


def run(circuit: Circuit, state: np.ndarray | None = None) -> np.ndarray:
    """State after a circuit, complex128, flat of length 2^n.

    Args:
        circuit: The circuit.
        state: State it starts from, flat; all qubits in |0> by default.

    Raises:
        ValueError: If the circuit has more qubits than this reference is for, or the state does not fit it.
    """
    n = circuit.n_qubits
    if n > _MOST_QUBITS:
        raise ValueError(
            f"`circuit` must have at most {_MOST_QUBITS} qubits here, but has {n}; use `engines.expectation`."
        )
    start = np.eye(1, 2**n)[0] if state is None else np.asarray(state)
    if start.shape != (2**n,):
        raise ValueError(f"`state` must have shape {(2**n,)}, but its shape is {start.shape}.")
    tensor = start.astype(complex).reshape((2,) * n)
    for operation in circuit.operations():
        tensor = apply(tensor, operation)
    return tensor.reshape(-1)


def apply(tensor: np.ndarray, operation: Operation) -> np.ndarray:
    """Tensor of n axes of size 2 after one gate."""
    k = len(operation.qubits)
    gate = operation.gate.matrix().reshape((2,) * (2 * k))
    moved = np.tensordot(gate, tensor, axes=(range(k, 2 * k), operation.qubits))
    return np.moveaxis(moved, range(k), operation.qubits)


def expectation(state: np.ndarray, observable: PauliString) -> float:
    """Expectation value of a Pauli string in a flat state."""
    n = int(np.log2(state.size))
    tensor = state.reshape((2,) * n)
    turned = tensor
    for operation in observable.moment():
        turned = apply(turned, operation)
    return float(np.vdot(tensor, turned).real)


def state(circuit: Circuit, precision: str = "double") -> np.ndarray:
    """Engine interface of `run`; complex64 in single precision, though computed in double."""
    return run(circuit).astype(np.complex64 if precision == "single" else np.complex128)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "double"
) -> np.ndarray:
    """Engine interface: expectation values, (circuits, observables), always computed in double."""
    del precision
    return np.array([[expectation(run(c), o) for o in observables] for c in circuits])

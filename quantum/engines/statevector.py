"""Exact states by applying gates one by one to a tensor: the plain reference that every engine is held against.

The state of n qubits is a NumPy tensor of n axes of size 2, qubit 0 first; its flat index has qubit 0 as the most
significant bit. Always complex128. Slow beyond about 20 qubits: `engines.expectation` picks a fast engine.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.pauli import PauliString

_MOST_QUBITS = 24  # 16 bytes x 2^24 = 268 MB, and seconds for every gate
# Amplitudes of a block, as a power of two: it stays in the cache, and sums of single precision stay short.
_BLOCK_BITS = 13


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
    return contracted(tensor, operation.gate.matrix(), operation.qubits)


def contracted(tensor: np.ndarray, matrix: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Tensor after a matrix on some of its axes of size 2, the first of them the most significant bit."""
    # What `tensordot` and `moveaxis` do, which look up their axes for three times as long as a small product takes.
    forth, back = _orders(axes, tensor.ndim)
    moved = tensor.transpose(forth)
    return (matrix @ moved.reshape(len(matrix), -1)).reshape(moved.shape).transpose(back)


@lru_cache(maxsize=4096)
def _orders(axes: tuple[int, ...], n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order with `axes` in front, and the one that takes it back."""
    forth = (*axes, *(axis for axis in range(n) if axis not in axes))
    return forth, tuple(sorted(range(n), key=forth.__getitem__))


def expectation(state: np.ndarray, observable: PauliString) -> float:
    """<psi|P|psi> of a Pauli string in a flat state, read block by block: the state is never copied whole.

    P|b> = i^(number of Y) (-1)^(bits of b under Y or Z) |b with the bits under X or Y flipped>. The empty string gives
    the squared norm.
    """
    n = int(state.size).bit_length() - 1
    flipped, signed = (
        sum(1 << (n - 1 - q) for q, letter in observable.factors if letter in letters)
        for letters in ("XY", "YZ")
    )
    low = min(n, _BLOCK_BITS)
    inside = np.arange(2**low)
    partner = inside ^ (flipped & (2**low - 1))
    signs = 1 - 2 * (np.bitwise_count(inside & signed) & 1).astype(
        np.float32 if state.dtype == np.complex64 else float
    )
    blocks = state.reshape(-1, 2**low)
    total = 0j
    for number, block in enumerate(blocks):
        minus = ((number << low) & signed).bit_count() & 1
        other = blocks[number ^ (flipped >> low)]
        part = complex(np.vdot(other[partner] if flipped else other, signs * block))
        total += -part if minus else part
    n_y = sum(letter == "Y" for _, letter in observable.factors)
    return float((1j**n_y * total).real)


def state(circuit: Circuit, precision: str = "double") -> np.ndarray:
    """Engine interface of `run`; complex64 in single precision, though computed in double."""
    return run(circuit).astype(np.complex64 if precision == "single" else np.complex128)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "double"
) -> np.ndarray:
    """Engine interface: expectation values, (circuits, observables), always computed in double."""
    del precision
    return np.array([[expectation(psi, o) for o in observables] for psi in map(run, circuits)])

"""Exact evolution of the density matrix of a small noisy register.

    rho -> V rho V^dagger for a gate, rho -> sum_k K_k rho K_k^dagger for a channel

The density matrix of n qubits is a tensor of 2n axes of size 2, rows first, each with qubit 0 first. complex128, so
16 x 4^n bytes: 1 MB at 8 qubits and 268 MB at 12, which is the limit here; `trajectories` go further.
"""

from collections.abc import Sequence

import numpy as np

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.noisy_circuit import NoisyCircuit
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines.statevector import apply, contracted

_MOST_QUBITS = 12


def run(circuit: NoisyCircuit | Circuit) -> np.ndarray:
    """Density matrix after a circuit that starts from |0...0>, complex128, (2^n, 2^n).

    Raises:
        ValueError: If the circuit has more qubits than fit.
    """
    n = circuit.n_qubits
    if n > _MOST_QUBITS:
        raise ValueError(
            f"`circuit` must have at most {_MOST_QUBITS} qubits for a density matrix, but has {n} "
            f"({16 * 4.0**n / 1e9:.3g} GB); use `trajectories.expectation`."
        )
    steps = circuit.steps if isinstance(circuit, NoisyCircuit) else tuple(circuit.operations())
    rho = np.zeros((2,) * (2 * n), dtype=complex)
    rho.flat[0] = 1
    for step in steps:
        if isinstance(step, Operation):
            matrix = step.gate.matrix()
            superoperator = np.kron(matrix, matrix.conj())
        else:
            superoperator = step.channel.superoperator
        rho = _apply(rho, superoperator, step.qubits)
    return rho.reshape(2**n, 2**n)


def expectation(rho: np.ndarray, observable: PauliString | Observable) -> float:
    """Expectation value tr(P rho) of a Pauli string, or of a weighted sum of them."""
    if isinstance(observable, Observable):
        return sum(weight * expectation(rho, string) for weight, string in observable.terms)
    n = int(np.log2(len(rho)))
    turned = rho.reshape((2,) * (2 * n))
    for operation in observable.moment():
        turned = apply(turned, operation)
    return float(np.trace(turned.reshape(2**n, 2**n)).real)


def expectations(
    circuits: Sequence[NoisyCircuit | Circuit],
    observables: Sequence[PauliString],
    precision: str = "double",
) -> np.ndarray:
    """Expectation values, (circuits, observables), always computed in double."""
    del precision
    return np.array([[expectation(rho, o) for o in observables] for rho in map(run, circuits)])


def _apply(rho: np.ndarray, superoperator: np.ndarray, qubits: tuple[int, ...]) -> np.ndarray:
    n = rho.ndim // 2
    return contracted(rho, superoperator, (*qubits, *(q + n for q in qubits)))

"""Clifford circuits: exact action on Pauli strings at any size, Clifford variants of the echo, and doping.

A Clifford U turns a Pauli string into one Pauli string up to a sign, U^dagger P U = +- P', so an echo of any order is
read off signs: with B(t) one string, <(B(t) M)^(2k)> = +-1 for every k, and -1 only for odd k where B(t) and M
anticommute. Every gate is a table of 4 or 16 letters with signs (its Pauli transfer matrix), applied to packed strings
all at once; time is proportional to gates times strings, and 105 qubits are no trouble.

The Clifford variant of an echo circuit has the same couplers, and one-qubit turns by multiples of pi/2 about axes at
multiples of pi/2 in the x-y plane. Doping replaces chosen one-qubit turns by pi/2 about an axis halfway between, as in
the 2021 experiment, and only inside both light cones: a gate outside that of B cancels against its inverse, and one
outside that of M changes no more than the input state, which at infinite temperature is nothing.

Sources: S. Aaronson, D. Gottesman, Phys. Rev. A 70, 052328 (2004), DOI 10.1103/PhysRevA.70.052328; X. Mi et al.,
Science 374, 1479 (2021), DOI 10.1126/science.abg5029 (doping). Leaves out: measurement and stabiliser states.
"""

import math
from functools import lru_cache

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Circuit, Operation, light_cone
from quantum.circuits.gates import Gate, iswap_like, phased_x
from quantum.circuits.lattice import Lattice
from quantum.circuits.packed_pauli import (
    commutation_signs,
    operation_code,
    pack,
    transfer_matrix,
    turned,
    unpack,
)
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import DEFAULT_ORDER, random_circuit
from quantum.circuits.tolerance import ACCEPTED

_ANGLE = 0.5 * math.pi  # of one-qubit gates, as in the 2021 experiment


def is_clifford_gate(gate: Gate) -> bool:
    """Whether a gate turns every Pauli string into a Pauli string."""
    matrix = np.abs(transfer_matrix(gate))
    return bool((np.minimum(matrix, np.abs(matrix - 1)) < ACCEPTED).all())


def is_clifford(circuit: Circuit) -> bool:
    """Whether every gate is Clifford; a product of other gates that happens to be Clifford counts as not."""
    return all(is_clifford_gate(gate) for gate in {op.gate for op in circuit.operations()})


def conjugate_packed(circuit: Circuit, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """U^dagger P U of many packed strings.

    Args:
        circuit: U, Clifford.
        bits: Packed strings (`quantum.circuits.packed_pauli`), (strings, words).

    Returns:
        Signs, int64 (strings,), and packed strings.

    Raises:
        ValueError: If a gate is not Clifford.
    """
    signs = np.ones(len(bits), dtype=np.int64)
    for moment in reversed(circuit.moments):
        for operation in moment:
            bits, signs = _turn(bits, signs, operation)
    return signs, bits


def conjugate(circuit: Circuit, string: PauliString) -> tuple[int, PauliString]:
    """U^dagger P U of one string: its sign and the string."""
    signs, bits = conjugate_packed(circuit, pack([string], circuit.n_qubits))
    return int(signs[0]), unpack(bits, circuit.n_qubits)[0]


def otoc_signs(circuit: Circuit, butterfly: PauliString) -> np.ndarray:
    """C^(2) = <B(t) Z B(t) Z> = +-1 for Z on every qubit, (qubits,), the same for every input state."""
    n = circuit.n_qubits
    # Only the gates in the cone of B turn anything.
    _, evolved = conjugate_packed(light_cone(circuit, butterfly.qubits), pack([butterfly], n))
    measured = pack([PauliString.on({q: "Z"}) for q in range(n)], n)
    return commutation_signs(measured, evolved[0])


def clifford_echo_circuit(
    lattice: Lattice,
    n_cycles: int,
    *,
    seed: int,
    order: str = DEFAULT_ORDER,
    two_qubit: Gate | None = None,
) -> Circuit:
    """Clifford variant of `random_circuit`: turns and axes at multiples of pi/2, iSWAP without its phase by default.

    Args:
        lattice: The qubits.
        n_cycles: Cycles.
        seed: Seed of the draw.
        order: Coupler groups walked through in turn.
        two_qubit: Clifford gate on the couplers, fsim(pi/2, 0) by default.

    Raises:
        ValueError: If the gate is not Clifford.
    """
    gate = two_qubit or iswap_like(0.0)
    if not is_clifford_gate(gate):
        raise ValueError(
            f"`two_qubit` must be Clifford, but is {gate.name}{gate.parameters} with angles in rad; take multiples of "
            "pi/2."
        )
    drawn = random_circuit(
        lattice, n_cycles, seed=seed, order=order, two_qubit=gate, angles=(_ANGLE,)
    )
    return Circuit(
        drawn.n_qubits,
        tuple(tuple(map(_to_quarter_axis, moment)) for moment in drawn.moments),
    )


def both_cones(circuit: Circuit, measured: int, butterfly: int) -> list[tuple[int, int]]:
    """Places (moment, number) of the operations of U inside the cone of B, backwards, and that of M, forwards."""
    backwards = _cone(circuit, butterfly, range(len(circuit) - 1, -1, -1))
    forwards = _cone(circuit, measured, range(len(circuit)))
    return sorted(backwards & forwards)


def dope(circuit: Circuit, n_gates: int, measured: int, butterfly: int, *, seed: int) -> Circuit:
    """Replaces `n_gates` one-qubit gates inside both cones by pi/2 about an axis at 45 degrees to x and y.

    Args:
        circuit: U, a Clifford circuit.
        n_gates: Number of non-Clifford gates, N_D.
        measured: Qubit of M.
        butterfly: Qubit of B.
        seed: Seed of places and axes.

    Raises:
        ValueError: If fewer than `n_gates` one-qubit gates lie in both cones.
    """
    check_count(n_gates, "n_gates", 0)
    places = [
        (m, k)
        for m, k in both_cones(circuit, measured, butterfly)
        if len(circuit.moments[m][k].qubits) == 1
    ]
    if n_gates > len(places):
        raise ValueError(
            f"`n_gates` must be at most the {len(places)} one-qubit gates inside both cones, but is {n_gates}; "
            f"take more cycles."
        )
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(places))[:n_gates]
    axes = (2 * rng.integers(4, size=n_gates) + 1) * math.pi / 4
    moments = [list(moment) for moment in circuit.moments]
    for index, axis in zip(chosen, axes, strict=True):
        moment, number = places[index]
        old = moments[moment][number]
        moments[moment][number] = Operation(phased_x(math.pi / 2, axis), old.qubits)
    return Circuit(circuit.n_qubits, tuple(map(tuple, moments)))


def _turn(bits: np.ndarray, signs: np.ndarray, operation: Operation):
    codes = operation_code(bits, operation)
    changes, factors = _table(operation.gate)
    return turned(bits, operation, changes[codes]), signs * factors[codes]


@lru_cache(maxsize=4096)
def _table(gate: Gate) -> tuple[np.ndarray, np.ndarray]:
    """What a letter is changed by (exclusive or) and the sign, for every letter or pair of letters."""
    if not is_clifford_gate(gate):
        raise ValueError(
            f"`circuit` must be Clifford, but holds {gate.name}{gate.parameters}; use "
            f"`pauli_propagation.propagate_paulis`."
        )
    matrix = np.rint(transfer_matrix(gate)).astype(np.int64)
    rows = np.arange(len(matrix))
    targets = np.abs(matrix).argmax(axis=1)
    return (rows ^ targets).astype(np.uint8), matrix[rows, targets]


def _to_quarter_axis(operation: Operation) -> Operation:
    if operation.gate.name != "phased_x":
        return operation
    theta, phi = operation.gate.parameters
    # Uniform axes fall on the four quarters equally often.
    return Operation(
        phased_x(theta, math.floor(phi / (math.pi / 2)) * math.pi / 2), operation.qubits
    )


def _cone(circuit: Circuit, qubit: int, moments: range) -> set[tuple[int, int]]:
    reached, inside = {qubit}, set()
    for number in moments:
        for place, operation in enumerate(circuit.moments[number]):
            if reached.intersection(operation.qubits):
                reached.update(operation.qubits)
                inside.add((number, place))
    return inside

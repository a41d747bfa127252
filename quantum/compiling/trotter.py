"""Product formulas: exp(-i H t) of coupled spins as a circuit of pair gates, of order 1, 2 or 4 in the step.

    S1(h) = prod_k exp(-i H_k h),   S2(h) = S1(h/2) S1(h/2) backwards,
    S4(h) = S2(p h)^2 S2((1 - 4 p) h) S2(p h)^2,   p = 1 / (4 - 4^(1/3))

H_k are the fields of all spins, then one coupling after the other. The error of the whole evolution falls as h^order;
terms that commute are exact. Second order is symmetric, S2(h) S2(-h) = 1. The default order of the couplings is that
of a swap network, disjoint pairs after disjoint pairs, so that few moments are needed where every pair can be coupled;
`swap_network` makes circuits for a line.

Sources: G. Strang, SIAM J. Numer. Anal. 5, 506 (1968), DOI 10.1137/0705041; M. Suzuki, Phys. Lett. A 146, 319 (1990),
DOI 10.1016/0375-9601(90)90962-N. Left out: commutator bounds, randomised and higher formulas.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import matrix_gate
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian

ORDERS = (1, 2, 4)
_SUZUKI = 1 / (4 - 4 ** (1 / 3))
Term = tuple[int, ...]  # one spin: its field; two spins: their coupling


@dataclass(frozen=True)
class Sweep:
    """All terms once, one after the other.

    Attributes:
        fraction: Part of the step that it lasts; negative goes back in time.
        backwards: Whether the terms come in reversed order.
    """

    fraction: float
    backwards: bool = False


def sweeps(order: int) -> tuple[Sweep, ...]:
    """Sweeps of one step, in time order; the fractions add up to 1.

    Raises:
        ValueError: If the order is not 1, 2 or 4.
    """
    if order not in ORDERS:
        raise ValueError(f"`order` must be 1, 2 or 4, but is {order!r}.")
    if order == 1:
        return (Sweep(1.0),)
    parts = (1.0,) if order == 2 else (_SUZUKI, _SUZUKI, 1 - 4 * _SUZUKI, _SUZUKI, _SUZUKI)
    return tuple(Sweep(part / 2, backwards) for part in parts for backwards in (False, True))


def round_robin(n_spins: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Layers of disjoint pairs in which every pair of spins meets once, in the order of a swap network on a line."""
    line = list(range(n_spins))
    layers = []
    for layer in range(n_spins):
        met = []
        for left in range(layer % 2, n_spins - 1, 2):
            first, second = line[left : left + 2]
            met.append((min(first, second), max(first, second)))
            line[left : left + 2] = second, first
        layers.append(tuple(met))
    return tuple(layers)


def pair_matrix(tensor: np.ndarray, time: float | int) -> np.ndarray:
    """exp(-i I_1 . T . I_2 t) of a tensor in rad/s and a time in seconds, complex128, (4, 4)."""
    energies = np.einsum("ab,aij,bkl->ikjl", tensor, PAULIS / 2, PAULIS / 2).reshape(4, 4)
    return _exponential(energies, time)


def spin_matrix(field: np.ndarray, time: float | int) -> np.ndarray:
    """exp(-i f . I t) of a field in rad/s and a time in seconds, complex128, (2, 2)."""
    return _exponential(np.einsum("a,aij->ij", field, PAULIS / 2), time)


def trotter_circuit(
    hamiltonian: SpinHamiltonian,
    time: float | int,
    n_steps: int,
    *,
    order: int = 2,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> Circuit:
    """Circuit of exp(-i H t), for couplers between all qubits.

    Args:
        hamiltonian: Couplings and fields in rad/s.
        time: Duration in seconds; a negative one goes back.
        n_steps: Steps of equal length.
        order: 1, 2 or 4.
        pairs: Order of the couplings; those of a swap network by default. Pairs without coupling take no gate.

    Raises:
        ValueError: If the order is unknown, there is no step, the time is not finite, or `pairs` lacks a coupling or
            names one twice.
    """
    check_count(n_steps, "n_steps", 1)
    if not math.isfinite(time):
        raise ValueError(f"`time` must be finite, but is {time} s.")
    terms = _terms(hamiltonian, pairs)
    step = time / n_steps
    sequence: list[tuple[Term, float]] = []
    for _ in range(n_steps):
        for sweep in sweeps(order):
            for term in reversed(terms) if sweep.backwards else terms:
                if sequence and sequence[-1][0] == term:  # where two sweeps meet
                    sequence[-1] = (term, sequence[-1][1] + sweep.fraction * step)
                else:
                    sequence.append((term, sweep.fraction * step))
    couplings, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    gates = {}
    for term, duration in sequence:
        if (term, duration) not in gates:
            matrix = (
                spin_matrix(fields[term[0]], duration)
                if len(term) == 1
                else pair_matrix(couplings[term], duration)
            )
            gates[term, duration] = Operation(matrix_gate(matrix), term)
    return Circuit(hamiltonian.n_spins, packed(gates[key] for key in sequence))


def packed(operations: Iterable[Operation]) -> tuple[Moment, ...]:
    """Moments of operations, each as early as its qubits allow."""
    moments: list[list[Operation]] = []
    free: dict[int, int] = {}
    for operation in operations:
        place = max(free.get(q, 0) for q in operation.qubits)
        if place == len(moments):
            moments.append([])
        moments[place].append(operation)
        free.update(dict.fromkeys(operation.qubits, place + 1))
    return tuple(tuple(moment) for moment in moments)


def _terms(hamiltonian: SpinHamiltonian, pairs: Sequence[tuple[int, int]] | None) -> list[Term]:
    couplings, fields = np.asarray(hamiltonian.couplings), np.asarray(hamiltonian.fields)
    n = hamiltonian.n_spins
    ordered = [p for layer in round_robin(n) for p in layer] if pairs is None else list(pairs)
    if any(not (0 <= i < n and 0 <= j < n and i != j) for i, j in ordered):
        raise ValueError(f"`pairs` must name different spins from 0 to {n - 1}, but are {ordered}.")
    keys = [frozenset(pair) for pair in ordered]
    if len(set(keys)) != len(keys):
        raise ValueError("`pairs` must name every pair at most once, but one comes twice.")
    coupled = {frozenset((i, j)) for i in range(n) for j in range(i) if couplings[i, j].any()}
    if coupled - set(keys):
        missing = sorted(min(coupled - set(keys), key=sorted))
        raise ValueError(f"`pairs` must name every coupled pair, but lacks {tuple(missing)}.")
    alone: list[Term] = [(i,) for i in range(n) if fields[i].any()]
    return alone + [p for p, key in zip(ordered, keys, strict=True) if key in coupled]


def _exponential(energies: np.ndarray, time: float | int) -> np.ndarray:
    values, vectors = np.linalg.eigh(energies)
    return (vectors * np.exp(-1j * values * time)) @ vectors.conj().T

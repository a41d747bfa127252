"""Heisenberg evolution of a Pauli string as a weighted sum of Pauli strings, exact or truncated, with its error.

An observable O goes backwards through a circuit U, gate by gate: O(t) = U^dagger O U = sum_a b_a P_a with real b_a and
sum b_a^2 = 1, the normalised trace of O(t)^2. A gate acts on the b_a through its Pauli transfer matrix; equal strings
are then added up. Truncation drops small, heavy or supernumerary strings after every gate. With d_s what is dropped
after gate s the error operator is D = sum_s V_s^dagger d_s V_s, V_s the part of the circuit still to come, so that

    ||D||_2  <=  sum_s ||d_s||_2    bounds the rms error of <O> over random input bit strings
    |error of <O>|  <=  sum_s ||d_s||_1    for any input state, since a Pauli string has eigenvalues +-1
    sum_s ||d_s||_2^2  =  1 - sum_a b_a^2    exactly, as gates keep the norm

where ||.||_p are norms of the coefficients. Correlators of B(t) = sum b_a P_a with a Pauli string M:

    at infinite temperature   Tr[B(t) M B(t) M] / 2^n = sum_a b_a^2 s_a,  s_a = +1 where P_a and M commute, else -1
    from |0...0> with M = Z   <B(t) M B(t) M> = <v| M |v>,  v = B(t)|0...0>,  one v for every place of M

The echo experiment measures the second; the first has the same mean over circuits that scramble, but is another number
for one circuit. Source of the method: T. Begusic, J. Gray, G. K.-L. Chan, Sci. Adv. 10, eadk4321 (2024), DOI
10.1126/sciadv.adk4321; the bounds follow from unitarity. Leaves out noise and symmetries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from quantum._checks import check_count, check_in_range
from quantum.circuits.circuit import Circuit, Operation, light_cone
from quantum.circuits.packed_pauli import (
    X_BITS,
    code,
    commutation_signs,
    grouped,
    merged,
    operation_code,
    pack,
    transfer_matrix,
    turned,
    unpack,
    weights,
    y_counts,
)
from quantum.circuits.pauli import PauliString
from quantum.engines.memory import available_bytes

# Cancellation leaves remainders of rounding; they would branch on for ever. Counted in the error like the rest.
_ROUNDING = 1e-15
# Beyond this a gate takes minutes, whatever the memory (our choice).
_MOST_TERMS = 100_000_000
_COPIES = 5  # of strings and coefficients while they are sorted and added up
_ROWS = 2**14  # of letters that a gate mixes at once: 2 MB, which fits a cache
# No state is held, and the qubits say nothing of the strings there will be.
N_STATES = {"single": 0, "double": 0}


@dataclass(frozen=True)
class Truncation:
    """What is dropped after every gate; by default nothing but rounding.

    Attributes:
        min_coefficient: Strings with a smaller |coefficient| are dropped.
        max_weight: Strings with more letters other than I are dropped; None for no limit.
        max_terms: Only this many strings with the largest |coefficient| are kept; None for no limit.

    Raises:
        ValueError: If a limit is out of range.
    """

    min_coefficient: float = 0.0
    max_weight: int | None = None
    max_terms: int | None = None

    def __post_init__(self):
        check_in_range(self.min_coefficient, "min_coefficient", 0, 1)
        for name in ("max_weight", "max_terms"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name, 1)


@dataclass(frozen=True)
class PauliSum:
    """A weighted sum of Pauli strings, and what was dropped on the way to it.

    Attributes:
        n_qubits: Number of qubits.
        bits: Packed strings (`quantum.circuits.packed_pauli`), all different, (terms, words).
        coefficients: Real weight of every string, (terms,).
        dropped_norm: Sum over the gates of the 2-norm of what was dropped.
        dropped_sum: Sum of |coefficient| of all that was dropped.
        peak_terms: Largest number of strings there were after a gate, before truncation.
    """

    n_qubits: int
    bits: np.ndarray
    coefficients: np.ndarray
    dropped_norm: float = 0.0
    dropped_sum: float = 0.0
    peak_terms: int = field(default=1, compare=False)

    @property
    def n_terms(self) -> int:
        """Number of strings."""
        return len(self.coefficients)

    @property
    def norm_squared(self) -> float:
        """Sum of squared coefficients, 1 for a whole Pauli string; what is missing was dropped."""
        return float(self.coefficients @ self.coefficients)

    def strings(self) -> list[PauliString]:
        """The strings, unpacked."""
        return unpack(self.bits, self.n_qubits)

    def zero_state_expectation(self) -> float:
        """Expectation value in |0...0>; off by at most `dropped_sum`."""
        diagonal = ((self.bits & X_BITS) == 0).all(axis=1)
        return float(self.coefficients[diagonal].sum())

    def on_zero_state(self) -> tuple[np.ndarray, np.ndarray]:
        """The vector this sum makes of |0...0>, sparse: packed X patterns of its basis states, amplitudes."""
        amplitudes = self.coefficients * np.array([1, 1j, -1, -1j])[y_counts(self.bits) % 4]
        return merged(self.bits & X_BITS, amplitudes)


def propagate_paulis(
    circuit: Circuit, observable: PauliString, truncation: Truncation | None = None
) -> PauliSum:
    """U^dagger O U as a sum of Pauli strings.

    Args:
        circuit: U.
        observable: O.
        truncation: What to drop; nothing by default, which is exact and may need 4^(cone) strings.

    Raises:
        ValueError: If the observable acts beyond the circuit, or more strings would be needed than fit into memory.
    """
    rule = truncation or Truncation()
    bits, coefficients = pack([observable], circuit.n_qubits), np.ones(1)
    norm = total = 0.0
    peak = 1
    for moment in reversed(light_cone(circuit, observable.qubits).moments):
        for operation in moment:
            bits, coefficients = _conjugate(bits, coefficients, operation)
            peak = max(peak, len(bits))
            keep = _kept(bits, coefficients, rule)
            if not keep.all():
                dropped = coefficients[~keep]
                norm += float(np.linalg.norm(dropped))
                total += float(np.abs(dropped).sum())
                bits, coefficients = bits[keep], coefficients[keep]
    return PauliSum(circuit.n_qubits, bits, coefficients, norm, total, peak)


def propagate_while(
    circuit: Circuit, observable: PauliString, most_terms: int
) -> tuple[PauliSum, Circuit]:
    """Propagates exactly as far back as at most `most_terms` strings allow.

    Args:
        circuit: U.
        observable: O.
        most_terms: Largest number of strings.

    Returns:
        The sum so far, and the circuit that it has still to go through: U^dagger O U = rest^dagger (sum) rest.
    """
    check_count(most_terms, "most_terms", 1)
    bits, coefficients = pack([observable], circuit.n_qubits), np.ones(1)
    pruned = light_cone(circuit, observable.qubits)
    for number in range(len(pruned) - 1, -1, -1):
        for done, operation in enumerate(pruned.moments[number]):
            further = _conjugate(bits, coefficients, operation)
            keep = np.abs(further[1]) > _ROUNDING
            if np.count_nonzero(keep) > most_terms:
                left = (*pruned.moments[:number], pruned.moments[number][done:])
                return PauliSum(circuit.n_qubits, bits, coefficients), Circuit(
                    circuit.n_qubits, left
                )
            bits, coefficients = further[0][keep], further[1][keep]
    return PauliSum(circuit.n_qubits, bits, coefficients), Circuit(circuit.n_qubits)


def expectations(
    circuits: Sequence[Circuit], observables: Sequence[PauliString], precision: str = "double"
) -> np.ndarray:
    """Engine interface: expectation values without truncation, (circuits, observables), always in double.

    Raises:
        ValueError: If a circuit needs more strings than fit into memory, up to 4^(qubits of the light cone).
    """
    del precision
    return np.array(
        [[propagate_paulis(c, o).zero_state_expectation() for o in observables] for c in circuits]
    )


def infinite_temperature_otoc(evolved: PauliSum, other: PauliString) -> float:
    """Tr[B(t) M B(t) M] / 2^n for B(t) = `evolved` and M = `other`; off by at most `otoc_bound`."""
    signs = commutation_signs(evolved.bits, pack([other], evolved.n_qubits))
    return float(evolved.coefficients**2 @ signs)


def infinite_temperature_map(evolved: PauliSum) -> np.ndarray:
    """The same for M = Z on every qubit, (qubits,); X and Y anticommute with it."""
    squares = evolved.coefficients**2
    flips = [squares @ (code(evolved.bits, q) & 1) for q in range(evolved.n_qubits)]
    return squares.sum() - 2 * np.array(flips)


def zero_state_map(evolved: PauliSum) -> np.ndarray:
    """<B(t) Z B(t) Z> from |0...0> for Z on every qubit, (qubits,); off by at most `otoc_bound`."""
    patterns, amplitudes = evolved.on_zero_state()
    chances = np.abs(amplitudes) ** 2
    flips = [chances @ (code(patterns, q) & 1) for q in range(evolved.n_qubits)]
    return chances.sum() - 2 * np.array(flips)


def otoc_bound(evolved: PauliSum, *, zero_state: bool) -> float:
    """Largest error that truncation can have made in a correlator, from ||B(t)|| = 1 and ||D|| <= what was dropped.

    Args:
        evolved: B(t).
        zero_state: Whether of the correlator from |0...0>, otherwise at infinite temperature.
    """
    missing = evolved.dropped_sum if zero_state else evolved.dropped_norm
    # B = K + D, with K what was kept, gives <BMBM> - <KMKM> = <BMDM> + <DMBM> - <DMDM>.
    bound = 2 * missing + missing**2
    # At infinite temperature neither correlator can leave [-1, 1]; from |0...0> that of K can.
    return bound if zero_state else min(bound, 2.0)


def _conjugate(
    bits: np.ndarray, coefficients: np.ndarray, operation: Operation
) -> tuple[np.ndarray, np.ndarray]:
    matrix = transfer_matrix(operation.gate)
    codes = operation_code(bits, operation)
    if not codes.any():
        return bits, coefficients
    branches = np.count_nonzero(matrix, axis=1)
    present = np.bincount(codes, minlength=len(matrix))
    if not present[branches > 1].any():
        # A signed permutation keeps different strings different, so there is nothing to add up.
        targets = np.argmax(matrix != 0, axis=1)
        changed = turned(bits, operation, codes ^ targets[codes])
        return changed, coefficients * matrix[codes, targets[codes]]
    _check_terms(int(present @ branches), _COPIES * (bits[:1].nbytes + 8))
    # Strings that agree outside the gate are rows of letters inside it, so the gate is one matrix product.
    outside = turned(bits, operation, codes)
    order, starts = grouped(outside)
    outside, codes, coefficients = outside[order[starts]], codes[order], coefficients[order]
    ends = np.append(starts[1:], len(order))
    parts, values = [], []
    for first in range(0, len(starts), _ROWS):
        low, high = starts[first : first + _ROWS], ends[first : first + _ROWS]
        here = slice(low[0], high[-1])
        table = np.zeros((len(low), len(matrix)))
        table[np.repeat(np.arange(len(low)), high - low), codes[here]] = coefficients[here]
        table = table @ matrix
        rows, letters = np.nonzero(table)
        parts.append(turned(outside[first + rows], operation, letters))
        values.append(table[rows, letters])
    return np.concatenate(parts), np.concatenate(values)


def _check_terms(needed: int, bytes_each: int) -> None:
    # Asking the operating system at every gate would take longer than the gate.
    small = needed * bytes_each < 2**28
    most = _MOST_TERMS if small else min(_MOST_TERMS, available_bytes() // bytes_each)
    if needed > most:
        raise ValueError(
            f"`circuit` must need at most {most:.1e} Pauli strings to fit into memory, but needs {needed:.1e} or more; "
            "give `propagate_paulis` a `truncation`, or take an engine that keeps a state."
        )


def _kept(bits: np.ndarray, coefficients: np.ndarray, rule: Truncation) -> np.ndarray:
    sizes = np.abs(coefficients)
    keep = sizes > max(rule.min_coefficient, _ROUNDING)
    if rule.max_weight is not None:
        keep &= weights(bits) <= rule.max_weight
    if rule.max_terms is not None and np.count_nonzero(keep) > rule.max_terms:
        order = np.argpartition(np.where(keep, sizes, 0), -rule.max_terms)
        keep[order[: -rule.max_terms]] = False
    return keep

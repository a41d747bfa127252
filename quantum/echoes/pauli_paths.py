"""Monte Carlo over the Pauli paths of B(t) = U^dagger B U: good for the OTOC, lost to signs for the OTOC(2).

Backwards through U each gate turns a Pauli string into a sum with real weights R[a, b], sum_b R[a, b]^2 = 1. A path is
one choice of b per gate, taken here with chance R[a, b]^2, so that a path's end P_a estimates

    C^(2) = Tr[B(t) M B(t) M] / 2^n = sum_a b_a^2 s_a    (s_a = +-1 as P_a and M commute or not)   by the mean of s_a.

The walk adds squares where the truth squares a sum: interference of paths with a common end is left out. It averages
out over circuits whose one-qubit gates are uniformly random; for one circuit it is an error that no number of samples
removes. So the first gates are done exactly while their strings fit into a cache of given size, and paths start from
its strings with chance b_a^2. With all of B(t) in the cache only the statistical error is left.

For k = 2 four strings meet, C^(4) = sum b_a b_b b_c b_d s_b s_d Tr[P_a P_b P_c P_d] / 2^n. Small loops consist of equal
pairs; the off-diagonal part is the rest, all four different. Drawing a, b and c with chances |b| / L, L = sum |b|,
fixes d, and the estimate is L^3 b_d times signs: unbiased, but of variance L^3 sum |b_a b_b b_c| b_d^2, about N^2 for N
like strings whatever the value: the sign problem. A walk among the loops themselves fares no better where the mean
sign, sum of loops / sum of |loops|, is small; `sum_loops` computes both exactly for few strings.

"Cached Monte Carlo" is named in the supplement of Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI
10.1038/s41586-025-09526-6; its algorithm is not in our sources, so what is cached here is our reading. All values are
at infinite temperature (`quantum.engines.pauli_propagation` says how that differs from |0...0>).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate
from quantum.circuits.packed_pauli import (
    QUBITS_PER_WORD,
    code,
    commutation_signs,
    merged,
    operation_code,
    pack,
    product_phases,
    transfer_matrix,
    turned,
)
from quantum.circuits.pauli import PauliString
from quantum.engines.pauli_propagation import PauliSum, propagate_while

_MOST_PAIRED_TERMS = 3000  # 9 million pairs, a few hundred bytes each while sorting


@dataclass(frozen=True)
class PathSamples:
    """Ends of sampled Pauli paths.

    Attributes:
        n_qubits: Number of qubits.
        bits: Packed strings, (samples, words).
        n_cached: Strings in the cache from which the paths started.
        n_walked: Gates that were walked; 0 where the cache holds all of B(t), so that nothing is left out.
    """

    n_qubits: int
    bits: np.ndarray
    n_cached: int
    n_walked: int

    def otoc(self, other: PauliString) -> tuple[float, float]:
        """C^(2) at infinite temperature with M = `other`, and its standard error over the paths."""
        signs = commutation_signs(self.bits, pack([other], self.n_qubits))
        return _mean_and_error(signs.astype(float))

    def otoc_map(self) -> tuple[np.ndarray, np.ndarray]:
        """The same for M = Z on every qubit: values and standard errors, (qubits,) each."""
        means = [1 - 2 * float((code(self.bits, q) & 1).mean()) for q in range(self.n_qubits)]
        values = np.array(means)
        return values, np.sqrt((1 - values**2) / max(len(self.bits) - 1, 1))


@dataclass(frozen=True)
class LoopSums:
    """The parts of C^(4) at infinite temperature, exact.

    Attributes:
        total: C^(4).
        small_loops: Part of the loops that consist of equal pairs.
        off_diagonal: Part of the loops of four different strings.
        absolute: Sum of |b_a b_b b_c b_d| over those loops.
    """

    total: float
    small_loops: float
    off_diagonal: float
    absolute: float

    @property
    def mean_sign(self) -> float:
        """Off-diagonal part over its sum of absolute values; 0 without any such loop."""
        return self.off_diagonal / self.absolute if self.absolute else 0.0


def sample_paths(
    circuit: Circuit, observable: PauliString, n_samples: int, *, seed: int, cache: int = 1
) -> PathSamples:
    """Samples Pauli paths of U^dagger O U.

    Args:
        circuit: U.
        observable: O.
        n_samples: Number of paths.
        seed: Seed of the draws.
        cache: Most strings propagated exactly before paths are drawn; 1 draws from the first branching on.

    Raises:
        ValueError: If there is no sample, or the cache is empty.
    """
    check_count(n_samples, "n_samples", 1)
    check_count(cache, "cache", 1)
    start, rest = propagate_while(circuit, observable, cache)
    rng = np.random.default_rng(seed)
    chances = start.coefficients**2
    bits = start.bits[rng.choice(len(chances), size=n_samples, p=chances / chances.sum())]
    for moment in reversed(rest.moments):
        for operation in moment:
            bits = _walk(bits, operation, rng)
    return PathSamples(circuit.n_qubits, bits, start.n_terms, rest.n_operations)


def sample_off_diagonal(
    evolved: PauliSum, other: PauliString, n_samples: int, *, seed: int
) -> tuple[float, float]:
    """Unbiased estimate of the off-diagonal part of C^(4) at infinite temperature, and its standard error.

    Args:
        evolved: B(t), all strings of it, on at most 32 qubits.
        other: M.
        n_samples: Number of loops drawn.
        seed: Seed of the draws.

    Raises:
        ValueError: If there are more than 32 qubits, or fewer than two samples.
    """
    check_count(n_samples, "n_samples", 2)
    if evolved.n_qubits > QUBITS_PER_WORD:
        raise ValueError(
            f"`evolved` must have at most {QUBITS_PER_WORD} qubits, but has {evolved.n_qubits}; "
            f"`restrict` the circuit first."
        )
    bits, b = merged(evolved.bits, evolved.coefficients)
    signs = commutation_signs(bits, pack([other], evolved.n_qubits))
    total = np.abs(b).sum()
    rng = np.random.default_rng(seed)
    i, j, k = rng.choice(len(b), size=(3, n_samples), p=np.abs(b) / total)
    closing = bits[i] ^ bits[j] ^ bits[k]
    # P_a P_b P_c = i^power P_d, and P_d P_d = 1 closes the loop.
    power = product_phases(bits[i], bits[j]) + product_phases(bits[i] ^ bits[j], bits[k])
    at = np.minimum(np.searchsorted(bits[:, 0], closing[:, 0]), len(b) - 1)
    valid = (bits[at, 0] == closing[:, 0]) & (i != j) & (j != k) & (i != k)
    sign = signs[j] * signs[at] * np.sign(b[i] * b[j] * b[k])
    # An odd power of i stands for a loop whose reverse cancels it, so only the real part counts.
    loop = np.array([1.0, 0.0, -1.0, 0.0])[power % 4]
    return _mean_and_error(np.where(valid, total**3 * b[at] * sign * loop, 0.0))


def sum_loops(evolved: PauliSum, other: PauliString) -> LoopSums:
    """C^(4) = Tr[(B(t) M)^4] / 2^n from the strings of B(t), and its parts.

    Raises:
        ValueError: If there are more strings than pairs of them can be listed.
    """
    if evolved.n_terms > _MOST_PAIRED_TERMS:
        raise ValueError(
            f"`evolved` must hold at most {_MOST_PAIRED_TERMS} strings, but holds {evolved.n_terms}; "
            f"take fewer qubits or cycles."
        )
    bits, b = evolved.bits, evolved.coefficients
    signs = commutation_signs(bits, pack([other], evolved.n_qubits))
    first, second = (axis.ravel() for axis in np.indices((len(b), len(b))))
    phases = np.array([1, 1j, -1, -1j])[product_phases(bits[first], bits[second])]
    weight = b[first] * b[second]
    paired = np.stack([weight * signs[second] * phases, np.abs(weight)], axis=1)
    # B(t) M B(t) M = sum_e V_e P_e, and the normalised trace of its square is the sum of V_e^2.
    _, sums = merged(bits[first] ^ bits[second], paired)
    total, absolute = (float(np.real(sums[:, k] ** 2).sum()) for k in (0, 1))
    squares, fourth = b**2, float((b**4).sum())
    commuting = commutation_signs(bits[first], bits[second]).reshape(len(b), len(b))
    # Equal pairs (ab)(cd), (bc)(da) and (ac)(bd); all four equal is in each of the three and counts once.
    small = 2 * (squares @ signs) ** 2 + squares @ commuting @ squares - 2 * fourth
    pairs = 3 * squares.sum() ** 2 - 2 * fourth
    return LoopSums(total, float(small), float(total - small), float(absolute - pairs))


@lru_cache(maxsize=65536)
def _cumulative_chances(gate: Gate) -> np.ndarray:
    chances = transfer_matrix(gate) ** 2
    cumulative = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    # No draw may fall beyond the last reachable letter because the sum ends at 1 - 1e-16.
    return np.where(cumulative > 1 - 1e-12, 2.0, cumulative)


def _walk(bits: np.ndarray, operation: Operation, rng: np.random.Generator) -> np.ndarray:
    """One transition of every path; the table of each gate is made once."""
    codes = operation_code(bits, operation)
    if not codes.any():
        return bits
    draws = rng.random(len(bits))
    targets = (draws[:, None] >= _cumulative_chances(operation.gate)[codes]).sum(axis=1)
    return turned(bits, operation, codes ^ targets.astype(np.uint8))


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    if len(values) == 1:
        return float(values[0]), float("inf")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))

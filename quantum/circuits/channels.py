"""Noise channels on one or two qubits: Kraus operators, Pauli twirls, and how error figures convert.

A channel is rho -> sum_k K_k rho K_k^dagger. Three figures of merit are in use and differ by a few tens of percent;
with d = 2^n for n qubits they are, for a depolarising channel rho -> (1 - p) rho + p 1/d,

    depolarising probability   p
    Pauli error                e = p (1 - 1/d^2), the weight of all Paulis but the identity, 1 - process fidelity
    average infidelity         r = p (1 - 1/d) = e d / (d + 1)

The Pauli error is the convention everywhere in this package: "an error of 0.1 %" means e = 0.001. It is also what
`cirq.depolarize` takes and what XEB calibrations list as `pauli_error`.

Relaxation over a time t with T1 and pure dephasing time T_phi takes <1|rho|1> to exp(-t/T1) of it and the coherence to
exp(-t/(2 T1) - t/T_phi). Its Pauli twirl keeps the diagonal of the chi matrix, p_P = sum_k |tr(P K_k)/d|^2; that is
exact on average for a circuit whose Paulis are randomised, and otherwise an approximation, which loses the decay
towards |0>.

Sources: M. A. Nielsen, Phys. Lett. A 303, 249 (2002), DOI 10.1016/S0375-9601(02)01272-0 (average and process fidelity);
M. A. Nielsen and I. L. Chuang, "Quantum Computation and Quantum Information", section 8.3 (amplitude damping).
Leaves out leakage, correlated errors and drift.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from quantum._checks import check_choice, check_in_range
from quantum.circuits.gates import pauli_gate
from quantum.circuits.tolerance import ACCEPTED, EXACT

PAULI_LETTERS = "IXYZ"


@dataclass(frozen=True, eq=False)
class Channel:
    """A completely positive, trace preserving map on one or two qubits.

    Attributes:
        kraus: Kraus operators, complex128, (k, d, d); the first qubit is the more significant bit.
        paulis: For a Pauli channel the probability of each Pauli string, base-4 digits in the order I, X, Y, Z with
            the first qubit most significant; None for any other channel.

    Raises:
        ValueError: If the operators do not add up to a trace preserving map.
    """

    kraus: np.ndarray
    paulis: np.ndarray | None = None

    def __post_init__(self):
        total = np.einsum("kji,kjl->il", self.kraus.conj(), self.kraus)
        error = np.abs(total - np.eye(len(total))).max()
        if not error < ACCEPTED:
            raise ValueError(
                f"`kraus` must preserve the trace, but sum K^dagger K misses 1 by {error:.2g}."
            )
        if error > EXACT:  # single precision; left so, every fault would lose 1e-7 of the trace
            values, vectors = np.linalg.eigh(total)
            root = (vectors * values**-0.5) @ vectors.conj().T
            object.__setattr__(self, "kraus", self.kraus @ root)

    @property
    def n_qubits(self) -> int:
        """Number of qubits it acts on."""
        return 1 if self.kraus.shape[1] == 2 else 2

    @cached_property
    def pauli_error(self) -> float:
        """Weight of everything but the identity, 1 - process fidelity."""
        return float(1 - twirl_probabilities(self)[0])

    @cached_property
    def superoperator(self) -> np.ndarray:
        """Matrix on vectorised density matrices, (d^2, d^2), rows before columns: sum_k K_k (x) conj(K_k)."""
        return sum(np.kron(k, k.conj()) for k in self.kraus)  # type: ignore[return-value]


@lru_cache
def pauli_matrices(n_qubits: int) -> np.ndarray:
    """All Pauli strings as matrices, (4^n, 2^n, 2^n), in the order of `Channel.paulis`."""
    single = [pauli_gate(letter).matrix() for letter in PAULI_LETTERS]
    if n_qubits == 1:
        return np.array(single)
    return np.array([np.kron(a, b) for a, b in itertools.product(single, single)])


def pauli_channel(probabilities: np.ndarray) -> Channel:
    """Channel that applies each Pauli string with its probability.

    Args:
        probabilities: 4 (one qubit) or 16 (two qubits) probabilities in the order of `Channel.paulis`.

    Raises:
        ValueError: If there are not 4 or 16 of them, one is negative, or they do not add up to 1.
    """
    p = np.asarray(probabilities, dtype=float)
    if p.shape not in ((4,), (16,)):
        raise ValueError(f"`probabilities` must hold 4 or 16 numbers, but its shape is {p.shape}.")
    if p.min() < 0 or abs(p.sum() - 1) > ACCEPTED:
        raise ValueError(
            f"`probabilities` must be at least 0 and add up to 1, but add up to {p.sum():.12g} from {p.min():.3g} up."
        )
    if abs(p.sum() - 1) > EXACT:
        p = p / p.sum()
    matrices = pauli_matrices(1 if p.size == 4 else 2)
    used = p > 0
    return Channel(np.sqrt(p[used])[:, None, None] * matrices[used], p)


@lru_cache(maxsize=4096)
def depolarizing(pauli_error: float | int, n_qubits: int) -> Channel:
    """Every Pauli string but the identity with probability `pauli_error` / (4^n - 1).

    Raises:
        ValueError: If the error lies outside [0, 1 - 4^-n] (full depolarisation), or there are not 1 or 2 qubits.
    """
    check_choice(str(n_qubits), "n_qubits", ("1", "2"))
    check_in_range(pauli_error, "pauli_error", 0, 1 - 4.0**-n_qubits)
    probabilities = np.full(4**n_qubits, pauli_error / (4**n_qubits - 1))
    probabilities[0] = 1 - pauli_error
    return pauli_channel(probabilities)


def pauli_error_from_depolarizing(probability: float | int, n_qubits: int) -> float:
    """Pauli error e = p (1 - 4^-n) of rho -> (1 - p) rho + p 1/2^n."""
    check_in_range(probability, "probability", 0, 1)
    return probability * (1 - 4.0**-n_qubits)


def pauli_error_from_average_infidelity(infidelity: float | int, n_qubits: int) -> float:
    """Pauli error e = r (1 + 2^-n) of a channel with average gate infidelity r.

    Raises:
        ValueError: If r exceeds d / (d + 1), that of a channel without any part of the identity (e = 1).
    """
    hint = "More than d / (d + 1) is not possible: no channel on d levels is worse."
    check_in_range(infidelity, "infidelity", 0, 1 / (1 + 2.0**-n_qubits), hint=hint)
    return infidelity * (1 + 2.0**-n_qubits)


@lru_cache(maxsize=4096)
def relaxation(duration: float | int, t1: float, t_phi: float) -> Channel:
    """Energy relaxation and pure dephasing of one qubit over `duration`; all times in seconds, infinite T allowed.

    Raises:
        ValueError: If the duration is negative or not finite, or a time constant is not positive.
    """
    check_in_range(duration, "duration", 0, 1e6, "s")
    for name, value in (("t1", t1), ("t_phi", t_phi)):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive (infinite for none), but is {value:g} s.")
    decay = -math.expm1(-duration / t1)
    flip = -math.expm1(-duration / t_phi) / 2
    stay = np.diag([1, math.sqrt(1 - decay)])
    turned = np.diag([1, -math.sqrt(1 - decay)])
    fall = np.array([[0, math.sqrt(decay)], [0, 0]])
    operators = [math.sqrt(1 - flip) * stay, math.sqrt(flip) * turned, fall]
    return Channel(np.array([k for k in operators if k.any()], dtype=complex))


def twirl_probabilities(channel: Channel) -> np.ndarray:
    """Probability of each Pauli string in the Pauli twirl of a channel, in the order of `Channel.paulis`."""
    matrices = pauli_matrices(channel.n_qubits)
    size = matrices.shape[1]
    overlaps = np.einsum("pij,kji->pk", matrices, channel.kraus) / size
    return np.sum(np.abs(overlaps) ** 2, axis=1)


@lru_cache(maxsize=4096)
def twirled(channel: Channel) -> Channel:
    """The Pauli channel that is left after averaging a channel over all Pauli frames."""
    if channel.paulis is not None:
        return channel
    p = twirl_probabilities(channel)
    return pauli_channel(p / p.sum())

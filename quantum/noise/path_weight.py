"""Pauli paths by their weight: the exact damping of a noisy circuit, behind the laws of `extrapolation`.

Every gate carries a depolarising channel of n qubits with Pauli error e; it multiplies all Pauli strings but the
identity on its qubits by 1 - p, p = e / (1 - 4^-n). Backwards from the observable the signal is a sum over Pauli paths,
and each is damped by how many noisy gates its strings touch, its weight h:

    S(lambda) = sum_h c(h) exp(-lambda h),      exp(-lambda w) = 1 - p for a gate that counts w

exactly, a Laplace transform of the distribution c(h). It is not a probability: c(h) of one circuit takes both signs,
and only its sum is the noiseless signal S_0. With the cumulants k_1, k_2, k_3, ... of c(h) / S_0,

    ln S(lambda) = ln S_0 - k_1 lambda + k_2 lambda^2 / 2 - k_3 lambda^3 / 6 + ...

so the law S_0 exp(-mu lambda + s^2 lambda^2 / 2) is exact where c(h) is normal, and otherwise wrong from the third
cumulant on; for a signed c(h), s^2 may well be negative.

Source: as described second-hand for the NMR companion, arXiv 2510.19550, Eq. 2, its exact form to be checked. Leaves
out relaxation and coherent errors, which damp strings by their letters too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from quantum._checks import check_count, check_in_range
from quantum.circuits.circuit import Circuit, Operation, light_cone, restrict
from quantum.circuits.packed_pauli import transfer_matrix
from quantum.circuits.pauli import PauliString
from quantum.circuits.played import is_played
from quantum.noise.model import NoiseModel

_MOST_NUMBERS = 3e7  # coefficients of all strings by weight, 240 MB a copy
_LETTERS = "IXZY"  # order of `packed_pauli.transfer_matrix`
_UP = (1, 0, 1, 0)  # expectation of each letter in |0>
_MIXED = (1, 0, 0, 0)  # and in the maximally mixed state


@dataclass(frozen=True, eq=False)
class PathWeights:
    """Distribution of the Pauli paths of one signal over their weight.

    Attributes:
        amplitudes: c(h) for h = 0, 1, 2, ...
        weights: Weight of a one-qubit and of a two-qubit gate.
    """

    amplitudes: np.ndarray
    weights: tuple[int, int]

    @property
    def noiseless(self) -> float:
        """S_0, the sum of all amplitudes."""
        return float(self.amplitudes.sum())

    @property
    def negative_share(self) -> float:
        """Part of sum |c(h)| that has the other sign than S_0; 0 for a true distribution."""
        c = self.amplitudes * (1 if self.noiseless >= 0 else -1)
        return float(-c[c < 0].sum() / np.abs(c).sum())

    def signal(self, rates: np.ndarray | float | int) -> np.ndarray:
        """S(lambda) at each rate, exact."""
        h = np.arange(self.amplitudes.size)
        damping = np.exp(-np.multiply.outer(np.asarray(rates, float), h))
        return np.asarray(damping @ self.amplitudes)

    def cumulants(self) -> np.ndarray:
        """First four cumulants of c(h) / S_0; of a normal distribution the last two vanish.

        Raises:
            ValueError: If S_0 is 0, where the logarithm of the signal has no expansion.
        """
        if abs(self.noiseless) < 1e-12 * np.abs(self.amplitudes).sum():
            raise ValueError("`amplitudes` must not cancel for cumulants, but add up to 0.")
        h, p = np.arange(self.amplitudes.size), self.amplitudes / self.noiseless
        mean = float(h @ p)
        second, third, fourth = (float((h - mean) ** k @ p) for k in (2, 3, 4))
        return np.array([mean, second, third, fourth - 3 * second**2])

    def distance_from_normal(self) -> float:
        """Half of sum |c(h) / S_0 - normal of equal mean and variance|: 0 for a normal c(h), at most 1 without signs.

        Raises:
            ValueError: If there is no variance to compare with, or S_0 is 0.
        """
        mean, variance = self.cumulants()[:2]
        if variance <= 0:
            raise ValueError(
                f"`amplitudes` must have a positive variance to compare with a normal law, but it is {variance:.3g}."
            )
        # The weights come in steps of their common divisor; the normal law is taken in the same bins.
        step = math.gcd(*self.weights) or 1
        h = np.arange(0, self.amplitudes.size, step)
        edges = np.concatenate([[-np.inf], h[1:] - step / 2, [np.inf]])
        bins = np.diff(norm.cdf(edges, mean, math.sqrt(variance)))
        return float(np.abs(self.amplitudes[::step] / self.noiseless - bins).sum() / 2)


def path_weights(
    circuit: Circuit,
    observable: PauliString,
    weights: tuple[int, int] = (0, 1),
    *,
    mixed: Sequence[int] = (),
) -> PathWeights:
    """Exact c(h) by Heisenberg propagation of all Pauli strings, kept apart by weight.

    Args:
        circuit: Circuit as it is played; it starts from |0...0>.
        observable: What is measured.
        weights: What a noisy one-qubit and two-qubit gate count, whole numbers; what is not played (`circuits.played`)
            counts 0.
        mixed: Qubits that start maximally mixed instead, as an average over all their states does.

    Raises:
        ValueError: If a weight is negative, both are 0, or 4^qubits times the largest weight is too large (about 8
            qubits are not).
    """
    for weight in weights:
        check_count(weight, "weights", 0)
    if not any(weights):
        raise ValueError("`weights` must not both be 0, but are; no gate would be noisy.")
    pruned, touched = restrict(light_cone(circuit, observable.qubits), observable.qubits)
    n = pruned.n_qubits
    most = sum(_weight(op, weights) for op in pruned.operations())
    if 4.0**n * (most + 1) > _MOST_NUMBERS:
        raise ValueError(
            f"`circuit` must need at most {_MOST_NUMBERS:.0e} coefficients, but its {n} qubits and {most} weights "
            f"need {4.0**n * (most + 1):.1e}; take a smaller one."
        )
    letters = dict(observable.factors)
    table = np.zeros((4,) * n + (1,))
    table[(*(_LETTERS.index(letters.get(q, "I")) for q in touched), 0)] = 1
    for moment in reversed(pruned.moments):
        for operation in moment:
            table = _back(_damped(table, operation, _weight(operation, weights)), operation)
    for qubit in touched:
        table = np.tensordot(_MIXED if qubit in mixed else _UP, table, axes=(0, 0))
    return PathWeights(table, (int(weights[0]), int(weights[1])))


def matching_noise(rate: float | int, weights: tuple[int, int] = (0, 1)) -> NoiseModel:
    """The noise model whose exact signal is `PathWeights.signal(rate)`: depolarising gates and nothing else."""
    check_in_range(rate, "rate", 0, 100)
    lost = [
        -math.expm1(-rate * weight) * (1 - 4.0**-n)
        for n, weight in ((1, weights[0]), (2, weights[1]))
    ]
    return NoiseModel(one_qubit_error=lost[0], two_qubit_error=lost[1])


def _weight(operation: Operation, weights: tuple[int, int]) -> int:
    return int(weights[len(operation.qubits) - 1]) if is_played(operation.gate) else 0


def _damped(table: np.ndarray, operation: Operation, weight: int) -> np.ndarray:
    """Moves what is not the identity on the operation's qubits up by its weight."""
    if weight == 0:
        return table
    longer = np.zeros((*table.shape[:-1], table.shape[-1] + weight))
    longer[..., weight:] = table
    here = tuple(0 if q in operation.qubits else slice(None) for q in range(table.ndim - 1))
    longer[here] = 0
    longer[here][..., : table.shape[-1]] = table[here]
    return longer


def _back(table: np.ndarray, operation: Operation) -> np.ndarray:
    """One gate backwards: string a becomes sum_b R[a, b] b."""
    k = len(operation.qubits)
    # The first qubit is the lower digit of a row of R.
    axes = operation.qubits[::-1]
    matrix = transfer_matrix(operation.gate).reshape((4,) * (2 * k))
    moved = np.tensordot(matrix, table, axes=(range(k), axes))
    return np.moveaxis(moved, range(k), axes)

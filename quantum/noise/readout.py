"""Readout errors of several qubits, and expectation values freed of them.

A register in basis state b is read as r with probability A[r, b]. For independent qubits A is a product of (2, 2)
matrices (tensored), else it is one (2^n, 2^n) matrix (full). The value of an observable f of bits is the mean over
shots of g[r] = sum_b f[b] A^-1[b, r], which is unbiased; its standard error is that of g, so the price of the
correction is in it. A product of Z on tensored qubits needs no 2^n numbers. `condition_number`, the largest singular
value of A over the least, bounds how much the relative error of all probabilities together grows (2-norm); where it is
large, some difference of bit strings is hardly seen at all.

Corrected probabilities A^-1 p may be negative; they are not mended, since mending biases expectation values.

Source: S. Bravyi et al., Phys. Rev. A 103, 042605 (2021), DOI 10.1103/PhysRevA.103.042605.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantum._checks import check_array, check_in_range
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines.sampling import Counts, diagonal_terms, mean_of_shots
from quantum.estimates import Estimate

_LARGE = 100.0  # condition number beyond which a warning says so (our choice)
_SINGULAR = 1e12
_MOST_FULL = 12  # qubits; a full matrix then takes 134 MB


@dataclass(frozen=True, eq=False)
class Readout:
    """How basis states are read.

    Attributes:
        qubits: Qubits in the order of the bits.
        matrices: A (2, 2) matrix for each qubit (tensored), or a single (2^n, 2^n) one (full); rows are what is read,
            columns the state that is there, and each column sums to 1.

    Raises:
        ValueError: If shapes do not fit, a column is no distribution, or a matrix has no inverse.
    """

    qubits: tuple[int, ...]
    matrices: tuple[np.ndarray, ...]

    def __post_init__(self):
        n = len(self.qubits)
        if not n or len(set(self.qubits)) != n:
            raise ValueError(f"`qubits` must be different and at least one, but are {self.qubits}.")
        full = len(self.matrices) == 1
        if not full and len(self.matrices) != n:
            raise ValueError(
                f"`matrices` must be one for each of {n} qubits or one for all, but are {len(self.matrices)}."
            )
        if full and n > _MOST_FULL:
            raise ValueError(
                f"`qubits` must be at most {_MOST_FULL} for a full matrix, but are {n}; use a tensored one."
            )
        side = 2**n if full else 2
        matrices = tuple(np.array(m, dtype=float) for m in self.matrices)
        for matrix in matrices:
            check_array(matrix, "matrices", (side, side))
            sums = matrix.sum(axis=0)
            if matrix.min() < 0 or not np.allclose(sums, 1, atol=1e-6):
                raise ValueError(
                    "`matrices` must have columns that are probabilities and sum to 1, but the least entry is "
                    f"{matrix.min():.3g} and a sum is {sums[np.abs(sums - 1).argmax()]:.6g}."
                )
            matrix.flags.writeable = False
        object.__setattr__(self, "matrices", matrices)
        if not self.condition_number < _SINGULAR:
            raise ValueError(
                "`matrices` must have an inverse, but two states are read alike (an error of 1/2 carries no "
                f"information; condition number {self.condition_number:.3g})."
            )
        if self.condition_number > _LARGE:
            warnings.warn(
                f"The readout has condition number {self.condition_number:.3g}: errors of some observables grow by "
                "as much.",
                stacklevel=3,
            )

    @cached_property
    def condition_number(self) -> float:
        """Largest over least singular value of A, at least 1."""
        return float(np.prod([np.linalg.cond(matrix) for matrix in self.matrices]))

    @property
    def tensored(self) -> bool:
        """Whether qubits are read independently."""
        return len(self.matrices) == len(self.qubits)

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Probabilities of what is read, (2^n,), from those of the states, first qubit the most significant bit."""
        return self._each(self.matrices, probabilities)

    def correct(self, counts: Counts) -> dict[str, float]:
        """Probabilities of the states that were there, by bit string; unbiased, so some may be negative.

        Raises:
            ValueError: If the counts are of other qubits, or there are more than 12.
        """
        n = self._checked(counts)
        read = np.zeros(2**n)
        for text, times in counts.counts.items():
            read[int(text, 2)] = times / counts.n_shots
        found = self._each([np.linalg.inv(m) for m in self.matrices], read)
        return {f"{k:0{n}b}": float(p) for k, p in enumerate(found)}

    def expectation(self, counts: Counts, observable: PauliString | Observable | str) -> Estimate:
        """Corrected mean of an observable of I and Z with its standard error (the calibration taken as exact).

        Raises:
            ValueError: If the counts are of other qubits, or the observable holds X or Y or acts on a qubit not read.
        """
        terms = diagonal_terms(observable, self.qubits)
        if self.tensored:
            if counts.qubits != self.qubits:
                raise ValueError(self._other(counts))
            values = sum((w * self._product(counts.bits, string) for w, string in terms), 0.0)
            return mean_of_shots(np.broadcast_to(values, counts.times.shape), counts.times)
        n = self._checked(counts)
        wanted = np.zeros(2**n)
        states = np.arange(2**n)
        for weight, string in terms:
            mask = sum(1 << (n - 1 - self.qubits.index(q)) for q in string.qubits)
            wanted += weight * (1 - 2.0 * (np.bitwise_count(states & mask) & 1))
        dual = np.linalg.solve(self.matrices[0].T, wanted)
        return mean_of_shots(dual[[int(text, 2) for text in counts.counts]], counts.times)

    def _product(self, bits: np.ndarray, string: PauliString) -> np.ndarray:
        """Value of a product of Z for every read bit string: the product of what each qubit's bit stands for."""
        values = np.ones(len(bits))
        for qubit in string.qubits:
            column = self.qubits.index(qubit)
            values *= np.linalg.solve(self.matrices[column].T, [1.0, -1.0])[bits[:, column]]
        return values

    def _each(self, matrices: Sequence[np.ndarray], vector: np.ndarray) -> np.ndarray:
        n = len(self.qubits)
        check_array(vector, "probabilities", (2**n,))
        if not self.tensored:
            return matrices[0] @ np.asarray(vector)
        tensor = np.asarray(vector, dtype=float).reshape((2,) * n)
        for axis, matrix in enumerate(matrices):
            tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
        return tensor.reshape(-1)

    def _checked(self, counts: Counts) -> int:
        if counts.qubits != self.qubits:
            raise ValueError(self._other(counts))
        if len(self.qubits) > _MOST_FULL:
            raise ValueError(
                f"`counts` must be of at most {_MOST_FULL} qubits for all probabilities, but are of "
                f"{len(self.qubits)}; ask for expectation values."
            )
        return len(self.qubits)

    def _other(self, counts: Counts) -> str:
        return (
            f"`counts` must be of qubits {self.qubits} in this order, but are of {counts.qubits}; "
            "`Counts.marginal` picks and orders them."
        )


def tensored_readout(errors: Mapping[int, tuple[float, float]]) -> Readout:
    """Readout of independent qubits.

    Args:
        errors: By qubit, the probability to read 1 in |0> and to read 0 in |1>.

    Raises:
        ValueError: If one is not a probability, or a qubit carries no information.
    """
    for qubit, pair in errors.items():
        for error in pair:
            check_in_range(error, f"errors[{qubit}]", 0, 1)
    matrices = tuple(np.array([[1 - zero, one], [zero, 1 - one]]) for zero, one in errors.values())
    return Readout(tuple(errors), matrices)


def calibrated_readout(calibration: Mapping[str, Counts], *, tensored: bool = False) -> Readout:
    """Readout from counts that were taken after basis states were prepared.

    Args:
        calibration: Counts by the bit string that was prepared, all of the same qubits: all 2^n of them, or for
            `tensored` any that prepare every qubit in 0 and in 1 (two will do, "00..." and "11...").
        tensored: Whether qubits are taken as independent.

    Raises:
        ValueError: If states are missing, or counts are of different qubits.
    """
    found = {counts.qubits for counts in calibration.values()}
    if len(found) != 1:
        raise ValueError(f"`calibration` must be of one list of qubits, but is of {len(found)}.")
    qubits = found.pop()
    n = len(qubits)
    for text in calibration:
        if len(text) != n or set(text) - set("01"):
            raise ValueError(f"`calibration` must name {n} bits, but names {text!r}.")
    if tensored:
        return Readout(qubits, tuple(_one_qubit(calibration, k) for k in range(n)))
    if len(calibration) != 2**n:
        raise ValueError(
            f"`calibration` must prepare all {2**n} states for a full matrix, but prepares {len(calibration)}; "
            "`tensored=True` needs two."
        )
    matrix = np.zeros((2**n, 2**n))
    for text, counts in calibration.items():
        for read, times in counts.counts.items():
            matrix[int(read, 2), int(text, 2)] = times / counts.n_shots
    return Readout(qubits, (matrix,))


def _one_qubit(calibration: Mapping[str, Counts], column: int) -> np.ndarray:
    """Matrix of one qubit from all shots that prepared it, whatever the others were."""
    times = np.zeros((2, 2))
    for text, counts in calibration.items():
        np.add.at(times[:, int(text[column])], counts.bits[:, column], counts.times)
    if not times.sum(axis=0).all():
        raise ValueError(
            f"`calibration` must prepare every qubit in 0 and in 1, but bit {column} is always "
            f"{int(times[:, 1].any())}."
        )
    return times / times.sum(axis=0)

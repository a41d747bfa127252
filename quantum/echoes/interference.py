"""Diagonal and off-diagonal parts of an echo, told apart by random Pauli strings inserted around the butterfly.

Cut U = U_2 U_1 and expand the butterfly at the cut, U_2^dagger B U_2 = sum_a b_a P_a. A string S on both sides of it
turns b_a into +-b_a: plus where P_a commutes with S. Loop j of U_k carries its own S_j, so with M' = U_1 M U_1^dagger
and psi = U_1 |0...0>

    C^(4)(S_1, S_2) = sum_abcd s_a(S_1) s_b(S_2) s_c(S_2) s_d(S_1) b_a b_b b_c b_d <P_a M' P_b M' P_c M' P_d>_psi.

Over all strings the mean of s_a s_d is 1 for a = d and 0 otherwise. The mean over independent S_1 and S_2 therefore
keeps the outer pair (a = d) and the inner pair (b = c), and nothing else:

    diagonal = sum_ab b_a^2 b_b^2 <P_a M' P_b M' P_b M' P_a>_psi,        off-diagonal = C^(4) - diagonal.

Other pairings such as a = b, c = d count as off-diagonal. The same holds for every order k, each loop pairing with its
mirror image. `exact_diagonal` evaluates the sum without a single insertion: each loop is the Pauli channel of the
probabilities b_a^2, which multiplies Pauli coefficients. Values have no unit and lie in [-1, 1].

Sources: Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6; protocol as read
from the published circuits by third parties, who drew 20 pairs of strings per circuit (the paper's number is unknown).
Left out: noise and finite shots, which experiments add.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_count
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.echoes.otoc import Echo
from quantum.echoes.otoc_batch import correlators
from quantum.engines import statevector
from quantum.engines.dispatch import Precision
from quantum.estimates import Estimate

_MOST_QUBITS = 10  # dense operators of 4^n numbers and their products of 8^n
# Letter by letter, I X Y Z: matrices, and +1 where two letters commute.
_LETTERS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_COMMUTE = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])


@dataclass(frozen=True)
class Interference:
    """Values of an ensemble of circuits with and without inserted strings.

    Attributes:
        total: Value of every circuit without insertion, (circuits,).
        inserted: Value of every circuit under each of its own random insertions, (circuits, insertions).

    Raises:
        ValueError: If the shapes do not fit, or there are fewer than two insertions, which have no spread.
    """

    total: np.ndarray
    inserted: np.ndarray

    def __post_init__(self):
        if self.inserted.ndim != 2 or self.total.shape != self.inserted.shape[:1]:
            raise ValueError(
                "`inserted` must be (circuits, insertions) with the circuits of `total`, "
                f"but their shapes are {self.inserted.shape} and {self.total.shape}."
            )
        check_count(self.inserted.shape[1], "n_strings", 2, "One insertion has no standard error.")

    @classmethod
    def joined(cls, parts: Iterable["Interference"]) -> "Interference":
        """One ensemble of the circuits of several, in their order; all with as many insertions."""
        totals, tables = zip(*((part.total, part.inserted) for part in parts), strict=True)
        return cls(np.concatenate(totals), np.concatenate(tables))

    @property
    def diagonal(self) -> np.ndarray:
        """Mean over the insertions, (circuits,)."""
        return self.inserted.mean(axis=1)

    @property
    def stderr(self) -> np.ndarray:
        """Standard error of `diagonal`, and as well of `off_diagonal`, from the spread of the insertions."""
        return self.inserted.std(axis=1, ddof=1) / np.sqrt(self.inserted.shape[1])

    @property
    def off_diagonal(self) -> np.ndarray:
        """Value without insertion minus the diagonal part, (circuits,)."""
        return self.total - self.diagonal

    def off_diagonal_sd(self) -> float:
        """Standard deviation of the off-diagonal part over circuits, less what the finite number of strings adds."""
        spread = self.off_diagonal.var(ddof=1) - np.mean(self.stderr**2)
        return float(np.sqrt(max(spread, 0.0)))


def measure_interference(
    echoes: Sequence[Echo],
    n_strings: int,
    *,
    seed: int,
    engine: str = "auto",
    precision: Precision = "single",
) -> Interference:
    """Runs every echo without insertion and under `n_strings` random ones of its own.

    Each insertion is one string per loop, each string uniform over all letters on all qubits; the strings of different
    loops, insertions and circuits are independent.

    Args:
        echoes: Ensemble, each echo with its cut.
        n_strings: Insertions per circuit, at least 2.
        seed: Seed of the strings; circuit number i draws the same ones in an ensemble of any size.
        engine: Name of the engine.
        precision: "single" or "double".

    Raises:
        ValueError: If there is no echo, an echo lacks its cut, or there are fewer than two strings.
    """
    check_count(len(echoes), "echoes", 1)
    check_count(n_strings, "n_strings", 2, "One insertion has no standard error.")
    values = []
    for number, echo in enumerate(echoes):
        strings = draw_insertions(echo, n_strings, seed=(seed, number))
        values.append(correlators([echo], [(), *strings], engine=engine, precision=precision)[0])
    table = np.stack(values)
    return Interference(table[:, 0], table[:, 1:])


def draw_insertions(
    echo: Echo, n_strings: int, *, seed: int | tuple[int, ...]
) -> tuple[tuple[PauliString, ...], ...]:
    """Draws independent uniform strings, one for each loop of each insertion."""
    word = int(np.random.SeedSequence(seed).generate_state(1)[0])
    drawn = random_paulis(echo.unitary.n_qubits, n_strings * echo.order, seed=word)
    return tuple(drawn[i : i + echo.order] for i in range(0, len(drawn), echo.order))


def diagonal(echo: Echo, n_strings: int, *, seed: int, engine: str = "auto") -> Estimate:
    """Diagonal part of one echo from random strings, with its standard error."""
    found = measure_interference([echo], n_strings, seed=seed, engine=engine)
    return Estimate(float(found.diagonal[0]), float(found.stderr[0]))


def off_diagonal(echo: Echo, n_strings: int, *, seed: int, engine: str = "auto") -> Estimate:
    """Off-diagonal part of one echo, value without insertion minus the diagonal part, with its standard error."""
    found = measure_interference([echo], n_strings, seed=seed, engine=engine)
    return Estimate(float(found.off_diagonal[0]), float(found.stderr[0]))


def exact_diagonal(echo: Echo) -> float:
    """Diagonal part of any order in closed form, from the Pauli coefficients of the butterfly at the cut.

    Costs memory 4^n and time 8^n, so it is for small systems, where it checks the insertions.

    Raises:
        ValueError: If the echo has no cut, or more than 10 qubits.
    """
    n = echo.unitary.n_qubits
    if n > _MOST_QUBITS:
        raise ValueError(
            f"`echo` must have at most {_MOST_QUBITS} qubits for the exact sum, but has {n}; use `diagonal`."
        )
    factors = _channel_factors(echo)
    before = _dense(echo.unitary[: echo.cut].operations(), n)
    measured = before @ _dense(echo.measured_pauli.moment(), n) @ before.conj().T
    state = np.outer(before[:, 0], before[:, 0].conj())
    for loop in range(echo.order):
        if loop:
            state = measured @ state @ measured
        state = _from_paulis(factors * _to_paulis(state))
    value = float(np.trace(measured @ state).real)
    return -value if echo.inverted else value


def pauli_weights(echo: Echo) -> np.ndarray:
    """Squared coefficients b_a^2 of the butterfly at the cut, (4,) * n in the order I X Y Z; they sum to 1.

    Raises:
        ValueError: If the echo has no cut.
    """
    if echo.cut is None:
        raise ValueError("`cut` of the echo must be set, but is None.")
    n = echo.unitary.n_qubits
    after = _dense(echo.unitary[echo.cut :].operations(), n)
    struck = PauliString.on(dict.fromkeys(echo.butterflies, echo.butterfly))
    at_cut = after.conj().T @ _dense(struck.moment(), n) @ after
    return np.real(_to_paulis(at_cut)) ** 2  # hermitian, so its coefficients are real


def _channel_factors(echo: Echo) -> np.ndarray:
    """What the Pauli channel of the weights does to each Pauli coefficient, sum_a b_a^2 (+-1)."""
    return _each_axis(_COMMUTE, pauli_weights(echo))


def _dense(operations, n: int) -> np.ndarray:
    """Matrix of operations applied in turn."""
    tensor = np.eye(2**n, dtype=complex).reshape((2,) * n + (2**n,))
    for operation in operations:
        tensor = statevector.apply(tensor, operation)
    return tensor.reshape(2**n, 2**n)


def _to_paulis(matrix: np.ndarray) -> np.ndarray:
    """Coefficients Tr[P_a X] / 2^n of a matrix, (4,) * n."""
    n = int(np.log2(len(matrix)))
    # Rows and columns of each qubit side by side: r0 c0 r1 c1 ...
    pairs = [axis for q in range(n) for axis in (q, n + q)]
    tensor = matrix.reshape((2,) * (2 * n)).transpose(pairs).reshape((4,) * n)
    analysis = _LETTERS.transpose(0, 2, 1).reshape(4, 4) / 2
    return _each_axis(analysis, tensor)


def _from_paulis(coefficients: np.ndarray) -> np.ndarray:
    """The matrix sum_a c_a P_a."""
    n = coefficients.ndim
    tensor = _each_axis(_LETTERS.reshape(4, 4).T, coefficients).reshape((2,) * (2 * n))
    back = [2 * q for q in range(n)] + [2 * q + 1 for q in range(n)]
    return tensor.transpose(back).reshape(2**n, 2**n)


def _each_axis(matrix: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
    return tensor

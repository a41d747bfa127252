"""Many Pauli strings at once, packed into whole numbers, and what a gate does to them.

A string takes two bits per qubit, x and z, 32 qubits to an unsigned word of 64 bits: I = 00, X = 01, Z = 10, Y = 11
with x the lower bit, so 105 qubits need four words. Letters are the Hermitian matrices, Y = i X Z, so that real
coefficients stay real under conjugation. In this packing the product of two strings is an exclusive or up to a phase,
and two strings anticommute where the ones of a AND (b with x and z swapped) are odd in number.

A gate U turns a letter into U^dagger P_a U = sum_b R[a, b] P_b with the real orthogonal Pauli transfer matrix R, 4 x 4
for one qubit and 16 x 16 for two (index code(first) + 4 code(second)); R is a signed permutation where U is Clifford.

Source: S. Aaronson, D. Gottesman, Phys. Rev. A 70, 052328 (2004), DOI 10.1103/PhysRevA.70.052328 (bits and phases).
"""

from functools import cache, lru_cache

import numpy as np

from quantum.circuits.circuit import Operation
from quantum.circuits.gates import Gate
from quantum.circuits.pauli import PauliString

QUBITS_PER_WORD = 32
X_BITS = np.uint64(0x5555555555555555)
_ONE = np.uint64(1)
_LETTERS = "IXZY"  # place = x + 2 z
_MATRICES = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Z": np.diag([1, -1]),
    "Y": np.array([[0, -1j], [1j, 0]]),
}
# Elements of a transfer matrix below this are rounding of cos(pi / 2) and the like.
_ROUNDING = 1e-14


def n_words(n_qubits: int) -> int:
    """Words of 64 bits that a string of `n_qubits` letters takes."""
    return -(-n_qubits // QUBITS_PER_WORD)


def pack(strings: list[PauliString] | tuple[PauliString, ...], n_qubits: int) -> np.ndarray:
    """Packs strings, uint64, (strings, words).

    Raises:
        ValueError: If a string acts beyond the last qubit.
    """
    bits = np.zeros((len(strings), n_words(n_qubits)), dtype=np.uint64)
    for row, string in enumerate(strings):
        for qubit, letter in string.factors:
            if qubit >= n_qubits:
                raise ValueError(
                    f"`strings` must act on qubits 0 to {n_qubits - 1}, but one acts on qubit {qubit}."
                )
            word, shift = place(qubit)
            bits[row, word] |= np.uint64(_LETTERS.index(letter)) << shift
    return bits


def unpack(bits: np.ndarray, n_qubits: int) -> list[PauliString]:
    """The strings of packed rows."""
    codes = np.stack([code(bits, qubit) for qubit in range(n_qubits)], axis=1)
    return [
        PauliString.on({int(q): _LETTERS[row[q]] for q in np.flatnonzero(row)}) for row in codes
    ]


def place(qubit: int) -> tuple[int, np.uint64]:
    """Word of a qubit and the shift of its two bits there."""
    return qubit // QUBITS_PER_WORD, np.uint64(2 * (qubit % QUBITS_PER_WORD))


def code(bits: np.ndarray, qubit: int) -> np.ndarray:
    """Letter of every string on one qubit, x + 2 z, uint8."""
    word, shift = place(qubit)
    return ((bits[:, word] >> shift) & np.uint64(3)).astype(np.uint8)


def operation_code(bits: np.ndarray, operation: Operation) -> np.ndarray:
    """Row of the operation's transfer matrix for every string, uint8."""
    codes = code(bits, operation.qubits[0])
    return codes if len(operation.qubits) == 1 else codes + 4 * code(bits, operation.qubits[1])


def turned(bits: np.ndarray, operation: Operation, change: int | np.ndarray) -> np.ndarray:
    """Strings whose letters on the operation's qubits are changed by exclusive or with `change`."""
    result = bits.copy()
    change = np.asarray(change, dtype=np.uint64)
    for number, qubit in enumerate(operation.qubits):
        word, shift = place(qubit)
        result[:, word] ^= ((change >> np.uint64(2 * number)) & np.uint64(3)) << shift
    return result


def weights(bits: np.ndarray) -> np.ndarray:
    """Number of letters other than I in every string."""
    return np.bitwise_count((bits | (bits >> _ONE)) & X_BITS).sum(axis=1, dtype=np.int64)


def y_counts(bits: np.ndarray) -> np.ndarray:
    """Number of Y in every string."""
    return np.bitwise_count(bits & (bits >> _ONE) & X_BITS).sum(axis=1, dtype=np.int64)


def commutation_signs(bits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """+1 where strings commute and -1 where they anticommute; rows against rows, or against one row."""
    swapped = ((others & X_BITS) << _ONE) | ((others >> _ONE) & X_BITS)
    ones = np.bitwise_count(bits & swapped).sum(axis=-1, dtype=np.int64)
    return 1 - 2 * (ones & 1)


def product_phases(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Power of i in P_first P_second = i^power P_(first xor second), 0 to 3."""
    # i^(number of Y) turns letters into X^x Z^z, and moving Z^z of the first past X^x of the second gives the signs.
    crossed = (first >> _ONE) & second & X_BITS
    swaps = np.bitwise_count(crossed).sum(axis=-1, dtype=np.int64)
    return (y_counts(first) + y_counts(second) - y_counts(first ^ second) + 2 * swaps) % 4


def merged(bits: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Adds up the values of equal strings; the strings come out sorted."""
    if len(bits) < 2:
        return bits, values
    order, starts = grouped(bits)
    return bits[order[starts]], np.add.reduceat(values[order], starts)


def grouped(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order that sorts strings, and where each group of equal ones begins in it."""
    by_word = [bits[:, word] for word in range(bits.shape[1])]
    order = np.argsort(by_word[0]) if len(by_word) == 1 else np.lexsort(by_word[::-1])
    ordered = bits[order]
    new = np.ones(len(bits), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.flatnonzero(new)


@lru_cache(maxsize=65536)
def transfer_matrix(gate: Gate) -> np.ndarray:
    """Real transfer matrix R of U^dagger P_a U = sum_b R[a, b] P_b; read-only, since it is shared."""
    unitary, paulis = gate.matrix(), _paulis(gate.n_qubits)
    moved = unitary.conj().T @ paulis @ unitary
    matrix = np.einsum("bij,aji->ab", paulis, moved).real / len(unitary)
    matrix[np.abs(matrix) < _ROUNDING] = 0
    matrix.flags.writeable = False
    return matrix


@cache
def _paulis(n_qubits: int) -> np.ndarray:
    """Matrices of all letters on one qubit or two, in the order of a transfer matrix."""
    single = np.stack([_MATRICES[letter] for letter in _LETTERS])
    if n_qubits == 1:
        return single
    return np.stack([np.kron(first, second) for second in single for first in single])

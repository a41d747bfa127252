import functools

import numpy as np
import pytest

from quantum.circuits import packed_pauli
from quantum.circuits.circuit import Operation
from quantum.circuits.gates import fsim, phased_x
from quantum.circuits.pauli import PauliString, random_paulis

MATRICES = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}


def dense(string, n):
    letters = dict(string.factors)
    return functools.reduce(np.kron, [MATRICES[letters.get(q, "I")] for q in range(n)])


def test_packing_is_undone_beyond_one_word():
    strings = list(random_paulis(105, 20, seed=1))
    bits = packed_pauli.pack(strings, 105)
    assert bits.shape == (20, 4)
    assert packed_pauli.unpack(bits, 105) == strings
    np.testing.assert_array_equal(packed_pauli.weights(bits), [s.weight for s in strings])
    ys = [sum(letter == "Y" for _, letter in s.factors) for s in strings]
    np.testing.assert_array_equal(packed_pauli.y_counts(bits), ys)


def test_products_and_commutation_are_those_of_the_matrices():
    strings = random_paulis(3, 40, seed=2)
    bits = packed_pauli.pack(strings, 3)
    first, second = bits[:20], bits[20:]
    products = packed_pauli.unpack(first ^ second, 3)
    powers = packed_pauli.product_phases(first, second)
    signs = packed_pauli.commutation_signs(first, second)
    assert set(powers) == {0, 1, 2, 3}
    assert set(signs) == {-1, 1}
    for k in range(20):
        a, b = dense(strings[k], 3), dense(strings[20 + k], 3)
        np.testing.assert_array_equal(a @ b, 1j ** powers[k] * dense(products[k], 3))
        np.testing.assert_array_equal(a @ b, signs[k] * b @ a)


@pytest.mark.parametrize("gate", [phased_x(0.7, 1.1), fsim(0.4, 0.9)])
def test_a_transfer_matrix_says_what_conjugation_does_and_is_orthogonal(gate):
    matrix = packed_pauli.transfer_matrix(gate)
    unitary = gate.matrix()
    n = gate.n_qubits
    operation = Operation(gate, tuple(range(n)))
    for string in random_paulis(n, 6, seed=3):
        bits = packed_pauli.pack([string], n)
        row = matrix[packed_pauli.operation_code(bits, operation)[0]]
        letters = [("IXZY"[b % 4] + "IXZY"[b // 4])[:n] for b in range(4**n)]
        made = sum(row[b] * dense(PauliString.parse(letters[b]), n) for b in range(4**n))
        np.testing.assert_allclose(made, unitary.conj().T @ dense(string, n) @ unitary, atol=1e-14)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(4**n), atol=1e-13)


def test_equal_strings_are_added_up_in_every_word():
    strings = [PauliString.on({q: "X"}) for q in (0, 40, 104, 40, 0, 40)]
    bits, values = packed_pauli.merged(packed_pauli.pack(strings, 105), np.arange(6.0))
    found = dict(zip(packed_pauli.unpack(bits, 105), values, strict=True))
    assert found == {strings[0]: 4.0, strings[1]: 9.0, strings[2]: 2.0}


def test_a_string_beyond_the_register_is_named():
    with pytest.raises(ValueError, match="`strings` must act on qubits 0 to 2, but one acts on"):
        packed_pauli.pack([PauliString.on({3: "Z"})], 3)

import numpy as np
import pytest

from quantum.circuits.pauli import PauliString, random_paulis


def test_a_string_reads_the_same_from_letters_and_from_text():
    assert PauliString.on({3: "Z", 1: "X", 0: "I"}) == PauliString.parse("IXIZ")
    string = PauliString.parse("IYIX")
    assert (string.qubits, string.weight) == ((1, 3), 2)
    assert [(op.gate.name, op.qubits) for op in string.moment()] == [("y", (1,)), ("x", (3,))]


def test_letters_are_drawn_evenly_and_by_seed():
    strings = random_paulis(50, 40, seed=3)
    assert strings == random_paulis(50, 40, seed=3)
    letters = [letter for s in strings for _, letter in s.factors]
    counts = np.array([letters.count(letter) for letter in "XYZ"] + [2000 - len(letters)])
    # 2000 draws: sd sqrt(2000 x 3/16) = 19, five of them.
    assert np.abs(counts - 500).max() < 97


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PauliString.parse("XQ"), "letters X, Y, Z, but holds 'Q'"),
        (lambda: PauliString(((2, "X"), (1, "Z"))), r"in order, but names \[2, 1\]"),
        (lambda: PauliString(((1, "X"), (1, "Z"))), "different qubits"),
        (lambda: PauliString(((-1, "X"),)), "`factors` must name"),
        (lambda: random_paulis(3, 0, seed=1), "`n_strings` must be at least 1"),
    ],
)
def test_what_is_no_string_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

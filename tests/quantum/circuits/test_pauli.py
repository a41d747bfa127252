import numpy as np
import pytest

from quantum.circuits.pauli import Observable, PauliString, random_paulis, real_weight


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


def test_a_sum_is_the_same_however_it_is_written():
    zi, xx, one = PauliString.parse("ZI"), PauliString.parse("XX"), PauliString()
    wanted = ((0.5, zi), (-1.0, xx), (0.25, one))
    for same in (
        0.5 * zi - xx + 0.25 * one,
        Observable.parse("0.5 ZI - XX + 0.25 II"),
        Observable.parse(" .5*ZI-1XX +2.5e-1*I"),
        Observable.of({"ZI": 0.5, "XX": -1, "II": 0.25}),
        -(-0.5 * zi + xx - one * 0.25),
    ):
        assert same.terms == wanted
    assert same.qubits == (0, 1)


def test_terms_of_one_string_are_added_up_and_what_cancels_goes():
    assert Observable.parse("ZI + 0.5 ZI - XX + XX").terms == ((1.5, PauliString.parse("ZI")),)
    assert Observable.parse("Z - Z").terms == ()


def test_qubits_are_renamed():
    assert Observable.parse("2 XZ").moved({0: 7, 1: 3}).terms == (
        (2.0, PauliString.on({7: "X", 3: "Z"})),
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PauliString.parse("XQ"), "letters I, X, Y, Z, but is 'XQ'"),
        (lambda: PauliString.parse("-ZI"), "signs and sums are `Observable.parse`"),
        (lambda: PauliString(((0, "Q"),)), "letters X, Y, Z, but holds 'Q'"),
        (lambda: Observable.parse(""), "weighted letters"),
        (lambda: Observable.parse("ZI XX"), "not understood from 'XX' on"),
        (lambda: Observable.parse("0.5"), "weighted letters"),
        (lambda: real_weight(1j), "`terms` must have finite real weights"),
        (lambda: Observable.of({"Z": float("nan")}), "`terms` must have finite real weights"),
        (lambda: PauliString(((2, "X"), (1, "Z"))), r"in order, but names \[2, 1\]"),
        (lambda: PauliString(((1, "X"), (1, "Z"))), "different qubits"),
        (lambda: PauliString(((-1, "X"),)), "`factors` must name"),
        (lambda: random_paulis(3, 0, seed=1), "`n_strings` must be at least 1"),
    ],
)
def test_what_is_no_string_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

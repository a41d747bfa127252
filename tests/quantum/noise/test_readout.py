import numpy as np
import pytest

from quantum.circuits.pauli import Observable
from quantum.engines.sampling import Counts, draw
from quantum.noise.readout import Readout, calibrated_readout, tensored_readout

ERRORS = {0: (0.02, 0.1), 1: (0.05, 0.3)}
ENERGY = Observable.parse("ZZ - 0.5 ZI + 0.25 II")
TRUE = np.array([0.1, 0.2, 0.3, 0.4])
DIAGONAL = np.array([1, -1, -1, 1]) - 0.5 * np.array([1, 1, -1, -1]) + 0.25


def a_full_one():
    """Qubits that are read together: a shift of the whole register on top of independent errors."""
    matrix = np.kron(*tensored_readout(ERRORS).matrices)
    return Readout((0, 1), (0.9 * matrix + 0.1 * np.roll(np.eye(4), 1, axis=0),))


def exactly(probabilities, n_shots=10**9):
    """Counts without noise of counting."""
    times = np.rint(probabilities * n_shots).astype(int).tolist()
    return Counts((0, 1), {f"{k:02b}": t for k, t in enumerate(times)})


@pytest.mark.parametrize("readout", [tensored_readout(ERRORS), a_full_one()])
def test_the_correction_undoes_what_the_readout_does(readout):
    read = readout.apply(TRUE)
    assert np.abs(read - TRUE).max() > 0.01
    counts = exactly(read)
    assert list(readout.correct(counts).values()) == pytest.approx(TRUE, abs=1e-7)
    assert readout.expectation(counts, ENERGY).value == pytest.approx(DIAGONAL @ TRUE, abs=1e-7)


def test_the_order_of_qubits_and_the_direction_of_errors():
    # |01>: qubit 0 in 0 is read as 1 at 0.02, qubit 1 in 1 as 0 at 0.3.
    read = tensored_readout(ERRORS).apply(np.array([0.0, 1.0, 0.0, 0.0]))
    assert read == pytest.approx([0.98 * 0.3, 0.98 * 0.7, 0.02 * 0.3, 0.02 * 0.7])


def test_tensored_and_full_say_the_same_with_the_same_error():
    tensored = tensored_readout(ERRORS)
    full = Readout((0, 1), (np.kron(*tensored.matrices),))
    counts = Counts((0, 1), {"00": 50, "01": 20, "11": 30})
    a, b = tensored.expectation(counts, ENERGY), full.expectation(counts, ENERGY)
    assert (a.value, a.stderr) == pytest.approx((b.value, b.stderr))
    assert tensored.condition_number == pytest.approx(full.condition_number)


def test_condition_numbers_by_hand():
    # Symmetric errors: A = [[1-e, e], [e, 1-e]] has singular values 1 and 1 - 2 e.
    assert tensored_readout({0: (0.1, 0.1)}).condition_number == pytest.approx(1 / 0.8)
    assert tensored_readout({3: (0.1, 0.1), 1: (0.2, 0.2)}).condition_number == pytest.approx(
        1 / (0.8 * 0.6)
    )
    with pytest.warns(UserWarning, match="condition number 125"):
        tensored_readout({0: (0.496, 0.496)})


def test_the_stated_error_is_the_scatter():
    readout = a_full_one()
    read = readout.apply(TRUE)
    found = [readout.expectation(draw(read, (0, 1), 400, seed=k), ENERGY) for k in range(400)]
    values = np.array([f.value for f in found])
    stated = np.sqrt(np.mean([f.stderr**2 for f in found]))
    # The standard deviation of 400 values is known to 1/sqrt(800) = 3.5 %; four of them.
    assert values.std(ddof=1) == pytest.approx(stated, rel=0.14)
    assert abs(values.mean() - DIAGONAL @ TRUE) < 4 * stated / 20


def test_calibration_gives_the_matrices_back():
    true = tensored_readout(ERRORS)
    shots = {f"{k:02b}": exactly(true.apply(np.eye(4)[k]), 10**6) for k in range(4)}
    full = calibrated_readout(shots)
    assert full.matrices[0] == pytest.approx(np.kron(*true.matrices), abs=1e-6)
    two = calibrated_readout({k: shots[k] for k in ("00", "11")}, tensored=True)
    for found, wanted in zip(two.matrices, true.matrices, strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tensored_readout({0: (0.5, 0.5)}), "must have an inverse"),
        (lambda: tensored_readout({0: (-0.1, 0.5)}), r"`errors\[0\]` must lie between 0 and 1"),
        (lambda: Readout((0, 1), (np.eye(2),)), r"`matrices` must have shape \(4, 4\)"),
        (lambda: Readout((0,), (np.array([[0.9, 0.2], [0.2, 0.8]]),)), "sum to 1"),
        (lambda: Readout((0, 0), (np.eye(4),)), "`qubits` must be different"),
        (lambda: Readout((0, 1, 2), (np.eye(2), np.eye(2))), "one for each of 3 qubits"),
        (lambda: Readout(tuple(range(13)), (np.eye(2),)), "at most 12"),
        (lambda: a_full_one().correct(Counts((1, 0), {"00": 1})), "in this order"),
        (lambda: calibrated_readout({"0": Counts((0,), {"0": 1})}), "all 2 states"),
        (lambda: calibrated_readout({"0": Counts((0,), {"0": 1})}, tensored=True), "always 0"),
        (lambda: calibrated_readout({"00": Counts((0,), {"0": 1})}), "must name 1 bits"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

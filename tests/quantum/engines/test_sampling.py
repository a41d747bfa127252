import math

import numpy as np
import pytest

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.gates import Gate, phased_x
from quantum.engines.sampling import Counts, draw, sample


def turned(*angles):
    return Circuit(
        len(angles), (tuple(Operation(phased_x(a, 0), (q,)) for q, a in enumerate(angles)),)
    )


def test_bits_stand_in_the_order_of_the_qubits_that_are_read():
    flip = Circuit(3, ((Operation(Gate("x"), (1,)),),))
    assert sample(flip, 5, seed=0).counts == {"010": 5}
    assert sample(flip, 5, seed=0, qubits=(1, 2)).counts == {"10": 5}
    assert sample(flip, 5, seed=0, qubits=(0, 2, 1)).counts == {"001": 5}


def test_counts_follow_the_probabilities_and_the_seed():
    circuit = turned(0.8, 2.0)
    counts = sample(circuit, 10_000, seed=7)
    assert counts == sample(circuit, 10_000, seed=7)
    assert counts != sample(circuit, 10_000, seed=8)
    ones = np.sin(np.array([0.4, 1.0])) ** 2
    wanted = np.outer([1 - ones[0], ones[0]], [1 - ones[1], ones[1]]).ravel() * 10_000
    found = np.array([counts.counts.get(f"{k:02b}", 0) for k in range(4)])
    # Chi-squared of 3 degrees of freedom stays below 21 in 9999 of 10,000 draws.
    assert (np.square(found - wanted) / wanted).sum() < 21
    value = counts.expectation("ZZ")
    assert abs(value.value - math.cos(0.8) * math.cos(2.0)) < 4 * value.stderr


def test_the_mean_of_three_shots_and_its_error_by_hand():
    # Values of 2 Z0 + Z1 - 1: 2, -2, -2 on 00, 10 (twice); mean -2/3, variance (64/9 + 2 x 16/9) / 2 = 16/3.
    found = Counts((4, 9), {"00": 1, "10": 2}).expectation("2 IIIIZ + IIIIIIIIIZ - I")
    assert found.value == pytest.approx(-2 / 3)
    assert found.stderr == pytest.approx(math.sqrt(16 / 9))
    assert math.isnan(Counts((0,), {"1": 1}).expectation("Z").stderr)


def test_marginals_add_up_in_any_order():
    counts = Counts((3, 1, 2), {"010": 2, "011": 3, "110": 4})
    assert counts.marginal((2, 3)) == Counts((2, 3), {"00": 2, "10": 3, "01": 4})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Counts((0, 0), {"00": 1}), "`qubits` must be different"),
        (lambda: Counts((0, 1), {"0": 1}), "one bit for each of 2 qubits"),
        (lambda: Counts((0,), {"2": 1}), "names '2'"),
        (lambda: Counts((0,), {"0": 0}), "at least one shot"),
        (lambda: Counts((0,), {"0": -1}), "must be at least 0"),
        (lambda: Counts((0,), {"0": 1}).expectation("X"), "I and Z only"),
        (lambda: Counts((0,), {"0": 1}).expectation("IZ"), r"acts on \[1\]"),
        (lambda: Counts((0,), {"0": 1}).marginal((1,)), r"holds \[1\]"),
        (lambda: sample(turned(0.1), 0, seed=0), "`n_shots` must be at least 1"),
        (lambda: sample(turned(0.1), 1, seed=0, qubits=(1,)), "`qubits`"),
        (lambda: draw(np.ones(3), (0,), 1, seed=0), r"2\^n numbers"),
        (lambda: draw(np.array([2.0, -1.0]), (0,), 1, seed=0), "the least -1"),
        (lambda: sample(turned(0.1), 1, seed=0, engine="pauli_propagation"), "keeps a state"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

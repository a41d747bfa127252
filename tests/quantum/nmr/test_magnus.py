import math

import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr.dipolar_sequences import backward, tardis_2_like
from quantum.nmr.magnus import magnus_terms, unreversed
from quantum.nmr.pulse_sequence import (
    Delay,
    Pulse,
    PulseSequence,
    cycle_average,
    propagator,
)
from quantum.spins.hamiltonian import dense, make_hamiltonian

CHANNELS = ("C", "H", "H", "H")
LOPSIDED = PulseSequence(
    (Delay(1e-4), Pulse(1.0, 0.3, 5e-5), Delay(2e-4), Pulse(2.1, 1.7), Delay(5e-5))
)


def secular(seed: int = 0, strength: float = 2 * math.pi * 500):
    """Dipolar couplings, couplings to the probe and offsets, all of the order of `strength`."""
    rng = np.random.default_rng(seed)
    couplings = np.zeros((4, 4, 3, 3))
    for i in range(4):
        for j in range(i + 1, 4):
            kind = np.diag([0, 0, 2.0]) if i == 0 else np.diag([-1.0, -1.0, 2.0])
            couplings[i, j] = couplings[j, i] = rng.normal() * strength * kind
    return make_hamiltonian(couplings, np.outer(rng.normal(size=4), [0, 0, 0.3 * strength]))


@pytest.fixture(scope="module")
def spins():
    return secular()


def test_the_zeroth_term_is_the_average(spins):
    for sequence in (LOPSIDED, tardis_2_like(3e-6, 2e-6)):
        found = magnus_terms(sequence, spins, CHANNELS)[0]
        expected = dense(cycle_average(sequence, spins, CHANNELS))
        # Two routes to one integral; round-off of 1e4 rad/s.
        assert np.abs(found - expected).max() < 1e-9


def test_two_delays_give_the_commutators_of_baker_campbell_hausdorff(spins):
    # exp(-iBb) exp(-iAa): pulses of no duration turn A into B.
    pulse = Pulse(math.pi / 2, 0.0)
    undo = Pulse(-math.pi / 2, 0.0)
    sequence = PulseSequence((Delay(1e-4), pulse, Delay(2e-4), undo))
    turn = propagator(PulseSequence((pulse,)), 0.0 * spins, CHANNELS)
    a = -1j * dense(spins) * 1e-4
    b = turn.conj().T @ (-1j * dense(spins) * 2e-4) @ turn
    commute = lambda x, y: x @ y - y @ x  # noqa: E731
    expected = (
        a + b,
        commute(b, a) / 2,
        (commute(b, commute(b, a)) + commute(a, commute(a, b))) / 12,
    )
    for found, term in zip(magnus_terms(sequence, spins, CHANNELS), expected, strict=True):
        np.testing.assert_allclose(found, 1j * term / 3e-4, atol=1e-9)


def test_each_term_gains_one_order_in_the_cycle_time(spins):
    scales = np.array([0.2, 0.1, 0.05])
    turn = propagator(LOPSIDED, 0.0 * spins, CHANNELS)
    errors = np.zeros((3, 3))
    for column, scale in enumerate(scales):
        exact = propagator(LOPSIDED, float(scale) * spins, CHANNELS)
        total = 0
        for order, term in enumerate(magnus_terms(LOPSIDED, float(scale) * spins, CHANNELS)):
            total = total + term
            predicted = turn @ expm(-1j * total * LOPSIDED.duration)
            errors[order, column] = np.linalg.norm(predicted - exact)
    slopes = [np.polyfit(np.log(scales), np.log(e), 1)[0] for e in errors]
    assert slopes == pytest.approx([2, 3, 4], abs=0.1)


def test_a_symmetric_cycle_has_no_first_term_and_a_lopsided_one_has(spins):
    symmetric = magnus_terms(tardis_2_like(3e-6, 2e-6), spins, CHANNELS)
    assert np.linalg.norm(symmetric[1]) < 1e-10 * np.linalg.norm(symmetric[0])
    lopsided = magnus_terms(LOPSIDED, spins, CHANNELS)
    assert np.linalg.norm(lopsided[1]) > 1e-2 * np.linalg.norm(lopsided[0])


@pytest.mark.parametrize("duration", [0.0, 2e-6])
def test_reversal_turns_the_average_round_and_not_the_second_term(duration):
    spins = secular(seed=2)
    cycle = tardis_2_like(3e-6, duration)
    forth = magnus_terms(cycle, spins, CHANNELS)
    back = magnus_terms(backward(cycle), spins, CHANNELS)
    assert unreversed(forth[0], back[0]) < 1e-12
    assert 0.1 < unreversed(forth[2], back[2]) <= 1


def test_terms_are_hermitian(spins):
    for term in magnus_terms(LOPSIDED, spins, CHANNELS):
        assert np.abs(term - term.conj().T).max() < 1e-9


def test_bad_requests_are_named(spins):
    with pytest.raises(ValueError, match="`channels` must name each"):
        magnus_terms(LOPSIDED, spins, ("H",))
    with pytest.raises(ValueError, match="`sequence` must take time"):
        magnus_terms(PulseSequence((Pulse(1.0),)), spins, CHANNELS)
    with pytest.raises(ValueError, match="`forward` must not vanish"):
        unreversed(np.zeros((2, 2), complex), np.eye(2, dtype=complex))

import math

import numpy as np
import pytest

from quantum.nmr import average_hamiltonian, strike
from quantum.nmr.dipolar_sequences import pulsed_echo, tardis_1_like, tardis_2_like
from quantum.nmr.pulse_sequence import Delay, Pulse, PulseSequence, propagator
from quantum.nmr.pulsed_states import make_train, pulsed_echo_by_typicality, rotation
from quantum.spins.random_states import random_states

CHANNELS = ("C", "H", "H", "H", "H")


@pytest.fixture(scope="module")
def secular():
    table = np.random.default_rng(7).normal(size=(5, 5)) * 900
    table = np.triu(table, 1) + np.triu(table, 1).T
    return average_hamiltonian.secular_hamiltonian(
        table, offsets_hz=np.array([0.0, 300, -200, 100, 50])
    )


@pytest.fixture(scope="module")
def turn():
    return np.asarray(strike.butterfly(1, [0], 2.1))


def test_trains_on_states_are_the_dense_propagator(secular):
    # Ideal and finite pulses on both channels, a delay, phases that are no multiples of 90 degrees.
    sequence = PulseSequence(
        (
            Delay(2e-5), Pulse(1.1, 0.4, 1e-5), Pulse(math.pi, 0.0, 0.0, "C"), Delay(0.0), Pulse(-0.7, 2.0),
            Pulse(0.9, 1.0, 8e-6, "C"), Delay(2e-5),
        )
    )  # fmt: skip
    states = random_states(5, 3, seed=1, precision="double")
    found = make_train(sequence, secular, CHANNELS)(states)
    wanted = np.asarray(states) @ propagator(sequence, secular, CHANNELS).T
    np.testing.assert_allclose(found, wanted, atol=1e-10)


@pytest.mark.parametrize("cycle", [tardis_1_like(1e-5), tardis_2_like(0.0, 1e-5)])
def test_random_states_give_the_dense_echo_of_pulses(secular, turn, cycle):
    counts = [0, 1, 4]
    strike = np.eye(1)
    for struck in (False, False, False, True, True):
        strike = np.kron(strike, turn if struck else np.eye(2))
    wanted = pulsed_echo(cycle, secular, CHANNELS, counts, [np.eye(32, dtype=complex), strike])
    strikes = [lambda states: states, rotation((3, 4), turn)]
    found = pulsed_echo_by_typicality(cycle, secular, counts, strikes, n_states=60, seed=3)
    assert found.shape == (2, 60, 3)
    np.testing.assert_allclose(found[:, :, 0], 1, atol=1e-9)
    error = found.std(axis=1, ddof=1) / math.sqrt(60)
    assert np.all(np.abs(found.mean(axis=1) - wanted) < 4 * error + 1e-9)
    assert 0 < error.max() < 0.03
    assert wanted[1, 2] < 0.9  # the strike is felt


def test_bad_requests_are_named(secular):
    cycle = tardis_1_like(1e-5)
    with pytest.raises(ValueError, match="`channels` must name each of 5 spins"):
        make_train(cycle, secular, ("C", "H"))
    with pytest.raises(ValueError, match=r"`channels` must name .* pulsed channel \(C, H\)"):
        make_train(cycle, secular, ("H",) * 5)
    for counts in ([2, 1], [-1], []):
        with pytest.raises(ValueError, match="`n_cycles` must be rising"):
            pulsed_echo_by_typicality(cycle, secular, counts, [], n_states=1, seed=0)
    with pytest.raises(ValueError, match="`n_states` must be at least 1"):
        pulsed_echo_by_typicality(cycle, secular, [1], [], n_states=0, seed=0)

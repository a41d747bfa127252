import math

import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr import average_hamiltonian
from quantum.nmr.dipolar_sequences import baum_pines, blew_12, tardis_1_like, tardis_2_like
from quantum.nmr.pulse_sequence import Delay, Pulse, PulseSequence
from quantum.nmr.reversal import examine, reversing_frame
from quantum.spins.hamiltonian import make_hamiltonian, spin_product


@pytest.fixture(scope="module")
def secular():
    table = np.random.default_rng(4).normal(size=(4, 4)) * 800
    table = np.triu(table, 1) + np.triu(table, 1).T
    return average_hamiltonian.secular_hamiltonian(table, offsets_hz=np.array([0.0, 200, -100, 50]))


def test_the_frame_is_the_two_turns():
    generator = math.pi * spin_product(3, {0: 0})
    generator = generator + math.pi / 2 * (spin_product(3, {1: 2}) + spin_product(3, {2: 2}))
    np.testing.assert_allclose(reversing_frame(3), expm(-1j * generator), atol=1e-14)


@pytest.mark.parametrize(
    "cycle", [tardis_1_like(1e-5), tardis_2_like(0.0, 1e-5), tardis_2_like(3e-6, 2e-6, inner=True)]
)
def test_finite_pulses_are_reversed_but_for_the_second_term(secular, cycle):
    found = examine(cycle, secular)
    assert found.identity < 1e-12
    assert found.unreversed_average < 1e-12
    assert found.first < 1e-10
    assert found.second > 1e-4
    assert 0.01 < found.unreversed_second <= 1


def test_flip_flops_are_not_reversed(secular):
    # Free evolution keeps 3 I_z I_z - I.I, which no phase turns round: only the coupling to the probe is.
    found = examine(PulseSequence((Delay(1e-4),)), secular)
    assert found.identity < 1e-12  # the identity holds all the same
    assert found.unreversed_average > 0.3


def test_a_lopsided_cycle_has_a_first_term(secular):
    pulse = Pulse(math.pi / 2, 0.0)
    cycle = PulseSequence((Delay(2e-5), pulse, Delay(4e-5), pulse, pulse, pulse))
    assert examine(cycle, secular).first > 1e-3


def test_the_identity_needs_a_field_along_z(secular):
    fields = np.zeros((4, 3))
    cycle = tardis_2_like(3e-6, 2e-6)
    for axis, holds in ((2, True), (0, False)):
        fields[1:] = 2 * math.pi * 300 * np.eye(3)[axis]
        pushed = make_hamiltonian(np.asarray(secular.couplings), fields)
        assert (examine(cycle, pushed).identity < 1e-12) == holds


def test_bad_requests_are_named(secular):
    with pytest.raises(ValueError, match="`sequence` must take time"):
        examine(PulseSequence((Pulse(1.0),)), secular)
    with pytest.raises(ValueError, match="`n_spins` must be a probe and protons"):
        reversing_frame(1)
    nothing = average_hamiltonian.secular_hamiltonian(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="`sequence` must leave an average"):
        examine(baum_pines(3e-6) + blew_12(1e-5), nothing)

import math

import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr import dipolar_sequences as sequences
from quantum.nmr.pulse_sequence import (
    cycle_average,
    net_rotations,
    propagator,
    toggling_frames,
)
from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product

CHANNELS = ("C", "H", "H", "H")
DOUBLE_QUANTUM = np.diag([-1.0, 1.0, 0.0])
CROSSED = np.array([[0.0, 1.0, 0], [1, 0, 0], [0, 0, 0]])
ALL = {
    "baum_pines": sequences.baum_pines(3e-6, 2e-6),
    "double_resonance": sequences.double_resonance(3e-6, 2e-6),
    "tardis_2_like": sequences.tardis_2_like(3e-6, 2e-6),
    "tardis_1_like": sequences.tardis_1_like(3e-6),
    "blew_12": sequences.blew_12(3e-6),
}


@pytest.fixture(scope="module")
def spins():
    """Dipolar couplings of 2 kHz among protons, of 1 kHz to the probe, offsets of 300 Hz."""
    rng = np.random.default_rng(3)
    couplings = np.zeros((4, 4, 3, 3))
    for i in range(4):
        for j in range(i + 1, 4):
            kind = np.diag([0, 0, 1.0]) if i == 0 else np.diag([-2.0, -2.0, 4.0])
            couplings[i, j] = couplings[j, i] = 2 * math.pi * 1e3 * rng.normal() * kind
    return make_hamiltonian(couplings, np.outer(rng.normal(size=4), [0, 0, 2 * math.pi * 300]))


@pytest.mark.parametrize("name", ALL)
def test_every_sequence_is_a_cycle(name):
    sequence = ALL[name]
    channels = ("H",) if name in ("baum_pines", "blew_12") else ("C", "H")
    turns = net_rotations(sequence, channels)
    np.testing.assert_allclose(turns, np.broadcast_to(np.eye(3), turns.shape), atol=1e-14)


@pytest.mark.parametrize("pulse", [0.0, 2e-6])
def test_eight_pulses_make_pure_double_quantum_couplings(pulse):
    tensor, offset, probe = sequences.scale_factors(sequences.baum_pines(3e-6, pulse))
    np.testing.assert_allclose(tensor, DOUBLE_QUANTUM, atol=1e-14)
    np.testing.assert_allclose([offset, probe], 0, atol=1e-14)


@pytest.mark.parametrize("pulse", [0.0, 2e-6])
def test_double_resonance_keeps_the_probe(pulse):
    delay = 3e-6
    tensor, offset, probe = sequences.scale_factors(sequences.double_resonance(delay, pulse))
    expected = (delay + 4 * pulse / math.pi) / (3 * (delay + pulse))
    np.testing.assert_allclose(tensor, DOUBLE_QUANTUM, atol=1e-14)
    np.testing.assert_allclose(offset, 0, atol=1e-14)
    np.testing.assert_allclose(probe, [0, 0, expected], atol=1e-14)


def test_our_blocks_have_the_averages_of_tardis_2():
    tensor, _, probe = sequences.scale_factors(sequences.tardis_2_like(3e-6))
    np.testing.assert_allclose(tensor, DOUBLE_QUANTUM, atol=1e-14)
    assert probe[2] == pytest.approx(2 / 9, abs=1e-14)


def test_our_windowless_cycle_has_the_proton_average_of_tardis_1_and_not_that_of_the_probe():
    tensor, offset, probe = sequences.scale_factors(sequences.tardis_1_like(3e-6))
    np.testing.assert_allclose(tensor, CROSSED / math.pi, atol=1e-14)
    np.testing.assert_allclose(offset, 0, atol=1e-14)
    np.testing.assert_allclose(probe, [0, 0, 4 / (3 * math.pi)], atol=1e-14)
    assert probe[2] < sequences.LARGEST_HETERONUCLEAR < 2 / 3


def test_no_sign_of_the_probe_beats_the_bound():
    # The best signs are those of m_z at each instant; whatever the sequence, a double-quantum form stays below.
    for name in ("baum_pines", "double_resonance", "tardis_2_like", "tardis_1_like"):
        weights, frames = toggling_frames(ALL[name], ("C", "H"))
        tensor, _, _ = sequences.scale_factors(ALL[name])
        assert tensor[2, 2] == pytest.approx(0, abs=1e-13)
        assert weights @ np.abs(frames[:, 1, 2, 2]) <= sequences.LARGEST_HETERONUCLEAR


def test_blew_12_decouples_and_leaves_offsets_along_its_axis():
    tensor, offset, _ = sequences.scale_factors(sequences.blew_12(3e-6))
    np.testing.assert_allclose(tensor, 0, atol=1e-14)
    np.testing.assert_allclose(offset, sequences.BLEW_12_SCALE * sequences.BLEW_12_AXIS, atol=1e-14)
    assert pytest.approx(0.475, abs=5e-4) == sequences.BLEW_12_SCALE  # Burum et al. 1981


def test_blew_12_turns_a_spin_off_resonance_and_spares_one_on_resonance():
    offset, times = 2 * math.pi * 2348.0, 40
    couplings = np.zeros((2, 2, 3, 3))
    couplings[0, 1] = couplings[1, 0] = 2 * math.pi * 200 * np.diag([-1.0, -1.0, 2.0])
    spins = make_hamiltonian(couplings, np.array([[0, 0, offset], [0, 0, 0]]))
    sequence = sequences.blew_12(1e-6) * times
    axis = sum(n * spin_product(2, {0: a}) for a, n in enumerate(sequences.BLEW_12_AXIS))
    angle = sequences.BLEW_12_SCALE * offset * sequence.duration
    found = propagator(sequence, spins, ("H", "H"))
    overlap = abs(np.trace(expm(-1j * angle * axis).conj().T @ found)) / 4
    assert angle > 3  # a large turn, so that a wrong axis could not pass
    # Second Magnus term: (offset x cycle)^2 of the angle, 0.03^2 each.
    assert overlap > 1 - 1e-3


@pytest.mark.parametrize("pulse", [0.0, 2e-6])
@pytest.mark.parametrize("name", ["tardis_2_like", "tardis_1_like"])
def test_the_average_of_the_backward_cycle_is_the_negative(spins, name, pulse):
    make = {"tardis_2_like": lambda: sequences.tardis_2_like(3e-6, pulse)}
    cycle = make.get(name, lambda: sequences.tardis_1_like(3e-6))()
    forth = cycle_average(cycle, spins, CHANNELS)
    back = cycle_average(sequences.backward(cycle), spins, CHANNELS)
    np.testing.assert_allclose(forth.couplings, -back.couplings, atol=1e-9)
    assert np.abs(forth.couplings).max() > 1e3


def test_the_backward_cycle_is_the_forward_one_seen_from_a_turned_frame(spins):
    cycle = ALL["tardis_2_like"]
    protons = sum(spin_product(4, {i: 2}) for i in (1, 2, 3))
    turn = expm(-1j * math.pi * spin_product(4, {0: 0})) @ expm(-0.5j * math.pi * protons)
    forth = propagator(cycle, spins, CHANNELS)
    back = propagator(sequences.backward(cycle), spins, CHANNELS)
    assert np.abs(turn @ forth @ turn.conj().T - back).max() < 1e-11


def test_the_loschmidt_echo_improves_with_the_fourth_power_of_the_cycle_time(spins):
    lost = []
    for scale in (1.0, 0.5):
        cycle = sequences.tardis_2_like(2e-6 * scale, 1e-6 * scale)
        (echo,) = sequences.loschmidt_echo(cycle, spins, CHANNELS, [int(8 / scale)])
        lost.append(1 - echo)
    # F_2 is of second order in the cycle, and the loss of its square at equal total time.
    assert np.log2(lost[0] / lost[1]) == pytest.approx(4, abs=0.3)


def test_a_weak_rf_field_damps_the_echo(spins):
    cycle = sequences.tardis_2_like(1e-6, 1e-6)
    perfect = sequences.loschmidt_echo(cycle, spins, CHANNELS, [0, 10])
    uneven = sequences.loschmidt_echo(cycle, spins, CHANNELS, [0, 10], rf_scales=(0.95, 1.05))
    np.testing.assert_allclose([perfect[0], uneven[0]], 1, atol=1e-12)
    assert 1 - uneven[1] > 3 * (1 - perfect[1]) > 0


def test_two_spins_echo_in_closed_form():
    couplings = np.zeros((2, 2, 3, 3))
    couplings[0, 1, 2, 2] = couplings[1, 0, 2, 2] = 800.0
    forth = expm(-1e-3j * dense(make_hamiltonian(couplings)))
    # S_x under w I_z S_z keeps cos(w t / 2).
    assert sequences.echo_signal(forth) == pytest.approx(math.cos(0.4), abs=1e-14)


def test_bad_input_is_named(spins):
    with pytest.raises(ValueError, match="`duration` must not be negative"):
        sequences.baum_pines(-1e-6)
    with pytest.raises(ValueError, match="`n_cycles` must be at least 0"):
        sequences.loschmidt_echo(ALL["tardis_2_like"], spins, CHANNELS, [-1])
    with pytest.raises(ValueError, match="`unitary` must act on spins"):
        sequences.echo_signal(np.eye(3, dtype=complex))


def test_a_pulsed_butterfly_turns_protons_by_their_offset_alone():
    # Strong couplings among protons and to the probe, one proton with an offset; what is left falls with the cycle.
    rng = np.random.default_rng(5)
    couplings = np.zeros((4, 4, 3, 3))
    for i in range(4):
        for j in range(i + 1, 4):
            kind = np.diag([0, 0, 1.0]) if i == 0 else np.diag([-1.0, -1.0, 2.0])
            couplings[i, j] = couplings[j, i] = 2 * math.pi * 1500 * rng.normal() * kind
    offset_hz = -2348.0
    fields = np.zeros((4, 3))
    fields[3, 2] = -2 * math.pi * offset_hz
    spins = make_hamiltonian(couplings, fields)
    lacking = []
    for pulse, cycles in ((10e-6, 2), (5e-6, 4)):
        strike = sequences.pulsed_butterfly(cycles, pulse)
        angle = -2 * math.pi * offset_hz * sequences.BLEW_12_SCALE * strike.duration
        generator = sum(n * spin_product(4, {3: a}) for a, n in enumerate(sequences.BLEW_12_AXIS))
        ideal = expm(-1j * angle * generator)
        made = propagator(strike, spins, CHANNELS)
        lacking.append(1 - abs(np.vdot(ideal, made)) / 16)
        assert abs(np.vdot(ideal.conj().T, made)) / 16 < 0.9  # the sense of the turn counts
    assert lacking[0] < 0.02
    assert lacking[1] < lacking[0] / 10  # the square of the second Magnus term at a fixed time


def test_pulsed_echoes_are_those_of_the_trains(spins):
    cycle = ALL["tardis_1_like"]
    turn = expm(-1j * 1.2 * (spin_product(4, {1: 1}) + spin_product(4, {2: 1})))
    found = sequences.pulsed_echo(cycle, spins, CHANNELS, [0, 3], [np.eye(16, dtype=complex), turn])
    there = propagator(cycle * 3, spins, CHANNELS)
    home = propagator(sequences.backward(cycle) * 3, spins, CHANNELS)
    spin = spin_product(4, {0: 0})
    for row, strike in enumerate((np.eye(16), turn)):
        whole = home @ strike @ there
        wanted = np.trace(spin @ whole @ spin @ whole.conj().T).real / np.trace(spin @ spin).real
        assert found[row] == pytest.approx([1, wanted], abs=1e-12)
    assert found[1, 1] < found[0, 1] - 1e-3
    with pytest.raises(ValueError, match="`n_cycles` must be even"):
        sequences.pulsed_butterfly(3, 1e-5)

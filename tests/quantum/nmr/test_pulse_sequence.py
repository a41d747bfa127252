import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr.pulse_sequence import (
    Delay,
    Pulse,
    PulseSequence,
    cycle_average,
    net_rotations,
    propagator,
    rf_generator,
    toggling_frames,
)
from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product

CHANNELS = ("C", "H", "H")
MIXED = PulseSequence(
    (
        Delay(2e-4),
        Pulse(1.1, 0.4, 1e-4),
        Delay(1e-4),
        Pulse(math.pi, 0.9, 0.0, "C"),
        Pulse(-2.0, 2.2, 3e-4),
        Pulse(0.7, -1.0),
        Pulse(1.3, 0.2, 2e-4, "C"),
    )
)


@pytest.fixture(scope="module")
def tensors():
    """Couplings and fields without any symmetry, so that a transposed rotation shows."""
    rng = np.random.default_rng(0)
    couplings = np.zeros((3, 3, 3, 3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        couplings[i, j] = rng.normal(size=(3, 3)) * 300
        couplings[j, i] = couplings[i, j].T
    return make_hamiltonian(couplings, rng.normal(size=(3, 3)) * 300)


def _integrated(sequence, hamiltonian, steps=400):
    """Midpoint rule with dense matrices: neither 3 x 3 rotations nor Gauss nodes."""
    internal, frame = dense(hamiltonian), np.eye(8, dtype=complex)
    total = np.zeros((8, 8), dtype=complex)
    for element in sequence.elements:
        if isinstance(element, Delay):
            total += element.duration * frame.conj().T @ internal @ frame
            continue
        step = expm(-1j * rf_generator(element, CHANNELS) / steps)
        half = expm(-0.5j * rf_generator(element, CHANNELS) / steps)
        for _ in range(steps):
            middle = half @ frame
            total += element.duration / steps * middle.conj().T @ internal @ middle
            frame = step @ frame
    return total / sequence.duration


def test_the_average_hamiltonian_is_the_integral_over_the_toggling_frame(tensors):
    found = dense(cycle_average(MIXED, tensors, CHANNELS))
    # Midpoint rule, (angle / steps)^2 / 24 = 1e-6 of 1e3 rad/s.
    assert np.abs(found - _integrated(MIXED, tensors)).max() < 2e-3


def test_the_propagator_solves_the_schroedinger_equation(tensors):
    internal, total = dense(tensors), np.eye(8, dtype=complex)
    for element in MIXED.elements:
        rf = rf_generator(element, CHANNELS) if isinstance(element, Pulse) else 0
        total = expm(-1j * (internal * element.duration + rf)) @ total
    assert np.abs(propagator(MIXED, tensors, CHANNELS) - total).max() < 1e-12


def test_the_average_gives_the_propagator_of_short_sequences_to_second_order(tensors):
    channels, errors, scales = CHANNELS, [], (0.2, 0.1, 0.05)
    turn = propagator(MIXED, 0.0 * tensors, channels)
    for scale in scales:
        internal = scale * tensors
        mean = dense(cycle_average(MIXED, internal, channels))
        predicted = turn @ expm(-1j * mean * MIXED.duration)
        errors.append(np.linalg.norm(predicted - propagator(MIXED, internal, channels)))
    slope = np.polyfit(np.log(scales), np.log(errors), 1)[0]
    assert slope == pytest.approx(2, abs=0.05)


def test_a_pulse_turns_right_handed():
    # exp(i a I_x) I_z exp(-i a I_x) = I_z cos a - ... : 90 degrees about x take I_z to I_y in the toggling frame.
    pulse = PulseSequence((Pulse(math.pi / 2, 0.0),))
    rf = propagator(pulse, make_hamiltonian(np.zeros((1, 1, 3, 3))), ("H",))
    toggled = rf.conj().T @ spin_product(1, {0: 2}) @ rf
    rotated = np.einsum(
        "b,bij->ij",
        net_rotations(pulse, ("H",))[0, 2],
        np.array([spin_product(1, {0: a}) for a in range(3)]),
    )
    np.testing.assert_allclose(toggled, rotated, atol=1e-15)
    np.testing.assert_allclose(toggled, spin_product(1, {0: 1}), atol=1e-15)


def test_a_phase_shift_turns_the_propagator_about_z():
    rng = np.random.default_rng(1)
    couplings = np.zeros((3, 3, 3, 3))
    couplings[1, 2] = couplings[2, 1] = np.diag([-1.0, -1.0, 2.0]) * 400
    for j in (1, 2):
        couplings[0, j, 2, 2] = couplings[j, 0, 2, 2] = 300 * j
    secular = make_hamiltonian(couplings, np.outer(rng.normal(size=3), [0, 0, 200.0]))
    for channel, spins in (("H", (1, 2)), ("C", (0,))):
        turn = expm(-1j * 0.7 * sum(spin_product(3, {k: 2}) for k in spins))
        shifted = propagator(MIXED.shifted(0.7, channel), secular, CHANNELS)
        expected = turn @ propagator(MIXED, secular, CHANNELS) @ turn.conj().T
        np.testing.assert_allclose(shifted, expected, atol=1e-12)


def test_sequences_join_repeat_and_weaken(tensors):
    one = propagator(MIXED, tensors, CHANNELS)
    np.testing.assert_allclose(propagator(MIXED * 2, tensors, CHANNELS), one @ one, atol=1e-12)
    joined = propagator(MIXED + PulseSequence((Delay(1e-3),)), tensors, CHANNELS)
    np.testing.assert_allclose(joined, expm(-1e-3j * dense(tensors)) @ one, atol=1e-12)
    weak = MIXED.scaled(0.9)
    assert [e.angle for e in weak.elements if isinstance(e, Pulse)] == pytest.approx(
        [0.99, math.pi, -1.8, 0.63, 1.3]
    )
    assert (MIXED * 3).duration == pytest.approx(3 * MIXED.duration)


def test_weights_add_up_and_frames_are_rotations():
    weights, frames = toggling_frames(MIXED, CHANNELS)
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    gram = np.einsum("tiab,ticb->tiac", frames, frames)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-14)


def test_the_average_keeps_single_precision(tensors):
    single = type(tensors)(
        tensors.couplings.astype(jnp.float32), tensors.fields.astype(jnp.float32)
    )
    assert cycle_average(MIXED, single, CHANNELS).couplings.dtype == jnp.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pulse(math.nan), "`angle` must be finite"),
        (lambda: Pulse(1.0, 0.0, -1e-6), "`duration` must not be negative, but is -1e-06 s"),
        (lambda: Delay(-1.0), "`duration` must not be negative"),
        (lambda: toggling_frames(MIXED, ("H", "H")), "`channels` must name every channel.*lack C"),
        (lambda: toggling_frames(PulseSequence((Pulse(1.0),)), ("H",)), "`sequence` must take time"),
        (
            lambda: cycle_average(
                MIXED, make_hamiltonian(np.zeros((2, 2, 3, 3))), CHANNELS
            ),
            "`channels` must name each of the 2 spins",
        ),
    ],
)  # fmt: skip
def test_bad_sequences_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sequence_of_something_else_is_refused():
    with pytest.raises(TypeError):
        PulseSequence((1.0,))  # pyright: ignore[reportArgumentType]

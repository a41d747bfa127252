"""Pulse trains on states, finite pulses and all, for molecules too large for a matrix; their echo by random states.

Every element of a sequence, a delay or a pulse with its RF field, is one Chebyshev series (`evolution.evolve`); all
elements with real matrices share one compiled program, and so do all others. The echo of n cycles out, a strike and n
cycles of `dipolar_sequences.backward` is a trace over the protons, for which random states stand in: with the probe
along x, |+> |r>,

    C = Tr[S_x W S_x W^dag] / Tr[S_x^2] = mean over r of < W (+, r) | 2 S_x | W (+, r) >,   W = U_back V U_forward,

because the unpolarised half of |+><+| has no trace with S_x. Nothing is averaged over a cycle.

Conventions of `pulse_sequence`; spin 0 is the probe, `species.pulse_channels` says which spin is on "C" and which on
"H". Left out: RF that varies over the sample (scale the sequence), relaxation.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from quantum._checks import check_count
from quantum.nmr.dipolar_sequences import backward
from quantum.nmr.pulse_sequence import Delay, Pulse, PulseSequence
from quantum.nmr.species import pulse_channels
from quantum.nmr.strike import turn_spins
from quantum.spins.action import make_action
from quantum.spins.evolution import check_states, evolve_action, make_plan
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian
from quantum.spins.random_states import random_states

States = Complex[jax.Array, "*batch states"]


def make_train(
    sequence: PulseSequence,
    hamiltonian: SpinHamiltonian,
    channels: tuple[str, ...],
    *,
    precision: str = "double",
) -> Callable[[jax.Array], jax.Array]:
    """A function that sends states, (*batch, 2^n), through a sequence once.

    Args:
        sequence: The sequence.
        hamiltonian: Internal Hamiltonian.
        channels: Name of the channel of each spin.
        precision: "double", which needs JAX's 64-bit mode, or "single": an error of 1e-6 for every pulse.

    Raises:
        ValueError: If a pulse is on a channel that no spin has, or there is not one name a spin.
    """
    pulsed = {e.channel for e in sequence.elements if isinstance(e, Pulse)}
    if len(channels) != hamiltonian.n_spins or not pulsed <= set(channels):
        raise ValueError(
            f"`channels` must name each of {hamiltonian.n_spins} spins and every pulsed channel "
            f"({', '.join(sorted(pulsed))}), but are {channels}."
        )
    steps = {e: _step(e, hamiltonian, channels, precision) for e in set(sequence.elements)}

    def train(states):
        check_states(states, hamiltonian.n_spins)
        for element in sequence.elements:
            states = steps[element](states)
        return states

    return train


def pulsed_echo_by_typicality(
    sequence: PulseSequence,
    hamiltonian: SpinHamiltonian,
    n_cycles: Sequence[int],
    strikes: Sequence[Callable[[jax.Array], jax.Array]],
    *,
    n_states: int,
    seed: int,
    precision: str = "double",
) -> Float[np.ndarray, "strikes n_states lengths"]:
    """Echo of n cycles out, a strike and n cycles back, for several strikes, one value for each random state.

    Args:
        sequence: One forward cycle.
        hamiltonian: Internal Hamiltonian; spin 0 is the probe.
        n_cycles: Numbers of cycles, rising.
        strikes: What is done between the ways, states to states; the identity for the Loschmidt echo.
        n_states: Random states.
        seed: Seed of the states.
        precision: "single" or "double".

    Raises:
        ValueError: If numbers of cycles are negative or do not rise, or a count is below 1.
    """
    check_count(n_states, "n_states", 1)
    counts = list(n_cycles)
    if not counts or counts[0] < 0 or counts != sorted(set(counts)):
        raise ValueError(f"`n_cycles` must be rising numbers from 0 on, but are {counts}.")
    channels = pulse_channels(hamiltonian)
    out = make_train(sequence, hamiltonian, channels, precision=precision)
    home = make_train(backward(sequence), hamiltonian, channels, precision=precision)
    rest = random_states(hamiltonian.n_spins - 1, n_states, seed=seed, precision=precision)
    states = jnp.concatenate([rest, rest], axis=-1) / np.sqrt(2)
    found = np.zeros((len(strikes), n_states, len(counts)))
    done = 0
    for column, count in enumerate(counts):
        for _ in range(count - done):
            states = out(states)
        done = count
        for row, strike in enumerate(strikes):
            back = strike(states)
            for _ in range(count):
                back = home(back)
            found[row, :, column] = _probe_along_x(back)
    return found


def rotation(
    struck: Sequence[int], matrix: Complex[np.ndarray, "2 2"]
) -> Callable[[jax.Array], jax.Array]:
    """A function that applies one 2 x 2 matrix to every struck spin of states, (*batch, 2^n)."""
    return lambda states: turn_spins(states, struck, jnp.asarray(matrix, states.dtype))


def _step(element: Pulse | Delay, hamiltonian: SpinHamiltonian, channels, precision: str):
    if element.duration == 0:
        return _ideal(element, channels) if isinstance(element, Pulse) else lambda states: states
    whole = hamiltonian
    if isinstance(element, Pulse):
        struck = np.array([channel == element.channel for channel in channels])
        axis = np.array([np.cos(element.phase), np.sin(element.phase), 0.0])
        field = element.angle / element.duration * np.outer(struck, axis)
        whole = hamiltonian + SpinHamiltonian(0 * hamiltonian.couplings, jnp.asarray(field))
    plan = make_plan(whole, precision=precision)
    action = make_action(whole, precision=precision, real=plan.real)
    times = np.array([element.duration], dtype=float)
    return lambda states: evolve_action(action, states, times, plan)[0]


def _ideal(pulse: Pulse, channels):
    axis = np.cos(pulse.phase) * PAULIS[0] + np.sin(pulse.phase) * PAULIS[1]
    turn = np.cos(pulse.angle / 2) * np.eye(2) - 1j * np.sin(pulse.angle / 2) * axis
    struck = [k for k, channel in enumerate(channels) if channel == pulse.channel]
    return rotation(struck, turn)


def _probe_along_x(states) -> np.ndarray:
    """<2 S_x> of spin 0, (batch,)."""
    up, down = jnp.split(states, 2, axis=-1)
    return np.asarray(2 * jnp.sum(up.conj() * down, axis=-1).real)

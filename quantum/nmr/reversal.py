"""How well a pulse sequence is undone by its backward partner: an identity, and what it leaves order by order.

`dipolar_sequences.backward` shifts all proton phases by 90 degrees and wraps the cycle in pi pulses on the probe. With
P a turn of the protons about z by 90 degrees and of the probe about x by 180,

    U' = P U P^dag

exactly, finite pulses and all, for any H that commutes with I_z of the protons: the pi pulses are done, the shift of
phases is the turn about z. That makes U' the inverse of U as far as P turns the generator round: with
U = exp(-i (F_0 + F_1 + F_2 + ...) T) the average F_0 is reversed where it is of double-quantum form, F_1 vanishes for
cycles that read the same backwards, and F_2 is the first term that stays. So 1 - (Loschmidt echo) goes as (F_2 t)^2,
the fourth power of the cycle length at a fixed time t.

Conventions: spin 0 is the probe, `species.pulse_channels` says which spin is on "C" and which on "H"; what is on
neither P leaves alone. Left out: more than seven spins, see `magnus`.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex

from quantum.nmr.dipolar_sequences import backward
from quantum.nmr.magnus import magnus_terms, unreversed
from quantum.nmr.pulse_sequence import PulseSequence, propagator
from quantum.nmr.species import pulse_channels
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian


class Reversal(NamedTuple):
    """What a backward cycle does and does not undo.

    Attributes:
        identity: Largest entry of U' - P U P^dag.
        first: Frobenius norm of F_1 over that of F_0.
        second: The same of F_2.
        unreversed_average: Share of F_0 that is not turned round, 0 to 1.
        unreversed_second: The same of F_2.
    """

    identity: float
    first: float
    second: float
    unreversed_average: float
    unreversed_second: float


def examine(sequence: PulseSequence, hamiltonian: SpinHamiltonian) -> Reversal:
    """Holds the backward cycle against the forward one.

    Args:
        sequence: One forward cycle.
        hamiltonian: Internal Hamiltonian of two to seven spins, spin 0 the probe.

    Raises:
        ValueError: If there are too many spins, the cycle takes no time, or its average vanishes.
    """
    channels = pulse_channels(hamiltonian)
    back = backward(sequence)
    forth_terms = magnus_terms(sequence, hamiltonian, channels)
    back_terms = magnus_terms(back, hamiltonian, channels)
    size = [np.linalg.norm(term) for term in forth_terms]
    if not size[0] > 0:
        raise ValueError("`sequence` must leave an average to reverse, but it averages all away.")
    frame = reversing_frame(hamiltonian.n_spins, channels)
    there, home = (propagator(s, hamiltonian, channels) for s in (sequence, back))
    return Reversal(
        float(np.abs(home - frame @ there @ frame.conj().T).max()),
        float(size[1] / size[0]),
        float(size[2] / size[0]),
        unreversed(forth_terms[0], back_terms[0]),
        unreversed(forth_terms[2], back_terms[2]),
    )


def reversing_frame(
    n_spins: int, channels: tuple[str, ...] = ()
) -> Complex[np.ndarray, "states states"]:
    """P: every spin on "C" turned about x by 180 degrees, every one on "H" about z by 90.

    Args:
        n_spins: How many.
        channels: Channel of each; by default spin 0 is on "C" and all others are on "H".

    Raises:
        ValueError: If there is no proton.
    """
    if n_spins < 2:
        raise ValueError(f"`n_spins` must be a probe and protons, but is {n_spins}.")
    quarter = np.diag(np.exp(-0.25j * math.pi * np.array([1, -1])))
    turns = {"C": -1j * PAULIS[0], "H": quarter}
    frame = np.eye(1, dtype=complex)
    for channel in channels or ("C",) + (n_spins - 1) * ("H",):
        frame = np.kron(frame, turns.get(channel, np.eye(2)))
    return frame

"""Pulse sequences on coupled spins: exact propagators, toggling frames, and the zeroth-order average Hamiltonian.

A sequence is a tuple of pulses and delays, done from left to right. During a pulse of angle alpha, phase phi and
duration tau on one channel

    H(t) = H_int + (alpha / tau) sum_(channel) (cos phi I_x + sin phi I_y),

a pulse of no duration is the rotation alone. In the toggling frame of the pulses, U_rf^dag I U_rf = R I with the 3 x 3
rotations R of each spin, so that H_int is only turned, and its average over a sequence of duration T,

    H_0 = (1 / T) integral H_int(R(t)) dt,

has again the form of `spin_hamiltonian`. Finite pulses count: their turn is integrated by Gauss's rule with enough
nodes for machine precision. U = U_rf(T) exp(-i H_0 T) up to the terms of `magnus`.

Source: U. Haeberlen, J. S. Waugh, Phys. Rev. 175, 453 (1968), DOI 10.1103/PhysRev.175.453.

Conventions: rotations are right-handed, exp(-i alpha n . I); radians and seconds; spins are named by `channels`, one
name a spin ("C" for the probe, "H" for protons; a spin of its own name is pulsed on its own).
Left out: pulses on two channels at the same time unless they take no time; shaped pulses; phase transients.
"""

import math
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from quantum._checks import check_count
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian, dense, spin_product

_LONGEST = 100.0  # s, our choice: no nuclear spin in a liquid remembers so long
_MOST_TURNS = 4  # beyond, an angle is in degrees
_NODES_PER_TURN = 24  # Gauss's rule for cos and sin of twice the angle, error below 1e-15


@dataclass(frozen=True)
class Pulse:
    """A rotation of all spins of a channel.

    Attributes:
        angle: Angle in radians; a negative one turns backwards.
        phase: Phase of the axis in the xy plane in radians, 0 for x and pi / 2 for y.
        duration: Seconds; 0 for an ideal pulse.
        channel: Name of the spins that it turns.
    """

    angle: float | int
    phase: float | int = 0.0
    duration: float | int = 0.0
    channel: str = "H"

    def __post_init__(self):
        for name in ("angle", "phase", "duration"):
            _check_finite(getattr(self, name), name, "s" if name == "duration" else "rad")
        _check_duration(self.duration)
        _check_turns(self.phase, "phase")
        if self.duration == 0:  # a long one may be a spin lock of many turns
            _check_turns(self.angle, "angle")


@dataclass(frozen=True)
class Delay:
    """Free evolution.

    Attributes:
        duration: Seconds.
    """

    duration: float | int

    def __post_init__(self):
        _check_finite(self.duration, "duration", "s")
        _check_duration(self.duration)


@dataclass(frozen=True)
class PulseSequence:
    """Pulses and delays in the order of time.

    Attributes:
        elements: The pulses and delays.
    """

    elements: tuple[Pulse | Delay, ...]

    def __post_init__(self):
        for element in self.elements:
            if not isinstance(element, Pulse | Delay):
                raise TypeError(f"`elements` must be pulses and delays, but hold {element!r}.")

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(sum(element.duration for element in self.elements))

    def __add__(self, later: "PulseSequence") -> "PulseSequence":
        return PulseSequence(self.elements + later.elements)

    def __mul__(self, times: int) -> "PulseSequence":
        check_count(times, "times", 0)
        return PulseSequence(self.elements * times)

    def shifted(self, phase: float | int, channel: str = "H") -> "PulseSequence":
        """The sequence with a phase in radians added to every pulse of a channel: U turns about z by that phase."""
        return self._with_pulses(channel, lambda pulse: replace(pulse, phase=pulse.phase + phase))

    def scaled(self, factor: float | int, channel: str = "H") -> "PulseSequence":
        """The sequence in a place where the RF field of a channel is `factor` times what was asked for."""
        return self._with_pulses(channel, lambda pulse: replace(pulse, angle=factor * pulse.angle))

    def _with_pulses(self, channel: str, change) -> "PulseSequence":
        chosen = lambda e: isinstance(e, Pulse) and e.channel == channel  # noqa: E731
        return PulseSequence(tuple(change(e) if chosen(e) else e for e in self.elements))


def toggling_frames(
    sequence: PulseSequence, channels: tuple[str, ...]
) -> tuple[Float[np.ndarray, " times"], Float[np.ndarray, "times spins 3 3"]]:
    """Frames over which the average is taken.

    Args:
        sequence: The sequence; its duration must not be zero.
        channels: Name of the channel of each spin.

    Returns:
        Weights of sum one, and the matrices R of U_rf^dag I U_rf = R I for each spin.

    Raises:
        ValueError: If a pulse is on a channel that no spin has, or the sequence takes no time.
    """
    _check_channels(sequence, channels)
    if not sequence.duration > 0:
        raise ValueError(
            f"`sequence` must take time to have an average, but its duration is {sequence.duration:g} s; "
            "add a delay."
        )
    current = np.broadcast_to(np.eye(3), (len(channels), 3, 3))
    weights, frames = [], []
    for element in sequence.elements:
        struck = _struck(element, channels)
        for node, weight in _nodes(element):
            weights.append(weight * element.duration / sequence.duration)
            frames.append(_turned(current, element, struck, node))
        current = _turned(current, element, struck, 1.0)
    return np.array(weights), np.array(frames)


def net_rotations(
    sequence: PulseSequence, channels: tuple[str, ...]
) -> Float[np.ndarray, "spins 3 3"]:
    """Rotations R of U_rf^dag I U_rf = R I by the whole sequence; the identity for a cycle.

    Raises:
        ValueError: If a pulse is on a channel that no spin has.
    """
    _check_channels(sequence, channels)
    current = np.broadcast_to(np.eye(3), (len(channels), 3, 3))
    for element in sequence.elements:
        current = _turned(current, element, _struck(element, channels), 1.0)
    return current


def cycle_average(
    sequence: PulseSequence, hamiltonian: SpinHamiltonian, channels: tuple[str, ...]
) -> SpinHamiltonian:
    """Zeroth-order average Hamiltonian in the toggling frame, finite pulses included.

    Linear in the Hamiltonian, so it can be differentiated with respect to its couplings.

    Args:
        sequence: The sequence.
        hamiltonian: Internal Hamiltonian of the spins.
        channels: Name of the channel of each spin.

    Raises:
        ValueError: If a pulse is on a channel that no spin has, there is not one name a spin, or no time passes.
    """
    _check_spins(hamiltonian, channels)
    weights, frames = toggling_frames(sequence, channels)
    dtype = hamiltonian.couplings.dtype
    share, turn = jnp.asarray(weights, dtype), jnp.asarray(np.swapaxes(frames, -1, -2), dtype)
    couplings = jnp.einsum("t,tiab,ijbc,tjdc->ijad", share, turn, hamiltonian.couplings, turn)
    return SpinHamiltonian(couplings, jnp.einsum("t,tiab,ib->ia", share, turn, hamiltonian.fields))


def propagator(
    sequence: PulseSequence, hamiltonian: SpinHamiltonian, channels: tuple[str, ...]
) -> Complex[np.ndarray, "states states"]:
    """The exact propagator of a sequence, complex128, by diagonalising each kind of element once.

    Args:
        sequence: The sequence.
        hamiltonian: Internal Hamiltonian of the spins.
        channels: Name of the channel of each spin.

    Raises:
        ValueError: If a pulse is on a channel that no spin has, there is not one name a spin, or there are too many
            spins for a matrix.
    """
    _check_spins(hamiltonian, channels)
    _check_channels(sequence, channels)
    internal = dense(hamiltonian)
    done: dict[Pulse | Delay, np.ndarray] = {}
    total = np.eye(len(internal), dtype=complex)
    free = None
    for element in sequence.elements:
        if element not in done:
            if isinstance(element, Delay) and free is None:
                free = np.linalg.eigh(internal)
            done[element] = _element_propagator(element, internal, channels, free)
        total = done[element] @ total
    return total


def rf_generator(pulse: Pulse, channels: tuple[str, ...]) -> Complex[np.ndarray, "states states"]:
    """alpha sum (cos phi I_x + sin phi I_y) over the struck spins, dense: the integral of the RF Hamiltonian."""
    n = len(channels)
    axis = pulse.angle * np.array([math.cos(pulse.phase), math.sin(pulse.phase)])
    terms = (
        axis[a] * spin_product(n, {i: a})
        for i in range(n)
        if channels[i] == pulse.channel
        for a in (0, 1)
    )
    return sum(terms, np.zeros((2**n, 2**n), dtype=complex))


def ideal_pulse(pulse: Pulse, channels: tuple[str, ...]) -> Complex[np.ndarray, "states states"]:
    """Dense rotation of the struck spins by a pulse, as if it took no time."""
    axis = math.cos(pulse.phase) * PAULIS[0] + math.sin(pulse.phase) * PAULIS[1]
    turn = math.cos(pulse.angle / 2) * np.eye(2) - 1j * math.sin(pulse.angle / 2) * axis
    total = np.eye(1, dtype=complex)
    for channel in channels:
        total = np.kron(total, turn if channel == pulse.channel else np.eye(2))
    return total


def _element_propagator(element, internal, channels, free):
    if isinstance(element, Pulse):
        if element.duration == 0:
            return ideal_pulse(element, channels)
        generator = internal * element.duration + rf_generator(element, channels)
        energies, states = np.linalg.eigh(generator)
        return (states * np.exp(-1j * energies)) @ states.conj().T
    energies, states = free
    return (states * np.exp(-1j * energies * element.duration)) @ states.conj().T


def _nodes(element: Pulse | Delay):
    """Nodes and weights on [0, 1] that integrate the turn during an element."""
    if element.duration == 0:
        return
    if isinstance(element, Delay):
        yield 0.0, 1.0
        return
    n = _NODES_PER_TURN * max(1, math.ceil(abs(element.angle) / (2 * math.pi)))
    points, weights = np.polynomial.legendre.leggauss(n)
    yield from zip((points + 1) / 2, weights / 2, strict=True)


def _struck(element: Pulse | Delay, channels: tuple[str, ...]) -> np.ndarray:
    wanted = element.channel if isinstance(element, Pulse) else None
    return np.array([channel == wanted for channel in channels])


def _turned(current, element: Pulse | Delay, struck, share: float):
    """R after a share of an element: U_later comes to the left, so does its R."""
    if isinstance(element, Delay):
        return current
    turn = _rotation(element.phase, share * element.angle)
    return np.where(struck[:, None, None], turn @ current, current)


def _rotation(phase: float | int, angle: float | int) -> np.ndarray:
    """Right-handed rotation about (cos phase, sin phase, 0) by Rodrigues' formula."""
    x, y = math.cos(phase), math.sin(phase)
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _check_finite(value: float | int, name: str, unit: str) -> None:
    if not np.isfinite(value):
        raise ValueError(f"`{name}` must be finite, but is {value} {unit}.")


def _check_duration(value: float | int) -> None:
    if value < 0:
        raise ValueError(
            f"`duration` must not be negative, but is {value:g} s; time goes back by a reversed sequence."
        )
    if value > _LONGEST:
        raise ValueError(
            f"`duration` must be at most {_LONGEST:g} s, but is {value:g} s; is it in seconds?"
        )


def _check_turns(value: float | int, name: str) -> None:
    if abs(value) > _MOST_TURNS * 2 * math.pi:
        raise ValueError(
            f"`{name}` must be within {_MOST_TURNS} turns, but is {value:g} rad; is it in radians?"
        )


def _check_channels(sequence: PulseSequence, channels: tuple[str, ...]) -> None:
    used = {e.channel for e in sequence.elements if isinstance(e, Pulse)}
    missing = sorted(used - set(channels))
    if missing:
        raise ValueError(
            f"`channels` must name every channel that is pulsed, but lack {', '.join(missing)}; "
            "give one name a spin."
        )


def _check_spins(hamiltonian: SpinHamiltonian, channels: tuple[str, ...]) -> None:
    if len(channels) != hamiltonian.n_spins:
        raise ValueError(
            f"`channels` must name each of the {hamiltonian.n_spins} spins, but has {len(channels)} names."
        )

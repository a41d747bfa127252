"""Sequences that turn dipolar couplings round: Baum-Pines, BLEW-12, double-resonance blocks, reversal and its echo.

Under pulses that turn all protons alike, I_z toggles to m(t) . I, and with s(t) = +-1 the sign of S_z of the probe

    sum D_ij (3 I_z I_z - I.I)  ->  sum D_ij I . (3 M - 1) . I,  M = <m m^T>;      2 D I_z S_z -> 2 D <s m> . I S_z.

Double-quantum forms are eta_homo D (I_y I_y - I_x I_x), and eta_homo D (I_x I_y + I_y I_x), the same turned by 45
degrees about z. Both need M_zz = 1/3, so that |<s m_z>| <= <m_z^2>^(1/2) = 1/sqrt(3): no sequence of this kind has
eta_heter above 0.577. The 2/3 that a second-hand source gives for TARDIS-1 lies above, so it cannot count the coupling
as 2 (D + J/2) I_z S_z here; 1/3, half of it, is reached.

- `baum_pines`: J. Baum, M. Munowitz, A. N. Garroway, A. Pines, J. Chem. Phys. 83, 2015 (1985), DOI 10.1063/1.449344:
  eight pulses of 90 degrees about x, x, x, x, -x, -x, -x, -x between delays d/2, d', d, d', d, d', d, d', d/2 with
  d' = 2 d + t_p. A third of the time along z, two thirds along y: eta_homo = 1, for finite pulses too. Offsets and
  couplings to the probe average to nothing.
- `double_resonance`: the same with ideal pi pulses on the probe in the middle of each d' (our choice):
  eta_heter = (d + 4 t_p / pi) / (3 d + 3 t_p), 1/3 for ideal pulses.
- `tardis_2_like`: ours; the pulse timings of TARDIS-2 are not published. Double resonance, Baum-Pines, double
  resonance: eta_homo = 1 and eta_heter = 2/9 for ideal pulses, which are the values given for TARDIS-2. With the blocks
  the other way round (`inner`) eta_heter = 1/9, which is 2/9 if the coupling is counted as (D + J/2) I_z S_z.
- `tardis_1_like`: ours; 12 windowless pulses, found by trying all 4^6 whose second half undoes the first: one third of
  the pulses each between the axes x-y, y-z and z-x. The turns from x to y, always of the same sign, give
  (2 / 3 pi) (I_x I_y + I_y I_x), so eta_homo = 1/pi; pi pulses on the probe give eta_heter = 4 / (3 pi) = 0.424.
- `blew_12`: D. P. Burum, M. Linder, R. R. Ernst, J. Magn. Reson. 44, 173 (1981): 12 windowless pulses that average
  the couplings of protons away and leave offsets along (0, 2, 1) / sqrt(5), scaled by 2 sqrt(5) / (3 pi) = 0.4745. The
  phases are those of our enumeration with this axis; they were not compared with the paper's own table.

All of them read the same backwards in the toggling frame, so the first Magnus term vanishes.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Complex, Float

from quantum._checks import check_count
from quantum.nmr.pulse_sequence import (
    Delay,
    Pulse,
    PulseSequence,
    propagator,
    toggling_frames,
)
from quantum.nmr.species import read_probes
from quantum.spins.hamiltonian import SpinHamiltonian, spin_product

QUARTER = math.pi / 2
BLEW_12_AXIS = np.array([0.0, 2.0, 1.0]) / math.sqrt(5)
BLEW_12_SCALE = 2 * math.sqrt(5) / (3 * math.pi)
LARGEST_HETERONUCLEAR = 1 / math.sqrt(3)
_BAUM_PINES = (0, 0, 0, 0, 2, 2, 2, 2)  # phases in quarter turns
_BLEW_12 = (0, 1, 2, 2, 3, 2, 0, 1, 0, 0, 3, 2)
_TARDIS_1 = (0, 3, 0, 0, 3, 0, 2, 1, 2, 2, 1, 2)
_TARDIS_1_FLIPS = (2, 4, 8, 10)  # pulses after which the probe is turned round


def baum_pines(delay: float | int, pulse_duration: float | int = 0.0) -> PulseSequence:
    """The eight-pulse double-quantum cycle of duration 12 (delay + pulse_duration).

    Args:
        delay: The short delay d in seconds.
        pulse_duration: Duration of a pulse of 90 degrees in seconds.

    Raises:
        ValueError: If a time is negative.
    """
    return _eight_pulses(delay, pulse_duration, flip=False)


def double_resonance(delay: float | int, pulse_duration: float | int = 0.0) -> PulseSequence:
    """The eight-pulse cycle that keeps the coupling to the probe: an ideal pi pulse on "C" in each long delay.

    Args:
        delay: The short delay d in seconds.
        pulse_duration: Duration of a pulse of 90 degrees on the protons in seconds.

    Raises:
        ValueError: If a time is negative.
    """
    return _eight_pulses(delay, pulse_duration, flip=True)


def tardis_2_like(
    delay: float | int, pulse_duration: float | int = 0.0, *, inner: bool = False
) -> PulseSequence:
    """Three blocks, ours, with the averages given for TARDIS-2: eta_homo 1, eta_heter 2/9 for ideal pulses.

    Args:
        delay: The short delay d in seconds.
        pulse_duration: Duration of a pulse of 90 degrees on the protons in seconds.
        inner: Double resonance in the middle block alone, not in the outer two, which halves eta_heter.

    Raises:
        ValueError: If a time is negative.
    """
    with_probe = double_resonance(delay, pulse_duration)
    without = baum_pines(delay, pulse_duration)
    outer, middle = (without, with_probe) if inner else (with_probe, without)
    return outer + middle + outer


def tardis_1_like(pulse_duration: float | int) -> PulseSequence:
    """Twelve windowless pulses, ours: eta_homo 1/pi in the form I_x I_y + I_y I_x, eta_heter 4 / (3 pi).

    Args:
        pulse_duration: Duration of a pulse of 90 degrees on the protons in seconds.

    Raises:
        ValueError: If the duration is negative.
    """
    elements = []
    for k, quarter in enumerate(_TARDIS_1, start=1):
        elements.append(Pulse(QUARTER, quarter * QUARTER, pulse_duration))
        if k in _TARDIS_1_FLIPS:
            elements.append(_flip(_TARDIS_1_FLIPS.index(k)))
    return PulseSequence(tuple(elements))


def blew_12(pulse_duration: float | int) -> PulseSequence:
    """The windowless cycle that leaves only offsets, along `BLEW_12_AXIS` and scaled by `BLEW_12_SCALE`.

    Args:
        pulse_duration: Duration of a pulse of 90 degrees on the protons in seconds.

    Raises:
        ValueError: If the duration is negative.
    """
    return PulseSequence(tuple(Pulse(QUARTER, q * QUARTER, pulse_duration) for q in _BLEW_12))


def pulsed_butterfly(n_cycles: int, pulse_duration: float | int) -> PulseSequence:
    """BLEW-12 with the probe turned round halfway: protons turn by their offsets, couplings to the probe do not act.

    A proton with the offset nu turns by -2 pi nu `BLEW_12_SCALE` T about `BLEW_12_AXIS`, T the duration, up to the
    second Magnus term.

    Args:
        n_cycles: Number of cycles, even.
        pulse_duration: Duration of a pulse of 90 degrees on the protons in seconds.

    Raises:
        ValueError: If the number is odd or below 2, or the duration is negative.
    """
    check_count(n_cycles, "n_cycles", 2)
    if n_cycles % 2:
        raise ValueError(f"`n_cycles` must be even, but is {n_cycles}.")
    half = blew_12(pulse_duration) * (n_cycles // 2)
    return half + PulseSequence((_flip(0),)) + half + PulseSequence((_flip(1),))


def backward(sequence: PulseSequence) -> PulseSequence:
    """The sequence that undoes a double-quantum one: proton phases shifted by 90 degrees between pi pulses on "C".

    U' = P U P^dag with P a turn of the protons about z by 90 degrees and of the probe about x by 180, exactly, for any
    secular Hamiltonian and finite pulses; the zeroth-order average is thereby reversed, later Magnus terms are not.
    """
    frame = PulseSequence((Pulse(math.pi, 0.0, 0.0, "C"),))
    close = PulseSequence((Pulse(-math.pi, 0.0, 0.0, "C"),))
    return frame + sequence.shifted(QUARTER) + close


def scale_factors(
    sequence: PulseSequence,
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """What a sequence makes of secular terms of protons "H" and a probe "C".

    Returns:
        3 M - 1, the tensor that 3 I_z I_z - I.I becomes; the vector that I_z of a proton becomes (offsets); the vector
        h of I_z S_z -> (h . I) S_z.

    Raises:
        ValueError: If the sequence takes no time or pulses a channel other than "C" and "H".
    """
    weights, frames = toggling_frames(sequence, ("C", "H"))
    proton, sign = frames[:, 1, 2], frames[:, 0, 2, 2]
    tensor = 3 * np.einsum("t,ta,tb->ab", weights, proton, proton) - np.eye(3)
    return tensor, weights @ proton, (weights * sign) @ proton


def echo_signal(
    unitary: Complex[np.ndarray, "states states"], probe: int | Sequence[int] = 0
) -> float:
    """C = Tr[S_x W S_x W^dag] / Tr[S_x^2] of a dense W: 1 where the probe comes back.

    Args:
        unitary: W.
        probe: Spin that is prepared and read, or spins: then S_x is the sum of theirs.

    Raises:
        ValueError: If the size is not a power of two or there is no such spin.
    """
    n = int(math.log2(len(unitary)))
    if 2**n != len(unitary):
        raise ValueError(f"`unitary` must act on spins, but has {len(unitary)} rows.")
    probes = read_probes(n, probe)
    spin = sum((spin_product(n, {k: 0}) for k in probes), np.zeros_like(unitary))
    return float(
        np.real(np.vdot(spin, unitary @ spin @ unitary.conj().T)) / np.vdot(spin, spin).real
    )


def loschmidt_echo(
    sequence: PulseSequence,
    hamiltonian: SpinHamiltonian,
    channels: tuple[str, ...],
    n_cycles: Sequence[int],
    rf_scales: Sequence[float] = (1.0,),
) -> Float[np.ndarray, " lengths"]:
    """Echo of n cycles forward and n backward without a butterfly, pulses and all: 1 were the reversal perfect.

    Args:
        sequence: One forward cycle.
        hamiltonian: Internal Hamiltonian; spin 0 is the probe "C".
        channels: Name of the channel of each spin.
        n_cycles: Numbers of cycles.
        rf_scales: Strengths of the proton RF over the sample, 1 where it is as asked; equally weighted.

    Raises:
        ValueError: If a number of cycles is negative or the spins do not fit.
    """
    nothing = np.eye(2**hamiltonian.n_spins, dtype=complex)
    return pulsed_echo(sequence, hamiltonian, channels, n_cycles, [nothing], rf_scales)[0]


def pulsed_echo(
    sequence: PulseSequence,
    hamiltonian: SpinHamiltonian,
    channels: tuple[str, ...],
    n_cycles: Sequence[int],
    strikes: Sequence[Complex[np.ndarray, "states states"]],
    rf_scales: Sequence[float] = (1.0,),
    probe: int | Sequence[int] = 0,
) -> Float[np.ndarray, "strikes lengths"]:
    """Echo of n cycles forward, a strike and n cycles backward, pulses and all, for several strikes.

    Args:
        sequence: One forward cycle.
        hamiltonian: Internal Hamiltonian.
        channels: Name of the channel of each spin, "C" for the nuclide of the probe and "H" for the protons.
        n_cycles: Numbers of cycles.
        strikes: Dense butterflies on all spins, such as of `strike.butterfly`; the identity for the Loschmidt echo.
        rf_scales: Strengths of the proton RF over the sample, 1 where it is as asked; equally weighted.
        probe: Spin that is prepared and read, or spins.

    Raises:
        ValueError: If a number of cycles is negative or the spins do not fit.
    """
    for n in n_cycles:
        check_count(n, "n_cycles", 0)
    found = np.zeros((len(strikes), len(n_cycles)))
    power = np.linalg.matrix_power
    for scale in rf_scales:
        forth = propagator(sequence.scaled(scale), hamiltonian, channels)
        back = propagator(backward(sequence).scaled(scale), hamiltonian, channels)
        for column, n in enumerate(n_cycles):
            there, home = power(forth, n), power(back, n)
            found[:, column] += [echo_signal(home @ strike @ there, probe) for strike in strikes]
    return found / len(rf_scales)


def _eight_pulses(delay: float | int, pulse_duration: float | int, flip: bool) -> PulseSequence:
    long = 2 * delay + pulse_duration
    elements: list[Pulse | Delay] = [Delay(delay / 2)]
    for k, quarter in enumerate(_BAUM_PINES):
        elements.append(Pulse(QUARTER, quarter * QUARTER, pulse_duration))
        if k % 2:
            elements.append(Delay(delay if k < 7 else delay / 2))
        elif flip:
            elements += [Delay(long / 2), _flip(k // 2), Delay(long / 2)]
        else:
            elements.append(Delay(long))
    return PulseSequence(tuple(elements))


def _flip(number: int) -> Pulse:
    """An ideal pi pulse on the probe, every second one backwards so that the cycle ends in the identity."""
    return Pulse(math.pi if number % 2 == 0 else -math.pi, 0.0, 0.0, "C")

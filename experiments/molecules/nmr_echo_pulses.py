"""Pulse trains of `nmr_echo`: cycles out, a strike and cycles back, and how far the way back undoes the way out.

Cycles are windowless, of pulses of 90 degrees: `two_blocks` and `one_block` on toluene, `tardis_1` on
dimethylbiphenyl; a step is 36 pulses.
"""

import math
from typing import NamedTuple

import numpy as np

from experiments.harness.measurement import Measurement
from quantum.nmr import (
    PulseSequence,
    average_hamiltonian,
    butterfly,
    echo,
    examine,
    propagator,
    scale_factors,
    tardis_2_like,
)
from quantum.nmr.dipolar_sequences import (
    BLEW_12_SCALE,
    pulsed_butterfly,
    pulsed_echo,
    tardis_1_like,
)
from quantum.nmr.pulsed_states import pulsed_echo_by_typicality, rotation
from quantum.nmr.reversal import Reversal

MOLECULES = {"two_blocks": "toluene", "one_block": "toluene", "tardis_1": "biphenyl"}
SEQUENCES = tuple(MOLECULES)
CASES = ("clean", "offset", "rf")
METHYL_OFFSET_HZ = (
    -2348.0
)  # arXiv:2510.19550 as reported by public study notes; ring protons: -111 to +19
_CYCLES_PER_STEP = {"two_blocks": 1, "one_block": 1, "tardis_1": 3}
# C, near protons and two methyl protons: what Magnus terms are found for.
_SMALL_FRAGMENTS = {"toluene": (0, 1, 2, 4, 6, 7), "biphenyl": (0, 1, 2, 6, 9, 10)}
_BUTTERFLY_CYCLES = 4  # 3.53 rad; the number of the paper is unknown

Arrays = dict[str, np.ndarray]


class Sample(NamedTuple):
    """Spins that are pulsed.

    Attributes:
        couplings_hz: D_ij in Hz, spin 0 the probe.
        methyl: Protons of methyl groups, which the butterfly turns.
    """

    couplings_hz: np.ndarray
    methyl: tuple[int, ...]

    def part(self, spins: tuple[int, ...]) -> "Sample":
        """Some of the spins, the probe among them."""
        methyl = tuple(k for k, spin in enumerate(spins) if spin in self.methyl)
        return Sample(self.couplings_hz[np.ix_(spins, spins)], methyl)

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel of each spin."""
        return ("C",) + (len(self.couplings_hz) - 1) * ("H",)

    def internal(self, offset_hz: float = 0.0):
        """Secular Hamiltonian with an offset of the methyl protons."""
        offsets = np.zeros(len(self.couplings_hz))
        offsets[list(self.methyl)] = offset_hz
        return average_hamiltonian.secular_hamiltonian(self.couplings_hz, offsets_hz=offsets)

    def strike(self, angle: float) -> np.ndarray:
        """The butterfly as a matrix."""
        protons = [k - 1 for k in self.methyl]
        turn = np.asarray(butterfly(len(self.couplings_hz) - 1, protons, angle))
        return np.kron(np.eye(2), turn).astype(complex)


def cycle(name: str, pulse: float) -> PulseSequence:
    """A forward cycle of windowless pulses of 90 degrees that last `pulse` seconds."""
    if name == "tardis_1":
        return tardis_1_like(pulse)
    return tardis_2_like(0.0, pulse, inner=name == "one_block")


def trains(
    name: str, sample: Sample, pulse: float, steps: tuple[int, ...], angle: float, rf_spread: float
) -> Arrays:
    """Echoes of whole pulse trains, (cases, without and with a butterfly, steps), and of the average beside them."""
    train = cycle(name, pulse)
    counts = [_CYCLES_PER_STEP[name] * step for step in steps]
    strike = sample.strike(angle)
    strikes = [np.eye(len(strike), dtype=complex), strike]
    spread = (1 - rf_spread, 1.0, 1 + rf_spread)
    cases = {"clean": (0.0, (1.0,)), "offset": (METHYL_OFFSET_HZ, (1.0,)), "rf": (0.0, spread)}
    found = []
    for case in CASES:
        offset_hz, scales = cases[case]
        internal = sample.internal(offset_hz)
        found.append(pulsed_echo(train, internal, sample.channels, counts, strikes, scales))
    tensor, _, probe = scale_factors(train)
    form = "tardis-1" if name == "tardis_1" else "tardis-2"
    homo = tensor[0, 1] if name == "tardis_1" else tensor[1, 1]
    factors = (float(homo), float(probe[2]))
    average = average_hamiltonian.reversible_hamiltonian(
        sample.couplings_hz, 0, form, scaling=factors
    )
    times = train.duration * np.array(counts)
    ideal = echo(average, sample.methyl, angle, times, method="real_sectors").values
    return {
        f"pulsed_times.{name}": times,
        f"pulsed.{name}": np.array(found),
        f"average.{name}": np.asarray(ideal),
        f"factors.{name}": np.array(factors),
    }


def whole_molecule(
    sample: Sample, pulse: float, steps: tuple[int, ...], angle: float, n_states: int, seed: int
) -> Arrays:
    """`tardis_1` on all spins by random states: (mean and error, without and with a butterfly, steps)."""
    train = cycle("tardis_1", pulse)
    counts = [_CYCLES_PER_STEP["tardis_1"] * step for step in steps]
    one = np.asarray(butterfly(1, [0], angle))
    turn = rotation(sample.methyl, one)
    strikes = [lambda states: states, turn]
    samples = pulsed_echo_by_typicality(
        train, sample.internal(), counts, strikes, n_states=n_states, seed=seed, precision="single"
    )
    error = samples.std(axis=1, ddof=1) / math.sqrt(n_states)
    return {
        "whole": np.stack([samples.mean(axis=1), error]),
        "whole_times": train.duration * np.array(counts),
    }


def butterfly_by_pulses(sample: Sample, pulse: float, steps: tuple[int, ...]) -> Arrays:
    """The strike by BLEW-12 on the methyl offset, beside the rotation that it stands for, between pulsed ways."""
    internal = sample.internal(METHYL_OFFSET_HZ)
    train = pulsed_butterfly(_BUTTERFLY_CYCLES, pulse)
    angle = -2 * math.pi * METHYL_OFFSET_HZ * BLEW_12_SCALE * train.duration
    ideal, made = sample.strike(angle), propagator(train, internal, sample.channels)
    way = cycle("one_block", pulse)
    echoes = pulsed_echo(way, internal, sample.channels, steps, [ideal, made])
    overlap = abs(np.vdot(ideal, made)) / len(made)
    return {"butterfly": np.array([angle, overlap]), "butterfly_echoes": echoes}


def reversal(
    name: str, sample: Sample, pulse: float, steps: int, shortened: tuple[int, ...]
) -> Arrays:
    """Reversal as an identity and by Magnus terms; 1 - (Loschmidt echo) against the length of pulses, on six spins."""
    part = sample.part(_SMALL_FRAGMENTS[MOLECULES[name]])
    internal = part.internal()
    nothing = np.eye(2 ** len(part.couplings_hz), dtype=complex)
    lost = []
    for factor in shortened:
        count = _CYCLES_PER_STEP[name] * steps * factor
        train = cycle(name, pulse / factor)
        lost.append(1 - pulsed_echo(train, internal, part.channels, [count], [nothing])[0, 0])
    found = examine(cycle(name, pulse), internal)
    return {f"reversal.{name}": np.array(found), f"lost.{name}": np.array(lost)}


def pulse_metrics(shortened: tuple[int, ...], arrays: Arrays) -> dict[str, Measurement]:
    """Factors, terms of reversal, echoes of the trains, and the power of the pulse length in `slope`."""
    metrics = {}
    for name in SEQUENCES:
        homo, heter = arrays[f"factors.{name}"]
        lost = arrays[f"lost.{name}"]
        pulsed = arrays[f"pulsed.{name}"]
        off = rms(pulsed[0, 1] - arrays[f"average.{name}"])
        slope = np.log(lost[-2] / lost[-1]) / np.log(shortened[-1] / shortened[-2])
        values = {
            "eta_homo": homo, "eta_heter": heter, "slope": slope, "pulsed_off_average": off,
        }  # fmt: skip
        values |= zip(Reversal._fields, arrays[f"reversal.{name}"], strict=True)
        metrics |= {f"{key}.{name}": Measurement(value) for key, value in values.items()}
        for case, echoes in zip(CASES, pulsed, strict=True):
            metrics[f"loschmidt.{name}.{case}"] = Measurement(echoes[0, -1])
    return metrics


def rms(values) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))

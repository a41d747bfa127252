"""One call for the echo of a molecule, by several methods.

    C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2],   W = U^dag V U,   V = exp(-i theta n . sum_struck I)

A method is a name or an object; the object holds what only that method needs:

    sectors         11 spins   exact                          differentiates
    real_sectors    12 spins   exact                          no derivative
    matrices        10 spins   exact                          no derivative
    typicality      20 spins   standard error of states       no derivative
    pulses          10 spins   exact, with all pulses         no derivative
    pulsed_states   20 spins   standard error of states       no derivative

The first two want S_z of the probe kept; `matrices`, `pulses` and `typicality` measure several probes together. The
first four take U = exp(-i H t), the pulsed ones a sequence of pulses on top of H, forwards and backwards. A method is
any object with the attributes of `Method`: `compiling.nmr_circuit.ProductFormula` is the echo as a circuit of the
chip. Whoever asks too much of a method is told which one to take.

Sources and conventions in `exact_echo`, `typicality`, `dipolar_sequences` and `pulsed_states`. Left out: several
strikes after one way out, which `pulsed_echo` and `pulsed_echo_by_typicality` share.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from quantum._checks import check_choice, check_count
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS, pulsed_echo
from quantum.nmr.exact_echo import (
    MOST_MATRIX_SPINS,
    MOST_REAL_SPINS,
    MOST_SPINS,
    echo_by_matrices,
    echo_by_real_sectors,
    echo_by_sectors,
)
from quantum.nmr.pulse_sequence import PulseSequence
from quantum.nmr.pulsed_states import pulsed_echo_by_typicality, rotation
from quantum.nmr.species import probe_first, pulse_channels
from quantum.nmr.strike import butterfly, check_echo
from quantum.nmr.typicality import echo_by_typicality
from quantum.spins.hamiltonian import SpinHamiltonian

MOST_TYPICAL_SPINS = 20  # beyond, 16 states at 20 times take over 1.3 GB in single precision
MOST_PULSED_SPINS = 10  # matrices of 17 MB, a product of two for each element of the sequence
_WHOLE = 1e-6  # a time is whole cycles if it misses them by less than this share of one


class EchoCurve(NamedTuple):
    """An echo at several times.

    Attributes:
        values: C(t), (times,).
        stderr: Standard error of each, 0 where the method is exact, (times,).
    """

    values: Float[Array, " times"] | Float[np.ndarray, " times"]
    stderr: Float[Array, " times"] | Float[np.ndarray, " times"]


@runtime_checkable
class Method(Protocol):
    """What the call asks of a method.

    Attributes:
        name: Its name.
        most_spins: Spins that it takes, the probe among them.
        error: What error its values have, in words.
        differentiates: Whether JAX differentiates it in Hamiltonian, angle, axis and times.
    """

    name: ClassVar[str]
    most_spins: ClassVar[int]
    error: ClassVar[str]
    differentiates: ClassVar[bool]

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """The echo, asked for as in `echo`."""
        ...


@dataclass(frozen=True)
class Sectors:
    """Exact, from the blocks of the probe's S_z.

    Attributes:
        order: k of C^(2k).
    """

    order: int = 1
    name: ClassVar[str] = "sectors"
    most_spins: ClassVar[int] = MOST_SPINS
    error: ClassVar[str] = "exact"
    differentiates: ClassVar[bool] = True

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`exact_echo.echo_by_sectors`."""
        points = times if isinstance(times, Array) else np.asarray(times, dtype=float)
        found = echo_by_sectors(
            hamiltonian, tuple(struck), angle, points,
            axis=jnp.asarray(axis), probe=probe, order=self.order,
        )  # fmt: skip
        return EchoCurve(found, jnp.zeros_like(found))


@dataclass(frozen=True)
class RealSectors:
    """Exact, in real arithmetic: no compilation, no derivative, one spin more."""

    name: ClassVar[str] = "real_sectors"
    most_spins: ClassVar[int] = MOST_REAL_SPINS
    error: ClassVar[str] = "exact"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`exact_echo.echo_by_real_sectors`."""
        found = echo_by_real_sectors(hamiltonian, struck, angle, times, axis=axis, probe=probe)
        return EchoCurve(found, np.zeros_like(found))


@dataclass(frozen=True)
class Matrices:
    """Exact, from matrices of all spins: H may turn the probe, and several may be measured together."""

    name: ClassVar[str] = "matrices"
    most_spins: ClassVar[int] = MOST_MATRIX_SPINS
    error: ClassVar[str] = "exact"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`exact_echo.echo_by_matrices`."""
        found = echo_by_matrices(hamiltonian, struck, angle, times, axis=axis, probe=probe)
        return EchoCurve(found, np.zeros_like(found))


@dataclass(frozen=True)
class Typicality:
    """Random states in place of the trace; H may turn the probe, and several may be measured together.

    Attributes:
        n_states: Random states, at least 2.
        seed: Seed of the states.
        precision: "single" or "double".
        tolerance: Largest share of a state that each series may leave out; 1e-6 or 1e-12 by default.
    """

    n_states: int = 16
    seed: int = 0
    precision: str = "single"
    tolerance: float | None = None
    name: ClassVar[str] = "typicality"
    most_spins: ClassVar[int] = MOST_TYPICAL_SPINS
    error: ClassVar[str] = "standard error of states"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`typicality.echo_by_typicality`."""
        found = echo_by_typicality(
            hamiltonian, struck, angle, times, n_states=self.n_states, seed=self.seed,
            axis=axis, probe=probe, precision=self.precision, tolerance=self.tolerance,
        )  # fmt: skip
        return EchoCurve(found.mean, found.error)


@dataclass(frozen=True)
class Pulses:
    """Pulse sequences as matrices, pulses and all; `species.pulse_channels` says which spin is on "C" and "H".

    Attributes:
        sequence: One forward cycle; every time is a whole number of them.
        rf_scales: Strengths of the proton RF over the sample, 1 where it is as asked; equally weighted.
    """

    sequence: PulseSequence
    rf_scales: tuple[float, ...] = (1.0,)
    name: ClassVar[str] = "pulses"
    most_spins: ClassVar[int] = MOST_PULSED_SPINS
    error: ClassVar[str] = "exact, with all pulses"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`dipolar_sequences.pulsed_echo`."""
        counts = _cycles(self.sequence, times)
        strike = np.asarray(butterfly(hamiltonian.n_spins, struck, float(angle), jnp.asarray(axis)))
        channels = pulse_channels(hamiltonian, probe)
        strikes, scales = [strike.astype(complex)], self.rf_scales
        found = pulsed_echo(self.sequence, hamiltonian, channels, counts, strikes, scales, probe)
        return EchoCurve(found[0], np.zeros(len(counts)))


@dataclass(frozen=True)
class PulsedStates:
    """Pulse sequences on random states, for molecules too large for a matrix.

    Attributes:
        sequence: One forward cycle; every time is a whole number of them, and times rise.
        n_states: Random states, at least 2.
        seed: Seed of the states.
        precision: "double", which needs JAX's 64-bit mode, or "single".
    """

    sequence: PulseSequence
    n_states: int = 16
    seed: int = 0
    precision: str = "double"
    name: ClassVar[str] = "pulsed_states"
    most_spins: ClassVar[int] = MOST_TYPICAL_SPINS
    error: ClassVar[str] = "standard error of states"
    differentiates: ClassVar[bool] = False

    def curve(self, hamiltonian, struck, angle, times, *, axis, probe) -> EchoCurve:
        """`pulsed_states.pulsed_echo_by_typicality`."""
        check_count(self.n_states, "n_states", 2, "One state has no standard error.")
        counts = _cycles(self.sequence, times)
        hamiltonian, struck = probe_first(hamiltonian, struck, one_probe(probe, self.name))
        turn = np.asarray(butterfly(1, [0], float(angle), jnp.asarray(axis)))
        samples = pulsed_echo_by_typicality(
            self.sequence, hamiltonian, counts, [rotation(struck, turn)],
            n_states=self.n_states, seed=self.seed, precision=self.precision,
        )[0]  # fmt: skip
        error = samples.std(axis=0, ddof=1) / math.sqrt(self.n_states)
        return EchoCurve(samples.mean(axis=0), error)


_METHODS = (Sectors, RealSectors, Matrices, Typicality, Pulses, PulsedStates)
_BY_NAME = {method.name: method for method in (Sectors, RealSectors, Matrices, Typicality)}


class MethodRow(NamedTuple):
    """A line of the table of methods; the attributes are those of `Method`."""

    name: str
    most_spins: int
    error: str
    differentiates: bool


def methods() -> tuple[MethodRow, ...]:
    """The methods of this package: for how many spins, with which error, and whether they differentiate."""
    return tuple(MethodRow(m.name, m.most_spins, m.error, m.differentiates) for m in _METHODS)


def echo(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle: float | int | Float[Array, ""],
    times: Sequence[float] | Float[Array, " times"] | np.ndarray,
    *,
    method: str | Method = "sectors",
    axis: Sequence[float] | Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int | Sequence[int] = 0,
) -> EchoCurve:
    """The echo of a probe spin, or of several together.

    Args:
        hamiltonian: H of the way out; for pulsed methods what acts between and under the pulses.
        struck: Spins that the butterfly turns, such as the protons of the methyl groups.
        angle: theta in rad.
        times: Times of one way out in s, not negative.
        method: "sectors", "real_sectors", "matrices" or "typicality", or an object such as `Typicality(n_states=40)`.
        axis: n, of length one; by default that of BLEW-12, (0, 2, 1) / sqrt(5).
        probe: Spin that is prepared and read along x, or spins: then S_x is the sum of theirs.

    Returns:
        C at each time and its standard error.

    Raises:
        ValueError: If the method is unknown, takes fewer spins or does not differentiate, or as `check_echo`.
    """
    if isinstance(method, str):
        hint = "Others are objects, such as `Pulses(sequence)`."
        check_choice(method, "method", _BY_NAME, hint)
        chosen: Method = _BY_NAME[method]()
    else:
        chosen = method
    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves((hamiltonian, angle, times, axis)))
    n = hamiltonian.n_spins
    if traced and not chosen.differentiates:
        raise ValueError(
            f"`method` must differentiate and trace, but {chosen.name} does not; {_fitting(n, traced)}."
        )
    if n > chosen.most_spins:
        raise ValueError(
            f"`method` must take {n} spins, but {chosen.name} takes {chosen.most_spins} at most; "
            f"{_fitting(n, traced)}."
        )
    check_echo(hamiltonian, struck, angle, times, axis, probe, any_probe=True, several=True)
    if np.size(probe) == 1 or chosen.name in ("sectors", "real_sectors"):
        probe = one_probe(probe, chosen.name)
    return chosen.curve(hamiltonian, struck, angle, times, axis=axis, probe=probe)


def _fitting(n_spins: int, differentiated: bool) -> str:
    """Advice: the methods that take so many spins."""
    fit = [
        row.name
        for row in methods()
        if row.most_spins >= n_spins and (row.differentiates or not differentiated)
    ]
    return f"take {' or '.join(fit)}" if fit else "no method does"


def one_probe(probe: int | Sequence[int], method: str) -> int:
    """The probe as a number.

    Raises:
        ValueError: If there are several.
    """
    if np.size(probe) != 1:
        raise ValueError(
            f"`probe` must be one spin with {method}, but is {probe}; `matrices`, `pulses` and `typicality` measure "
            "several together."
        )
    return int(np.ravel(probe)[0])


def _cycles(sequence: PulseSequence, times) -> list[int]:
    """Numbers of whole cycles in the times."""
    shares = np.asarray(times, dtype=float) / sequence.duration
    missed = np.abs(shares - np.rint(shares))
    if missed.max(initial=0) > _WHOLE:
        wrong = float(np.asarray(times)[int(missed.argmax())])
        raise ValueError(
            f"`times` must be whole cycles of {sequence.duration:g} s with a pulsed method, but one is {wrong:g} s."
        )
    return [int(count) for count in np.rint(shares)]

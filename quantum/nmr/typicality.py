"""The echo of up to some twenty spins: random states in place of a trace, Chebyshev series in place of matrices.

C(t) = Tr[S_x W S_x W^dag] / Tr[S_x^2] with W = U^dag V U, U = exp(-i H t) and the butterfly V = exp(-i angle n .
sum_struck I) is a trace (`exact_echo` takes it exactly). Random states stand in for it (typicality): with entries of
modulus 1 and random phases <psi|A|psi> has the mean Tr A / D and, for unitary A, a variance below 1 / D, so n_states
of them give the echo to about 1 / sqrt(2 n_states D) (F. Jin et al., J. Phys. Soc. Jpn. 90, 012001 (2021),
doi:10.7566/JPSJ.90.012001).

Where H keeps S_z of the probe, U has a block for each of its states, of D = 2^(n-1), and C = Re Tr[W_down^dag W_up] /
D: half the states, and two propagations in place of four. A turn of all spins about z that makes H real
(`real_frame`) changes nothing in that form but the axis of the butterfly, and saves a quarter to half of the time.

Conventions as in `average_hamiltonian`. Left out: gradients (`exact_echo` and `evolution.evolve` have them),
relaxation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quantum._checks import check_count
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.nmr.species import keeps_probe, read_probes
from quantum.nmr.strike import check_echo, turn_spins
from quantum.spins.action import SpinAction, make_action, real_frame
from quantum.spins.evolution import SpinPlan, check_norms, evolve_action, make_plan, series
from quantum.spins.hamiltonian import PAULIS, SpinHamiltonian
from quantum.spins.random_states import random_states

_AT_ONCE = 16  # random states propagated together: 4 MB of columns at 15 spins, which fits a cache


class TypicalEcho(NamedTuple):
    """An echo from random states.

    Attributes:
        mean: C(t), (times,).
        error: Standard error over the states, (times,).
        samples: Value of every state, (states, times).
    """

    mean: Float[np.ndarray, " times"]
    error: Float[np.ndarray, " times"]
    samples: Float[np.ndarray, "n_states times"]


def echo_by_typicality(
    hamiltonian: SpinHamiltonian,
    struck: Sequence[int],
    angle: float | int,
    times: Sequence[float] | Float[np.ndarray, " times"],
    *,
    n_states: int,
    seed: int,
    axis: Sequence[float] | Float[Array, " 3"] | np.ndarray = BLEW_12_AXIS,
    probe: int | Sequence[int] = 0,
    precision: str = "single",
    tolerance: float | None = None,
) -> TypicalEcho:
    """Echo of a probe from random states, with its standard error.

    Args:
        hamiltonian: H of the way out; the way back is exp(+i H t), as an ideal reversal gives. It may turn the probe,
            at four times the work.
        struck: Spins that the butterfly turns, without the probe.
        angle: Angle of the butterfly, rad.
        times: Times out, in s, not negative.
        n_states: Random states, at least 2 for a standard error.
        seed: Seed of the states.
        axis: Unit vector that the butterfly turns about.
        probe: Spin that is prepared and read along x, or spins: then S_x is the sum of theirs.
        precision: "single" or "double".
        tolerance: Largest share of a state that each series may leave out; 1e-6 or 1e-12 by default.

    Raises:
        ValueError: If a time is negative, the axis is not of length one, or a spin is not there.
        FloatingPointError: If norms are not conserved.
    """
    check_echo(hamiltonian, struck, angle, times, axis, probe, any_probe=True, several=True)
    grid = np.asarray(times, dtype=float)
    check_count(n_states, "n_states", 2, "One state has no standard error.")
    make = partial(_make_walk, angle=angle, precision=precision, tolerance=tolerance)
    n = hamiltonian.n_spins
    probes = read_probes(n, probe)
    if len(probes) == 1 and keeps_probe(hamiltonian, probes[0]):
        (probe,) = probes
        turned, rotation = real_frame(hamiltonian)
        moved = [spin - (spin > probe) for spin in struck]
        blocks = (sector_hamiltonian(turned, sz, probe=probe) for sz in (0.5, -0.5))
        walks = [make(block, moved, axis=rotation @ np.asarray(axis)) for block in blocks]
        measure, n = partial(_overlap_of_sectors, walks, grid), n - 1
    else:
        measure = partial(_overlap_of_halves, make(hamiltonian, struck, axis=axis), grid, probes)
    parts = []
    for first in range(0, n_states, _AT_ONCE):
        count = min(_AT_ONCE, n_states - first)
        parts.append(measure(random_states(n, count, seed=seed, precision=precision, first=first)))
    samples = np.concatenate(parts)
    error = samples.std(axis=0, ddof=1) / math.sqrt(n_states)
    return TypicalEcho(samples.mean(axis=0), error, samples)


def sector_hamiltonian(
    hamiltonian: SpinHamiltonian, sz: float, *, probe: int = 0
) -> SpinHamiltonian:
    """H of the other spins while the probe has S_z = `sz`, less its own energy; `exact_echo.sector` is its matrix."""
    rest = np.array([spin for spin in range(hamiltonian.n_spins) if spin != probe])
    fields = hamiltonian.fields[rest] + sz * hamiltonian.couplings[probe, rest, 2]
    return SpinHamiltonian(hamiltonian.couplings[np.ix_(rest, rest)], fields)


@dataclass(frozen=True)
class _Walk:
    """Out, butterfly and back: W psi or W^dag psi."""

    action: SpinAction
    plan: SpinPlan
    struck: Sequence[int]
    turn: np.ndarray

    def __call__(self, states, times: np.ndarray, *, adjoint: bool = False):
        """W psi (or W^dag psi) for every time, (times, states, 2^n); every way back has a length of its own."""
        there = evolve_action(self.action, states, times, self.plan)
        turn = self.turn.conj().T if adjoint else self.turn
        there = turn_spins(there, self.struck, jnp.asarray(turn, states.dtype))
        longest = len(series(self.plan, times)[0])
        back = [
            evolve_action(self.action, state, np.array([-time]), self.plan, at_least=longest)[0]
            for state, time in zip(there, times, strict=True)
        ]
        found = jnp.stack(back)
        check_norms(states, found, self.plan)
        return found


def _make_walk(hamiltonian, struck, *, angle, axis, precision, tolerance) -> _Walk:
    plan = make_plan(hamiltonian, precision=precision, tolerance=tolerance)
    generator = np.tensordot(np.asarray(axis, float), PAULIS, 1)
    turn = math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * generator
    action = make_action(hamiltonian, precision=precision, real=plan.real)
    return _Walk(action, plan, struck, turn)


def _overlap_of_sectors(walks, times, states) -> np.ndarray:
    """Re <W_down psi|W_up psi>, (states, times)."""
    up, down = (walk(states, times) for walk in walks)
    return np.asarray(jnp.einsum("tsd,tsd->st", down.conj(), up).real, dtype=float)


def _overlap_of_halves(walk, times, probes, states) -> np.ndarray:
    """Re <W^dag X psi|X W^dag psi> / k with X = 2 S_x of k probes, (states, times): where S_z is not kept."""
    n = walk.action.n_spins
    flips = [np.arange(2**n) ^ (1 << (n - 1 - probe)) for probe in probes]
    there = walk(states, times, adjoint=True)
    plain = sum(there[..., flip] for flip in flips)
    flipped = walk(sum(states[:, flip] for flip in flips), times, adjoint=True)
    found = jnp.einsum("tsd,tsd->st", flipped.conj(), plain).real / len(probes)
    return np.asarray(found, dtype=float)

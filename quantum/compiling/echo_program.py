"""Programs that turn couplings and a time into the pair gates of a dipolar echo, with few gates for their error.

A product formula spends a gate on every pair in every step. A program spends them where they count. One evolution,

    U(t) = prod_events prod_(pairs of the event's class) exp(-i I_i . T_ij . I_j  w_e (1 + r_c + r'_c t / t_0) t),

is a list of sweeps over classes of pairs; sum_e w_e = 1 in each class. The ingredients, after the six that a search is
said to have found (arXiv:2510.19550 as reported by public notes; forms, classes and parameters are our choice):

- interaction-graph decomposition: pairs fall into classes by the size of their coupling; a class of share s is swept
  s n times in n steps, in the middle of its own intervals, so that weak ones come seldom and between strong ones;
- coupling rescaling: r_c and r'_c of each class, which make up for part of the commutators left out;
- step-size modulation: w_e in proportion to exp(sum_l m_l P_l(2 x_e - 1)), x_e the place of the sweep in [0, 1];
- dynamic budgeting: the gates allowed grow as t^growth, and n is the largest that they pay for;
- adaptive second order: from `symmetric_from` steps on, every other sweep of a class runs backwards;
- cone pruning: of the echo U^dag V U, gates before any that touch the probe, and after the last that touches what V
  turns, cancel exactly, as does everything that never gets into both cones.

Pruning on the probe's side uses that the other spins are maximally mixed; of one random state it holds on average.
Gates on the same pair are fused where all that lies between commutes with them; gates that share just the probe do,
for its S_z is conserved. A gate stands for one two-qubit interaction with couplers between all spins; what a line of
qubits adds in swaps is counted elsewhere (`swap_network`). How long each gate lasts, and the circuit: `program_gates`.
Left out: fields (echoes have none), turns of the probe.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from quantum._checks import check_count, check_in_range
from quantum.compiling.trotter import ORDERS, round_robin, sweeps
from quantum.nmr.average_hamiltonian import GRID_STEP

Pair = tuple[int, int]
_MOST_STEPS = 256
_SAME_PLACE = 1e-9


@dataclass(frozen=True)
class PairClass:
    """Pairs that are swept together.

    Attributes:
        pairs: In the order of a forward sweep.
        share: Sweeps for each step; 0 leaves the pairs out.
        rescaling: r and r' of the couplings, (1 + r + r' t / t_0).
    """

    pairs: tuple[Pair, ...]
    share: float | int = 1.0
    rescaling: tuple[float | int, float | int] = (0.0, 0.0)

    def __post_init__(self):
        check_in_range(self.share, "share", 0, 64)
        if not np.isfinite(self.rescaling).all():
            raise ValueError(f"`rescaling` must be finite, but is {self.rescaling}.")


@dataclass(frozen=True)
class EchoProgram:
    """Parameters of a program; see the module for what they do.

    Attributes:
        classes: Pairs that are swept together, in the order of a forward sweep; no pair twice.
        struck: Spins that the butterfly turns.
        budget: Pair gates that one evolution of length `time_scale` may hold; one step is always made.
        growth: Power of the time with which the budget grows; 0 for the same at all times.
        time_scale: t_0 in seconds.
        order: Product formula of a step, 1, 2 or 4; above 1 all shares must be 1.
        symmetric_from: Steps from which on sweeps alternate in direction; None for never.
        modulation: m_1, m_2, ... of the step sizes.
        pruned: Whether gates outside the cones are left out.
        probe: The spin that is measured.

    Raises:
        ValueError: If a pair comes twice, the probe is struck, or a number is out of range.
    """

    classes: tuple[PairClass, ...]
    struck: tuple[int, ...]
    budget: float | int
    growth: float | int = 1.0
    time_scale: float | int = GRID_STEP
    order: int = 1
    symmetric_from: int | None = None
    modulation: tuple[float | int, ...] = ()
    pruned: bool = True
    probe: int = 0

    def __post_init__(self):
        pairs = [frozenset(pair) for group in self.classes for pair in group.pairs]
        if any(len(pair) != 2 for pair in pairs) or len(set(pairs)) < len(pairs):
            raise ValueError("`classes` must name every pair of different spins at most once.")
        if self.order not in ORDERS:
            raise ValueError(f"`order` must be 1, 2 or 4, but is {self.order!r}.")
        if self.order > 1 and any(group.share != 1 for group in self.classes):
            raise ValueError(f"`share` must be 1 in every class for order {self.order}.")
        if self.probe in self.struck:
            raise ValueError(f"`struck` must not hold the probe {self.probe}.")
        check_in_range(self.budget, "budget", 0, 1e6, "gates")
        check_in_range(self.growth, "growth", 0, 4)
        check_in_range(self.time_scale, "time_scale", 1e-9, 1e3, "s")
        if self.symmetric_from is not None:
            check_count(self.symmetric_from, "symmetric_from", 1)
        if not np.isfinite(self.modulation).all():
            raise ValueError(f"`modulation` must be finite, but is {self.modulation}.")

    def steps_at(self, time: float | int) -> int:
        """Steps that the budget pays for at a time in seconds, at least one."""
        allowed = self.budget * (time / self.time_scale) ** self.growth + _SAME_PLACE
        skeleton = _skeleton(self)
        found = 1
        while found < _MOST_STEPS and len(_plan(skeleton, found + 1).gates) <= allowed:
            found += 1
        return found

    def count(self, time: float | int) -> int:
        """Pair gates of one evolution; the echo U^dag V U holds twice as many."""
        return len(plan(self, time).gates) if time else 0


@dataclass(frozen=True)
class ProgramPlan:
    """The discrete part of a program at one time: which sweeps there are, and which of them each gate adds up.

    Attributes:
        owners: Class of each sweep.
        centres: Its place x in [0, 1].
        fractions: Its part of the time before modulation.
        gates: Pair, class and sweeps of each gate, in time order.
    """

    owners: tuple[int, ...]
    centres: tuple[float, ...]
    fractions: tuple[float, ...]
    gates: tuple[tuple[Pair, int, tuple[int, ...]], ...]


def first_order(
    n_spins: int,
    struck: Sequence[int],
    n_steps: int | float = 1,
    *,
    probe: int = 0,
    order: int = 1,
) -> EchoProgram:
    """All pairs in the order of a swap network, `n_steps` steps for each 0.375 ms: the usual product formula.

    Args:
        n_spins: Spins.
        struck: Spins that the butterfly turns.
        n_steps: Steps for each `GRID_STEP` of evolution.
        probe: The spin that is measured.
        order: 1, 2 or 4.

    Raises:
        ValueError: If the probe is struck or the order unknown.
    """
    pairs = tuple(pair for layer in round_robin(n_spins) for pair in layer)
    sweeps_a_step = len(sweeps(order)) if order in ORDERS else 1
    budget = n_steps * len(pairs) * sweeps_a_step
    return EchoProgram(
        (PairClass(pairs),), tuple(struck), budget, order=order, pruned=False, probe=probe
    )


def decomposed(
    program: EchoProgram,
    couplings: np.ndarray,
    *,
    bounds: Sequence[float | int] = (0.3, 0.08),
    shares: Sequence[float | int] | None = None,
) -> EchoProgram:
    """The program with its pairs in classes by the size of their coupling.

    Args:
        program: One of first order.
        couplings: T_ij in rad/s, such as `SpinHamiltonian.couplings`, or their mean over molecules.
        bounds: Falling sizes relative to the largest coupling at which one class ends and the next begins.
        shares: Sweeps of each class for each step, strongest first; 1 by default.

    Raises:
        ValueError: If the bounds do not fall, or the shares are not one more than they.
    """
    if list(bounds) != sorted(bounds, reverse=True) or len(set(bounds)) < len(bounds):
        raise ValueError(f"`bounds` must fall, but are {tuple(bounds)}.")
    chosen = [1.0] * (len(bounds) + 1) if shares is None else [float(s) for s in shares]
    if len(chosen) != len(bounds) + 1:
        raise ValueError(f"`shares` must hold {len(bounds) + 1} numbers, but hold {len(chosen)}.")
    pairs = [pair for group in program.classes for pair in group.pairs]
    sizes = np.linalg.norm(np.asarray(couplings), ord=2, axis=(-2, -1))
    relative = np.array([sizes[pair] for pair in pairs]) / sizes.max()
    places = np.searchsorted(-np.array(bounds), -relative)
    groups = [
        tuple(pair for pair, place in zip(pairs, places, strict=True) if place == k)
        for k in range(len(chosen))
    ]
    return replace(
        program,
        classes=tuple(PairClass(g, s) for g, s in zip(groups, chosen, strict=True) if g),
    )


def plan(program: EchoProgram, time: float | int) -> ProgramPlan:
    """Sweeps and gates of the program at a time in seconds.

    Raises:
        ValueError: If the time is not positive.
    """
    if not (math.isfinite(time) and time > 0):
        raise ValueError(f"`time` must be positive, but is {time} s; programs only go out.")
    return _plan(_skeleton(program), program.steps_at(time))


def check_spins(program: EchoProgram, n_spins: int) -> None:
    """Raises ValueError unless all spins of the program are among `n_spins`."""
    named = {k for group in program.classes for pair in group.pairs for k in pair}
    if not named | set(program.struck) | {program.probe} <= set(range(n_spins)):
        raise ValueError(f"`program` must name spins 0 to {n_spins - 1} only, but names {named}.")


def _skeleton(program: EchoProgram) -> EchoProgram:
    """What decides which gates there are; programs that differ in nothing else share their plans."""
    return _bare(
        program.classes, program.struck, program.order, program.symmetric_from, program.pruned, program.probe
    )  # fmt: skip


@lru_cache(maxsize=1024)  # a search for a budget asks for the same one again and again
def _bare(classes, struck, order, symmetric_from, pruned, probe) -> EchoProgram:
    groups = tuple(replace(group, rescaling=(0.0, 0.0)) for group in classes)
    return EchoProgram(
        groups, struck, 0, 0, 1, order=order, symmetric_from=symmetric_from, pruned=pruned, probe=probe
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _plan(skeleton: EchoProgram, n_steps: int) -> ProgramPlan:
    listed = _formula(skeleton, n_steps) if skeleton.order > 1 else _staggered(skeleton, n_steps)
    gates: list[tuple[Pair, int, tuple[int, ...]]] = []
    for event, (owner, _, _, backwards) in enumerate(listed):
        pairs = skeleton.classes[owner].pairs
        for pair in reversed(pairs) if backwards else pairs:
            _add(gates, pair, owner, event, skeleton.probe)
    if skeleton.pruned:
        gates = _within_cones(gates, skeleton.probe, skeleton.struck)
    owners, centres, fractions, _ = zip(*listed, strict=True) if listed else ((), (), (), ())
    return ProgramPlan(owners, centres, fractions, tuple(gates))


def _staggered(skeleton: EchoProgram, n_steps: int):
    """Sweeps (class, centre, fraction, backwards), each in the middle of its interval."""
    alternate = skeleton.symmetric_from is not None and n_steps >= skeleton.symmetric_from
    listed = []
    for owner, group in enumerate(skeleton.classes):
        times = max(1, round(n_steps * group.share)) if group.share else 0
        for k in range(times):
            listed.append((owner, (k + 0.5) / times, 1 / times, alternate and k % 2 == 1))
    listed.sort(key=lambda event: event[1])
    ordered = []
    for _, tied in groupby(listed, key=lambda event: round(event[1] / _SAME_PLACE)):
        together = list(tied)
        ordered += reversed(together) if together[0][3] else together
    return ordered


def _formula(skeleton: EchoProgram, n_steps: int):
    """Sweeps of a product formula of second or fourth order."""
    listed, place = [], 0.0
    for _ in range(n_steps):
        for sweep in sweeps(skeleton.order):
            part = sweep.fraction / n_steps
            owners = range(len(skeleton.classes))
            listed += [
                (owner, place + part / 2, part, sweep.backwards)
                for owner in (reversed(owners) if sweep.backwards else owners)
            ]
            place += part
    return listed


def _add(gates: list, pair: Pair, owner: int, event: int, probe: int) -> None:
    """Appends a gate, or fuses it with the last on its pair if all between commute with it."""
    for place in range(len(gates) - 1, -1, -1):
        other = gates[place][0]
        shared = set(other) & set(pair)
        if len(shared) == 2:
            gates[place] = (other, owner, (*gates[place][2], event))
            return
        if shared and shared != {probe}:
            break
    gates.append((pair, owner, (event,)))


def _within_cones(gates: list, probe: int, struck: tuple[int, ...]) -> list:
    """Gates that do not cancel in the echo: in the probe's cone from the start, the butterfly's from the end."""
    for cone, backwards in (({probe}, False), (set(struck), True)):
        kept = []
        for gate in reversed(gates) if backwards else gates:
            if cone & set(gate[0]):
                cone |= set(gate[0])
                kept.append(gate)
        gates = kept[::-1] if backwards else kept
    return gates

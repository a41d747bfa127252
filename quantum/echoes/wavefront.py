"""The wavefront of the OTOC on a lattice: C^(2) for every measured qubit at once, its front and its speed.

With M = Z and all qubits in |0>, an eigenstate of every M, the correlator of qubit q is <Z_q> after U, B, U^dagger:
one state serves all places of M. Gates cancel outside the light cone of B, so the state needs only the qubits of that
cone, whatever the size of the chip; all other correlators are 1. The front stands where 1 - C, averaged over circuits
and over the qubits at equal distance from B, crosses a level, 1/2 (our choice); the butterfly velocity is the slope of
a straight line through its radius against cycles, its error from the jackknife over circuits. Distances in steps along
couplers, velocities in steps per cycle. Leaves out how the front broadens.

The four steps are those of Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6;
it is not known to us whether they state a butterfly velocity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_in_range
from quantum.circuits.circuit import Circuit, cancel_inverses, light_cone, restrict
from quantum.circuits.lattice import Lattice
from quantum.circuits.pauli import PauliString
from quantum.engines import dispatch


@dataclass(frozen=True)
class Velocity:
    """Straight line through the front.

    Attributes:
        steps_per_cycle: Butterfly velocity.
        stderr: Its standard error over circuits.
        offset: Radius of the line at zero cycles, in steps.
        cycles: Cycles fitted.
        radii: Radius of the front at those cycles, in steps.
        radii_stderr: Their standard errors over circuits.
    """

    steps_per_cycle: float
    stderr: float
    offset: float
    cycles: np.ndarray
    radii: np.ndarray
    radii_stderr: np.ndarray


def cone_qubits(circuit: Circuit, qubit: int) -> tuple[int, ...]:
    """Qubits in the light cone of B on `qubit`, those that U, B, U^dagger can touch."""
    return restrict(light_cone(circuit, [qubit]), keep=[qubit])[1]


def polarisations(state: np.ndarray) -> np.ndarray:
    """<Z> of every qubit in a flat state, (qubits,)."""
    chances = np.abs(state) ** 2
    n = int(np.log2(chances.size))
    found = np.empty(n)
    for qubit in range(n - 1, -1, -1):
        pairs = chances.reshape(-1, 2)
        found[qubit] = pairs[:, 0].sum(dtype=float) - pairs[:, 1].sum(dtype=float)
        chances = pairs.sum(axis=1)  # traced out, so that each qubit costs half of the one before
    return found


def correlator_map(
    circuit: Circuit,
    butterfly: int,
    *,
    engine: str = "auto",
    precision: dispatch.Precision = "single",
) -> np.ndarray:
    """C^(2) from |0...0> for M = Z on every qubit, (qubits,), exact.

    Args:
        circuit: U.
        butterfly: Qubit of B = X.
        engine: Engine that makes the state.
        precision: single or double.
    """
    return four_steps(circuit, butterfly, engine=engine, precision=precision, steps=(3,))[0]


def four_steps(
    circuit: Circuit,
    butterfly: int,
    *,
    letter: str = "X",
    engine: str = "auto",
    precision: dispatch.Precision = "single",
    steps: Sequence[int] = (0, 1, 2, 3),
) -> np.ndarray:
    """<Z> of every qubit at the start, after U, after B and after U^dagger, (steps, qubits).

    Only the gates of U in the light cone of B are there: the others undo themselves on the way back.

    Args:
        circuit: U.
        butterfly: Qubit of B.
        letter: Letter of B.
        engine: Engine that makes the states.
        precision: single or double.
        steps: Steps wanted, 0 to 3.
    """
    n = circuit.n_qubits
    there = light_cone(circuit, [butterfly])
    struck = there + Circuit(n, (PauliString.on({butterfly: letter}).moment(),))
    stages = (Circuit(n), there, struck, cancel_inverses(struck + there.inverse()))
    kept = cone_qubits(circuit, butterfly)
    found = np.ones((len(steps), n))
    for row, step in enumerate(steps):
        small, _ = restrict(stages[step], keep=kept)
        found[row, list(kept)] = polarisations(
            dispatch.state(small, engine=engine, precision=precision)
        )
    return found


def radial_profile(lattice: Lattice, centre: int, maps: np.ndarray) -> np.ndarray:
    """Mean of 1 - C over the qubits at each distance from `centre`.

    Args:
        lattice: The qubits.
        centre: Qubit of B.
        maps: C of every qubit, (..., qubits).

    Returns:
        Profile (..., distances), distance 0 first.
    """
    distances = lattice.distances(centre)
    rings = [1 - maps[..., distances == d].mean(axis=-1) for d in range(distances.max() + 1)]
    return np.stack(rings, axis=-1)


def front_radius(profile: np.ndarray, level: float | int = 0.5) -> float:
    """Outermost distance where a profile falls through `level`, linear between distances; NaN where it never does."""
    above = np.flatnonzero(profile > level)
    if len(above) == 0 or above[-1] == len(profile) - 1:
        return float("nan")
    inner = above[-1]
    return float(inner + (profile[inner] - level) / (profile[inner] - profile[inner + 1]))


def fit_velocity(
    profiles: np.ndarray,
    cycles: np.ndarray,
    first: int,
    last: int,
    level: float | int = 0.5,
) -> Velocity:
    """Fits the front of an ensemble of circuits.

    Args:
        profiles: Mean of 1 - C, (circuits, cycles, distances).
        cycles: Number of cycles of each entry.
        first: First cycle fitted.
        last: Last cycle fitted; the front must not have reached the edge of the lattice.
        level: Value of 1 - C at the front.

    Raises:
        ValueError: If there are fewer than three circuits, or fewer than three cycles with a front.
    """
    check_in_range(level, "level", 0, 2)
    if len(profiles) < 3:
        raise ValueError(f"`profiles` must hold at least 3 circuits, but holds {len(profiles)}.")
    total = profiles.sum(axis=0)
    count = len(profiles)
    inside = (cycles >= first) & (cycles <= last)
    inside &= np.isfinite([front_radius(p / count, level) for p in total])
    if inside.sum() < 3:
        raise ValueError(
            f"`first` and `last` must span at least 3 cycles with a front on the lattice, but there are "
            f"{inside.sum()} between {first} and {last}."
        )
    at = cycles[inside].astype(float)
    radii = _radii(total[inside] / count, level)
    left_out = [
        _radii((total - own)[inside] / (count - 1), level) for own in profiles
    ]  # the jackknife: all circuits but one
    slope, offset = np.polyfit(at, radii, 1)
    slopes = [np.polyfit(at, r, 1)[0] for r in left_out]
    spread = np.sqrt((count - 1) * np.var(slopes))
    errors = np.sqrt((count - 1) * np.var(left_out, axis=0))
    return Velocity(float(slope), float(spread), float(offset), cycles[inside], radii, errors)


def _radii(profiles: np.ndarray, level: float | int) -> np.ndarray:
    found = np.array([front_radius(p, level) for p in profiles])
    # Without one circuit the profile may touch the edge; the last distance is then the best that can be said.
    return np.where(np.isfinite(found), found, profiles.shape[-1] - 1)

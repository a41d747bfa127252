"""Noisy echoes from stratified trajectories: the rare faults that undo the measured Pauli have a stratum of their own.

An echo plays M between its loops. A Pauli error next to that M which anticommutes with a turned M undoes it or nearly
so, and the echo comes back as 1 where the signal is a few hundredths. Such errors are rare (0.35 % of the weight at 18
qubits), so that a plain draw of a hundred trajectories holds one of them or none. Here trajectories fall into three
strata,

    no error                        weight prod (1 - e) and value exact, one run
    at least one fault beside M     a fixed share of the trajectories, the other faults free
    faults elsewhere only           the rest

and <M> = sum_s W_s mean_s x with exact weights W_s. Every stratum is drawn from its exact conditional distribution, and
the split is fixed beforehand, so the estimate is unbiased; variances add. Faults beside M are those that act on its
qubit between M and the nearest two-qubit gate on either side, the fault of that gate included (our choice).

Several models share the trajectories: those of the first are weighted by w = p_model / p_first within the stratum,
whose mean is exactly 1. The estimate mean(w x - (w - 1) c) with c the mean of x over all other trajectories is unbiased
too.

Source: W. G. Cochran, Sampling Techniques, 3rd ed., Wiley (1977), chapter 5 (stratified sampling).
Leaves out faults near the butterflies and channels that are not Pauli channels (they are twirled).
"""

from collections.abc import Sequence

import numpy as np

from quantum._checks import check_count, check_in_range
from quantum.circuits.gates import pauli_gate
from quantum.circuits.noisy_circuit import Fault, NoisyCircuit
from quantum.circuits.pauli import PauliString
from quantum.circuits.tolerance import same_up_to_phase
from quantum.engines.dispatch import Precision
from quantum.noise.trajectories import (
    Ensemble,
    Errors,
    draw_pauli,
    error_tables,
    trajectory_values,
)

Tables = dict[int, np.ndarray]
# Of the trajectories, those beside M (our choice). Variance of a plain draw over ours at as many trajectories, Willow
# noise: 0.9 to 1.2 with 9 and 12 qubits (four circuits each, large signals), 1.1 to 4.6 with 18 (two circuits); at a
# share of 0.25 0.6 to 1.0 and 0.7 to 4.1.
SHARE = 0.05
_LEAST = 2  # trajectories in a stratum, below which it has no variance


def faults_beside(circuit: NoisyCircuit, observable: PauliString) -> frozenset[int]:
    """Numbers of the faults next to the places where a one-qubit observable is itself played as a gate.

    Raises:
        ValueError: If the observable is no Pauli of one qubit.
    """
    if len(observable.factors) != 1:
        raise ValueError(
            f"`observable` must be a Pauli of one qubit, but acts on {len(observable.factors)}."
        )
    ((qubit, letter),) = observable.factors
    played = pauli_gate(letter).matrix()
    touching = [k for k, step in enumerate(circuit.steps) if qubit in step.qubits]
    found: set[int] = set()
    for at, number in enumerate(touching):
        step = circuit.steps[number]
        if isinstance(step, Fault) or step.qubits != (qubit,):
            continue
        if not same_up_to_phase(step.gate.matrix(), played):  # half a turn is M by any name
            continue
        found |= _until_pair_gate(circuit, touching[:at][::-1], backwards=True)
        found |= _until_pair_gate(circuit, touching[at + 1 :], backwards=False)
    return frozenset(found)


def stratified(
    circuits: Sequence[NoisyCircuit],
    observable: PauliString,
    n_trajectories: int,
    *,
    seed: int,
    share: float | int = SHARE,
    engine: str = "auto",
    precision: Precision = "single",
) -> Ensemble:
    """Noisy expectation values under several models from stratified trajectories, one run each.

    Without a fault beside M there is one stratum with errors, and what remains is `trajectories.reweighted`.

    Args:
        circuits: The same circuit with different noise in the same places, the noisiest first; channels are twirled.
        observable: Pauli of one qubit that is measured.
        n_trajectories: Trajectories with errors to draw, at least 4.
        seed: Seed of the draw.
        share: Share of them with a fault beside M, at least two trajectories on either side.
        engine: "batch" or the name of an engine; "auto" takes batch for few qubits.
        precision: "single" or "double".

    Raises:
        ValueError: If gates or places of faults differ, the first has no noise, a model holds an error that the first
            excludes, there are too few trajectories, or the observable is no Pauli of one qubit.
    """
    check_count(n_trajectories, "n_trajectories", 2 * _LEAST)
    check_in_range(share, "share", 0, 1)
    seen = [circuit.seen_from(observable.qubits).twirled() for circuit in circuits]
    layouts = {tuple((type(s).__name__, s.qubits) for s in c.steps) for c in seen}
    if len(layouts) != 1 or not seen[0].faults:
        raise ValueError(
            "`circuits` must be one circuit with noise in the same places, but differ or have none."
        )
    tables = [error_tables(circuit) for circuit in seen]
    strata = strata_of(tables[0], faults_beside(seen[0], observable))
    counts = _counts(n_trajectories, share, len(strata))
    rng = np.random.default_rng(seed)
    drawn = [
        _draw(tables[0], struck, free, n, rng)
        for (struck, free), n in zip(strata, counts, strict=True)
    ]
    errors = [{}, *(e for part in drawn for e in part)]
    values = trajectory_values(seen[0], errors, observable, engine, precision)
    parts = np.split(values[1:], np.cumsum(counts)[:-1])
    clean = [float(np.prod([p[0] for p in table.values()])) for table in tables]
    total = np.array(clean) * values[0]
    covariance = np.zeros((len(tables), len(tables)))
    for stratum, part, struck in zip(strata, parts, drawn, strict=True):
        weights = np.array([stratum_weight(table, *stratum) for table in tables])
        means, spread = _weighted_means(tables, stratum, part, struck)
        total += weights * means
        covariance += np.outer(weights, weights) * spread
    return Ensemble(total, covariance, float(values[0]))


def strata_of(table: Tables, beside: frozenset[int]) -> list[tuple[frozenset[int], frozenset[int]]]:
    """The strata with an error: faults of which at least one struck, and faults that are free; no other one struck."""
    elsewhere = frozenset(table) - beside
    strata = [(beside, elsewhere), (elsewhere, frozenset[int]())]
    return [s for s in strata if stratum_weight(table, *s) > 0]


def stratum_weight(table: Tables, struck: frozenset[int], free: frozenset[int]) -> float:
    """Probability that at least one fault of `struck` has an error and none outside `struck` and `free` has."""
    inside = struck | free
    quiet = float(np.prod([p[0] for k, p in table.items() if k not in inside]))
    return quiet * (1 - float(np.prod([table[k][0] for k in struck])))


def _until_pair_gate(circuit: NoisyCircuit, numbers: list[int], *, backwards: bool) -> set[int]:
    """Faults met on the way up to the nearest two-qubit gate, and the fault of that gate."""
    found: set[int] = set()
    passed = False
    for number in numbers:
        step = circuit.steps[number]
        if isinstance(step, Fault):
            found.add(number)
            # After a gate in time its fault comes next, so forwards it is the last one.
            if passed:
                break
        elif passed:
            break
        elif len(step.qubits) == 2:
            if backwards:
                break
            passed = True
    return found


def _counts(n_trajectories: int, share: float, n_strata: int) -> list[int]:
    if n_strata == 1:
        return [n_trajectories]
    first = min(max(round(share * n_trajectories), _LEAST), n_trajectories - _LEAST)
    return [first, n_trajectories - first]


def _draw(
    table: Tables,
    struck: frozenset[int],
    free: frozenset[int],
    n_trajectories: int,
    rng: np.random.Generator,
) -> list[Errors]:
    """Errors of trajectories from their distribution in a stratum."""
    places, others = sorted(struck), sorted(free)
    rates = np.array([1 - table[k][0] for k in places])
    before = np.concatenate([[1.0], np.cumprod(1 - rates)[:-1]])
    # The place of the first error in `struck`, then those after it independently.
    chance = before * rates
    first = rng.choice(len(places), size=n_trajectories, p=chance / chance.sum())
    hit = rng.random((n_trajectories, len(places))) < rates
    hit &= np.arange(len(places)) > first[:, None]
    hit[np.arange(n_trajectories), first] = True
    hit_free = rng.random((n_trajectories, len(others))) < [1 - table[k][0] for k in others]
    numbers = np.array(places + others, dtype=int)
    rows = np.concatenate([hit, hit_free], axis=1)
    return [{int(k): draw_pauli(table[int(k)], rng) for k in numbers[row]} for row in rows]


def _weighted_means(
    tables: list[Tables], stratum, values: np.ndarray, drawn: list[Errors]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over a stratum under every model, and the covariance of these means."""
    n = len(values)
    others = (values.sum() - values) / (n - 1)
    means, deviations = [], []
    for table in tables:
        w = _likelihood_ratios(tables[0], table, stratum, drawn)
        means.append(np.mean(w * values - (w - 1) * others))
        deviations.append(w * (values - values.mean()))
    spread = np.array(deviations) - np.mean(deviations, axis=1, keepdims=True)
    return np.array(means), spread @ spread.T / (n * (n - 1))


def _likelihood_ratios(drawn_from: Tables, table: Tables, stratum, drawn: list[Errors]):
    """How much likelier each trajectory is in the stratum of `table` than in the one it was drawn from."""
    struck, free = stratum
    norm, ratios = [], []
    for model in (table, drawn_from):
        alone = float(np.prod([model[k][0] for k in struck | free]))
        norm.append(alone / (1 - float(np.prod([model[k][0] for k in struck]))))
    for errors in drawn:
        found = [
            table[k][e] / table[k][0] * drawn_from[k][0] / drawn_from[k][e]
            for k, e in errors.items()
        ]
        ratios.append(np.prod(found))
    return np.array(ratios) * norm[0] / norm[1]

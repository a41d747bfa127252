"""Noisy expectation values from ensembles of pure states, beyond the reach of a density matrix.

Pauli channels: a trajectory is the circuit with Pauli gates inserted where an error struck, so any engine can run it.
Most of the weight can be had without sampling: no error at all has the known probability p_0 = prod (1 - e) and the
known value x_0, so only trajectories with at least one error are drawn and

    <M> = p_0 x_0 + (1 - p_0) mean over trajectories with an error

which is exact on average and has 1 - p_0 of the plain standard error. The first error's place is drawn from its exact
distribution, the later ones independently.

Any other channel: true Kraus jumps. Operator k strikes with probability |K_k psi|^2 and the state is divided by its
norm; for relaxation the state also drifts towards |0> while nothing jumps (J. Dalibard, Y. Castin, K. Moelmer,
Phys. Rev. Lett. 68, 580 (1992), DOI 10.1103/PhysRevLett.68.580).

The engine here ("batch") walks through the gates once for all trajectories; each is copied off the state without
errors where its first error strikes. It is fastest below about 14 qubits, above that qsim is.
Trajectory noise of the estimate is ours, not the device's: `stderr` says how large it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum._checks import check_choice, check_count
from quantum.circuits.channels import PAULI_LETTERS
from quantum.circuits.circuit import Circuit, Moment, Operation
from quantum.circuits.gates import pauli_gate
from quantum.circuits.noisy_circuit import Fault, NoisyCircuit
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines import dispatch
from quantum.engines.dispatch import Precision
from quantum.estimates import Estimate, mean_with_error
from quantum.noise.batched_states import BatchedStates

_BATCH_QUBITS = 14
_BATCH_AMPLITUDES = 2**21  # at once, 17 MB in single precision
_DTYPES = {"single": np.complex64, "double": np.complex128}
# Where an error struck: (number of the step, number of the Pauli string in the order of `Channel.paulis`).
Errors = dict[int, int]


def expectation(
    circuit: NoisyCircuit,
    observable: PauliString | Observable,
    n_trajectories: int,
    *,
    seed: int,
    kind: str = "pauli",
    engine: str = "auto",
    precision: Precision = "single",
) -> Estimate:
    """Noisy expectation value of a Pauli string, or of a weighted sum of them.

    Args:
        circuit: Circuit with noise.
        observable: What is measured.
        n_trajectories: Trajectories to draw, at least 2.
        seed: Seed of the draw.
        kind: "pauli" replaces every channel by its Pauli twirl; "jumps" keeps every channel as it is.
        engine: "batch" (the only one for jumps), or the name of an engine; "auto" takes batch for few qubits.
        precision: "single" or "double".

    Raises:
        ValueError: If there are fewer than 2 trajectories, or `kind` or `engine` is unknown or cannot do this.
    """
    check_count(n_trajectories, "n_trajectories", 2)
    check_choice(kind, "kind", ("pauli", "jumps"))
    seen = circuit.seen_from(observable.qubits)
    if kind == "jumps":
        check_choice(engine, "engine", ("auto", "batch"), "Jumps run on no other engine.")
        dtype = _DTYPES[precision]
        values = run_batch(seen, [{}] * n_trajectories, observable, dtype, seed=seed)
        return mean_with_error(values)
    seen = seen.twirled()
    weight, drawn = draw_errors(seen, n_trajectories, seed=seed)
    values = trajectory_values(seen, [{}, *drawn], observable, engine, precision)
    if not drawn:  # no channel, nothing to average
        return Estimate(float(values[0]), 0.0)
    struck = mean_with_error(values[1:])
    mean = weight * float(values[0]) + (1 - weight) * struck.value
    return Estimate(mean, (1 - weight) * struck.stderr)


@dataclass(frozen=True)
class Ensemble:
    """Expectation values of one circuit under several noise models, from the same trajectories.

    Attributes:
        values: One estimate for each model.
        covariance: Their covariance, (models, models): the same trajectories make errors move together.
        clean: Value without any error.
    """

    values: np.ndarray
    covariance: np.ndarray
    clean: float

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Value and standard error under each noise model, without what moves together."""
        errors = np.sqrt(np.diag(self.covariance))
        pairs = zip(self.values, errors, strict=True)
        return tuple(Estimate(float(value), float(error)) for value, error in pairs)


def reweighted(
    circuits: Sequence[NoisyCircuit],
    observable: PauliString,
    n_trajectories: int,
    *,
    seed: int,
) -> Ensemble:
    """Noisy expectation values under several noise models for the price of one.

    The value of a trajectory depends on where Paulis struck, not on how likely that was. So trajectories are drawn from
    the first circuit's noise and weighted with the ratio of probabilities for each of the others. Put the noisiest
    first: weights from strong to weak noise stay small, the other way they explode.

    Args:
        circuits: The same circuit with different noise in the same places; channels are twirled.
        observable: What is measured.
        n_trajectories: Trajectories to draw, at least 2.
        seed: Seed of the draw.

    Raises:
        ValueError: If gates or places of faults differ, the first has no noise, or a model holds an error that the
            first excludes.
    """
    check_count(n_trajectories, "n_trajectories", 2)
    seen = [circuit.seen_from(observable.qubits).twirled() for circuit in circuits]
    layouts = {tuple((type(s).__name__, s.qubits) for s in c.steps) for c in seen}
    if len(layouts) != 1 or not seen[0].faults:
        raise ValueError(
            "`circuits` must be one circuit with noise in the same places, but differ or have none."
        )
    _, drawn = draw_errors(seen[0], n_trajectories, seed=seed)
    values = trajectory_values(seen[0], [{}, *drawn], observable, "auto", "single")
    tables = [error_tables(circuit) for circuit in seen]
    found, deviations = [], []
    for table in tables:
        clean_weight, ratios = _ratios(tables[0], table, drawn)
        if clean_weight == 1:
            found.append(values[0])
            deviations.append(np.zeros(n_trajectories))
            continue
        shares = ratios / ratios.sum()
        mean = shares @ values[1:]
        found.append(clean_weight * values[0] + (1 - clean_weight) * mean)
        deviations.append((1 - clean_weight) * shares * (values[1:] - mean))
    matrix = np.array(deviations)
    correction = n_trajectories / (n_trajectories - 1)
    return Ensemble(np.array(found), correction * matrix @ matrix.T, float(values[0]))


def error_tables(circuit: NoisyCircuit) -> dict[int, np.ndarray]:
    """Pauli probabilities of every fault by the number of its step."""
    return {
        k: _pauli_table(step) for k, step in enumerate(circuit.steps) if isinstance(step, Fault)
    }


def _ratios(
    drawn_from: dict[int, np.ndarray], table: dict[int, np.ndarray], drawn: list[Errors]
) -> tuple[float, np.ndarray]:
    """Probability of no error in `table`, and how much likelier each trajectory is there, up to a common factor."""
    clean = float(np.prod([p[0] for p in table.values()]))
    ratios = []
    for errors in drawn:
        struck = [
            table[k][e] / table[k][0] * drawn_from[k][0] / drawn_from[k][e]
            for k, e in errors.items()
        ]
        ratios.append(np.prod(struck))
    return clean, np.array(ratios)


def draw_errors(
    circuit: NoisyCircuit, n_trajectories: int, *, seed: int
) -> tuple[float, list[Errors]]:
    """Probability of no error at all, and the errors of trajectories drawn with at least one.

    Raises:
        ValueError: If a channel is not a Pauli channel; `NoisyCircuit.twirled` makes it one.
    """
    by_place = error_tables(circuit)
    places, tables = list(by_place), list(by_place.values())
    rates = np.array([1 - table[0] for table in tables])
    before = np.concatenate([[1.0], np.cumprod(1 - rates)])
    if before[-1] == 1:
        return 1.0, []
    rng = np.random.default_rng(seed)
    # before[k] rates[k] is the probability that fault k is the first to be struck.
    first = rng.choice(len(rates), size=n_trajectories, p=_normalised(before[:-1] * rates))
    struck = rng.random((n_trajectories, len(rates))) < rates
    struck &= np.arange(len(rates)) > first[:, None]
    struck[np.arange(n_trajectories), first] = True
    drawn = [
        {places[at]: draw_pauli(tables[at], rng) for at in np.flatnonzero(row)} for row in struck
    ]
    return float(before[-1]), drawn


def with_errors(circuit: NoisyCircuit, errors: Errors) -> Circuit:
    """One trajectory as an ordinary circuit, a moment for every step."""
    moments: list[Moment] = []
    for number, step in enumerate(circuit.steps):
        if isinstance(step, Operation):
            moments.append((step,))
        elif number in errors:
            moments.append(_pauli_moment(step.qubits, errors[number]))
    return Circuit(circuit.n_qubits, tuple(moments))


def run_batch(
    circuit: NoisyCircuit,
    errors: Sequence[Errors],
    observable: PauliString | Observable,
    dtype: type = np.complex64,
    *,
    seed: int | None = None,
) -> np.ndarray:
    """Expectation value on every trajectory.

    Args:
        circuit: Circuit with noise.
        errors: Paulis of every trajectory; its length is the number of trajectories.
        observable: What is measured.
        dtype: complex64 or complex128.
        seed: Seed of Kraus jumps, which then strike at every fault; None plays `errors` alone.
    """
    rng = np.random.default_rng(seed) if seed is not None else None
    room = max(1, _BATCH_AMPLITUDES >> circuit.n_qubits)
    parts = [errors[k : k + room] for k in range(0, len(errors), room)]
    return np.concatenate([_run_part(circuit, part, observable, dtype, rng) for part in parts])


def _run_part(circuit, errors, observable, dtype, rng) -> np.ndarray:
    at: dict[int, list[tuple[int, int]]] = {}
    for trajectory, struck in enumerate(errors):
        for place, pauli in struck.items():
            at.setdefault(place, []).append((trajectory, pauli))
    # Trajectories are one until their first error, so column 0 stays without any and the others fork off it there.
    batch = BatchedStates(circuit.n_qubits, 1 if rng is None else len(errors), dtype)
    column = {} if rng is None else {k: k for k in range(len(errors))}
    for number, step in enumerate(circuit.steps):
        if isinstance(step, Operation):
            batch.play(step)
        elif rng is not None:
            batch.jump(step, rng)
        for trajectory, pauli in at.get(number, ()):
            if trajectory not in column:
                column[trajectory] = batch.fork()
            batch.strike(step.qubits, column[trajectory], pauli)
    values = batch.expectations(observable)
    return values[[column.get(k, 0) for k in range(len(errors))]]


def trajectory_values(
    circuit: NoisyCircuit,
    errors: list[Errors],
    observable: PauliString | Observable,
    engine: str,
    precision: Precision,
) -> np.ndarray:
    """Expectation value on every trajectory by an engine; the circuit holds Pauli channels."""
    if engine == "batch" or (engine == "auto" and circuit.n_qubits <= _BATCH_QUBITS):
        return run_batch(circuit, errors, observable, _DTYPES[precision])
    circuits = [with_errors(circuit, struck) for struck in errors]
    return dispatch.expectations(circuits, [observable], engine=engine, precision=precision)[:, 0]


def _pauli_table(step: Operation | Fault) -> np.ndarray:
    assert isinstance(step, Fault)
    if step.channel.paulis is None:
        raise ValueError(
            "`circuit` must hold Pauli channels only, but holds another one; `twirled()` makes them so."
        )
    return step.channel.paulis


def _pauli_moment(qubits: tuple[int, ...], number: int) -> Moment:
    letters = [PAULI_LETTERS[(number >> (2 * k)) % 4] for k in reversed(range(len(qubits)))]
    return tuple(
        Operation(pauli_gate(p), (q,)) for p, q in zip(letters, qubits, strict=True) if p != "I"
    )


def draw_pauli(table: np.ndarray, rng: np.random.Generator) -> int:
    """Number of a Pauli string other than the identity."""
    return 1 + int(rng.choice(len(table) - 1, p=_normalised(table[1:])))


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()

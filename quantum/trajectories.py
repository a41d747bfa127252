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

The engine here ("batch") walks through the gates once for all trajectories, the trajectory index last; one-qubit gates
wait until they can be multiplied into a two-qubit gate. It is fastest below about 14 qubits, above that qsim is.
Trajectory noise of the estimate is ours, not the device's: `stderr` says how large it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantum import engines
from quantum._checks import check_choice, check_count
from quantum.channels import PAULI_LETTERS, pauli_matrices
from quantum.circuit import Circuit, Moment, Operation
from quantum.engines import Precision
from quantum.gates import pauli_gate
from quantum.noise import Fault, NoisyCircuit
from quantum.pauli import PauliString

_BATCH_QUBITS = 14
_BATCH_AMPLITUDES = 2**21  # at once, 17 MB in single precision
# Where an error struck: (number of the step, number of the Pauli string in the order of `Channel.paulis`).
Errors = dict[int, int]


@dataclass(frozen=True)
class Estimate:
    """An expectation value from trajectories.

    Attributes:
        value: Its estimate.
        stderr: Standard error from the finite number of trajectories.
        n_trajectories: Trajectories drawn.
        clean: Value without any error; None where not computed apart.
        clean_weight: Probability p_0 of no error; 0 where not computed apart.
    """

    value: float
    stderr: float
    n_trajectories: int
    clean: float | None = None
    clean_weight: float = 0.0


def expectation(
    circuit: NoisyCircuit,
    observable: PauliString,
    n_trajectories: int,
    seed: int,
    *,
    kind: str = "pauli",
    engine: str = "auto",
    precision: Precision = "single",
) -> Estimate:
    """Noisy expectation value of a Pauli string.

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
    dtype = np.complex64 if precision == "single" else np.complex128
    if kind == "jumps":
        check_choice(engine, "engine", ("auto", "batch"), "Jumps run on no other engine.")
        values = run_batch(seen, [{}] * n_trajectories, observable, dtype, seed=seed)
        return Estimate(float(values.mean()), _stderr(values), n_trajectories)
    seen = seen.twirled()
    weight, drawn = draw_errors(seen, n_trajectories, seed)
    if not drawn:
        drawn = [{}] * 2  # no channel, nothing to average
    if engine == "batch" or (engine == "auto" and circuit.n_qubits <= _BATCH_QUBITS):
        values = run_batch(seen, [{}, *drawn], observable, dtype)
    else:
        circuits = [with_errors(seen, errors) for errors in ({}, *drawn)]
        values = engines.expectations(circuits, [observable], engine=engine, precision=precision)
        values = values[:, 0]
    struck = values[1:]
    mean = weight * values[0] + (1 - weight) * struck.mean()
    error = (1 - weight) * _stderr(struck)
    return Estimate(float(mean), error, n_trajectories, float(values[0]), weight)


def draw_errors(
    circuit: NoisyCircuit, n_trajectories: int, seed: int
) -> tuple[float, list[Errors]]:
    """Probability of no error at all, and the errors of trajectories drawn with at least one.

    Raises:
        ValueError: If a channel is not a Pauli channel; `NoisyCircuit.twirled` makes it one.
    """
    places = [k for k, step in enumerate(circuit.steps) if isinstance(step, Fault)]
    tables = [_pauli_table(circuit.steps[k]) for k in places]
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
        {places[at]: _draw_pauli(tables[at], rng) for at in np.flatnonzero(row)} for row in struck
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
    observable: PauliString,
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
    batch = _Batch(circuit.n_qubits, len(errors), dtype)
    at: dict[int, list[tuple[int, int]]] = {}
    for trajectory, struck in enumerate(errors):
        for place, pauli in struck.items():
            at.setdefault(place, []).append((trajectory, pauli))
    for number, step in enumerate(circuit.steps):
        if isinstance(step, Operation):
            batch.play(step)
        elif rng is not None:
            batch.jump(step, rng)
        for trajectory, pauli in at.get(number, ()):
            batch.strike(step.qubits, trajectory, pauli)
    return batch.expectations(observable)


class _Batch:
    """States of all trajectories: n axes of size 2 in the order `self.order`, then the trajectory."""

    def __init__(self, n_qubits: int, n_trajectories: int, dtype: type):
        self.order = list(range(n_qubits))
        self.state = np.zeros((2,) * n_qubits + (n_trajectories,), dtype)
        self.state[(0,) * n_qubits] = 1
        self.waiting: dict[int, np.ndarray] = {}

    def play(self, operation: Operation) -> None:
        """One gate on all trajectories."""
        matrix = operation.gate.matrix()
        if len(operation.qubits) == 1:
            (qubit,) = operation.qubits
            self.waiting[qubit] = matrix @ self.waiting.get(qubit, np.eye(2))
            return
        first, second = (self.waiting.pop(q, np.eye(2)) for q in operation.qubits)
        self._apply(matrix @ np.kron(first, second), operation.qubits)

    def strike(self, qubits: tuple[int, ...], trajectory: int, pauli: int) -> None:
        """A Pauli string on one trajectory."""
        self._settle(qubits)
        column = self.state[..., trajectory]
        self.state[..., trajectory] = self._contract(
            column, pauli_matrices(len(qubits))[pauli], qubits
        )

    def jump(self, fault: Fault, rng: np.random.Generator) -> None:
        """A Kraus operator on every trajectory, each drawn with its probability."""
        self._settle(fault.qubits)
        kraus = fault.channel.kraus
        size, axes = kraus.shape[1], [self.order.index(q) for q in fault.qubits]
        front = np.moveaxis(self.state, axes, range(len(axes)))
        states = front.reshape(size, -1, self.state.shape[-1])
        reduced = np.einsum("iat,jat->tij", states, states.conj())
        weights = np.einsum("kij,tjl,kil->tk", kraus, reduced, kraus.conj()).real
        weights = np.maximum(weights, 0)
        cumulative = np.cumsum(weights, axis=1)
        chosen = (rng.random(len(weights))[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)
        norms = np.sqrt(weights[np.arange(len(weights)), chosen])
        picked = (kraus[chosen] / norms[:, None, None]).astype(self.state.dtype)
        played = np.einsum("tij,jat->iat", picked, states).reshape(front.shape)
        self.state = np.moveaxis(played, range(len(axes)), axes)

    def expectations(self, observable: PauliString) -> np.ndarray:
        """Expectation value of a Pauli string on every trajectory."""
        self._settle(tuple(self.waiting))
        turned = self.state
        for operation in observable.moment():
            turned = self._contract(turned, operation.gate.matrix(), operation.qubits)
        axes = tuple(range(self.state.ndim - 1))
        norms = np.sum(np.abs(self.state) ** 2, axis=axes, dtype=float)
        return np.sum(np.real(self.state.conj() * turned), axis=axes, dtype=float) / norms

    def _settle(self, qubits: tuple[int, ...]) -> None:
        for qubit in qubits:
            if qubit in self.waiting:
                self._apply(self.waiting.pop(qubit), (qubit,))

    def _apply(self, matrix: np.ndarray, qubits: tuple[int, ...]) -> None:
        k, axes = len(qubits), [self.order.index(q) for q in qubits]
        gate = matrix.astype(self.state.dtype).reshape((2,) * (2 * k))
        # The new axes stay in front; moving them back would cost another pass through memory.
        self.state = np.tensordot(gate, self.state, axes=(range(k, 2 * k), axes))
        self.order = [*qubits, *(q for q in self.order if q not in qubits)]

    def _contract(self, tensor: np.ndarray, matrix: np.ndarray, qubits: tuple[int, ...]):
        k, axes = len(qubits), [self.order.index(q) for q in qubits]
        gate = matrix.astype(tensor.dtype).reshape((2,) * (2 * k))
        moved = np.tensordot(gate, tensor, axes=(range(k, 2 * k), axes))
        return np.moveaxis(moved, range(k), axes)


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


def _draw_pauli(table: np.ndarray, rng: np.random.Generator) -> int:
    """Number of a Pauli string other than the identity."""
    return 1 + int(rng.choice(len(table) - 1, p=_normalised(table[1:])))


def _normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))

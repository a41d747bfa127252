"""One call for an observable on a circuit, on any engine.

Every engine is a module with `expectations(circuits, observables, precision)` and, where it keeps a state, with
`state(circuit, precision)`; it is imported when it is first used, so that nobody pays for a simulator they do not run.
Qubits that neither a gate nor an observable touches stay in |0> and are left out before a run: an echo in one corner of
the 105-qubit chip costs what its light cone costs. What is left must fit into memory.

All engines here are exact: `density_matrix` up to 12 qubits, `pauli_propagation` without truncation as long as the
Pauli strings are few, which is a matter of light cone and gates and not of qubits; truncated, with its error, it is
`pauli_propagation.propagate_paulis`. `auto` picks by size and precision, see `choose`. With noise the same call is
`noisy_expectation.noisy_expectation`.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np

from quantum._checks import check_choice
from quantum.circuits.circuit import Circuit, restrict
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines.conversions import as_circuit, as_ours
from quantum.engines.memory import check_memory

Precision = Literal["single", "double"]
# Engine by name; `auto` picks one of them.
ENGINES = {
    "reference": "quantum.engines.statevector",
    "cirq": "quantum.engines.cirq_engine",
    "qiskit": "quantum.engines.qiskit_engine",
    "tensor_network": "quantum.engines.tensor_network",
    "jax": "quantum.engines.jax_engine",
    "density_matrix": "quantum.engines.density_matrix",
    "pauli_propagation": "quantum.engines.pauli_propagation",
}
# What `pip install` wants where an import fails, by the module that is missing.
_PACKAGES = {
    "cirq": "cirq-core", "cirq_google": "cirq-google", "qsimcirq": "qsimcirq", "qiskit": "qiskit",
    "qiskit_aer": "qiskit-aer", "jax": "jax", "quimb": "quimb", "cotengra": "cotengra",
}  # fmt: skip
# Largest circuit on which handing it over takes longer than running it here.
_SMALL = {"single": 10, "double": 14}
_COPIES = 2  # of a state that is handed over: Aer makes a double of a single
_N_STATES = 3  # held at a time, by an engine that does not say


def expectation(
    circuit: Any,
    observable: Any,
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> float:
    """Expectation value of an observable after a circuit that starts from |0...0>; see `expectations`."""
    return float(expectations([circuit], [observable], engine=engine, precision=precision)[0, 0])


def expectations(
    circuits: Sequence[Any],
    observables: Sequence[Any],
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> np.ndarray:
    """Expectation values of every observable after every circuit, (circuits, observables).

    Engines know Pauli strings; sums are put together here, every string being measured once.

    Args:
        circuits: Circuits that start from |0...0>, ours, Cirq's or Qiskit's; those that touch the same qubits go to the
            engine as one batch.
        observables: Pauli strings, weighted sums of them, text, or Cirq's or Qiskit's; see `conversions.as_ours`.
        engine: Name in `ENGINES`, or `auto`.
        precision: "single" (about 1e-6) or "double" (about 1e-14), of every Pauli string.

    Raises:
        TypeError: If a circuit or an observable is of a kind that is not known.
        ValueError: If the engine or precision is unknown, its package is missing, an observable acts on a qubit that a
            circuit lacks, or the touched qubits (or the Pauli strings) do not fit into memory.
    """
    check_choice(engine, "engine", ("auto", *ENGINES))
    check_choice(precision, "precision", ("single", "double"))
    ours, sums = as_ours(circuits, observables)
    strings, weights = _gathered(sums)
    if not strings:
        return np.zeros((len(ours), len(sums)))
    found = np.empty((len(ours), len(strings)))
    for touched, group in _by_touched(ours, strings).items():
        places = {qubit: place for place, qubit in enumerate(touched)}
        moved = [string.moved(places) for string in strings]
        module = _ready(engine, len(touched), precision)
        rows, small = zip(*group, strict=True)
        found[list(rows)] = module.expectations(small, moved, precision)
    # Single strings come out as they are, to the bit.
    return found if np.array_equal(weights, np.eye(*weights.shape)) else found @ weights


def state(circuit: Any, *, engine: str = "auto", precision: Precision = "single") -> np.ndarray:
    """State after a circuit that starts from |0...0>, flat of length 2^n, qubit 0 the most significant bit.

    Raises:
        ValueError: As `expectations`, but for all qubits of the circuit; or if the engine keeps no state.
    """
    check_choice(engine, "engine", ("auto", *ENGINES))
    check_choice(precision, "precision", ("single", "double"))
    circuit = as_circuit(circuit)
    module = _ready(engine, circuit.n_qubits, precision, _COPIES)
    if not hasattr(module, "state"):
        raise ValueError(
            f"`engine` must be one that keeps a state vector, but {engine} keeps none; use engine cirq."
        )
    return module.state(circuit, precision)


def choose(n_qubits: int, precision: Precision = "single") -> str:
    """The engine that `auto` takes for a circuit on `n_qubits` qubits: the fastest of those measured one by one.

    Milliseconds for 10 cycles of a literal OTOC(2) on two cores, `reference` / `cirq` / `qiskit`: 8 qubits 5 / 7 / 7
    in single and 5 / 24 / 7 in double precision, 10 qubits 7 / 8 / 9 and 7 / 32 / 9, 12 qubits 12 / 10 / 18 and
    13 / 46 / 16, 14 qubits 31 / 13 / 41 and 30 / 82 / 42, 18 qubits - / 36 / 390 and - / 670 / 350.
    """
    if n_qubits <= _SMALL[precision]:
        return "reference"
    return "cirq" if precision == "single" else "qiskit"


def _ready(engine: str, n_qubits: int, precision: Precision, copies: int = 0) -> ModuleType:
    """Module of an engine, once its package is there and its states fit into memory."""
    name = choose(n_qubits, precision) if engine == "auto" else engine
    try:
        module = importlib.import_module(ENGINES[name])
    except ModuleNotFoundError as error:
        package = _PACKAGES.get((error.name or "").split(".")[0])
        if package is None:
            raise
        raise ValueError(
            f"`engine` must be installed, but `{name}` lacks the package `{package}`; "
            f"`pip install {package}`, or choose one of {', '.join(e for e in ENGINES if e != name)}."
        ) from error
    held = getattr(module, "N_STATES", {}).get(precision, _N_STATES)
    if held + copies:  # tensor networks and Pauli strings say themselves what they cannot hold
        check_memory(n_qubits, precision, held + copies)
    return module


def _gathered(sums: Sequence[Observable]) -> tuple[list[PauliString], np.ndarray]:
    """All strings of some sums, and the weight of each in every sum, (strings, sums)."""
    places = {string: None for one in sums for _, string in one.terms}
    places = {string: place for place, string in enumerate(places)}
    weights = np.zeros((len(places), len(sums)))
    for column, one in enumerate(sums):
        for weight, string in one.terms:
            weights[places[string], column] = weight
    return list(places), weights


def _by_touched(
    circuits: Sequence[Circuit], observables: Sequence[PauliString]
) -> dict[tuple[int, ...], list[tuple[int, Circuit]]]:
    """Place in `circuits` and what is left of each circuit, by the qubits that it or an observable touches."""
    watched = {qubit for observable in observables for qubit in observable.qubits}
    groups: dict[tuple[int, ...], list[tuple[int, Circuit]]] = {}
    for row, circuit in enumerate(circuits):
        if watched and max(watched) >= circuit.n_qubits:
            raise ValueError(
                f"`observables` must act on qubits 0 to {circuit.n_qubits - 1}, but one acts on {max(watched)}."
            )
        small, touched = restrict(circuit, watched)
        groups.setdefault(touched, []).append((row, small))
    return groups

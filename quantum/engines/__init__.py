"""Engines that run a circuit, behind one call.

Reading order: `conversions` (circuits and observables of Cirq and Qiskit), `dispatch` (the call, and the table of
engines), `sampling` (bit strings), `statevector` (the plain reference), `circuit_json` (what a circuit file may hold),
`cirq_engine`, `qiskit_engine`, `jax_engine`, `sharding`, `density_matrix`, `pauli_propagation`, `tensor_network` with
`tree_annealing`; `memory` (what fits), `classical_cost` (what it would cost elsewhere). Stands on `circuits`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.engines.conversions import as_circuit
from quantum.engines.dispatch import Precision, expectation, expectations
from quantum.engines.sampling import Counts, sample
from quantum.engines.pauli_propagation import (
    Truncation,
    propagate_paulis,
    infinite_temperature_otoc,
)

__all__ = [
    "as_circuit",
    "Precision",
    "expectation",
    "expectations",
    "Counts",
    "sample",
    "Truncation",
    "propagate_paulis",
    "infinite_temperature_otoc",
]

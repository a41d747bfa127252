"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

from quantum.classical_cost import contraction_cost, make_frontier, state_vector_cost
from quantum.clifford import clifford_echo_circuit, dope, is_clifford, otoc_signs
from quantum.cross_entropy import linear_xeb, log_xeb, noisy_output, speckle_purity
from quantum.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)
from quantum.pauli_paths import sample_off_diagonal, sample_paths, sum_loops
from quantum.pauli_propagation import PauliSum, Truncation, propagate
from quantum.statistics import bootstrap, compare_decays, fit_decay, signal_to_noise
from quantum.wavefront import correlator_map, fit_velocity, four_steps

__all__ = [
    "Interference",
    "PauliSum",
    "Truncation",
    "bootstrap",
    "clifford_echo_circuit",
    "compare_decays",
    "contraction_cost",
    "correlator_map",
    "diagonal",
    "dope",
    "exact_diagonal",
    "fit_decay",
    "fit_velocity",
    "four_steps",
    "is_clifford",
    "linear_xeb",
    "log_xeb",
    "make_frontier",
    "measure_interference",
    "noisy_output",
    "off_diagonal",
    "otoc_signs",
    "propagate",
    "sample_off_diagonal",
    "sample_paths",
    "signal_to_noise",
    "speckle_purity",
    "state_vector_cost",
    "sum_loops",
]

"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

from quantum.circuit import Circuit, Operation, random_circuit
from quantum.classical_cost import contraction_cost, make_frontier, state_vector_cost
from quantum.clifford import clifford_echo_circuit, dope, is_clifford, otoc_signs
from quantum.cross_entropy import linear_xeb, log_xeb, noisy_output, speckle_purity
from quantum.engines import expectation, expectations, state
from quantum.gates import Gate, fsim, iswap_like, matrix_gate, pauli_gate, phased_x, rz
from quantum.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)
from quantum.lattice import EchoLayout, Lattice, echo_layout, rectangle, rectangle_layout, willow
from quantum.noise import NoiseModel, add_noise, device_noise
from quantum.otoc import Echo, correlator, echo_circuit, make_echo
from quantum.otoc_batch import correlators
from quantum.pauli import PauliString, random_paulis
from quantum.pauli_paths import sample_off_diagonal, sample_paths, sum_loops
from quantum.pauli_propagation import PauliSum, Truncation, propagate
from quantum.statistics import bootstrap, compare_decays, fit_decay, signal_to_noise
from quantum.wavefront import correlator_map, fit_velocity, four_steps

__all__ = [
    "Circuit",
    "Echo",
    "EchoLayout",
    "Gate",
    "Interference",
    "Lattice",
    "NoiseModel",
    "Operation",
    "PauliString",
    "PauliSum",
    "Truncation",
    "add_noise",
    "bootstrap",
    "clifford_echo_circuit",
    "compare_decays",
    "contraction_cost",
    "correlator",
    "correlator_map",
    "correlators",
    "device_noise",
    "diagonal",
    "dope",
    "echo_circuit",
    "echo_layout",
    "exact_diagonal",
    "expectation",
    "expectations",
    "fit_decay",
    "fit_velocity",
    "four_steps",
    "fsim",
    "is_clifford",
    "iswap_like",
    "linear_xeb",
    "log_xeb",
    "make_echo",
    "make_frontier",
    "matrix_gate",
    "measure_interference",
    "noisy_output",
    "off_diagonal",
    "otoc_signs",
    "pauli_gate",
    "phased_x",
    "propagate",
    "random_circuit",
    "random_paulis",
    "rectangle",
    "rectangle_layout",
    "rz",
    "sample_off_diagonal",
    "sample_paths",
    "signal_to_noise",
    "speckle_purity",
    "state",
    "state_vector_cost",
    "sum_loops",
    "willow",
]

"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

from quantum.circuit import Circuit, Operation, random_circuit
from quantum.classical_cost import contraction_cost, make_frontier, state_vector_cost
from quantum.clifford import clifford_echo_circuit, dope, is_clifford, otoc_signs
from quantum.cross_entropy import linear_xeb, log_xeb, noisy_output, speckle_purity
from quantum.engines import expectation, expectations, state
from quantum.gates import Gate, fsim, iswap_like, matrix_gate, pauli_gate, phased_x, rz
from quantum.hamiltonian_learning import ForwardModel, fisher_information, fit
from quantum.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)
from quantum.lattice import EchoLayout, Lattice, echo_layout, rectangle, rectangle_layout, willow
from quantum.learning_errors import coverage, group_bootstrap, parametric_bootstrap, profile
from quantum.likelihood import Binomial, Gaussian, cramer_rao, identify
from quantum.noise import NoiseModel, add_noise, device_noise
from quantum.noisy_expectation import noisy_expectation
from quantum.otoc import Echo, correlator, echo_circuit, make_echo
from quantum.otoc_batch import correlators
from quantum.path_weight import PathWeights, fit_gaussian, path_weights, richardson
from quantum.pauli import PauliString, random_paulis
from quantum.pauli_paths import sample_off_diagonal, sample_paths, sum_loops
from quantum.pauli_propagation import PauliSum, Truncation, propagate
from quantum.phase_response import phase_model, phase_response
from quantum.statistics import bootstrap, compare_decays, fit_decay, signal_to_noise
from quantum.wavefront import correlator_map, fit_velocity, four_steps

__all__ = [
    "Binomial",
    "Circuit",
    "Echo",
    "EchoLayout",
    "ForwardModel",
    "Gate",
    "Gaussian",
    "Interference",
    "Lattice",
    "NoiseModel",
    "Operation",
    "PathWeights",
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
    "coverage",
    "cramer_rao",
    "device_noise",
    "diagonal",
    "dope",
    "echo_circuit",
    "echo_layout",
    "exact_diagonal",
    "expectation",
    "expectations",
    "fisher_information",
    "fit",
    "fit_decay",
    "fit_gaussian",
    "fit_velocity",
    "four_steps",
    "fsim",
    "group_bootstrap",
    "identify",
    "is_clifford",
    "iswap_like",
    "linear_xeb",
    "log_xeb",
    "make_echo",
    "make_frontier",
    "matrix_gate",
    "measure_interference",
    "noisy_expectation",
    "noisy_output",
    "off_diagonal",
    "otoc_signs",
    "parametric_bootstrap",
    "path_weights",
    "pauli_gate",
    "phase_model",
    "phase_response",
    "phased_x",
    "profile",
    "propagate",
    "random_circuit",
    "random_paulis",
    "rectangle",
    "rectangle_layout",
    "richardson",
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

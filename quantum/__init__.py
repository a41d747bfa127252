"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, echoes on the chip and in molecules.

Reading order: `lattice`, `gates`, `circuit`, `pauli`, `engines` (one call for `cirq_engine`, `qiskit_engine`,
`jax_engine`, `density_matrix`, `pauli_propagation`, `tensor_network`, `statevector`, the plain reference).
Echoes: `otoc`, `otoc_batch`, `interference`, `wavefront`, `pauli_paths`, `clifford`, `published` (circuit files).
Noise: `noise`, `channels`, `trajectories`, `strata`, `mitigation`, `path_weight`, `cross_entropy`; `classical_cost`.
Molecules: `molecule` and `dipolar` (coordinates to couplings), `spin_hamiltonian`, `nmr` (the echo of nine spins),
`typicality` (of fifteen), `pulse_sequence`, `dipolar_sequences`, `magnus`, `reversal` (where it comes from);
`trotter`, `swap_network`, `nmr_circuit`, `pair_compiler` and `circuit_compiler` (as a circuit of the chip),
`echo_program` and `program_search` (with fewer gates).
Learning: `likelihood`, `hamiltonian_learning`, `learning_errors`, `phase_response`, `molecular_ruler`.
"""

from quantum.circuits.circuit import Circuit, Operation
from quantum.circuits.clifford import clifford_echo_circuit, dope, is_clifford, otoc_signs
from quantum.circuits.gates import (
    Gate,
    fsim,
    iswap_like,
    matrix_gate,
    pauli_gate,
    phased_x,
    rz,
)
from quantum.circuits.lattice import Lattice, rectangle, willow
from quantum.circuits.layouts import EchoLayout, echo_layout, rectangle_layout
from quantum.circuits.pauli import PauliString, random_paulis
from quantum.circuits.random_circuits import random_circuit
from quantum.compiling.echo_program import EchoProgram, program_circuit
from quantum.compiling.nmr_circuit import circuit_echo, nmr_echo_circuit
from quantum.compiling.trotter import trotter_circuit
from quantum.echoes.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)
from quantum.echoes.otoc import Echo, correlator, echo_circuit, make_echo
from quantum.echoes.otoc_batch import correlators
from quantum.echoes.pauli_paths import sample_off_diagonal, sample_paths, sum_loops
from quantum.echoes.wavefront import correlator_map, fit_velocity, four_steps
from quantum.engines.classical_cost import (
    contraction_cost,
    make_frontier,
    state_vector_cost,
)
from quantum.engines.dispatch import expectation, expectations, state
from quantum.engines.pauli_propagation import PauliSum, Truncation, propagate
from quantum.estimates import bootstrap, signal_to_noise
from quantum.inference.decays import compare_decays, fit_decay
from quantum.inference.errors import (
    coverage,
    group_bootstrap,
    parametric_bootstrap,
    profile,
)
from quantum.inference.fit import ForwardModel, fisher_information, fit
from quantum.inference.likelihood import Binomial, Gaussian, cramer_rao, identify
from quantum.inference.phase_response import phase_model, phase_response
from quantum.nmr.average_hamiltonian import average_hamiltonian, secular_hamiltonian
from quantum.nmr.typicality import echo_by_typicality
from quantum.noise.cross_entropy import linear_xeb, log_xeb, noisy_output, speckle_purity
from quantum.noise.model import NoiseModel, add_noise, device_noise
from quantum.noise.noisy_expectation import noisy_expectation
from quantum.noise.path_weight import PathWeights, fit_gaussian, path_weights, richardson
from quantum.noise.strata import stratified
from quantum.spins.dipolar import molecule_couplings
from quantum.spins.hamiltonian import SpinHamiltonian, make_hamiltonian
from quantum.spins.molecule import (
    Molecule,
    dimethylbiphenyl,
    make_molecule,
    read_xyz,
    toluene,
)

__all__ = [
    "Binomial",
    "Circuit",
    "Echo",
    "EchoLayout",
    "EchoProgram",
    "ForwardModel",
    "Gate",
    "Gaussian",
    "Interference",
    "Lattice",
    "Molecule",
    "NoiseModel",
    "Operation",
    "PathWeights",
    "PauliString",
    "PauliSum",
    "SpinHamiltonian",
    "Truncation",
    "add_noise",
    "average_hamiltonian",
    "bootstrap",
    "circuit_echo",
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
    "dimethylbiphenyl",
    "dope",
    "echo_by_typicality",
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
    "make_hamiltonian",
    "make_molecule",
    "matrix_gate",
    "measure_interference",
    "molecule_couplings",
    "nmr_echo_circuit",
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
    "program_circuit",
    "propagate",
    "random_circuit",
    "random_paulis",
    "read_xyz",
    "rectangle",
    "rectangle_layout",
    "richardson",
    "rz",
    "sample_off_diagonal",
    "sample_paths",
    "secular_hamiltonian",
    "signal_to_noise",
    "speckle_purity",
    "state",
    "state_vector_cost",
    "stratified",
    "sum_loops",
    "toluene",
    "trotter_circuit",
    "willow",
]

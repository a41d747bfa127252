"""Noise of a device, and what is done about it.

Reading order: `schedule` (time by qubit), `model` (what a gate, idle time and a readout do), `calibrations`,
`batched_states`, `trajectories`, `strata`, `noisy_expectation` (one call), `readout`, `cross_entropy`, `mitigation`,
`pauli_frames`, `extrapolation`, `path_weight`. Stands on `engines`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.noise.model import PRESETS, NoiseModel, device_noise, add_noise, echo_fidelity
from quantum.noise.strata import stratified
from quantum.noise.noisy_expectation import noisy_expectation
from quantum.noise.cross_entropy import linear_xeb, noisy_output
from quantum.noise.mitigation import read_means, with_decoupling, device_signal_to_noise
from quantum.noise.pauli_frames import pauli_frame
from quantum.noise.extrapolation import fit_extrapolation
from quantum.noise.path_weight import path_weights

__all__ = [
    "PRESETS",
    "NoiseModel",
    "device_noise",
    "add_noise",
    "echo_fidelity",
    "stratified",
    "noisy_expectation",
    "linear_xeb",
    "noisy_output",
    "read_means",
    "with_decoupling",
    "device_signal_to_noise",
    "pauli_frame",
    "fit_extrapolation",
    "path_weights",
]

"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

from quantum.cross_entropy import linear_xeb, log_xeb, noisy_output, speckle_purity
from quantum.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)
from quantum.statistics import bootstrap, compare_decays, fit_decay, signal_to_noise

__all__ = [
    "Interference",
    "bootstrap",
    "compare_decays",
    "diagonal",
    "exact_diagonal",
    "fit_decay",
    "linear_xeb",
    "log_xeb",
    "measure_interference",
    "noisy_output",
    "off_diagonal",
    "signal_to_noise",
    "speckle_purity",
]

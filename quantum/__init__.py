"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

from quantum.interference import (
    Interference,
    diagonal,
    exact_diagonal,
    measure_interference,
    off_diagonal,
)

__all__ = [
    "Interference",
    "diagonal",
    "exact_diagonal",
    "measure_interference",
    "off_diagonal",
]

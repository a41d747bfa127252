"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, and out-of-time-order correlators."""

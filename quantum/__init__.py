"""Quantum hardware simulation: filled by later issues (OTOC, noise, NMR)."""

"""Circuits and what they are made of: gates, Pauli strings, channels, the lattice of the chip.

Reading order: `gates`, `pauli`, `packed_pauli`, `circuit`, `lattice` (qubits and couplers), `layouts` (of echoes, and
their text), `random_circuits`, `program` (gates merged into blocks), `clifford`, `channels`, `noisy_circuit`. Imports
`quantum._checks` and `quantum.estimates` only.
"""

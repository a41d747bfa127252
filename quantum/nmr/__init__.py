"""Dipolar echoes of molecules: sequences of pulses, average Hamiltonians, the echo of nine spins or of fifteen.

Reading order: `average_hamiltonian` (and the exact echo), `typicality` (random states for many spins),
`pulse_sequence`, `dipolar_sequences`, `magnus`, `reversal`, `pulsed_states` (where they come from), `molecular_ruler`
(a distance or an angle read off an echo). Stands on `spins`.
"""

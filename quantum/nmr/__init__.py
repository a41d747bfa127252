"""Dipolar echoes of molecules: sequences of pulses, average Hamiltonians, the echo of nine spins or of fifteen.

Reading order: `pulse_sequence`, `dipolar_sequences`, `magnus`, `reversal` (where average Hamiltonians come from),
`average_hamiltonian`, `strike` (the butterfly), `exact_echo`, `typicality` (random states for many spins),
`pulsed_states`, `methods` (one call for the echo), `molecular_ruler` (a distance or an angle read off an echo). Stands
on `spins`.
"""

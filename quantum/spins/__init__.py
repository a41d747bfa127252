"""Molecules and their spin Hamiltonians: from coordinates to states in time.

Reading order: `molecule` (coordinates), `dipolar` (couplings of an oriented molecule), `torsion`, `hamiltonian`,
`action` (H on a state, matrix-free), `evolution` (Chebyshev), `krylov`,
`random_states`. Imports `quantum._checks` and
`quantum.estimates` only.
"""

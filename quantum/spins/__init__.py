"""Molecules and their spin Hamiltonians: from coordinates to states in time.

Reading order: `nuclides`, `xyz_file`, `rotors` (about which line a group turns), `molecule` (coordinates),
`coupling_table`, `dipolar` (couplings of an oriented molecule), `order_tensor` (from couplings), `torsion`,
`hamiltonian`, `action` (H on a state, matrix-free), `evolution` (Chebyshev), `krylov`, `random_states`,
`random_molecules`. Imports `quantum._checks` and
`quantum.estimates` only.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.spins.molecule import ANGSTROM, make_molecule, read_xyz, toluene, dimethylbiphenyl
from quantum.spins.dipolar import TOLUENE_SAUPE, DIMETHYLBIPHENYL_SAUPE, molecule_couplings
from quantum.spins.torsion import candidates
from quantum.spins.hamiltonian import SpinHamiltonian, make_hamiltonian
from quantum.spins.action import real_frame
from quantum.spins.krylov import evolve_krylov

__all__ = [
    "ANGSTROM",
    "make_molecule",
    "read_xyz",
    "toluene",
    "dimethylbiphenyl",
    "TOLUENE_SAUPE",
    "DIMETHYLBIPHENYL_SAUPE",
    "molecule_couplings",
    "candidates",
    "SpinHamiltonian",
    "make_hamiltonian",
    "real_frame",
    "evolve_krylov",
]

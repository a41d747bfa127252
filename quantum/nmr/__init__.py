"""Dipolar echoes of molecules: sequences of pulses, average Hamiltonians, the echo of nine spins or of fifteen.

Reading order: `species` (which spins are like, which are pulsed), `pulse_sequence`, `dipolar_sequences`, `magnus`,
`reversal` (where average Hamiltonians come from), `average_hamiltonian`, `spectrum` (lines and decay), `strike` (the
butterfly), `exact_echo`, `typicality` (random states for many spins), `pulsed_states`, `methods` (one call for the
echo), `molecular_ruler` (a distance or an angle read off an echo), `stretched_molecule` (the same for a file of one's
own). Stands on `spins`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.nmr.pulse_sequence import PulseSequence, propagator
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS, tardis_2_like, scale_factors, loschmidt_echo
from quantum.nmr.reversal import examine
from quantum.nmr.average_hamiltonian import GRID_STEP, secular_hamiltonian, reversible_hamiltonian
from quantum.nmr.strike import butterfly
from quantum.nmr.methods import Typicality, echo
from quantum.nmr.molecular_ruler import toluene_ruler, turning_dimethylbiphenyl

__all__ = [
    "PulseSequence",
    "propagator",
    "BLEW_12_AXIS",
    "tardis_2_like",
    "scale_factors",
    "loschmidt_echo",
    "examine",
    "GRID_STEP",
    "secular_hamiltonian",
    "reversible_hamiltonian",
    "butterfly",
    "Typicality",
    "echo",
    "toluene_ruler",
    "turning_dimethylbiphenyl",
]

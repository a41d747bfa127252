"""From spin Hamiltonians to gates of the chip.

Reading order: `trotter`, `swap_network`, `nmr_circuit` (an echo of a molecule as a circuit), `pair_compiler`,
`circuit_compiler` (any two-qubit unitary in few native gates), `echo_program`, `program_gates`, `program_error`,
`program_search` (with fewer gates). Stands on `nmr` and `engines`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.compiling.nmr_circuit import nmr_echo_circuit, nearest_only, circuit_echo
from quantum.compiling.circuit_compiler import compile_circuit, count_gates
from quantum.compiling.program_error import make_task
from quantum.compiling.program_search import draw_molecules, ablation

__all__ = [
    "nmr_echo_circuit",
    "nearest_only",
    "circuit_echo",
    "compile_circuit",
    "count_gates",
    "make_task",
    "draw_molecules",
    "ablation",
]

"""From spin Hamiltonians to gates of the chip.

Reading order: `trotter`, `swap_network`, `nmr_circuit` (an echo of a molecule as a circuit), `pair_compiler`,
`circuit_compiler` (any two-qubit unitary in few native gates), `echo_program`, `program_error`, `program_search` (with
fewer gates). Stands on `nmr` and `engines`.
"""

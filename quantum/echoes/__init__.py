"""Out-of-time-order correlators on the chip, of any order.

Reading order: `otoc` (the echo and its pruned circuit), `otoc_batch`, `reference` (the echo without butterfly),
`interference` (diagonal and off-diagonal by Pauli insertion), `wavefront`, `pauli_paths`, `pauli_growth`, `published`
(circuit files of the experiment). Stands on `engines`.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.echoes.otoc import Echo, make_echo, echo_circuit, correlator
from quantum.echoes.otoc_batch import correlators
from quantum.echoes.reference import reference_circuit
from quantum.echoes.interference import measure_interference, exact_diagonal, diagonal, off_diagonal
from quantum.echoes.pauli_paths import sample_paths

__all__ = [
    "Echo",
    "make_echo",
    "echo_circuit",
    "correlator",
    "correlators",
    "reference_circuit",
    "measure_interference",
    "exact_diagonal",
    "diagonal",
    "off_diagonal",
    "sample_paths",
]

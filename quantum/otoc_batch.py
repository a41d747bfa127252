"""Correlators of many echoes with many Pauli insertions at once: C^(2k) as an array (echoes, insertions).

An ensemble of the interference test is 50 circuits with some 20 pairs of strings each. All pruned circuits of one echo
open with the same moments, those before the first string; see `otoc.echo_circuit` for what pruning leaves.
"""

from collections.abc import Sequence

import numpy as np

from quantum import engines
from quantum.engines import Precision
from quantum.otoc import Echo, echo_circuit
from quantum.pauli import PauliString


def correlators(
    echoes: Sequence[Echo],
    strings: Sequence[Sequence[PauliString]],
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> np.ndarray:
    """C^(2k) of every echo under every insertion, (echoes, insertions).

    Args:
        echoes: What is measured.
        strings: Insertions: one string for each loop (a pair for OTOC(2)), or an empty tuple for none.
        engine: Name of the engine.
        precision: "single" or "double".

    Raises:
        ValueError: If an insertion has not one string for each loop, an echo lacks its cut, or the engine is unknown.
    """
    found = np.empty((len(echoes), len(strings)))
    for row, echo in enumerate(echoes):
        for column, insertion in enumerate(strings):
            circuit = echo_circuit(echo, insertion)
            found[row, column] = engines.expectation(
                circuit, echo.observable, engine=engine, precision=precision
            )
    return found

"""One call for an observable on a circuit, on any engine.

Every engine is a module with `state(circuit, precision)` and `expectations(circuits, observables, precision)`; it is
imported when it is first used, so that nobody pays for a simulator they do not run.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Literal

import numpy as np

from quantum._checks import check_choice
from quantum.circuit import Circuit
from quantum.pauli import PauliString

Precision = Literal["single", "double"]
# Engine by name; `auto` picks one of them.
ENGINES = {
    "reference": "quantum.statevector",
    "cirq": "quantum.cirq_engine",
}


def expectation(
    circuit: Circuit,
    observable: PauliString,
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> float:
    """Expectation value of a Pauli string after a circuit that starts from |0...0>."""
    return float(expectations([circuit], [observable], engine=engine, precision=precision)[0, 0])


def expectations(
    circuits: Sequence[Circuit],
    observables: Sequence[PauliString],
    *,
    engine: str = "auto",
    precision: Precision = "single",
) -> np.ndarray:
    """Expectation values of every observable after every circuit, (circuits, observables)."""
    return _module(engine).expectations(circuits, observables, precision)


def state(circuit: Circuit, *, engine: str = "auto", precision: Precision = "single") -> np.ndarray:
    """State after a circuit that starts from |0...0>, flat of length 2^n."""
    return _module(engine).state(circuit, precision)


def _module(engine: str) -> ModuleType:
    check_choice(engine, "engine", ("auto", *ENGINES))
    return importlib.import_module(ENGINES["cirq" if engine == "auto" else engine])

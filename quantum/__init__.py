"""Quantum hardware simulation: circuits on a Willow-like lattice, engines, echoes on the chip and in molecules.

The wings, each on what stands before it; a wing is imported when it is first used (`quantum.echoes.otoc.make_echo`):

    estimates    a number with its standard error
    circuits     gates, Pauli strings, channels, the lattice of the chip, random circuits
    spins        molecules and their spin Hamiltonians
    engines      one call for Cirq, Qiskit, JAX, density matrix, Pauli propagation, tensor network, plain reference
    nmr          echoes of molecules: sequences of pulses, average Hamiltonians, the echo by several methods
    noise        noise of a device, trajectories, mitigation, cross-entropy
    echoes       out-of-time-order correlators of any order, their interference, fronts and Pauli paths
    compiling    from spin Hamiltonians to gates of the chip
    inference    likelihoods, fits, their errors, decays
"""

# Part of lightecho. By this line `lightecho.py` knows that no other distribution has overwritten the file.

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantum import (
        circuits,
        compiling,
        echoes,
        engines,
        estimates,
        inference,
        nmr,
        noise,
        spins,
    )

# In the order of dependency, which ruff would sort away.
__all__ = [  # noqa: RUF022
    "estimates",
    "circuits",
    "spins",
    "engines",
    "nmr",
    "noise",
    "echoes",
    "compiling",
    "inference",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}; its wings are {', '.join(__all__)}."
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

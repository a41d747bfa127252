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

from importlib import import_module

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
__all__ = [
    "estimates", "circuits", "spins", "engines", "nmr", "noise", "echoes", "compiling", "inference",
]  # fmt: skip


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module `quantum` has no wing `{name}`; it has {', '.join(__all__)}.")
    return import_module(f"quantum.{name}")

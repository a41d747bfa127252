"""Circuits and what they are made of: gates, Pauli strings, channels, the lattice of the chip.

Reading order: `tolerance` (when numbers are equal), `gates`, `played` (what a gate costs), `diagram` (of a circuit),
`pauli`, `packed_pauli`, `circuit`, `lattice` (qubits and couplers), `layouts` (of echoes, and their text),
`random_circuits`, `program` (gates merged into blocks), `clifford`, `channels`, `noisy_circuit`.
Imports `quantum._checks` and `quantum.estimates` only.
"""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from quantum.circuits.gates import fsim
from quantum.circuits.circuit import Circuit, light_cone
from quantum.circuits.pauli import PauliString, Observable, random_paulis
from quantum.circuits.lattice import Lattice, rectangle, willow
from quantum.circuits.layouts import EchoLayout, echo_layout, rectangle_layout, parse_layout
from quantum.circuits.random_circuits import random_circuit, DEFAULT_ORDER

__all__ = [
    "fsim",
    "Circuit",
    "light_cone",
    "PauliString",
    "Observable",
    "random_paulis",
    "Lattice",
    "rectangle",
    "willow",
    "EchoLayout",
    "echo_layout",
    "rectangle_layout",
    "parse_layout",
    "random_circuit",
    "DEFAULT_ORDER",
]

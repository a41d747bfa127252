"""Pauli strings: a letter X, Y or Z on some qubits.

Used as observables and as insertions. `PauliString.on({3: "Z"})` and `PauliString.parse("IIIZ")` mean the same.
"""

from dataclasses import dataclass

import numpy as np

from quantum._checks import check_count
from quantum.circuits.circuit import Moment, Operation
from quantum.circuits.gates import pauli_gate


@dataclass(frozen=True)
class PauliString:
    """A product of Pauli matrices on different qubits, with sign +1.

    Attributes:
        factors: (qubit, letter) pairs in the order of the qubits, letters X, Y, Z; identities are left out.

    Raises:
        ValueError: If a letter is unknown, or the qubits are not sorted and different.
    """

    factors: tuple[tuple[int, str], ...] = ()

    def __post_init__(self):
        qubits = [qubit for qubit, _ in self.factors]
        if qubits != sorted(set(qubits)) or any(q < 0 for q in qubits):
            raise ValueError(f"`factors` must name different qubits in order, but names {qubits}.")
        for _, letter in self.factors:
            if letter not in "XYZ" or len(letter) != 1:
                raise ValueError(f"`factors` must hold letters X, Y, Z, but holds {letter!r}.")

    @classmethod
    def on(cls, letters: dict[int, str]) -> "PauliString":
        """String from a letter per qubit; I is left out."""
        return cls(tuple(sorted((q, p) for q, p in letters.items() if p != "I")))

    @classmethod
    def parse(cls, text: str) -> "PauliString":
        """String from one letter per qubit, qubit 0 first, such as "XIZ"."""
        return cls.on(dict(enumerate(text)))

    @property
    def qubits(self) -> tuple[int, ...]:
        """Qubits it acts on."""
        return tuple(qubit for qubit, _ in self.factors)

    @property
    def weight(self) -> int:
        """Number of qubits it acts on."""
        return len(self.factors)

    def moment(self) -> Moment:
        """The string as one moment of gates."""
        return tuple(Operation(pauli_gate(letter), (qubit,)) for qubit, letter in self.factors)


def random_paulis(n_qubits: int, n_strings: int, *, seed: int) -> tuple[PauliString, ...]:
    """Draws strings with each of I, X, Y, Z equally likely on every qubit."""
    check_count(n_qubits, "n_qubits", 1)
    check_count(n_strings, "n_strings", 1)
    letters = np.random.default_rng(seed).integers(4, size=(n_strings, n_qubits))
    return tuple(PauliString.parse("".join("IXYZ"[k] for k in row)) for row in letters)

"""Pauli strings, a letter X, Y or Z on some qubits, and real sums of them.

Strings are insertions and the observables that engines know; an `Observable` is any Hermitian operator as a weighted
sum of strings, so a sign and a constant too. `PauliString.on({3: "Z"})` and `PauliString.parse("IIIZ")` mean the same,
as do `0.5 * PauliString.parse("ZI") - PauliString.parse("XX")` and `Observable.parse("0.5 ZI - XX")`. In text the first
letter belongs to qubit 0; in labels of Qiskit it is the last.
"""

import math
import re
from collections.abc import Mapping
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
        """String from one letter per qubit, qubit 0 first, such as "XIZ"; with a sign it is an `Observable`.

        Raises:
            ValueError: If the text holds anything but I, X, Y and Z.
        """
        if set(text) - set("IXYZ"):
            raise ValueError(
                f"`text` must hold letters I, X, Y, Z, but is {text!r}; signs and sums are `Observable.parse`."
            )
        return cls.on(dict(enumerate(text)))

    @property
    def qubits(self) -> tuple[int, ...]:
        """Qubits it acts on."""
        return tuple(qubit for qubit, _ in self.factors)

    def moved(self, places: Mapping[int, int]) -> "PauliString":
        """The string on other qubits, from the new number of each."""
        return PauliString.on({places[qubit]: letter for qubit, letter in self.factors})

    @property
    def weight(self) -> int:
        """Number of qubits it acts on."""
        return len(self.factors)

    def moment(self) -> Moment:
        """The string as one moment of gates."""
        return tuple(Operation(pauli_gate(letter), (qubit,)) for qubit, letter in self.factors)

    def __mul__(self, factor: float | int) -> "Observable":
        return Observable(((factor, self),))

    __rmul__ = __mul__

    def __neg__(self) -> "Observable":
        return -1 * self

    def __add__(self, other: "PauliString | Observable") -> "Observable":
        return 1 * self + other

    def __sub__(self, other: "PauliString | Observable") -> "Observable":
        return 1 * self - other


@dataclass(frozen=True)
class Observable:
    """A weighted sum of Pauli strings; the empty string is the identity.

    Attributes:
        terms: (weight, string) pairs; those of one string are added up, and what adds up to 0 goes.

    Raises:
        ValueError: If a weight is not a finite real number.
    """

    terms: tuple[tuple[float | int, PauliString], ...] = ()

    def __post_init__(self):
        weights: dict[PauliString, float] = {}
        for weight, string in self.terms:
            weights[string] = weights.get(string, 0.0) + real_weight(weight)
        merged = tuple((weight, string) for string, weight in weights.items() if weight != 0)
        object.__setattr__(self, "terms", merged)

    @classmethod
    def of(cls, weights: Mapping[str, float | int]) -> "Observable":
        """Sum from a weight per text of letters, such as {"ZI": 0.5, "XX": -1}."""
        return cls(tuple((w, PauliString.parse(text)) for text, w in weights.items()))

    @classmethod
    def parse(cls, text: str) -> "Observable":
        """Sum from text such as "-ZI" or "0.5 ZI - 0.25*XX + 1e-3 IY"; qubit 0 comes first.

        Raises:
            ValueError: If a part of the text is not a weight and letters I, X, Y, Z.
        """
        rest, terms = text.strip(), []
        while rest or not terms:
            found = _TERM.match(rest)
            if found is None or (terms and not found["sign"]):
                raise ValueError(
                    f'`text` must be weighted letters such as "0.5 ZI - XX", but is {text!r} '
                    f"(not understood from {rest[:20]!r} on)."
                )
            weight = float(found["weight"] or 1) * (-1 if found["sign"] == "-" else 1)
            terms.append((weight, PauliString.parse(found["letters"])))
            rest = rest[found.end() :]
        return cls(tuple(terms))

    @property
    def qubits(self) -> tuple[int, ...]:
        """Qubits that any string acts on, in order."""
        return tuple(sorted({qubit for _, string in self.terms for qubit in string.qubits}))

    def moved(self, places: Mapping[int, int]) -> "Observable":
        """The sum on other qubits, from the new number of each."""
        return Observable(tuple((weight, string.moved(places)) for weight, string in self.terms))

    def __mul__(self, factor: float | int) -> "Observable":
        return Observable(tuple((factor * weight, string) for weight, string in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> "Observable":
        return -1 * self

    def __add__(self, other: "PauliString | Observable") -> "Observable":
        return Observable(self.terms + (1 * other).terms)

    def __sub__(self, other: "PauliString | Observable") -> "Observable":
        return self + -1 * other


def real_weight(weight: complex | float | int) -> float:
    """The weight of a string as a float.

    Raises:
        ValueError: If it is not finite, or has an imaginary part.
    """
    value = complex(weight)
    if not math.isfinite(value.real) or value.imag != 0:
        raise ValueError(
            f"`terms` must have finite real weights, as an observable is Hermitian, but one is {weight}."
        )
    return value.real


_TERM = re.compile(
    r"\s*(?P<sign>[+-])?\s*(?P<weight>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)?\s*\*?\s*(?P<letters>[IXYZ]+)\s*"
)


def random_paulis(n_qubits: int, n_strings: int, *, seed: int) -> tuple[PauliString, ...]:
    """Draws strings with each of I, X, Y, Z equally likely on every qubit."""
    check_count(n_qubits, "n_qubits", 1)
    check_count(n_strings, "n_strings", 1)
    letters = np.random.default_rng(seed).integers(4, size=(n_strings, n_qubits))
    return tuple(PauliString.parse("".join("IXYZ"[k] for k in row)) for row in letters)

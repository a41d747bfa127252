"""Bit strings of a measurement of all or some qubits, drawn from the state of any engine, and what they say.

A device returns bit strings; `sample` draws them from |<b|psi>|^2 and `draw` from any probabilities, such as those of a
noisy register. `Counts` keeps how often each came. An observable made of I and Z has a value for every bit string, so
its mean and standard error follow from the counts exactly, correlations between its strings included; X and Y are
measured by turning the circuit before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from quantum._checks import check_count
from quantum.circuits.lattice import check_qubit
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines.conversions import as_circuit, as_ours
from quantum.engines.dispatch import state
from quantum.estimates import Estimate


@dataclass(frozen=True)
class Counts:
    """How often each bit string was read.

    Attributes:
        qubits: Qubits that were read, in the order of the bits.
        counts: Times by bit string, such as {"010": 12}; the first bit is that of `qubits[0]`.

    Raises:
        ValueError: If a qubit comes twice, a bit string has not one bit 0 or 1 for each, a number of times is negative
            or there is no shot at all.
    """

    qubits: tuple[int, ...]
    counts: Mapping[str, int]

    def __post_init__(self):
        if len(set(self.qubits)) != len(self.qubits) or not self.qubits:
            raise ValueError(f"`qubits` must be different and at least one, but are {self.qubits}.")
        for text, times in self.counts.items():
            if len(text) != len(self.qubits) or set(text) - set("01"):
                raise ValueError(
                    f"`counts` must name one bit for each of {len(self.qubits)} qubits, but names {text!r}."
                )
            check_count(times, f"counts[{text!r}]", 0)
        if self.n_shots == 0:
            raise ValueError("`counts` must hold at least one shot, but holds none.")

    @cached_property
    def n_shots(self) -> int:
        """Number of shots."""
        return int(sum(self.counts.values()))

    @cached_property
    def bits(self) -> np.ndarray:
        """The different bit strings in the order of `counts`, (strings, qubits), 0 or 1."""
        return np.array([[int(bit) for bit in text] for text in self.counts], dtype=np.uint8)

    @cached_property
    def times(self) -> np.ndarray:
        """How often each of `bits` came, (strings,)."""
        return np.array(list(self.counts.values()), dtype=np.int64)

    def expectation(self, observable: PauliString | Observable | str) -> Estimate:
        """Mean of an observable of I and Z with the standard error of the mean; without an error for one shot (NaN).

        Args:
            observable: Pauli string, sum, or text with one letter for each qubit of the register from 0 on.

        Raises:
            ValueError: If it holds X or Y, or acts on a qubit that was not read.
        """
        columns = {qubit: column for column, qubit in enumerate(self.qubits)}
        values = np.zeros(len(self.counts))
        for weight, string in diagonal_terms(observable, self.qubits):
            parity = self.bits[:, [columns[q] for q in string.qubits]].sum(axis=1) % 2
            values += weight * (1 - 2.0 * parity)
        return mean_of_shots(values, self.times)

    def marginal(self, qubits: Sequence[int]) -> "Counts":
        """Counts of some of the qubits, in the order given."""
        if missing := sorted(set(qubits) - set(self.qubits)):
            raise ValueError(f"`qubits` must be among {self.qubits}, but holds {missing}.")
        columns = [self.qubits.index(q) for q in qubits]
        found: dict[str, int] = {}
        for text, times in self.counts.items():
            kept = "".join(text[c] for c in columns)
            found[kept] = found.get(kept, 0) + times
        return Counts(tuple(qubits), found)


def sample(
    circuit: Any,
    n_shots: int,
    *,
    seed: int,
    qubits: Sequence[int] | None = None,
    engine: str = "auto",
) -> Counts:
    """Bit strings read after a circuit that starts from |0...0>.

    Args:
        circuit: Ours, Cirq's or Qiskit's, without measurements.
        n_shots: Number of shots.
        seed: Seed; the same one gives the same counts.
        qubits: Qubits that are read, in the order of the bits; all by default.
        engine: One that keeps a state, see `dispatch.ENGINES`.

    Raises:
        ValueError: If a qubit is not the circuit's, there are no shots, or the engine keeps no state.
    """
    ours = as_circuit(circuit)
    read = tuple(range(ours.n_qubits)) if qubits is None else tuple(qubits)
    for qubit in read:
        check_qubit(qubit, "qubits", ours.n_qubits)
    final = state(ours, engine=engine)
    return draw(np.square(np.abs(final), dtype=float), read, n_shots, seed=seed)


def draw(probabilities: np.ndarray, qubits: Sequence[int], n_shots: int, *, seed: int) -> Counts:
    """Bit strings drawn from the probabilities of a whole register, (2^n,), qubit 0 the most significant bit.

    They are divided by their sum, which misses 1 by rounding.

    Raises:
        ValueError: If there are no shots, or the probabilities do not belong to a register or are negative.
    """
    check_count(n_shots, "n_shots", 1)
    p = np.asarray(probabilities, dtype=float)
    n = p.size.bit_length() - 1
    if p.shape != (2**n,) or not (p >= -1e-9).all() or not p.sum() > 0:
        raise ValueError(
            f"`probabilities` must be 2^n numbers of at least 0, but have shape {p.shape}, the least {p.min():.3g}."
        )
    kept = np.moveaxis(p.clip(0).reshape((2,) * n), list(qubits), range(len(qubits)))
    kept = kept.reshape(2 ** len(qubits), -1).sum(axis=1)
    drawn = np.random.default_rng(seed).multinomial(n_shots, kept / kept.sum())
    width = len(qubits)
    return Counts(
        tuple(qubits), {f"{k:0{width}b}": int(drawn[k]) for k in np.flatnonzero(drawn).tolist()}
    )


def diagonal_terms(
    observable: PauliString | Observable | str, qubits: Sequence[int]
) -> tuple[tuple[float, PauliString], ...]:
    """Terms of an observable that is read off bits of `qubits`.

    Raises:
        ValueError: If one holds X or Y, or acts on another qubit.
    """
    terms = as_ours([], [observable])[1][0].terms
    for _, string in terms:
        if any(letter != "Z" for _, letter in string.factors):
            raise ValueError(
                f"`observable` must hold I and Z only to be read off bits, but holds {string.factors}; turn the "
                "circuit before the measurement (H for X, S^-1 and H for Y)."
            )
        if missing := sorted(set(string.qubits) - set(qubits)):
            raise ValueError(
                f"`observable` must act on qubits that were read, {tuple(qubits)}, but acts on {missing}."
            )
    return terms


def mean_of_shots(values: np.ndarray, times: np.ndarray) -> Estimate:
    """Mean and standard error of values that each came a number of times; NaN as the error of one shot."""
    shots = times.sum()
    mean = float(values @ times / shots)
    if shots < 2:
        return Estimate(mean, float("nan"))
    variance = float(np.square(values - mean) @ times / (shots - 1))
    return Estimate(mean, float(np.sqrt(variance / shots)))

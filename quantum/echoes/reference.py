"""The echo that no butterfly disturbs: the same gates, ideal value 1, so its outcome is the fidelity of the echo."""

from collections.abc import Sequence
from dataclasses import replace

from quantum.circuits.circuit import Circuit
from quantum.circuits.pauli import PauliString
from quantum.echoes.otoc import Echo, echo_circuit


def reference_circuit(echo: Echo, strings: Sequence[PauliString] = ()) -> Circuit:
    """The filtered echo circuit with its butterflies left out: as many gates, ideal value 1.

    Raises:
        ValueError: If U holds the butterfly's own Pauli next to it, so that the two cannot be told apart.
    """
    other = "Y" if echo.butterfly == "X" else "X"
    one, two = (echo_circuit(replace(echo, butterfly=b), strings) for b in (echo.butterfly, other))
    same = [len(a) for a in one.moments] == [len(b) for b in two.moments]
    if not same:
        raise ValueError(
            f"`echo` must not hold {echo.butterfly} or {other} next to its butterflies, but does."
        )
    # The two circuits differ in the butterflies and nowhere else.
    kept = (
        tuple(a for a, b in zip(left, right, strict=True) if a == b)
        for left, right in zip(one.moments, two.moments, strict=True)
    )
    return Circuit(one.n_qubits, tuple(kept))

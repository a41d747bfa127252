"""Out-of-time-order correlators of any order: the echo U_k = B(t) [M B(t)]^(k-1) as a circuit, and what it needs.

With B(t) = U^dagger B U the correlator of order k is C^(2k) = <(B(t) M)^(2k)> = <U_k^dagger M U_k M>. The measured
qubit starts in |0>, an eigenstate of M = Z, so C^(2k) is the expectation of M after U_k. Each loop U, B, U^dagger may
carry a Pauli string S at a cut of U = U_2 U_1: U_1, S, U_2, B, U_2^dagger, S, U_1^dagger, the same string on both
sides of B, another one in every loop. Its average over random strings keeps the diagonal part of C^(4), where the Pauli
strings of B(t) pair up; what is left is the off-diagonal part, the interference of large loops.

The literal circuit walks through U four times for k = 2. `echo_circuit` does less: gates next to their inverse go,
which leaves in each loop the light cone of B, and between loops only what M or the strings keep apart; the last way
back keeps only what the measured qubit can feel.

Source: Google Quantum AI and collaborators, Nature 646, 825 (2025), DOI 10.1038/s41586-025-09526-6, Eq. 1; the circuit
form and the insertion follow the published circuits as read by third parties.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from quantum._checks import check_choice, check_count
from quantum.circuits.circuit import Circuit, cancel_inverses, light_cone
from quantum.circuits.lattice import check_qubit
from quantum.circuits.layouts import EchoLayout
from quantum.circuits.pauli import Observable, PauliString
from quantum.engines import dispatch


@dataclass(frozen=True)
class Echo:
    """What is measured: U, the measured qubit, the butterflies and the order.

    Attributes:
        unitary: U, the way there.
        measured: Qubit of M.
        butterflies: Qubits of B; empty for the echo that no butterfly disturbs, which is 1.
        order: k; 1 is the OTOC, 2 the OTOC(2).
        butterfly: Letter of B, the same on all its qubits.
        cut: Moment of U before which strings are inserted; None where there are none.
        inverted: Whether 0 and 1 of the result change places, as a file may ask for: all values have the other sign.

    Raises:
        ValueError: If a qubit is outside U, the order is below 1, or the cut lies outside U.
    """

    unitary: Circuit
    measured: int
    butterflies: tuple[int, ...]
    order: int = 2
    butterfly: str = "X"
    cut: int | None = None
    inverted: bool = False

    def __post_init__(self):
        check_count(self.order, "order", 1)
        check_choice(self.butterfly, "butterfly", tuple("XYZ"))
        check_qubit(self.measured, "measured", self.unitary.n_qubits)
        for qubit in self.butterflies:
            check_qubit(qubit, "butterflies", self.unitary.n_qubits)
        if self.cut is not None and not 0 <= self.cut <= len(self.unitary):
            raise ValueError(
                f"`cut` must lie between 0 and the {len(self.unitary)} moments of U, but is {self.cut}."
            )

    @property
    def measured_pauli(self) -> PauliString:
        """M, the Pauli Z of the measured qubit, which stands between the loops too."""
        return PauliString.on({self.measured: "Z"})

    @property
    def observable(self) -> PauliString | Observable:
        """What is measured at the end: M, or -M where the result is inverted."""
        return -self.measured_pauli if self.inverted else self.measured_pauli


def make_echo(layout: EchoLayout, unitary: Circuit, *, order: int = 2) -> Echo:
    """Echo on a layout with the published place of the cut, moment n_cycles // 2 + cut_shift.

    Raises:
        ValueError: If U has another number of qubits than the layout.
    """
    if unitary.n_qubits != layout.lattice.n_qubits:
        raise ValueError(
            f"`unitary` must have {layout.lattice.n_qubits} qubits like the layout, but has {unitary.n_qubits}."
        )
    # The published circuits hold two moments a cycle, and the cut counts moments.
    cut = min(len(unitary) // 4 + layout.cut_shift, len(unitary))
    return Echo(unitary, layout.measured, layout.butterflies, order, cut=cut)


def echo_circuit(echo: Echo, strings: Sequence[PauliString] = (), *, prune: bool = True) -> Circuit:
    """The circuit U_k, at whose end `echo.observable` is measured.

    Args:
        echo: What is measured.
        strings: Pauli string of every loop, inserted at the cut; none at all by default.
        prune: Whether to take out all that cannot change the result; otherwise the literal circuit.

    Raises:
        ValueError: If there are strings but no cut, or not one for every loop.
    """
    if strings and echo.cut is None:
        raise ValueError("`cut` of the echo must be set for strings to be inserted, but is None.")
    if strings and len(strings) != echo.order:
        raise ValueError(
            f"`strings` must hold one string for each of {echo.order} loops, but holds {len(strings)}."
        )
    n = echo.unitary.n_qubits
    struck = PauliString.on(dict.fromkeys(echo.butterflies, echo.butterfly))
    between = Circuit(n, (echo.measured_pauli.moment(),))
    circuit = Circuit(n)
    for loop in range(echo.order):
        if strings:
            inserted = Circuit(n, (strings[loop].moment(),))
            there = echo.unitary[: echo.cut] + inserted + echo.unitary[echo.cut :]
        else:
            there = echo.unitary
        circuit += there + Circuit(n, (struck.moment(),)) + there.inverse()
        if loop < echo.order - 1:
            circuit += between
    if not prune:
        return circuit
    return light_cone(cancel_inverses(circuit), (echo.measured,))


def correlator(echo: Echo, *, engine: str = "auto") -> float:
    """C^(2k) of one echo, exact."""
    return dispatch.expectation(echo_circuit(echo), echo.observable, engine=engine)

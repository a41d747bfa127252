"""The qubit lattice: the 105-qubit Willow-like grid, the echo sub-lattices, any rectangle, and their coupler groups.

A lattice is a set of sites (row, column) of the square grid; two qubits are coupled where their sites touch. Qubits
are numbered along the rows, and qubit 0 is the most significant bit of a state's index. Couplers fall into four
groups, each a set of disjoint pairs: A and B hold the horizontal ones, C and D the vertical ones, A and C those that
start (left or upper end) on an even row + column: neighbouring rows are staggered like bricks. Aligned groups go by
the column alone (A and B) or the row alone (C and D), so that all rows or columns move together. Neither the groups nor
the order in which a circuit of the echo experiment walks through them is known to us: both are parameters everywhere.

Sources: rows of the 105-qubit chip as `willow_pink` in cirq_google 1.7.0; sub-lattices of Fig. 4b of Google Quantum AI
and collaborators, Nature 646, 825-830 (2025), DOI 10.1038/s41586-025-09526-6, read off the published circuits and a
plot by a third party (so they are second-hand). The 31-qubit patch holds sites that `willow_pink` lacks: the
experiment's chip uses another coordinate frame.
"""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantum._checks import check_choice, check_count

Site = tuple[int, int]
GROUPS = "ABCD"

# Inclusive column range of every row of `willow_pink`.
_WILLOW_ROWS = {
    0: (6, 8), 1: (5, 8), 2: (4, 10), 3: (3, 10), 4: (2, 12), 5: (1, 12), 6: (0, 14), 7: (2, 13),
    8: (2, 12), 9: (4, 11), 10: (4, 10), 11: (6, 9), 12: (6, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Lattice:
    """Qubits on sites of the square grid.

    Attributes:
        sites: (row, column) of every qubit, in row order; the place in this list is the qubit's number.

    Raises:
        ValueError: If there is no site, or one is listed twice or out of order.
    """

    sites: tuple[Site, ...]

    def __post_init__(self):
        if not self.sites:
            raise ValueError("`sites` must hold at least one site, but is empty.")
        if list(self.sites) != sorted(set(self.sites)):
            raise ValueError("`sites` must be sorted by row and column, each listed once.")

    @property
    def n_qubits(self) -> int:
        """Number of qubits."""
        return len(self.sites)

    @cached_property
    def numbers(self) -> dict[Site, int]:
        """Number of the qubit on each site."""
        return {site: number for number, site in enumerate(self.sites)}

    @cached_property
    def couplers(self) -> tuple[tuple[int, int], ...]:
        """All coupled pairs of qubits, the left or upper one first."""
        return tuple(pair for group in GROUPS for pair in self.group(group))

    def qubit(self, site: Site) -> int:
        """Number of the qubit on a site.

        Raises:
            ValueError: If the lattice has no such site.
        """
        if site not in self.numbers:
            rows = f"rows {self.sites[0][0]} to {self.sites[-1][0]}"
            raise ValueError(
                f"`site` must be on the lattice, but is {site}; it has {self.n_qubits} sites in {rows}."
            )
        return self.numbers[site]

    def group(self, name: str, *, aligned: bool = False) -> tuple[tuple[int, int], ...]:
        """Disjoint coupled pairs of one group.

        Args:
            name: A or B (horizontal), C or D (vertical); A and C start on an even row + column.
            aligned: Whether A starts on an even column and C on an even row instead.

        Raises:
            ValueError: If there is no such group.
        """
        check_choice(name, "name", tuple(GROUPS))
        step = (0, 1) if name in "AB" else (1, 0)
        parity = 0 if name in "AC" else 1
        pairs = []
        for row, column in self.sites:
            other = (row + step[0], column + step[1])
            place = (column if name in "AB" else row) if aligned else row + column
            if place % 2 == parity and other in self.numbers:
                pairs.append((self.numbers[row, column], self.numbers[other]))
        return tuple(pairs)

    def distances(self, qubit: int) -> np.ndarray:
        """Steps along couplers from one qubit to every qubit; -1 where there is no way."""
        check_qubit(qubit, "qubit", self.n_qubits)
        neighbours: dict[int, list[int]] = {q: [] for q in range(self.n_qubits)}
        for a, b in self.couplers:
            neighbours[a].append(b)
            neighbours[b].append(a)
        found = np.full(self.n_qubits, -1)
        found[qubit] = 0
        queue = deque([qubit])
        while queue:
            here = queue.popleft()
            for there in neighbours[here]:
                if found[there] < 0:
                    found[there] = found[here] + 1
                    queue.append(there)
        return found


@dataclass(frozen=True)
class EchoLayout:
    """Where an echo experiment measures and where it strikes.

    Attributes:
        lattice: Qubits that take part.
        measured: Qubit that is measured.
        butterflies: Qubits struck between the way there and the way back.
        n_cycles: Cycles of the published run.
        cut_shift: Shift of the Pauli insertion; its place is moment n_cycles // 2 + cut_shift.

    Raises:
        ValueError: If the measured qubit or a butterfly is not on the lattice, or no couplers join them.
    """

    lattice: Lattice
    measured: int
    butterflies: tuple[int, ...]
    n_cycles: int
    cut_shift: int = 0

    def __post_init__(self):
        check_qubit(self.measured, "measured", self.lattice.n_qubits)
        check_count(self.n_cycles, "n_cycles", 1)
        if not self.butterflies:
            raise ValueError("`butterflies` must name at least one qubit, but is empty.")
        reach = self.lattice.distances(self.measured)
        for qubit in self.butterflies:
            check_qubit(qubit, "butterflies", self.lattice.n_qubits)
            if reach[qubit] < 0:
                raise ValueError(
                    f"`butterflies` must be joined to the measured qubit by couplers, but qubit {qubit} at "
                    f"{self.lattice.sites[qubit]} and qubit {self.measured} at "
                    f"{self.lattice.sites[self.measured]} are not."
                )


def check_qubit(qubit: int, name: str, n_qubits: int) -> None:
    """Raises ValueError unless `qubit` numbers one of `n_qubits` qubits."""
    check_count(qubit, name, 0)
    if qubit >= n_qubits:
        raise ValueError(f"`{name}` must lie on the lattice (0 to {n_qubits - 1}), but is {qubit}.")


def willow() -> Lattice:
    """The 105-qubit grid of `willow_pink`: 182 couplers, every neighbouring pair."""
    return _from_rows(_WILLOW_ROWS)


def rectangle(n_rows: int, n_columns: int) -> Lattice:
    """A full rectangle of qubits; one row is a chain."""
    check_count(n_rows, "n_rows", 1)
    check_count(n_columns, "n_columns", 1)
    return _from_rows({row: (0, n_columns - 1) for row in range(n_rows)})


def echo_layout(n_qubits: int) -> EchoLayout:
    """Published sub-lattice of 18, 23, 27, 31 or 36 qubits (second-hand, see the module's sources).

    Raises:
        ValueError: If there is no sub-lattice of that size; the sites of 40 and 65 qubits are not known to us.
    """
    check_choice(
        str(n_qubits), "n_qubits", tuple(str(n) for n in _LAYOUTS),
        "The sites of the 40 and 65 qubit runs are unknown; any other lattice is an `EchoLayout` away.",
    )  # fmt: skip
    rows, n_cycles, measured, butterflies, shift = _LAYOUTS[n_qubits]
    lattice = _from_rows(rows)
    return EchoLayout(
        lattice,
        lattice.qubit(measured),
        tuple(lattice.qubit(b) for b in butterflies),
        n_cycles,
        shift,
    )


def rectangle_layout(n_rows: int, n_columns: int, n_cycles: int) -> EchoLayout:
    """Measured qubit in one corner of a rectangle, butterfly in the opposite one (our choice)."""
    lattice = rectangle(n_rows, n_columns)
    return EchoLayout(lattice, 0, (lattice.n_qubits - 1,), n_cycles)


def _from_rows(rows: dict[int, tuple[int, int]]) -> Lattice:
    return Lattice(
        tuple(
            (row, column)
            for row, (first, last) in rows.items()
            for column in range(first, last + 1)
        )
    )


# Rows, cycles, M, B, shift of the insertion.
_LAYOUTS: dict[int, tuple[dict[int, tuple[int, int]], int, Site, tuple[Site, ...], int]] = {
    18: ({6: (8, 11), 7: (7, 11), 8: (7, 11), 9: (7, 10)}, 14, (8, 11), ((6, 8),), 2),
    23: ({6: (8, 11), 7: (7, 11), 8: (7, 11), 9: (7, 11), 10: (7, 10)}, 16, (7, 11), ((9, 8),), 0),
    27: ({6: (7, 11), 7: (6, 11), 8: (6, 11), 9: (6, 10), 10: (6, 10)}, 17, (7, 11), ((9, 6),), 1),
    31: ({3: (2, 6), 4: (1, 7), 5: (1, 7), 6: (1, 7), 7: (2, 6)}, 18, (5, 1), ((5, 6),), 2),
    36: ({6: (5, 10), 7: (4, 11), 8: (4, 11), 9: (4, 11), 10: (5, 10)}, 20, (8, 11), ((7, 5), (9, 5)), 2),
}  # fmt: skip

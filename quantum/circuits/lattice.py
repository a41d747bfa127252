"""The qubit lattice: the 105-qubit Willow-like grid, any rectangle, and their coupler groups.

A lattice is a set of sites (row, column) of the square grid; two qubits are coupled where their sites touch. Qubits
are numbered along the rows, and qubit 0 is the most significant bit of a state's index. Couplers fall into four
groups, each a set of disjoint pairs: A and B hold the horizontal ones, C and D the vertical ones, A and C those that
start (left or upper end) on an even row + column: neighbouring rows are staggered like bricks. Aligned groups go by
the column alone (A and B) or the row alone (C and D), so that all rows or columns move together. Neither the groups nor
the order in which a circuit of the echo experiment walks through them is known to us: both are parameters everywhere.

Source: rows of the 105-qubit chip as `willow_pink` in cirq_google 1.7.0.
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
        # A list or an array of sites; numbers of NumPy as plain ones, so that equal lattices are equal.
        object.__setattr__(
            self, "sites", tuple((int(row), int(column)) for row, column in self.sites)
        )
        if not self.sites:
            raise ValueError("`sites` must hold at least one site, but is empty.")
        if list(self.sites) != sorted(set(self.sites)):
            raise ValueError("`sites` must be sorted by row and column, each listed once.")

    @classmethod
    def from_rows(cls, rows: dict[int, tuple[int, int]]) -> "Lattice":
        """Lattice of full rows: first and last column of each, by the row's number in rising order."""
        return cls(
            tuple((row, column) for row, (a, b) in rows.items() for column in range(a, b + 1))
        )

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


def check_qubit(qubit: int, name: str, n_qubits: int) -> None:
    """Raises ValueError unless `qubit` numbers one of `n_qubits` qubits."""
    check_count(qubit, name, 0)
    if qubit >= n_qubits:
        raise ValueError(f"`{name}` must lie on the lattice (0 to {n_qubits - 1}), but is {qubit}.")


def willow() -> Lattice:
    """The 105-qubit grid of `willow_pink`: 182 couplers, every neighbouring pair."""
    return Lattice.from_rows(_WILLOW_ROWS)


def rectangle(n_rows: int, n_columns: int) -> Lattice:
    """A full rectangle of qubits; one row is a chain."""
    check_count(n_rows, "n_rows", 1)
    check_count(n_columns, "n_columns", 1)
    return Lattice.from_rows({row: (0, n_columns - 1) for row in range(n_rows)})

"""Where an echo experiment measures and where it strikes: published sub-lattices, rectangles, their text.

Text of a layout, read by `parse_layout`: a size, then "@" and a number of cycles where it is to differ. The size is one
of the published sub-lattices (18, 23, 27, 31, 36), a rectangle by its rows x columns (3x4), or a small rectangle by its
number of qubits (4, 6, 9, 12 stand for 2x2, 2x3, 3x3, 3x4). A rectangle is measured in one corner and struck in the
opposite one, which is our choice, as are its cycles.

Source of the sub-lattices: Fig. 4b of Google Quantum AI and collaborators, Nature 646, 825-830 (2025), DOI
10.1038/s41586-025-09526-6, read off the published circuits and a plot by a third party (so they are second-hand). The
31-qubit patch holds sites that `willow_pink` lacks: the experiment's chip uses another coordinate frame.
"""

import re
from dataclasses import dataclass, replace

from quantum._checks import check_choice, check_count
from quantum.circuits.lattice import Lattice, Site, check_qubit, rectangle


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
    lattice = Lattice.from_rows(rows)
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


def parse_layout(
    text: str | int, *, n_cycles: int | None = None, name: str = "layout"
) -> EchoLayout:
    """Layout from its text, such as 18, "3x4@12" or "3x4" (grammar in the module's docstring).

    Args:
        text: A size, and cycles after "@" where they are to differ; a whole number is a size.
        n_cycles: Cycles of a rectangle whose text names none; a published sub-lattice has its own.
        name: What the setting is called in errors.

    Raises:
        ValueError: If the text is not of that form, the size is unknown (the sites of the published 40 and 65 qubits
            are not known to us), or a rectangle has no cycles.
    """
    found = _TEXT.fullmatch(str(text))
    parts = [int(part) if part else 0 for part in found.groups()] if found else [0, 0, 0]
    size, columns, cycles = parts
    shape = (size, columns) if columns else _SMALL.get(size)
    if shape and (given := cycles or n_cycles):
        return rectangle_layout(*shape, given)
    if shape:
        raise ValueError(
            f"`{name}` must say the cycles of a rectangle as in 3x4@12, but is {text!r}."
        )
    if size not in _LAYOUTS:
        sizes = ", ".join(map(str, (*_SMALL, *_LAYOUTS)))
        raise ValueError(
            f"`{name}` must be a size ({sizes}) or rows x columns, with cycles as in 3x4@12, but is {text!r}. "
            "The sites of the 40 and 65 qubit runs are unknown."
        )
    published = echo_layout(size)
    return replace(published, n_cycles=cycles) if cycles else published


# Rows, cycles, M, B, shift of the insertion.
_LAYOUTS: dict[int, tuple[dict[int, tuple[int, int]], int, Site, tuple[Site, ...], int]] = {
    18: ({6: (8, 11), 7: (7, 11), 8: (7, 11), 9: (7, 10)}, 14, (8, 11), ((6, 8),), 2),
    23: ({6: (8, 11), 7: (7, 11), 8: (7, 11), 9: (7, 11), 10: (7, 10)}, 16, (7, 11), ((9, 8),), 0),
    27: ({6: (7, 11), 7: (6, 11), 8: (6, 11), 9: (6, 10), 10: (6, 10)}, 17, (7, 11), ((9, 6),), 1),
    31: ({3: (2, 6), 4: (1, 7), 5: (1, 7), 6: (1, 7), 7: (2, 6)}, 18, (5, 1), ((5, 6),), 2),
    36: ({6: (5, 10), 7: (4, 11), 8: (4, 11), 9: (4, 11), 10: (5, 10)}, 20, (8, 11), ((7, 5), (9, 5)), 2),
}  # fmt: skip
_SMALL = {4: (2, 2), 6: (2, 3), 9: (3, 3), 12: (3, 4)}
_NUMBER = "([1-9][0-9]*)"
_TEXT = re.compile(f"{_NUMBER}(?:x{_NUMBER})?(?:@{_NUMBER})?")

"""Circuits for the eye: a short text and a figure.

Time runs to the right, qubit 0 is on top. A column holds gates whose spans do not cross, so a moment takes one or more.
Angles are in units of pi. `Circuit` prints as the text and draws itself as the figure.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from quantum._checks import check_count
from quantum.circuits.gates import Gate

_WIDTH = 100  # characters of a line of text
_MOST_ROWS = 24  # qubits of a text; the chip's 105 would scroll away
_MOST_COLUMNS = 60  # of a figure


@runtime_checkable
class Placed(Protocol):
    """A gate on its qubits, as `circuit.Operation`."""

    @property
    def gate(self) -> Gate:
        """What is played."""
        ...

    @property
    def qubits(self) -> tuple[int, ...]:
        """Where, in the order of the gate."""
        ...


def label(gate: Gate) -> tuple[str, ...]:
    """What stands on each qubit of a gate; @ and @ are a CZ, F and F(theta, phi) an fsim, U another, "5ns" a wait."""
    match gate.name:
        case "cz":
            return ("@", "@")
        case "fsim":
            return ("F", f"F({_turns(gate.parameters[0])},{_turns(gate.parameters[1])})")
        case "rz":
            return (f"Rz({_turns(gate.parameters[0])})",)
        case "phased_x":
            theta, phi = gate.parameters
            axis = {0.0: "Rx", 0.5: "Ry"}.get(round(phi / math.pi, 9))
            return (f"{axis}({_turns(theta)})" if axis else f"R({_turns(theta)},{_turns(phi)})",)
        case "matrix":
            return ("U",) if gate.n_qubits == 1 else ("U1", "U2")
        case "wait":
            return (f"{1e9 * gate.parameters[0]:.4g}ns",)
        case "align":
            return ("\u2502",)
        case "s_dagger":
            return ("S\u2020",)
    return (gate.name.upper(),)


def columns(moments: Iterable[Sequence[Placed]]) -> list[list[Placed]]:
    """Operations by column, in time order: a moment is split where spans of its gates cross."""
    found: list[list[Placed]] = []
    for moment in moments:
        begun = len(found)
        for operation in sorted(moment, key=lambda op: min(op.qubits)):
            low, high = min(operation.qubits), max(operation.qubits)
            for column in found[begun:]:
                if all(max(o.qubits) < low or min(o.qubits) > high for o in column):
                    column.append(operation)
                    break
            else:
                found.append([operation])
    return found


def text(n_qubits: int, moments: Sequence[Sequence[Placed]]) -> str:
    """A line that counts, then one line for each qubit; what is too wide or too tall is cut off and said so."""
    operations = [op for moment in moments for op in moment]
    pairs = sum(len(op.qubits) == 2 for op in operations)
    head = (
        f"Circuit of {_count(n_qubits, 'qubit')}, {_count(len(moments), 'moment')}, "
        f"{_count(len(operations), 'gate')} ({pairs} on two qubits)"
    )
    rows = min(n_qubits, _MOST_ROWS)
    wires = [f"{qubit:>{len(str(rows - 1))}}: \u2500" for qubit in range(rows)]
    parts = columns(moments)
    shown = 0
    for column in parts:
        cells = _cells(column, rows)
        width = max(map(len, cells.values()), default=1)
        if len(wires[0]) + width + 2 > _WIDTH:
            break
        for qubit in range(rows):
            wires[qubit] += cells.get(qubit, "").ljust(width, "\u2500") + "\u2500"
        shown += 1
    notes = []
    if shown < len(parts):
        notes.append(f"{_count(len(parts) - shown, 'further column')}")
        wires = [f"{wire}\u2026" for wire in wires]
    if rows < n_qubits:
        notes.append(f"{_count(n_qubits - rows, 'further qubit')}")
    return "\n".join([head, *wires, *([f"\u2026 {' and '.join(notes)}"] if notes else [])])


def figure(
    n_qubits: int,
    moments: Sequence[Sequence[Placed]],
    axes: Any,
    *,
    most_columns: int = _MOST_COLUMNS,
) -> Any:
    """Draws a circuit.

    Args:
        n_qubits: Number of wires.
        moments: Operations in time order.
        axes: Matplotlib axes to draw into; 0.8 inch a column and 0.5 inch a qubit read well.
        most_columns: Columns drawn at most; a title says how many there are where some are left out.

    Returns:
        The axes.

    Raises:
        ValueError: If `most_columns` is below 1.
    """
    check_count(most_columns, "most_columns", 1)
    parts = columns(moments)
    shown = parts[:most_columns]
    for qubit in range(n_qubits):
        axes.plot([-0.7, max(len(shown), 1) - 0.3], [qubit, qubit], color="0.5", lw=0.8, zorder=1)
    for place, column in enumerate(shown):
        for operation in column:
            _box(axes, place, operation)
    axes.set_yticks(range(n_qubits), [str(q) for q in range(n_qubits)])
    axes.set(
        xticks=[],
        xlim=(-0.8, max(len(shown), 1) - 0.2),
        ylim=(n_qubits - 0.4, -0.6),
        ylabel="qubit",
    )
    if len(shown) < len(parts):
        axes.set_title(f"first {len(shown)} of {len(parts)} columns", fontsize=8)
    for side in axes.spines.values():
        side.set_visible(False)
    return axes


def _box(axes: Any, place: int, operation: Placed) -> None:
    if len(operation.qubits) == 2:
        axes.plot([place, place], list(operation.qubits), color="0.2", lw=1.2, zorder=2)
    for qubit, name in zip(operation.qubits, label(operation.gate), strict=True):
        if name == "@":
            axes.plot([place], [qubit], "o", color="0.2", ms=6, zorder=3)
            continue
        axes.text(
            place,
            qubit,
            name.replace("(", "\n(", 1).replace(",", ",\n"),
            ha="center",
            va="center",
            fontsize=6,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.25", "fc": "white", "ec": "0.2", "lw": 0.8},
        )


def _cells(column: Sequence[Placed], rows: int) -> dict[int, str]:
    """Text of every qubit in a column; a wire that a gate passes over shows a crossing."""
    cells: dict[int, str] = {}
    for operation in column:
        cells |= dict.fromkeys(range(min(operation.qubits) + 1, max(operation.qubits)), "\u253c")
        cells |= dict(zip(operation.qubits, label(operation.gate), strict=True))
    return {qubit: cell for qubit, cell in cells.items() if qubit < rows}


def _turns(angle: float) -> str:
    """An angle in units of pi, three digits."""
    return f"{angle / math.pi:.3g}\u03c0" if angle else "0"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

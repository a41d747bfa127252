"""Measured echo curves: a table of times, values and standard errors, read from a CSV file and checked.

The first line names the columns; `time_s` (s), `value` (of the echo, normalised to C(0) = 1) and `standard_error` must
be among them, in any order, others are ignored. Lines that open with # are comments. Columns are divided by commas,
semicolons (then a comma in a number is its decimal point), tabs or blanks; numbers may be written 1.0D-3; encodings are
those of `quantum.spins.xyz_file`. Nothing is corrected or left out silently: a row that cannot be used is named by its
line.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from quantum._checks import check_array
from quantum.spins.xyz_file import read_text

COLUMNS = ("time_s", "value", "standard_error")
_LONGEST = 100.0  # s, our choice: no nuclear spin in a liquid remembers so long
_ERRORS = 6  # standard errors by which a value may lie beyond those of an echo
_UNITS = {"times": "s", "values": "", "standard_errors": ""}


@dataclass(frozen=True, eq=False)
class MeasuredCurve:
    """An echo curve with independent errors.

    Attributes:
        times: Times in seconds, rising.
        values: Echo at each.
        standard_errors: Standard error of each value.
    """

    times: Float[np.ndarray, " points"]
    values: Float[np.ndarray, " points"]
    standard_errors: Float[np.ndarray, " points"]

    def __post_init__(self):
        for name in ("times", "values", "standard_errors"):
            hint = "leave out what was not measured"
            check_array(getattr(self, name), name, (len(self.times),), _UNITS[name], hint)
        if self.times.size == 0:
            raise ValueError("`times` must hold at least one point, but there is none; add one.")
        if self.times[0] < 0:
            raise ValueError(
                f"`times` must not be negative, but begin at {self.times[0]:g} s; count from the start of the echo."
            )
        if self.times[-1] > _LONGEST:
            raise ValueError(
                f"`times` must be at most {_LONGEST:g} s, but end at {self.times[-1]:g} s; are they in seconds?"
            )
        if not (np.diff(self.times) > 0).all():
            raise ValueError("`times` must rise from point to point, but do not; sort the table.")
        if not (self.standard_errors > 0).all():
            raise ValueError(
                f"`standard_errors` must be positive, but the least is {self.standard_errors.min():g}; "
                "leave out a point that is exact by normalisation."
            )
        beyond = np.abs(self.values) > 1 + _ERRORS * self.standard_errors
        if beyond.any():
            raise ValueError(
                f"`values` must be at most 1 within their errors, but reach {self.values[beyond][0]:g}; "
                "divide by the value at time 0."
            )


def read_curve(path: str | Path) -> MeasuredCurve:
    """Reads a measured curve from a CSV file.

    Args:
        path: File with the columns `time_s`, `value` and `standard_error`.

    Raises:
        ValueError: If there is no such file, a column is missing, a cell is no number, or the curve makes no sense.
    """
    try:
        text = read_text(path)
    except ValueError as error:
        raise ValueError(
            f"`path` must be a readable CSV file, but is {str(path)!r} ({error})."
        ) from error
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    divider = _divider(numbered[0][1]) if numbered else ","
    lines = [line if divider.strip() else " ".join(line.split()) for _, line in numbered]
    rows = list(csv.reader(lines, delimiter=divider))
    header = [cell.strip() for cell in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"`columns` must include {', '.join(COLUMNS)}, but {str(path)!r} lacks {', '.join(missing)}; "
            f"its first line holds {', '.join(header) or 'nothing'}; name the columns there."
        )
    places = [header.index(name) for name in COLUMNS]
    table = [
        [
            _number(row, place, name, number, divider)
            for name, place in zip(COLUMNS, places, strict=True)
        ]
        for row, (number, _) in zip(rows[1:], numbered[1:], strict=True)
    ]
    return MeasuredCurve(*np.array(table, dtype=float).reshape(-1, 3).T)


def _divider(header: str) -> str:
    """What divides the columns, by the first line."""
    return next((sign for sign in ";,\t" if sign in header), " ")


def _number(row: list[str], place: int, name: str, line: int, divider: str) -> float:
    cell = row[place].strip() if place < len(row) else ""
    plain = cell.lower().replace("d", "e") if cell[:1] in "+-.0123456789" else cell
    try:
        return float(plain.replace(",", ".") if divider == ";" else plain)
    except ValueError as error:
        raise ValueError(
            f"`{name}` must be a number, but line {line} holds {cell!r}; give it, or leave the row out."
        ) from error

"""Ours beside the paper: ratio, difference in combined sigma, comparable or why not; unknown stays unknown."""

import html
import math
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from experiments.harness.measurement import Measurement, Reference

HEADINGS = ("metric", "paper", "ours", "ratio", "difference", "comparable")
LONGEST_OPEN_TABLE = 40  # measurements without a published number; more of them are folded away


@dataclass(frozen=True)
class Row:
    """One line of the comparison; either side may be missing."""

    name: str
    ours: Measurement | None
    paper: Reference | None

    @property
    def ratio(self) -> float | None:
        """Ours over the paper's value; None where they do not compare, one is missing or the paper's is zero."""
        if self.ours is None or self.paper is None or not self.paper.value:
            return None
        if not self.paper.comparable:
            return None
        return self.ours.value / self.paper.value

    @property
    def sigma(self) -> float | None:
        """(ours - paper) / sqrt(stderr^2 + uncertainty^2); None where they do not compare or none states an error."""
        if self.ours is None or self.paper is None or self.paper.value is None:
            return None
        if not self.paper.comparable:
            return None
        combined = math.hypot(self.ours.stderr or 0.0, self.paper.uncertainty or 0.0)
        return (self.ours.value - self.paper.value) / combined if combined > 0 else None

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `HEADINGS`."""
        return (
            self.name,
            _paper(self.paper),
            "not run at this scale" if self.ours is None else format_number(self.ours),
            "" if self.ratio is None else f"{self.ratio:.3g}",
            self._difference(),
            _comparable(self.paper),
        )

    def _difference(self) -> str:
        if self.ours is None or self.paper is None or self.paper.value is None:
            return ""
        if not self.paper.comparable:
            return ""
        if self.sigma is None:
            return _no_spread(self.ours) or "no error given"
        return f"{self.sigma:+.1f} σ"


def compare(
    metrics: Mapping[str, Measurement],
    references: Iterable[Reference],
    only_published: bool = False,
) -> list[Row]:
    """Pairs metrics and references by name, metrics first in their own order."""
    published = {reference.name: reference for reference in references}
    rows = [
        Row(name, measured, published.get(name))
        for name, measured in metrics.items()
        if name in published or not only_published
    ]
    rows += [Row(name, None, paper) for name, paper in published.items() if name not in metrics]
    return rows


def format_number(measured: Measurement) -> str:
    """Value with its standard error, two digits of the error: 86.50 ± 0.42 %; equal repeats are told as such."""
    value = _quantity(measured.value, measured.stderr, measured.unit)
    spread = _no_spread(measured)
    return f"{value} ({spread})" if spread else value


def _no_spread(measured: Measurement) -> str:
    """A standard error of zero says that the repeats were equal, not that the value is exact."""
    return f"no spread in {measured.n}" if measured.stderr == 0 and measured.n > 1 else ""


def _quantity(value: float, error: float | None, unit: str) -> str:
    if not error:
        return f"{value:.4g} {unit}".rstrip()
    # 1e-9 keeps an error such as 0.01 from falling to the next decade by rounding.
    digits = 1 - math.floor(math.log10(error) + 1e-9)
    if abs(value) >= 1e5 or abs(error) < 1e-4:
        return f"({value:.4g} ± {error:.2g}) {unit}".rstrip()
    digits = max(digits, 0)
    return f"{value:.{digits}f} ± {error:.{digits}f} {unit}".rstrip()


def _paper(paper: Reference | None) -> str:
    if paper is None:
        return ""
    if paper.value is None:
        return "unknown"
    return _quantity(paper.value, paper.uncertainty, paper.unit)


def _comparable(paper: Reference | None) -> str:
    if paper is None:
        return ""
    if paper.comparable:
        return "yes" if not paper.note else f"yes; {paper.note}"
    return f"no: {paper.note}"


def first_rows(rows: Iterable[Row], most: int) -> list[Row]:
    """All rows with a published number and at most so many of the others, in their order."""
    kept, others = [], 0
    for row in rows:
        others += row.paper is None
        if row.paper is not None or others <= most:
            kept.append(row)
    return kept


def rich_table(rows: Iterable[Row], title: str = "") -> Table:
    """Table for the terminal; every cell is text, whatever brackets it holds."""
    table = Table(title=Text(title), title_justify="left")
    for heading in HEADINGS:
        numeric = heading in ("paper", "ours", "ratio", "difference")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.cells()))
    return table


def text_rows(rows: Iterable[Row], width: int) -> list[str]:
    """Lines for a narrow terminal: the name of each row, and below it what there is, folded between words."""
    lines = []
    for row in rows:
        name, *cells = row.cells()
        lines.append(name)
        for heading, cell in zip(HEADINGS[1:], cells, strict=True):
            if cell:
                lines += textwrap.wrap(
                    f"{heading} {cell}",
                    max(width, 20),
                    initial_indent="  ",
                    subsequent_indent="    ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
    return lines


def markdown_table(rows: Iterable[Row]) -> str:
    """Table in Markdown."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---:|---:|---|"]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |" for row in rows
    ]
    return "\n".join(lines)


def html_table(rows: Iterable[Row]) -> str:
    """Table in HTML, with the source of each published number as a tooltip; a long rest without one is folded."""
    rows = list(rows)
    published = [row for row in rows if row.paper is not None]
    if len(rows) - len(published) <= LONGEST_OPEN_TABLE:
        return _html_table(rows)
    rest = [row for row in rows if row.paper is None]
    folded = (
        f"<details><summary>{len(rest)} more measurements</summary>{_html_table(rest)}</details>"
    )
    return (_html_table(published) if published else "") + folded


def _html_table(rows: Iterable[Row]) -> str:
    head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    body = "".join(_html_row(row) for row in rows)
    return f'<table class="comparison"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _html_row(row: Row) -> str:
    cells = [html.escape(cell) for cell in row.cells()]
    if row.paper is not None:
        source = html.escape(f"{row.paper.place}, {row.paper.how}", quote=True)
        # A tap on a screen without a pointer gives the focus, at which the place is shown.
        cells[1] = (
            f'<span class="source" tabindex="0" title="{source}" data-place="{source}">{cells[1]}</span>'
        )
    kinds = ("name", "number", "number", "number", "number", "note")
    return (
        "<tr>"
        + "".join(f'<td class="{k}">{c}</td>' for k, c in zip(kinds, cells, strict=True))
        + "</tr>"
    )

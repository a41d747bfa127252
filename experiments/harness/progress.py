"""How far a loop has come: bars on a terminal, a line now and then in a log, one changing line in Jupyter.

The first steps of a loop of JAX hold its compiling, which may take longer than all the others. So speed and time left
are those of the steps after the first report, and until there are some the loop says that it starts.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

STARTING = "starting (compiling)"


class Ticker(Protocol):
    """Counts finished steps of one piece of work."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Reports `n` more steps, with a short note such as the current loss."""
        ...


class Display:
    """Every loop of a run in one view.

    Args:
        console: Where it is shown.
        line_period: Seconds between lines where there is no terminal to draw a bar on.
    """

    def __init__(self, console: Console, line_period: float):
        self._console = console
        self._line_period = line_period
        self._bars: Progress | None = None
        self._open_bars = 0

    @contextlib.contextmanager
    def loop(self, label: str, total: int) -> Iterator[Ticker]:
        """Shows a loop of `total` steps while the block runs."""
        if self._console.is_terminal and not self._console.is_jupyter:
            yield from self._bar(label, total)
        else:
            ticker = _Lines(self._console, label, total, self._line_period)
            yield ticker
            ticker.finish()

    def _bar(self, label: str, total: int) -> Iterator[Ticker]:
        # Nested loops share one display, since a terminal can hold only one.
        bars = self._bars
        if bars is None:
            bars = self._bars = _new_bars(self._console)
            bars.start()
        self._open_bars += 1
        task = bars.add_task(label, total=total, note=STARTING, rate="")
        try:
            yield _Bar(bars, task)
        finally:
            bars.remove_task(task)
            self._open_bars -= 1
            if self._open_bars == 0:
                bars.stop()
                self._bars = None


def _new_bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
    )


class _Bar:
    """A bar on a terminal."""

    def __init__(self, bars: Progress, task: TaskID):
        self._bars = bars
        self._task = task
        self._speed = _Speed()

    def advance(self, n: int = 1, note: str = "") -> None:
        self._speed.count(n)
        self._bars.update(self._task, advance=n, note=note, rate=self._speed.shown())


class _Lines:
    """A line now and then where there is no terminal, so that a log shows life; one changing line in Jupyter."""

    def __init__(self, console: Console, label: str, total: int, period: float):
        self._console = console
        self._label = label
        self._total = total
        self._period = period
        self._start = self._last = time.monotonic()
        self._done = self._shown = 0
        self._speed = _Speed()
        self._note = ""

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        self._speed.count(n)
        self._note = note or self._note
        if time.monotonic() - self._last >= self._period:
            self._show()

    def finish(self) -> None:
        if time.monotonic() - self._start < 1.0 and not self._console.is_jupyter:
            return  # a loop this short needs no sign of life
        if self._shown < self._done or self._done == 0:
            self._show()
        if self._console.is_jupyter:
            sys.stdout.write("\n")

    def _show(self) -> None:
        now = time.monotonic()
        self._last, self._shown = now, self._done
        elapsed = now - self._start
        rate = self._speed.shown() or (STARTING if self._done < self._total else "")
        line = ", ".join(
            filter(None, (f"{self._label} {self._done}/{self._total}", rate, f"{elapsed:.0f} s"))
        )
        left = self._speed.seconds(self._total - self._done)
        if left is not None and self._done < self._total:
            line += f", about {left:.0f} s left"
        if self._note:
            line += f", {self._note}"
        if self._console.is_jupyter:
            sys.stdout.write("\r" + line.ljust(100))
            sys.stdout.flush()
        else:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class _Speed:
    """Steps a second after the first report, whose time is that of compiling too."""

    def __init__(self):
        self._first: float | None = None
        self._last = 0.0
        self._steps = 0

    def count(self, n: int) -> None:
        self._last = time.monotonic()
        if self._first is None:
            self._first = self._last
        else:
            self._steps += n

    def seconds(self, steps: int) -> float | None:
        """Time that so many steps take; None until two reports have been made."""
        if self._first is None or not self._steps:
            return None
        return (self._last - self._first) / self._steps * steps

    def shown(self) -> str:
        """Steps a second or seconds a step; "" until two reports have been made."""
        each = self.seconds(1)
        if not each:
            return ""
        return f"{1 / each:.3g}/s" if each <= 1 else f"{each:.3g} s each"

"""How far a loop has come: bars on a terminal, a line now and then in a log, one changing line in Jupyter."""

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
        task = bars.add_task(label, total=total, note="", rate="")
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
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
    )


class _Bar:
    """A bar on a terminal."""

    def __init__(self, bars: Progress, task: TaskID):
        self._bars = bars
        self._task = task
        self._start = time.monotonic()
        self._done = 0

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        rate = _rate(self._done, time.monotonic() - self._start)
        self._bars.update(self._task, advance=n, note=note, rate=rate)


class _Lines:
    """A line now and then where there is no terminal, so that a log shows life; one changing line in Jupyter."""

    def __init__(self, console: Console, label: str, total: int, period: float):
        self._console = console
        self._label = label
        self._total = total
        self._period = period
        self._start = self._last = time.monotonic()
        self._done = self._shown = 0
        self._note = ""

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
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
        line = f"{self._label} {self._done}/{self._total}, {_rate(self._done, elapsed)}, {elapsed:.0f} s"
        if 0 < self._done < self._total:
            line += f", about {elapsed / self._done * (self._total - self._done):.0f} s left"
        if self._note:
            line += f", {self._note}"
        if self._console.is_jupyter:
            sys.stdout.write("\r" + line.ljust(100))
            sys.stdout.flush()
        else:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _rate(done: int, elapsed: float) -> str:
    if done == 0 or elapsed <= 0:
        return "-/s"
    per_second = done / elapsed
    return f"{per_second:.3g}/s" if per_second >= 1 else f"{1 / per_second:.3g} s each"

"""What a running experiment may ask of its surroundings: resumable pieces, progress, log lines.

`run(config, context=ALONE)`: the command line hands in a context that saves pieces; `ALONE` keeps nothing, so the same
function works in Jupyter and in tests.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from experiments.harness import relay
from experiments.harness.progress import Display, Ticker
from experiments.harness.saving import SaveEvery, saving
from experiments.harness.settings import Settings

Arrays = dict[str, np.ndarray]


class Pieces(Protocol):
    """Where finished pieces of an interrupted run live; `storage.PieceStore` is the one on disk."""

    notes: list[str]

    def load(self, label: str) -> Arrays | None:
        """Saved piece, or None; what the user should know about it goes into `notes`."""
        ...

    def save(self, label: str, arrays: Arrays, seconds: float) -> None:
        """Saves a piece; `seconds` is the time it took."""
        ...


class Workers(Protocol):
    """Other processes that compute pieces: `jobs.LocalWorkers`, `cluster.ClusterWorkers`."""

    def run(
        self, calls: Mapping[str, bytes], settings: Settings, replay: relay.Replay
    ) -> Iterator[tuple[str, relay.Done]]:
        """Yields pieces by label as they are finished."""
        ...


class Context:
    """Progress, log lines, pieces and previews for one run.

    Args:
        pieces: Where pieces are kept; None keeps none.
        console: Where progress and log lines go; standard error by default, so that standard output stays clean.
        line_period: Seconds between progress lines where there is no terminal to draw a bar on.
        workers: Compute the pieces of `map`; None computes them here.
        draw: Draws an outcome that is not whole yet and says where; None draws none.
        save_every: Where and how often trainings inside pieces are saved; None saves none.
    """

    def __init__(
        self,
        pieces: Pieces | None = None,
        console: Console | None = None,
        line_period: float = 10.0,
        workers: Workers | None = None,
        draw: Callable[[Any], Any] | None = None,
        save_every: SaveEvery | None = None,
    ):
        self._pieces = pieces
        self._console = console or Console(stderr=True)
        self._display = Display(self._console, line_period)
        self._workers = workers
        self._draw = draw
        self._save_every = save_every
        self._drawn_at, self._drawing_took = -float("inf"), 0.0

    def __reduce__(self):
        # Sent to a worker as an argument of a piece, it arrives as the worker's own, which reports to this one.
        return _arrive, ()

    def sub_run(self, label: str, compute: Callable[[], Arrays]) -> Arrays:
        """Returns the saved piece `label` of this configuration, or computes and saves it, here and now.

        A piece should be worth saving (a depth, a seed), a function of the configuration and the label alone,
        and draw its random numbers from its own key, so that a resumed run equals an uninterrupted one.
        Pieces that do not need each other belong into one `map`.
        """
        saved = self._saved(label)
        if saved is not None:
            return saved
        return self._save(label, self._computed(label, compute, ()))

    def map(
        self,
        function: Callable[..., Mapping[str, Any]],
        pieces: Mapping[str, tuple],
        on_piece: Callable[[dict[str, Arrays]], None] | None = None,
    ) -> dict[str, Arrays]:
        """Computes and saves pieces that do not need each other, side by side where the run has workers.

        The numbers are those of a loop over `sub_run`, bit for bit. A context among the arguments goes along: its
        progress and log lines appear here.

        Args:
            function: Function of a module (no lambda, nothing nested): arguments -> arrays by name.
            pieces: Its arguments by label, in the order in which they are started.
            on_piece: Called after each piece with all that are there, in the order of `pieces`; for previews.

        Returns:
            Arrays of each piece by label, in the order of `pieces`.
        """
        if "<" in function.__qualname__:  # <lambda>, <locals>
            raise TypeError(
                f"`function` must be a function of a module, so that other processes can import it, "
                f"but is {function.__qualname__}."
            )
        found = {}
        for label in pieces:
            saved = self._saved(label)
            if saved is not None:
                found[label] = saved
        missing = {label: pieces[label] for label in pieces if label not in found}
        with self.progress("pieces", len(missing)) as ticker:
            for label, done in self._computing(function, missing):
                found[label] = self._save(label, done)
                ticker.advance(note=label)
                if on_piece:
                    on_piece({each: found[each] for each in pieces if each in found})
        return {label: found[label] for label in pieces}

    def _computing(
        self, function: Callable, pieces: Mapping[str, tuple]
    ) -> Iterator[tuple[str, relay.Done]]:
        if self._workers is None or not pieces:
            for label, arguments in pieces.items():
                yield label, self._computed(label, function, arguments)
            return
        calls = {
            label: relay.pack(function, arguments, self._saving(label))
            for label, arguments in pieces.items()
        }
        replay = relay.Replay(self)
        try:
            yield from self._workers.run(calls, Settings.here(), replay)
        finally:
            replay.forget()

    def _saved(self, label: str) -> Arrays | None:
        saved = self._pieces.load(label) if self._pieces else None
        while self._pieces and self._pieces.notes:
            self.log(f"warning: {self._pieces.notes.pop(0)}")
        if saved is not None:
            self.log(f"{label}: taken from the interrupted run")
        return saved

    def _save(self, label: str, done: relay.Done) -> Arrays:
        if self._pieces:
            self._pieces.save(label, done.arrays, done.seconds)
        saved = self._saving(label)
        if saved is not None:
            saved.clear()
        return done.arrays

    def _computed(
        self, label: str, function: Callable[..., Mapping[str, Any]], arguments: tuple
    ) -> relay.Done:
        start = time.monotonic()
        with saving(self._saving(label), self.log):
            arrays = {name: np.asarray(array) for name, array in function(*arguments).items()}
        return relay.Done(arrays, time.monotonic() - start)

    def _saving(self, label: str) -> SaveEvery | None:
        return self._save_every.of_piece(label) if self._save_every else None

    def publish(self, outcome: Any, numbers: str) -> None:
        """Shows a first result while the rest is computed: the figure is saved and named on screen, with its numbers.

        Drawing takes at most a twentieth of the time: calls that come sooner than that do nothing, but the first.

        Args:
            outcome: Outcome of a configuration that asks for less, such as the first depth only.
            numbers: What it says, in a line.
        """
        start = time.monotonic()
        if self._draw is None or start - self._drawn_at < 20 * self._drawing_took:
            return
        try:
            path = self._draw(outcome)
        except Exception as error:  # a picture on the way must not cost the run
            self.log(f"warning: no picture of what is there yet ({type(error).__name__}: {error})")
            return
        self._drawn_at = time.monotonic()
        self._drawing_took = self._drawn_at - start
        self.log(f"so far: {numbers}\nfigure  {path}")

    def log(self, message: str) -> None:
        """Writes one line, above the progress bars where there are any."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    def progress(self, label: str, total: int) -> AbstractContextManager[Ticker]:
        """Shows how far a loop of `total` steps has come: `with context.progress("train", 300) as ticker: ...`."""
        return self._display.loop(label, total)


ALONE = Context()  # of a run that nobody else looks after


class _Far(Context):
    """The context of a piece in another process: what it is told, it sends."""

    def __init__(self, send: relay.Send):
        super().__init__()
        self._reporter = relay.Reporter(send)

    def log(self, message: str) -> None:
        self._reporter.log(message)

    def progress(self, label: str, total: int) -> AbstractContextManager[Ticker]:
        return self._reporter.loop(label, total)


def _arrive() -> Context:
    return _Far(relay.send_here())


def called(compute: Callable[..., Mapping[str, Any]], *arguments: Any) -> Mapping[str, Any]:
    """Calls it: the function of `Context.map` where the pieces have functions of their own."""
    return compute(*arguments)


def stacked(pieces: Iterable[Arrays]) -> Arrays:
    """Arrays of pieces that have the same names and shapes, with the pieces along a new first axis."""
    listed = list(pieces)
    return {name: np.stack([piece[name] for piece in listed]) for name in listed[0]}

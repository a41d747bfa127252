"""A piece computed in another process: what is sent there, what comes back, and what is told meanwhile.

`compute` runs there and `Replay` here. What passes between them is plain: text, numbers and pickles. A context that is
among the arguments arrives as one whose progress and log lines appear in the context it was sent from.
"""

import contextlib
import itertools
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.harness.progress import Ticker
from experiments.harness.saving import SaveEvery, saving
from experiments.harness.settings import Settings

Send = Callable[[tuple], None]
_TICK_PERIOD = (
    0.2  # seconds between reports of one loop; a training step may take a thousandth of it
)
_send_here: ContextVar[Send | None] = ContextVar("send_here", default=None)


@dataclass(frozen=True)
class Done:
    """A finished piece and the seconds it took."""

    arrays: dict[str, np.ndarray]
    seconds: float


@dataclass(frozen=True)
class Failed:
    """The error of a piece, with the traceback of the process where it happened."""

    error: Exception
    trace: str

    def again(self) -> Exception:
        """The error, to be raised here."""
        self.error.__cause__ = RuntimeError(f"in another process:\n{self.trace}")
        return self.error


def pack(function: Callable, arguments: tuple, every: SaveEvery | None = None) -> bytes:
    """The call of a piece as bytes.

    Args:
        function: Function of a module.
        arguments: Its arguments.
        every: Where and how often its trainings are saved.

    Raises:
        TypeError: If it cannot be sent to another process.
    """
    try:
        return pickle.dumps((function, arguments, every))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"`{function.__qualname__}` and its arguments must be picklable to run in another process, "
            f"but: {error}"
        ) from error


def compute(call: bytes, settings: Settings, send: Send) -> Done | Failed:
    """Computes a piece in this process.

    Args:
        call: What `pack` made.
        settings: Those of the process that asks.
        send: Takes progress and log lines.

    Returns:
        The piece, or the error it ended in.
    """
    token = _send_here.set(send)
    start = time.monotonic()
    try:
        function, arguments, every = pickle.loads(call)
        with settings.applied(), saving(every, lambda line: send(("log", line))):
            arrays = {name: np.asarray(array) for name, array in function(*arguments).items()}
        return Done(arrays, time.monotonic() - start)
    except Exception as error:
        return Failed(_sendable(error), traceback.format_exc())
    finally:
        _send_here.reset(token)


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error may hold anything, such as a file or a program of XLA
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def send_here() -> Send:
    """Where a context that arrives in this process sends what it is told.

    Raises:
        RuntimeError: Outside of a piece.
    """
    send = _send_here.get()
    if send is None:
        raise RuntimeError("A Context can be pickled only as an argument of `Context.map`.")
    return send


class Reporter:
    """The far end: sends loops and log lines to the process that asked."""

    _numbers = itertools.count()

    def __init__(self, send: Send):
        self._send = send

    def log(self, message: str) -> None:
        """Sends a line."""
        self._send(("log", message))

    @contextlib.contextmanager
    def loop(self, label: str, total: int) -> Iterator[Ticker]:
        """Sends the course of a loop of `total` steps."""
        number = next(self._numbers)
        self._send(("open", number, label, total))
        ticker = _Remote(self._send, number)
        try:
            yield ticker
        finally:
            ticker.flush()
            self._send(("close", number))


class _Remote:
    def __init__(self, send: Send, number: int):
        self._send, self._number = send, number
        self._sent_at, self._steps, self._note = 0.0, 0, ""

    def advance(self, n: int = 1, note: str = "") -> None:
        self._steps += n
        self._note = note or self._note
        if time.monotonic() - self._sent_at >= _TICK_PERIOD:
            self.flush()

    def flush(self) -> None:
        if self._steps:
            self._send(("advance", self._number, self._steps, self._note))
        self._sent_at, self._steps = time.monotonic(), 0


class Replay:
    """The near end: shows in a context what the workers tell.

    Args:
        context: Anything with `log` and `progress`.
    """

    def __init__(self, context: Any):
        self._context = context
        self._loops: dict[tuple[str, int], tuple[Any, Ticker]] = {}

    def hear(self, worker: str, message: tuple) -> None:
        """Takes one message of a worker."""
        kind, *rest = message
        if kind == "log":
            self._context.log(*rest)
        elif kind == "open":
            number, label, total = rest
            loop = self._context.progress(label, total)
            self._loops[worker, number] = loop, loop.__enter__()
        elif (worker, rest[0]) not in self._loops:
            return  # a late word of a worker whose piece has been given up
        elif kind == "advance":
            self._loops[worker, rest[0]][1].advance(rest[1], rest[2])
        else:
            self._loops.pop((worker, rest[0]))[0].__exit__(None, None, None)

    def forget(self, worker: str | None = None) -> None:
        """Closes the loops of a worker that is gone, or of all."""
        for key in [key for key in self._loops if worker in (None, key[0])]:
            self._loops.pop(key)[0].__exit__(None, None, None)

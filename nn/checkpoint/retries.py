"""Trying again what failed for a passing reason, and giving up what makes no progress."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from nn._checks import check_at_least, check_positive

LASTING = (
    FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError,
    ValueError, TypeError, NotImplementedError, ImportError, MemoryError,
)  # fmt: skip
LASTING_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG)
FULL = (errno.ENOSPC, errno.EDQUOT)
_T = TypeVar("_T")


class StoreError(OSError):
    """A store did not do what it was asked; the message names the file, the reason and what helps."""


@dataclass(frozen=True)
class Retries:
    """How often, and when, something that failed is tried again.

    Attributes:
        attempts: Attempts in all.
        first_wait: Pause after the first failure, in seconds; it doubles with each further one.
        most_wait: Longest pause, in seconds.
        timeout: Seconds without progress after which an attempt counts as failed; None waits for ever.
    """

    attempts: int = 5
    first_wait: float | int = 0.2
    most_wait: float | int = 10.0
    timeout: float | int | None = None

    def __post_init__(self):
        check_at_least(self.attempts, 1, "attempts")
        check_positive(self.first_wait, "first_wait", "s")
        check_positive(self.most_wait, "most_wait", "s")
        if self.timeout is not None:
            check_positive(self.timeout, "timeout", "s")

    def wait(self, failures: int) -> float:
        """Pause in seconds after so many failures."""
        return float(min(self.first_wait * 2 ** (failures - 1), self.most_wait))


class Watch:
    """When an attempt last made progress, and whether anyone still waits for it."""

    def __init__(self):
        self.last = time.monotonic()
        self.given_up = False
        self._waiting = False

    def over(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        """The pieces; the time that they take to come is not that of the store."""
        while True:
            if self.given_up:
                raise TimeoutError("given up")
            self._waiting = True
            piece = next(pieces, None)
            self.last, self._waiting = time.monotonic(), False
            if piece is None:
                return
            yield piece

    def late(self, timeout: float | int) -> float:
        """Seconds left until the store is late."""
        return float(timeout if self._waiting else self.last + timeout - time.monotonic())


def within(timeout: float | int | None, attempt: Callable[[Watch], _T]) -> _T:
    """Runs an attempt; with a timeout on a thread of its own, which is left alone where it does not come back."""
    watch = Watch()
    if timeout is None:
        return attempt(watch)
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(attempt(watch))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="store").start()
    while True:
        left = watch.late(timeout)
        if left <= 0:
            watch.given_up = True
            raise TimeoutError(f"the store made no progress for {timeout:g} s")
        try:
            return future.result(timeout=left)
        except TimeoutError:
            if future.done():
                raise


def lasts(error: Exception) -> bool:
    """Whether trying again is of no use."""
    return isinstance(error, LASTING) or (
        isinstance(error, OSError) and error.errno in LASTING_NUMBERS
    )

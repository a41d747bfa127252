"""Where and how often trainings inside a piece are saved: `lightecho run NAME --save-every 500`, or `60s`.

A piece that was killed is computed again, and its trainings (`experiments.harness.training.train`) go on from their
last saved states. The states lie beside the finished pieces, under the fingerprint of the source, so that no training
goes on under another program; those of a piece are removed when it is finished.
"""

import contextlib
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.harness.errors import UserError


@dataclass(frozen=True)
class SaveEvery:
    """States of trainings are saved every so many steps or seconds.

    Attributes:
        folder: Absolute path of the folder of them all.
        steps: Steps between saves; None where seconds count.
        seconds: Seconds between saves; None where steps count.
    """

    folder: str
    steps: int | None
    seconds: float | None

    def of_piece(self, label: str) -> "SaveEvery":
        """The same in the folder of a piece."""
        name = hashlib.sha256(label.encode()).hexdigest()[:12]
        return replace(self, folder=str(Path(self.folder) / name))

    def clear(self) -> None:
        """Removes the states."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Here:
    """What trainings of the piece that is being computed are told.

    Attributes:
        every: Where and how often they are saved.
        tell: Takes a line for the user.
        begun: Trainings so far, by name.
    """

    every: SaveEvery
    tell: Callable[[str], None]
    begun: Counter[str] = field(default_factory=Counter)


_here: ContextVar[Here | None] = ContextVar("saving_here", default=None)


def here() -> Here | None:
    """Where trainings are saved now; None where they are not."""
    return _here.get()


@contextlib.contextmanager
def saving(every: SaveEvery | None, tell: Callable[[str], None]) -> Iterator[None]:
    """Trainings within the block are saved; where `every` is None as they were outside of it."""
    if every is None:
        yield
        return
    token = _here.set(Here(every, tell))
    try:
        yield
    finally:
        _here.reset(token)


def parse(text: str, folder: Path) -> SaveEvery:
    """Reads what stands after `--save-every`.

    Args:
        text: Steps, such as 500, or seconds, such as 60s.
        folder: Folder of the states.

    Raises:
        UserError: If it is neither, or not positive.
    """
    number = text.removesuffix("s")
    with contextlib.suppress(ValueError):
        where = str(folder.absolute())
        if number == text and int(number) > 0:
            return SaveEvery(where, int(number), None)
        if number != text and 0 < float(number) < float("inf"):
            return SaveEvery(where, None, float(number))
    raise UserError(
        f"`--save-every` must be a number of steps, such as 500, or of seconds, such as 60s, but is {text!r}."
    )

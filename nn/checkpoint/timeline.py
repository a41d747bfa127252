"""Where the time of a save went: its stages on a line for each writer, and a table of writers against stages.

The monitoring of ByteCheckpoint (arXiv:2407.20143): a writer that is slower than the others, or has more to write,
shows at once.
"""

from dataclasses import dataclass

import numpy as np

from nn.checkpoint.pipeline import Clock

# In the order in which bytes pass through them.
STAGES = ("plan", "snapshot", "serialise", "checksum", "write", "commit")


@dataclass(frozen=True)
class Timeline:
    """The events of a save.

    Attributes:
        stages: Place of the stage of each event in `STAGES`.
        writers: Its writer; -1 for the process as a whole.
        starts: Its begin, in seconds from that of the save.
        seconds: Its duration.
        n_bytes: Bytes that went through.
    """

    stages: np.ndarray
    writers: np.ndarray
    starts: np.ndarray
    seconds: np.ndarray
    n_bytes: np.ndarray

    def heat_map(self, of: str = "seconds") -> np.ndarray:
        """Sum over the events of each writer (rows, by number) and stage (columns).

        Args:
            of: `seconds` or `n_bytes`.

        Raises:
            ValueError: If `of` is another.
        """
        if of not in ("seconds", "n_bytes"):
            raise ValueError(f"`of` must be one of seconds, n_bytes, but is {of!r}.")
        values = self.seconds if of == "seconds" else self.n_bytes
        table = np.zeros((self.writers.max(initial=-1) + 1, len(STAGES)))
        own = self.writers >= 0
        np.add.at(table, (self.writers[own], self.stages[own]), values[own])
        return table

    def slowest(self) -> int | None:
        """The writer that took the longest in all; None where there is none."""
        table = self.heat_map()
        return int(table.sum(axis=1).argmax()) if len(table) else None


def timeline(clock: Clock) -> Timeline:
    """The events that the clock of a save has noted, by begin.

    Raises:
        ValueError: If there is none yet.
    """
    events = sorted(clock.events, key=lambda event: event.start)
    if not events:
        raise ValueError("`clock` must have noted an event, but has none. Wait for the save.")
    return Timeline(
        np.array([STAGES.index(event.stage) for event in events]),
        np.array([event.writer for event in events]),
        np.array([event.start - events[0].start for event in events]),
        np.array([event.seconds for event in events]),
        np.array([event.n_bytes for event in events]),
    )

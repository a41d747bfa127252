"""The part of a save that runs beside the training: from shards in memory to files, one thread per writer.

Each part is taken from the snapshot, its checksum computed and the bytes handed to the storage, which waits for them to
be written; so at most one part per writer is between two stages, whatever the size of the state, and while one writer
waits for the disk another computes. Every stage is timed.
"""

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from nn.checkpoint.checksums import checksum, combine
from nn.checkpoint.manifest import Chunk, DataFile
from nn.checkpoint.plan import Part
from nn.checkpoint.snapshot import Shards, part_bytes
from nn.checkpoint.storage import Store


@dataclass(frozen=True)
class Event:
    """A stretch of work.

    Attributes:
        stage: `plan`, `snapshot`, `serialise`, `checksum`, `write` or `commit`.
        writer: Number of the writer; -1 where it is the process as a whole.
        start: Begin, in seconds of `time.perf_counter`.
        seconds: Duration.
        n_bytes: Bytes that went through.
    """

    stage: str
    writer: int
    start: float
    seconds: float
    n_bytes: int = 0


@dataclass
class Clock:
    """Events of one save; writers add to it at the same time."""

    events: list[Event] = field(default_factory=list)

    def add(self, stage: str, start: float, writer: int = -1, n_bytes: int = 0) -> float:
        """Notes a stage that began at `start` and ends now; returns now."""
        now = time.perf_counter()
        self.events.append(Event(stage, writer, start, now - start, n_bytes))
        return now

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage, added over writers."""
        found: dict[str, float] = {}
        for event in self.events:
            found[event.stage] = found.get(event.stage, 0.0) + event.seconds
        return found


@dataclass(frozen=True)
class Written:
    """What a writer has stored: its files, and the chunks of each tensor."""

    files: tuple[DataFile, ...]
    chunks: tuple[tuple[str, Chunk], ...]


def file_name(writer: int, number: int) -> str:
    """Name of a data file of a writer; the second and later ones have a number."""
    return f"data/{writer:05d}.bin" + (f".{number}" if number else "")


def write_parts(
    store: Store, parts: Sequence[Part], shards: Shards, *, file_bytes: int, clock: Clock
) -> Written:
    """Writes the parts of one writer into files of at most `file_bytes`, but for a part that is larger."""
    files, chunks = [], []
    for number, group in enumerate(_groups(parts, file_bytes)):
        name = file_name(group[0].writer, number)
        content = _Content(group, shards, clock)
        start = time.perf_counter()
        size = store.write(name, content)
        busy = content.seconds
        # What the storage took is what neither of the other stages did.
        clock.events.append(
            Event("write", group[0].writer, start, time.perf_counter() - start - busy, size)
        )
        sums = content.checksums
        position = 0
        for part, text in zip(group, sums, strict=True):
            box = part.box
            chunks.append(
                (part.path, Chunk(box.offsets, box.lengths, name, position, part.n_bytes, text))
            )
            position += part.n_bytes
        total = combine((text, part.n_bytes) for text, part in zip(sums, group, strict=True))
        files.append(DataFile(name, size, total, group[0].writer))
    return Written(tuple(files), tuple(chunks))


class _Content:
    """The bytes of a file, from the start as often as the storage asks: after an error it tries again."""

    def __init__(self, parts: Sequence[Part], shards: Shards, clock: Clock):
        self._parts, self._shards, self._clock = parts, shards, clock
        self.checksums: list[str] = []
        self.seconds = 0.0

    def __iter__(self) -> Iterator[memoryview]:
        self.checksums = []
        for part in self._parts:
            start = time.perf_counter()
            data = part_bytes(self._shards, part).data
            middle = self._clock.add("serialise", start, part.writer, part.n_bytes)
            self.checksums.append(checksum(data))
            self.seconds += self._clock.add("checksum", middle, part.writer, part.n_bytes) - start
            yield data


def _groups(parts: Sequence[Part], file_bytes: int) -> Iterator[list[Part]]:
    group: list[Part] = []
    size = 0
    for part in parts:
        if group and size + part.n_bytes > file_bytes:
            yield group
            group, size = [], 0
        group.append(part)
        size += part.n_bytes
    if group:
        yield group


def run_together(tasks: Sequence[Callable[[], None]]) -> None:
    """Runs all tasks, each in a thread; all have ended when it returns.

    Raises:
        Exception: The first error of a task, in their order.
    """
    errors: list[BaseException | None] = [None] * len(tasks)

    def run(number: int) -> None:
        try:
            tasks[number]()
        except BaseException as error:
            errors[number] = error

    threads = []
    for number in range(1, len(tasks)):
        thread = threading.Thread(target=run, args=(number,), name=f"checkpoint-{number}")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending: no new threads from Python 3.12 on
            run(number)
        else:
            threads.append(thread)
    if tasks:
        run(0)
    for thread in threads:
        thread.join()
    for error in errors:
        if error is not None:
            raise error


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Threads that stay between saves: starting one waits until it runs, which takes a busy machine tens of ms."""
    return ThreadPoolExecutor(8, thread_name_prefix="checkpoint")


if hasattr(os, "register_at_fork"):  # a child has the pool without its threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


class Background:
    """A task in a thread that the end of the program waits for; its error is kept for whoever asks."""

    def __init__(self, task: Callable[[], None], name: str):
        self.error: BaseException | None = None
        self._task, self._name = task, name
        self._ended = threading.Event()

    def start(self) -> None:
        """Begins; at once and to its end where the interpreter is ending, which has no more threads."""
        try:
            _threads().submit(self._run)
        except RuntimeError:
            self._run()

    def _run(self) -> None:
        threading.current_thread().name = self._name
        try:
            self._task()
        except BaseException as error:
            self.error = error
        finally:
            del self._task  # and with it the snapshot
            self._ended.set()

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    def wait(self, timeout: float | int | None = None) -> bool:
        """Waits for the end; False where it did not come within `timeout` seconds."""
        return self._ended.wait(timeout)

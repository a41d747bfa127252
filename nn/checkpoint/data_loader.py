"""A packed stream of tokens that goes on after its number of readers has changed: no sample lost, none seen twice.

Each reader (a rank of data parallelism) takes samples of its own, and packs their tokens into rows of one length; what
is left of a sample waits in its buffer. Readers drift apart, for samples have different lengths. Samples are numbered;
below `frontier` a reader takes those in its `backlog`, from there on every `count`-th one. So a loader is a few
arrays, which are saved as any other leaves.

With the same number of readers each goes on bit by bit. With another one the buffers, whole and in order, and the
backlogs are handed out anew, those of most tokens first to the reader with the fewest, and all samples below the
furthest frontier that nobody has read become backlog (after Fig. 9 of ByteCheckpoint, arXiv:2407.20143).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn._checks import check_at_least
from nn.checkpoint.plan import worst_fit


@dataclass(frozen=True)
class Reader:
    """State of one reader.

    Attributes:
        rank: Its number.
        count: Number of readers.
        frontier: First sample of the part of the stream that readers share by turns; the one at `frontier + rank` is
            this reader's first there.
        next: Next sample that this reader takes there.
        backlog: Samples below the frontier that it takes before, shape (n,).
        tokens: Tokens that wait in its buffer, shape (m,).
    """

    rank: int
    count: int
    frontier: int
    next: int
    backlog: np.ndarray
    tokens: np.ndarray


def make_readers(count: int) -> tuple[Reader, ...]:
    """Readers at the start of a stream; sample i goes to reader i modulo `count`."""
    check_at_least(count, 1, "count")
    return tuple(
        Reader(rank, count, 0, rank, np.zeros(0, np.int64), np.zeros(0, np.int32))
        for rank in range(count)
    )


def take_row(
    reader: Reader, sample: Callable[[int], np.ndarray | None], length: int
) -> tuple[np.ndarray | None, Reader]:
    """Packs the next row of a reader.

    Args:
        reader: The reader.
        sample: Tokens of a sample by number, one axis; None from the end of the stream on.
        length: Tokens of a row.

    Returns:
        The row, shape (length,), and the reader after it. None where the stream ends before the row is full; the rest
        then waits in the buffer.
    """
    check_at_least(length, 1, "length")
    parts, n_tokens = [reader.tokens], reader.tokens.size
    backlog, number = list(reader.backlog), reader.next
    while n_tokens < length:
        tokens = sample(int(backlog[0]) if backlog else number)
        if tokens is None:
            break
        if backlog:
            del backlog[0]
        else:
            number += reader.count
        parts.append(np.asarray(tokens, reader.tokens.dtype))
        n_tokens += parts[-1].size
    joined = np.concatenate(parts)
    rest = joined[length:] if n_tokens >= length else joined
    after = replace(reader, next=number, backlog=np.array(backlog, np.int64), tokens=rest)
    return (joined[:length] if n_tokens >= length else None), after


def reshard(readers: Sequence[Reader], count: int) -> tuple[Reader, ...]:
    """The same stream for another number of readers.

    Every sample that the readers have not begun is taken once by one of the new ones, and every buffer goes on in one
    of them, in its order. The same number of readers is left as it is, bit by bit.

    Args:
        readers: All readers of a run, in the order of their ranks.
        count: Number of readers from now on.

    Raises:
        ValueError: If a reader is missing or of another run.
    """
    check_at_least(count, 1, "count")
    ranks = [reader.rank for reader in readers]
    if ranks != list(range(len(readers))) or {r.count for r in readers} != {len(readers)}:
        raise ValueError(
            f"`readers` must be all of one run in order, but are the ranks {ranks} of "
            f"{sorted({r.count for r in readers})}."
        )
    if len({reader.frontier for reader in readers}) != 1:
        raise ValueError(
            f"`readers` must share a frontier, but have {[reader.frontier for reader in readers]}."
        )
    if count == len(readers):
        return tuple(readers)
    frontier = max(reader.next for reader in readers)
    waiting = [int(number) for reader in readers for number in reader.backlog]
    for reader in readers:
        waiting += range(reader.next, frontier, reader.count)
    buffers = [reader.tokens for reader in readers]
    # Buffers of none go nowhere; of the others the longest first.
    places, _ = worst_fit([buffer.size for buffer in buffers], [range(count)] * len(buffers), count)
    dtype = readers[0].tokens.dtype
    found = []
    for rank in range(count):
        mine = [buffer for buffer, place in zip(buffers, places, strict=True) if place == rank]
        found.append(
            Reader(
                rank,
                count,
                frontier,
                frontier + rank,
                np.array(sorted(waiting)[rank::count], np.int64),
                np.concatenate([np.zeros(0, dtype), *mine]).astype(dtype),
            )
        )
    return tuple(found)


def as_state(readers: Sequence[Reader]) -> dict[str, Any]:
    """Readers as a PyTree to be saved: what they share once, and a branch for each."""
    first = readers[0]
    return {
        "count": len(readers),
        "frontier": first.frontier,
        "readers": {
            reader.rank: {"next": reader.next, "backlog": reader.backlog, "tokens": reader.tokens}
            for reader in readers
        },
    }


def from_leaves(leaves: dict[str, Any], count: int | None = None) -> tuple[Reader, ...]:
    """Readers from what `load(path, at=...)` gives without a target, for any number of readers.

    Args:
        leaves: Leaves of `as_state` by key path.
        count: Number of readers from now on; None keeps it.

    Raises:
        ValueError: If a leaf is missing.
    """
    try:
        stored, frontier = leaves["['count']"], leaves["['frontier']"]
        readers = tuple(
            Reader(
                rank,
                stored,
                frontier,
                *(
                    leaves[f"['readers'][{rank}]['{name}']"]
                    for name in ("next", "backlog", "tokens")
                ),
            )
            for rank in range(stored)
        )
    except KeyError as error:
        raise ValueError(
            f"`leaves` must hold all readers, but {error} is missing. Load with `at` the path of the loader."
        ) from error
    return readers if count is None else reshard(readers, count)

"""Boxes in the index space of a tensor: how a shard is named whatever the parallelism was.

A box is `offsets` and `lengths`, one of each per axis (ShardMeta of ByteCheckpoint, arXiv:2407.20143, section on the
representation). Shards of a `NamedSharding` are boxes. A slice of a flattened tensor, as ZeRO's buckets hold it, is
none; it is cut into a few: a ragged first row, the full middle, a ragged last row, and the ragged ones again one axis
further in. That is at most 2n - 1 boxes for n axes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Box:
    """A block of a tensor.

    Attributes:
        offsets: Index of its first element along each axis.
        lengths: Number of elements along each axis; an axis of none makes the box empty.
    """

    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements; one where there are no axes."""
        return math.prod(self.lengths)

    @property
    def stops(self) -> tuple[int, ...]:
        """Index after the last element along each axis."""
        return tuple(
            start + length for start, length in zip(self.offsets, self.lengths, strict=True)
        )

    def within(self, outer: "Box") -> tuple[slice, ...]:
        """Slices that take this box out of an array that holds `outer`."""
        return tuple(
            slice(start - base, start - base + length)
            for start, base, length in zip(self.offsets, outer.offsets, self.lengths, strict=True)
        )


def whole(shape: Sequence[int]) -> Box:
    """The box of a whole tensor."""
    return Box((0,) * len(shape), tuple(shape))


def box_of(index: Sequence[slice], shape: Sequence[int]) -> Box:
    """The box of a shard's index: slices of step one, as JAX gives them."""
    spans = [part.indices(n) for part, n in zip(index, shape, strict=True)]
    return Box(tuple(s[0] for s in spans), tuple(max(s[1] - s[0], 0) for s in spans))


def intersection(one: Box, other: Box) -> Box | None:
    """What two boxes share, or None where that is no element."""
    offsets = tuple(map(max, one.offsets, other.offsets))
    lengths = tuple(
        min(a, b) - start for a, b, start in zip(one.stops, other.stops, offsets, strict=True)
    )
    return Box(offsets, lengths) if all(length > 0 for length in lengths) else None


def flat_boxes(shape: Sequence[int], start: int, stop: int) -> tuple[Box, ...]:
    """Boxes of the elements [start, stop) of a tensor flattened in C order, in that order.

    Disjoint, without a gap, at most 2n - 1 for n axes, and each of them contiguous in the flattened tensor.

    Args:
        shape: Shape of the tensor.
        start: First element.
        stop: Element after the last.

    Raises:
        ValueError: If the range does not lie within the tensor.
    """
    shape = tuple(shape)
    if not 0 <= start <= stop <= math.prod(shape):
        raise ValueError(
            f"`start` and `stop` must be in order and within the {math.prod(shape)} elements of shape {shape}, "
            f"but are {start} and {stop}."
        )
    return tuple(_flat_boxes(shape, start, stop)) if stop > start else ()


def _flat_boxes(shape: tuple[int, ...], start: int, stop: int) -> Iterator[Box]:
    if not shape:
        yield Box((), ())
        return
    row = math.prod(shape[1:])

    def inside(index: int, first: int, last: int) -> Iterator[Box]:
        for box in _flat_boxes(shape[1:], first, last):
            yield Box((index, *box.offsets), (1, *box.lengths))

    head, tail = -(-start // row), stop // row  # the full rows are head to tail
    if head > tail:  # the range lies within one row and touches neither of its ends
        yield from inside(tail, start - tail * row, stop - tail * row)
        return
    if start < head * row:
        yield from inside(head - 1, start - (head - 1) * row, row)
    if head < tail:
        yield Box((head, *(0 for _ in shape[1:])), (tail - head, *shape[1:]))
    if tail * row < stop:
        yield from inside(tail, 0, stop - tail * row)


def pieces(box: Box, most: int) -> Iterator[Box]:
    """Cuts a box into boxes of at most `most` elements, each contiguous in it, in C order.

    An empty box, and one without axes, is its own only piece.
    """
    if box.size <= most or not box.lengths:
        yield box
        return
    row = box.size // box.lengths[0]
    start, length = box.offsets[0], box.lengths[0]
    if row > most:
        for index in range(start, start + length):
            for piece in pieces(Box(box.offsets[1:], box.lengths[1:]), most):
                yield Box((index, *piece.offsets), (1, *piece.lengths))
        return
    step = max(most // row, 1)
    for first in range(start, start + length, step):
        n = min(step, start + length - first)
        yield Box((first, *box.offsets[1:]), (n, *box.lengths[1:]))


def runs(part: Box, outer: Box) -> Iterator[tuple[Box, int]]:
    """Cuts a part of a box into boxes that are contiguous in the outer one, stored in C order.

    Yields:
        A box of the tensor, and the element of the outer box at which it starts.
    """
    axis = len(part.lengths)
    while axis > 0 and part.lengths[axis - 1] == outer.lengths[axis - 1]:
        axis -= 1
    fixed = max(axis - 1, 0)  # the axes before this one take one index after the other
    strides = [math.prod(outer.lengths[i + 1 :]) for i in range(len(outer.lengths))]
    for place in _indices(part.lengths[:fixed]):
        offsets = (*map(sum, zip(part.offsets[:fixed], place, strict=True)), *part.offsets[fixed:])
        box = Box(offsets, (*(1 for _ in place), *part.lengths[fixed:]))
        base = [a - b for a, b in zip(offsets, outer.offsets, strict=True)]
        yield box, sum(a * b for a, b in zip(base, strides, strict=True))


def _indices(lengths: Sequence[int]) -> Iterator[tuple[int, ...]]:
    if not lengths:
        yield ()
        return
    for index in range(lengths[0]):
        for rest in _indices(lengths[1:]):
            yield (index, *rest)


def covers(boxes: Iterable[Box], shape: Sequence[int]) -> bool:
    """Whether disjoint boxes within a tensor fill all of it."""
    return sum(box.size for box in boxes) == math.prod(shape)

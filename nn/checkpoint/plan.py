"""Who writes which box, and which bytes are read for which box: plans made from shapes and shardings alone.

Saving. A tensor's distinct boxes are cut into parts; each part goes to one of the writers that hold it. The largest
part goes first, each to its writer with the fewest bytes so far (worst fit), so that no byte is written twice and the
writers have nearly the same to do. Every process makes the same plan from the global shardings and asks nobody.

Loading. The boxes that are wanted are cut with the chunks that are stored; each stretch of bytes is read once, however
many devices want it, and neighbouring stretches are read as one.

After ByteCheckpoint (arXiv:2407.20143), whose released cache of plans drops the entry just made and does not count a
hit as a use; this one does neither.
"""

import heapq
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn._checks import check_at_least
from nn.checkpoint.boxes import Box, box_of, intersection, pieces, runs, whole
from nn.checkpoint.buckets import FlatSharding
from nn.checkpoint.manifest import Tensor
from nn.checkpoint.tree import dtype_of


@dataclass(frozen=True)
class Spec:
    """What a plan has to know of an array.

    Attributes:
        path: Its key path.
        shape: Global shape.
        item_bytes: Bytes of an element.
        sharding: Sharding of JAX, or that of a tensor in a bucket; None for an array in the memory of the host, which
            the first process writes.
    """

    path: str
    shape: tuple[int, ...]
    item_bytes: int
    sharding: Any = None


@dataclass(frozen=True)
class Part:
    """A piece of a shard that one writer stores as one chunk.

    Attributes:
        path: Key path of the tensor.
        shard: Box of the shard that holds it.
        box: Its own box.
        n_bytes: Its bytes.
        writer: Number of the writer.
    """

    path: str
    shard: Box
    box: Box
    n_bytes: int
    writer: int


@dataclass(frozen=True)
class SavePlan:
    """All parts of a checkpoint in the order of the tree, and the bytes of each writer."""

    parts: tuple[Part, ...]
    loads: tuple[int, ...]

    def of(self, writer: int) -> tuple[Part, ...]:
        """The parts of a writer."""
        return tuple(part for part in self.parts if part.writer == writer)


def worst_fit(
    sizes: Sequence[int], candidates: Sequence[Sequence[int]], n_bins: int
) -> tuple[list[int], list[int]]:
    """Puts each item, the largest first, into the least filled of the bins that it may go into.

    Those with the fewest bins to choose from go before others, which then make up for what they leave uneven.
    Ties go to the bin of the lowest number, so that all processes find the same.

    Returns:
        The bin of each item, and what the bins hold.
    """
    loads, places = [0] * n_bins, [0] * len(sizes)
    # Most items may go anywhere within one of few groups of bins: a heap for each group, its entries checked for age.
    heaps: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for item in sorted(range(len(sizes)), key=lambda i: (len(candidates[i]), -sizes[i], i)):
        group = tuple(candidates[item])
        heap = heaps.get(group)
        if heap is None:
            heap = heaps[group] = [(loads[b], b) for b in group]
            heapq.heapify(heap)
        while heap[0][0] != loads[heap[0][1]]:
            heapq.heapreplace(heap, (loads[heap[0][1]], heap[0][1]))
        place = heap[0][1]
        loads[place] += sizes[item]
        heapq.heapreplace(heap, (loads[place], place))
        places[item] = place
    return places, loads


def plan_save(
    specs: Sequence[Spec], *, n_processes: int = 1, lanes: int = 1, chunk_bytes: int = 4 << 20
) -> SavePlan:
    """Shares the distinct bytes of arrays among writers.

    Args:
        specs: The arrays, in the order of the tree.
        n_processes: Number of processes; those of the devices of the shardings are below it.
        lanes: Writers of each process; process p has the writers p lanes to (p + 1) lanes - 1.
        chunk_bytes: Most bytes of a part; at least one element is in each.
    """
    check_at_least(lanes, 1, "lanes")
    check_at_least(chunk_bytes, 1, "chunk_bytes")
    parts: list[tuple[str, Box, Box, int]] = []
    candidates: list[tuple[int, ...]] = []
    for spec in specs:
        for shard, processes in holders(spec.shape, spec.sharding).items():
            writers = tuple(p * lanes + lane for p in processes for lane in range(lanes))
            for box in pieces(shard, max(chunk_bytes // spec.item_bytes, 1)):
                parts.append((spec.path, shard, box, box.size * spec.item_bytes))
                candidates.append(writers)
    places, loads = worst_fit([part[3] for part in parts], candidates, n_processes * lanes)
    planned = tuple(Part(*part, writer) for part, writer in zip(parts, places, strict=True))
    return SavePlan(planned, tuple(loads))


def holders(shape: tuple[int, ...], sharding: Any) -> dict[Box, tuple[int, ...]]:
    """The distinct boxes of a sharding, and the processes that hold each, in order."""
    if sharding is None:
        return {whole(shape): (0,)}
    if isinstance(sharding, FlatSharding):
        boxes_of = sharding.boxes_of_devices(shape)
    else:
        indices = sharding.devices_indices_map(shape)
        boxes_of = {device: (box_of(index, shape),) for device, index in indices.items()}
    found: dict[Box, set[int]] = {}
    for device, boxes in boxes_of.items():
        for box in boxes:
            found.setdefault(box, set()).add(device.process_index)
    return {box: tuple(sorted(processes)) for box, processes in found.items()}


@dataclass(frozen=True)
class Piece:
    """A box of a tensor as it lies in a file.

    Attributes:
        path: Key path of the tensor.
        box: The box.
        start: First byte within the file.
        stop: Byte after the last.
        chunk: Place among the chunks of the tensor of the one whose bytes these are; None where they are a part of it.
    """

    path: str
    box: Box
    start: int
    stop: int
    chunk: int | None


@dataclass(frozen=True)
class Read:
    """A stretch of a file, and the pieces that it is made of, in order and without a gap."""

    file: str
    start: int
    stop: int
    pieces: tuple[Piece, ...]


def plan_load(
    tensors: Mapping[str, Tensor],
    wanted: Mapping[str, Sequence[Box]],
    *,
    verify: bool = True,
    read_bytes: int = 8 << 20,
) -> tuple[Read, ...]:
    """The reads that bring the wanted boxes, each byte once.

    Args:
        tensors: What is stored, by key path.
        wanted: Disjoint boxes by key path; the same box may be there more than once.
        verify: Whether chunks are read as a whole, so that their checksums can be taken; else only the bytes of the
            wanted boxes are.
        read_bytes: Neighbouring pieces are joined up to this many bytes.
    """
    found: dict[str, list[Piece]] = {}
    for path, boxes in wanted.items():
        tensor = tensors[path]
        item = dtype_of(tensor.dtype).itemsize
        many = (len(tensor.chunks), len(tensor.shape))
        starts = np.array([chunk.offsets for chunk in tensor.chunks], int).reshape(many)
        lengths = np.array([chunk.lengths for chunk in tensor.chunks], int).reshape(many)
        stops = starts + lengths
        taken: set[int] = set()
        for box in dict.fromkeys(boxes):
            if box.size == 0:
                continue
            # All chunks at once: with a thousand of each, pairs one by one would take minutes.
            low = np.asarray(box.offsets, int)[None, :]
            high = np.asarray(box.stops, int)[None, :]
            for place in np.nonzero(((starts < high) & (stops > low)).all(axis=1))[0]:
                chunk = tensor.chunks[place]
                pieces_of = found.setdefault(chunk.file, [])
                if not verify:
                    shared = intersection(box, chunk.box)
                    for run, first in runs(shared, chunk.box) if shared else ():
                        start = chunk.offset + first * item
                        whole_chunk = run.size * item == chunk.length
                        which = int(place) if whole_chunk else None
                        pieces_of.append(Piece(path, run, start, start + run.size * item, which))
                elif place not in taken:
                    taken.add(int(place))
                    stop = chunk.offset + chunk.length
                    pieces_of.append(Piece(path, chunk.box, chunk.offset, stop, int(place)))
    return tuple(read for file in sorted(found) for read in _joined(file, found[file], read_bytes))


def _joined(file: str, found: list[Piece], read_bytes: int) -> list[Read]:
    groups: list[list[Piece]] = []
    for piece in sorted(found, key=lambda piece: (piece.start, piece.stop)):
        last = groups[-1] if groups else None
        if last and last[-1].stop == piece.start and piece.stop - last[0].start <= read_bytes:
            last.append(piece)
        else:
            groups.append([piece])
    return [Read(file, group[0].start, group[-1].stop, tuple(group)) for group in groups]


def load_key(tensors: Mapping[str, Tensor], wanted: Mapping[str, Sequence[Box]]) -> Hashable:
    """What a plan of a load is made from: where the chunks lie and which boxes are wanted, but no checksum.

    So the checkpoints of a run, which lie alike, have one plan.
    """
    return tuple(
        (
            path,
            tensors[path].dtype,
            tuple((c.offsets, c.lengths, c.file, c.offset, c.length) for c in tensors[path].chunks),
            tuple(boxes),
        )
        for path, boxes in wanted.items()
    )


class PlanCache:
    """The plans used last, by what they were made from.

    Args:
        capacity: Number of plans that are kept.
    """

    def __init__(self, capacity: int = 8):
        check_at_least(capacity, 1, "capacity")
        self.capacity = capacity
        self.hits = self.misses = 0
        self._plans: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, made_from: Hashable, make: Callable[[], Any]) -> Any:
        """The plan of what it is made from; made where it is not there. A hit makes it the one used last."""
        with self._lock:
            if made_from in self._plans:
                self.hits += 1
                self._plans.move_to_end(made_from)
                return self._plans[made_from]
            self.misses += 1
        plan = make()
        with self._lock:
            self._plans[made_from] = plan
            self._plans.move_to_end(made_from)
            while len(self._plans) > self.capacity:
                self._plans.popitem(last=False)
        return plan


def balance(loads: Sequence[int]) -> float:
    """Largest load of a writer over the mean: one where all have the same."""
    total = math.fsum(loads)
    return max(loads) * len(loads) / total if total else 1.0

"""Brings boxes of tensors from storage: few reads, each checked, a bounded number under way at a time."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from nn.checkpoint.boxes import Box, intersection, runs
from nn.checkpoint.checksums import checksum, kind_of
from nn.checkpoint.manifest import CheckpointError, Manifest
from nn.checkpoint.plan import Piece, PlanCache, Read, load_key, plan_load
from nn.checkpoint.storage import Store
from nn.checkpoint.tree import dtype_of

ALIGNMENT = 64  # bytes; where the CPU backend of JAX wants a buffer to begin

PLANS = PlanCache(8)  # of loads, as `nn.checkpoint.save.PLANS` has those of saves


class Source:
    """The tensors of one checkpoint.

    Args:
        store: Where it is.
        manifest: What it holds.
        verify: Whether whole chunks are read and their checksums compared.
        readers: Reads at the same time.
        read_bytes: Most bytes of a read, but for a chunk that is larger.
    """

    def __init__(
        self, store: Store, manifest: Manifest, verify: bool, readers: int, read_bytes: int
    ):
        self.manifest = manifest
        self._store, self._verify = store, verify
        self._readers, self._read_bytes = readers, read_bytes

    def bring(
        self, wishes: Mapping[str, tuple[str, tuple[Sequence[Box], Callable[[dict], Any]]]]
    ) -> dict[str, Any]:
        """Reads boxes and makes leaves of them.

        Leaves are made in the order of the wishes, by the thread that calls: in many processes all make them in the
        same order, as collectives between devices require. Memory holds the boxes of what is not made yet and of the
        reads under way, not the whole checkpoint.

        Args:
            wishes: By name of the leaf the path of its tensor, the boxes of it, and what makes the leaf of them.

        Returns:
            The leaves by name.

        Raises:
            CheckpointError: If bytes are missing or changed: tensor, file and offset are named.
        """
        wanted: dict[str, list[Box]] = {}
        for place, (boxes, _) in wishes.values():
            wanted.setdefault(place, []).extend(boxes)
        boxes_of = {place: tuple(dict.fromkeys(boxes)) for place, boxes in wanted.items()}
        order = {place: number for number, place in enumerate(boxes_of)}
        tensors, how = self.manifest.tensors, (self._verify, self._read_bytes)
        reads: Sequence[Read] = PLANS.get(
            (load_key(tensors, boxes_of), how),
            lambda: plan_load(tensors, boxes_of, verify=how[0], read_bytes=how[1]),
        )
        # Each writer has stored its tensors in the order of the tree, so this takes files side by side.
        reads = sorted(reads, key=lambda read: (order[read.pieces[0].path], read.file, read.start))
        left = dict.fromkeys(order, 0)
        for read in reads:
            for piece in read.pieces:
                left[piece.path] += 1
        users = dict.fromkeys(order, 0)
        for place, _ in wishes.values():
            users[place] += 1
        held: dict[str, dict[Box, np.ndarray]] = {}
        leaves = {}
        todo = deque(reads)
        with ThreadPoolExecutor(self._readers, thread_name_prefix="checkpoint-read") as pool:
            under_way: deque[tuple[Read, Future]] = deque()
            try:
                for name, (place, (boxes, make)) in wishes.items():
                    while left[place]:
                        while todo and len(under_way) < 2 * self._readers:
                            read = todo.popleft()
                            self._make_room(read, boxes_of, held)
                            under_way.append((read, pool.submit(self._fetch, read, held)))
                        read, future = under_way.popleft()
                        future.result()
                        for piece in read.pieces:
                            left[piece.path] -= 1
                    self._allocate(place, boxes_of, held)  # where all boxes are empty
                    leaves[name] = make({box: held[place][box] for box in boxes})
                    users[place] -= 1
                    if not users[place]:
                        del held[place]
            finally:
                for _, future in under_way:
                    future.cancel()
        return leaves

    def _make_room(self, read: Read, boxes_of: Mapping, held: dict) -> None:
        for piece in read.pieces:
            self._allocate(piece.path, boxes_of, held)

    def _allocate(self, place: str, boxes_of: Mapping, held: dict) -> None:
        if place not in held:
            dtype = dtype_of(self.manifest.tensors[place].dtype)
            held[place] = {box: _aligned(box, dtype) for box in boxes_of[place]}

    def _fetch(self, read: Read, held: Mapping[str, dict[Box, np.ndarray]]) -> None:
        """Reads bytes into the boxes that want them, or beside them where they must be cut, and checks them."""
        there = [_place(piece, held[piece.path]) for piece in read.pieces]
        parts = [
            np.empty(piece.stop - piece.start, np.uint8) if place is None else place
            for piece, place in zip(read.pieces, there, strict=True)
        ]
        try:
            got = self._store.read_into(read.file, read.start, *parts)
        except FileNotFoundError as error:
            raise CheckpointError(
                f"tensor {read.pieces[0].path}: {self._store.location}/{read.file} is missing. "
                "Take another copy or an earlier checkpoint."
            ) from error
        for piece, place, data in zip(read.pieces, there, parts, strict=True):
            self._check(read.file, piece, data, read.start + got)
            if place is None:
                for box, array in held[piece.path].items():
                    shared = intersection(piece.box, box)
                    if shared:
                        source = data.view(array.dtype).reshape(piece.box.lengths)
                        array[shared.within(box)] = source[shared.within(piece.box)]

    def _check(self, file: str, piece: Piece, data: np.ndarray, end: int) -> None:
        place = f"tensor {piece.path}: {self._store.location}/{file}"
        help_ = "Take another copy or an earlier checkpoint."
        if piece.stop > end:
            raise CheckpointError(
                f"{place} ends at byte {end}, but the chunk at {piece.box.offsets} of lengths {piece.box.lengths} "
                f"reaches from byte {piece.start} to {piece.stop}. {help_}"
            )
        if piece.chunk is None:
            return
        written = self.manifest.tensors[piece.path].chunks[piece.chunk].checksum
        found = checksum(data, kind_of(written))
        if found != written:
            raise CheckpointError(
                f"{place} is damaged between bytes {piece.start} and {piece.stop}, the chunk at {piece.box.offsets} of "
                f"lengths {piece.box.lengths}: its checksum is {found}, but {written} was written. {help_}"
            )


def _aligned(box: Box, dtype: np.dtype) -> np.ndarray:
    """A new array whose memory JAX takes over on the CPU: what is not aligned it would copy."""
    n_bytes = box.size * dtype.itemsize
    memory = np.empty(n_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + n_bytes].view(dtype).reshape(box.lengths)


def _place(piece: Piece, boxes: Mapping[Box, np.ndarray]) -> np.ndarray | None:
    """The bytes of a wanted box that a piece is; None where the piece must be cut or goes to several boxes."""
    touched = [box for box in boxes if intersection(piece.box, box)]
    if len(touched) != 1:
        return None
    (box,) = touched
    # In C order the bytes of the piece must lie together in the box as they do in the file.
    if intersection(piece.box, box) != piece.box or not _few(piece.box, box):
        return None
    parts = list(runs(piece.box, box))
    if len(parts) != 1:
        return None
    item = boxes[box].itemsize
    first = parts[0][1] * item
    flat = boxes[box].reshape(-1).view(np.uint8)
    return flat[first : first + piece.stop - piece.start]


def _few(part: Box, outer: Box) -> bool:
    """Whether a part is one run, without making all of them."""
    axis = len(part.lengths)
    while axis > 0 and part.lengths[axis - 1] == outer.lengths[axis - 1]:
        axis -= 1
    return all(length == 1 for length in part.lengths[: max(axis - 1, 0)])

"""The bytes of a state as they are now, while the training goes on.

Three kinds, because the cheapest safe one depends on where the arrays are:

    views    read-only views of the shards in the memory of the host. On the CPU nothing is copied: as long as a view
             lives, JAX does not reuse its buffer, and a step that is given the buffer (donation) makes a new one
             instead. On an accelerator it is a copy, made before the save returns.
    copies   copies in the memory of the host, on the CPU too: the next donating step finds its buffers free.
    pinned   copies by the device into pinned memory of the host, which JAX orders before any reuse of the buffer; the
             save returns before they are there.

A `jax.Array` kept as it is would be no snapshot: donation deletes it. Arrays of NumPy are always copied, for anyone may
write to them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from nn._checks import check_choice
from nn.checkpoint.boxes import Box, box_of
from nn.checkpoint.buckets import BucketTensor
from nn.checkpoint.plan import Part

KINDS = ("auto", "views", "copies", "pinned")

# Shards of a snapshot by key path and box. Those of kind `pinned` are still arrays of JAX.
Shards = dict[tuple[str, Box], Any]


def take_snapshot(arrays: Mapping[str, Any], parts: Iterable[Part], kind: str = "auto") -> Shards:
    """Keeps the shards that this process writes.

    Args:
        arrays: Arrays of JAX or NumPy by key path.
        parts: What is to be written by this process.
        kind: `views`, `copies`, `pinned`, or `auto`, which takes views on the CPU and pinned copies elsewhere.

    Raises:
        ValueError: If `kind` is another.
        RuntimeError: If an array was deleted, as donation does it, naming its path.
    """
    check_choice(kind, "snapshot", KINDS)
    found: Shards = {}
    for path, shard in dict.fromkeys((part.path, part.shard) for part in parts):
        array = arrays[path]
        if isinstance(array, BucketTensor):
            found[path, shard] = _of_bucket(array, shard, kind)
            continue
        if not isinstance(array, jax.Array):
            found[path, shard] = _in_c_order(np.array(array, copy=True))
            continue
        if array.is_deleted():
            raise RuntimeError(
                f"leaf {path} must be alive, but its array was deleted. Save before a step that donates it."
            )
        shards = array.addressable_shards  # made anew by every look at it
        if len(shards) > 1:
            # The first of several copies; they are equal.
            shards = [s for s in shards if box_of(s.index, array.shape) == shard]
        found[path, shard] = shards[0].data
    on_host = all(_is_on_cpu(data) for data in found.values() if isinstance(data, jax.Array))
    if kind == "auto":
        kind = "views" if on_host else "pinned"
    return _taken(found, kind, on_host)


def _of_bucket(tensor: BucketTensor, box: Box, kind: str) -> np.ndarray:
    """A box of a tensor in a bucket: a view of the first share that holds it; off the CPU a copy, made at once."""
    for shard in tensor.flat.addressable_shards:
        first = tensor.boxes(shard.index).get(box)
        if first is not None:
            data = np.array(shard.data, copy=True) if kind == "copies" else np.asarray(shard.data)
            return data[first : first + box.size].reshape(box.lengths)
    raise AssertionError(f"no device of this process holds {box}")


def _is_on_cpu(data: jax.Array) -> bool:
    return next(iter(data.devices())).platform == "cpu"


def _taken(found: Shards, kind: str, on_host: bool) -> Shards:
    if kind == "pinned":
        return {
            place: jax.device_put(data, data.sharding.with_memory_kind("pinned_host"))
            if isinstance(data, jax.Array)
            else data
            for place, data in found.items()
        }
    if not on_host:
        for data in found.values():
            if isinstance(data, jax.Array):
                data.copy_to_host_async()
    copied = kind == "copies"
    return {
        place: np.array(data, copy=True) if copied and isinstance(data, jax.Array) else np.asarray(data)
        for place, data in found.items()
    }  # fmt: skip


def part_bytes(shards: Shards, part: Part) -> np.ndarray:
    """The bytes of a part in C order; no copy where the shard lies in C order.

    Returns:
        Bytes, as an array of uint8.
    """
    array = _in_c_order(np.asarray(shards[part.path, part.shard]))
    # A part is contiguous in its shard, so that this copies nothing.
    return array[(..., *part.box.within(part.shard))].reshape(-1).view(np.uint8)


def _in_c_order(array: np.ndarray) -> np.ndarray:
    """Little-endian and in C order; a view of another order would be stored scrambled."""
    array = np.asarray(array, order="C")
    swapped = array.dtype.byteorder == ">"
    return array.astype(array.dtype.newbyteorder("<")) if swapped else array

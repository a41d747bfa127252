"""From storage to devices so that each byte is read once, however many devices hold it.

A target that keeps copies of a box on several devices is first read in a sharding without copies, each device a part of
the box, and then gathered between the devices, which is fast where storage is slow (zero-redundant loading of
ByteCheckpoint, arXiv:2407.20143). Where no axis divides so, the array is read as one flat range of bytes, an equal
share a device, gathered everywhere, and cut on the host; its shares are boxes by `nn.checkpoint.boxes.flat_boxes`.
"""

import functools
import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nn.checkpoint.boxes import Box, box_of, flat_boxes, whole


def copied_axes(sharding: NamedSharding) -> tuple[str, ...]:
    """Axes of the mesh along which devices hold the same."""
    used = {
        name
        for part in sharding.spec
        if isinstance(part, str | tuple)
        for name in ((part,) if isinstance(part, str) else part)
    }
    return tuple(str(name) for name, n in sharding.mesh.shape.items() if n > 1 and name not in used)


def reading_sharding(sharding: NamedSharding, shape: tuple[int, ...]) -> NamedSharding | None:
    """A sharding that cuts what this one cuts, and further, so that no two devices hold the same.

    Returns:
        The sharding; None where an axis of the mesh finds no axis of the shape that it divides.
    """
    spec = [*sharding.spec, *(None for _ in range(len(shape) - len(sharding.spec)))]
    cut: list[tuple[str, ...]] = [
        () if part is None else (part,) if isinstance(part, str) else tuple(part) for part in spec
    ]
    sizes = sharding.mesh.shape
    for name in copied_axes(sharding):
        for axis, length in enumerate(shape):
            if length and length % (math.prod(sizes[n] for n in cut[axis]) * sizes[name]) == 0:
                cut[axis] = (*cut[axis], name)
                break
        else:
            return None
    return NamedSharding(sharding.mesh, PartitionSpec(*(part or None for part in cut)))


def spread(array: jax.Array, sharding: NamedSharding) -> jax.Array:
    """The array in another sharding over the same devices, moved between them."""
    return array if array.sharding == sharding else _move(sharding)(array)


@functools.lru_cache(maxsize=256)
def _move(sharding: NamedSharding) -> Any:
    return jax.jit(lambda array: array, out_shardings=sharding)


class FlatShares:
    """Equal shares of an array flattened, one for each device of a sharding.

    Args:
        sharding: Sharding whose devices share.
        shape: Shape of the array.
        dtype: Type of its elements.
    """

    def __init__(self, sharding: NamedSharding, shape: tuple[int, ...], dtype: np.dtype):
        mesh = Mesh(np.asarray(sharding.mesh.devices).reshape(-1), ("share",))
        self._sharding, self._shape, self._dtype = sharding, shape, dtype
        self._shares = NamedSharding(mesh, PartitionSpec("share"))
        self._all = NamedSharding(mesh, PartitionSpec())
        self._size = math.prod(shape)
        self._length = -(-self._size // mesh.size)  # elements of a share, the last ones padded
        self._n_bytes = self._length * mesh.size * dtype.itemsize

    def boxes(self) -> list[Box]:
        """What this process reads."""
        found = self._shares.addressable_devices_indices_map((self._n_bytes,))
        return [box for index in found.values() if index for box in self._of(index)]

    def gather(self, read: dict[Box, np.ndarray]) -> jax.Array:
        """The array in its sharding, from what all processes have read."""

        def share(index: Any) -> np.ndarray:
            parts = [read[box].reshape(-1).view(np.uint8) for box in self._of(index)]
            data = np.concatenate([*parts, np.zeros(0, np.uint8)])
            return np.pad(data, (0, self._length * self._dtype.itemsize - data.size))

        cut = jax.make_array_from_callback((self._n_bytes,), self._shares, share)
        flat = np.asarray(spread(cut, self._all).addressable_shards[0].data)
        # A copy of one's own: rows of bytes need not lie where elements of the type may.
        data = flat[: self._size * self._dtype.itemsize].copy().view(self._dtype)
        host, outer = data.reshape(self._shape), whole(self._shape)
        return jax.make_array_from_callback(
            self._shape,
            self._sharding,
            lambda index: host[(..., *box_of(index or (), self._shape).within(outer))],
        )

    def _of(self, index: tuple[slice, ...]) -> tuple[Box, ...]:
        """Boxes of the share at an index of the flat bytes."""
        start = (index[0].start or 0) // self._dtype.itemsize
        stop = min(start + self._length, self._size)
        return flat_boxes(self._shape, start, stop) if start < stop else ()

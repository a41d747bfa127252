"""Flat buckets: many tensors in one array, cut evenly over devices whatever their shapes, as ZeRO keeps its optimiser.

A device's share of a bucket is a range of the flattened tensors and no box. Saved, a bucket is its tensors, each share
decomposed into boxes without any communication (section on irregular shards of ByteCheckpoint, arXiv:2407.20143). So it
may be loaded into a bucket with another number of shares or another order of tensors, or as the tensors themselves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nn._checks import check_at_least
from nn.checkpoint.boxes import Box, flat_boxes


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Bucket:
    """Tensors of one dtype, flattened, joined and padded to a multiple of the number of shares.

    A PyTree whose only leaf is `flat`, so that an optimiser takes it as it is.

    Attributes:
        flat: All elements and the padding, shape (length,); may be a shape and dtype in a target.
        tensors: Name and shape of each tensor, in their order in `flat`.
    """

    flat: Any
    tensors: tuple[tuple[str, tuple[int, ...]], ...] = field(metadata={"static": True})

    def split(self) -> dict[str, Any]:
        """The tensors by name."""
        starts = self.starts()
        return {
            name: self.flat[starts[name] : starts[name] + math.prod(shape)].reshape(shape)
            for name, shape in self.tensors
        }

    def joined(self, read: Mapping[str, Any]) -> "Bucket":
        """This bucket of other elements.

        Args:
            read: By name of the tensor its boxes on the devices of this process; where `flat` is of NumPy the tensor.
        """
        if isinstance(self.flat, np.ndarray):
            flat = np.zeros_like(self.flat)
            for name, start in self.starts().items():
                flat[start : start + read[name].size] = read[name].reshape(-1)
            return Bucket(flat, self.tensors)

        def share(index: Any) -> np.ndarray:
            low, high, _ = index[0].indices(self.flat.shape[0])
            found = np.zeros(high - low, self.flat.dtype)
            for name, shape in self.tensors:
                tensor = BucketTensor(self.flat, shape, starts[name])
                for box, first in tensor.boxes(index).items():
                    found[first : first + box.size] = read[name][box].reshape(-1)
            return found

        starts = self.starts()
        if self.flat.sharding is None:
            return Bucket(jax.device_put(share((slice(None),))), self.tensors)
        shape, sharding = tuple(self.flat.shape), self.flat.sharding
        return Bucket(jax.make_array_from_callback(shape, sharding, share), self.tensors)

    def starts(self) -> dict[str, int]:
        """First element of each tensor in `flat`.

        Raises:
            ValueError: If they do not fit in it.
        """
        found, start = {}, 0
        for name, shape in self.tensors:
            found[name] = start
            start += math.prod(shape)
        if len(self.flat.shape) != 1 or self.flat.shape[0] < start:
            raise ValueError(
                f"`flat` must have one axis of at least the {start} elements of the tensors, but its shape is "
                f"{tuple(self.flat.shape)}."
            )
        return found


def make_bucket(tensors: Mapping[str, Any], *, n_shares: int, sharding: Any = None) -> Bucket:
    """Joins tensors in a bucket.

    Args:
        tensors: Arrays of one dtype by name.
        n_shares: Number of devices that share it; it is padded with zeros to a multiple of it.
        sharding: Where it is put; None leaves it where it is made.

    Raises:
        ValueError: If there are no tensors, or of more than one dtype.
    """
    check_at_least(n_shares, 1, "n_shares")
    dtypes = sorted({str(array.dtype) for array in tensors.values()})
    if len(dtypes) != 1:
        raise ValueError(
            f"`tensors` must be of one dtype, but are of {', '.join(dtypes) or 'none'}. Make a bucket for each."
        )
    size = sum(array.size for array in tensors.values())
    flat = jnp.concatenate([jnp.ravel(array) for array in tensors.values()])
    flat = jnp.pad(flat, (0, -size % n_shares))
    if sharding is not None:
        flat = jax.device_put(flat, sharding)
    return Bucket(flat, tuple((name, tuple(array.shape)) for name, array in tensors.items()))


@dataclass(frozen=True)
class BucketTensor:
    """One tensor of a bucket, as plans, snapshots and targets see it.

    Attributes:
        flat: The flat array of the bucket, or its shape and dtype.
        shape: Shape of the tensor.
        start: Its first element in `flat`.
    """

    flat: Any
    shape: tuple[int, ...]
    start: int

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self.flat.dtype

    @property
    def sharding(self) -> "FlatSharding":
        """Which device holds which boxes."""
        return FlatSharding(self.flat.sharding, tuple(self.flat.shape), self.start)

    def boxes(self, index: tuple[slice, ...]) -> dict[Box, int]:
        """Boxes of the share at an index of `flat`, and the element of the share where each begins."""
        return _boxes(index, tuple(self.flat.shape), self.shape, self.start)


@dataclass(frozen=True)
class FlatSharding:
    """How a tensor of a bucket lies on devices; equal where all of it is.

    Attributes:
        sharding: Sharding of the flat array.
        length: Its shape.
        start: First element of the tensor in it.
    """

    sharding: Any
    length: tuple[int, ...]
    start: int

    def boxes_of_devices(self, shape: tuple[int, ...]) -> dict[Any, tuple[Box, ...]]:
        """Boxes of the tensor on each device."""
        indices = self.sharding.devices_indices_map(self.length)
        return {
            device: tuple(_boxes(index, self.length, shape, self.start))
            for device, index in indices.items()
        }


def _boxes(
    index: tuple[slice, ...], length: tuple[int, ...], shape: tuple[int, ...], start: int
) -> dict[Box, int]:
    low, high, _ = index[0].indices(length[0])
    first, last = max(low - start, 0), min(high - start, math.prod(shape))
    found, place = {}, max(start - low, 0)
    for box in flat_boxes(shape, first, last) if first < last else ():
        found[box] = place
        place += box.size
    return found

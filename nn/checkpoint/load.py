"""Loading a checkpoint into any PyTree of the same leaves, whatever meshes and shardings it was saved with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from nn._checks import check_at_least, check_choice
from nn.checkpoint.boxes import Box, box_of, whole
from nn.checkpoint.buckets import BucketTensor
from nn.checkpoint.commit import read_manifest
from nn.checkpoint.exchange import FlatShares, copied_axes, reading_sharding, spread
from nn.checkpoint.manifest import Tensor
from nn.checkpoint.matching import Rename, is_below, match
from nn.checkpoint.reading import Source
from nn.checkpoint.storage import Store, open_store
from nn.checkpoint.tree import decode_value, dtype_of, take_apart

EXCHANGES = ("auto", "host", "devices")

# What a leaf of the target asks for: boxes of a tensor, and what makes the leaf of them.
Wish = tuple[list[Box], Callable[[dict[Box, np.ndarray]], Any]]


def load(
    path: str | Path | Store,
    target: Any = None,
    *,
    at: str = "",
    rename: Rename | None = None,
    partial: str = "none",
    cast: bool = False,
    check_static: bool = True,
    verify: bool = True,
    exchange: str = "auto",
    readers: int = 4,
    read_bytes: int = 8 << 20,
    **options: Any,
) -> Any:
    """Loads a checkpoint.

    Args:
        path: A folder, a URL of fsspec, or a store.
        target: PyTree of what is wanted. An array of JAX, or a `jax.ShapeDtypeStruct` with a sharding, is filled with
            its sharding, whatever it was when saved; one without on the first device; arrays of NumPy become new ones
            of NumPy; numbers and strings are replaced; functions stay and must be the same. None gives all leaves as a
            dictionary by key path: arrays of NumPy, keys as their data, and numbers and strings.
        at: Path of the sub-tree of the checkpoint that is wanted, such as `['model']`.
        rename: Prefixes of paths of the target and what they are in the checkpoint, or a function of a path.
        partial: What may be left out: `extra` leaves of the checkpoint, leaves `missing` there, `both` or `none`.
        cast: Whether another dtype or type of number is converted.
        check_static: Whether functions and static fields must be as they were.
        verify: Whether each chunk that is touched is read whole and its checksum compared; else only the bytes that
            are wanted are read.
        exchange: How a box gets to several devices: `host` reads it in each process and copies it to its devices,
            `devices` reads each byte in one process and moves it between devices; `auto` takes `devices` where there
            are several processes.
        readers: Reads at the same time.
        read_bytes: Neighbouring chunks are read together up to this many bytes.
        options: Passed to `nn.checkpoint.storage.open_store`.

    Returns:
        A tree of the structure of the target, or a dictionary.

    Raises:
        ValueError: If leaves are missing, too many, or of other shapes or dtypes: all of them in one message.
        CheckpointError: If the checkpoint is not finished, or a byte of it is damaged, which is named.
    """
    check_at_least(readers, 1, "readers")
    check_at_least(read_bytes, 1, "read_bytes")
    check_choice(exchange, "exchange", EXCHANGES)
    store = open_store(path, **options)
    manifest = read_manifest(store)
    source = Source(store, manifest, verify, readers, read_bytes)
    if target is None:
        return _plain(source, at)
    taken = take_apart(target)
    matched = match(
        manifest, taken, at=at, rename=rename, partial=partial, cast=cast, check_static=check_static
    )
    leaves = {path: taken.leaves[path] for path in matched.kept}
    for path, place in matched.values.items():
        value = decode_value(manifest.values[place])
        kind = type(taken.leaves[path])
        leaves[path] = value if value is None or type(value) is kind else kind(value)
    wishes = {
        path: (place, _wish(taken.leaves[path], manifest.tensors[place], exchange))
        for path, place in matched.tensors.items()
    }
    leaves |= source.bring(wishes)
    for path, bucket in taken.buckets.items():
        read = {name: leaves[f"{path}[{name!r}]"] for name, _ in bucket.tensors}
        leaves[path] = bucket.joined(read)
    return taken.rebuild(leaves)


def _plain(source: Source, at: str) -> dict[str, Any]:
    """All leaves below a path, without a target."""
    manifest = source.manifest
    names = [*manifest.tensors, *manifest.values]
    inside = [name for name in names if is_below(name, at)]
    if at and not inside:
        raise ValueError(f"`at` must be a path in the checkpoint, but there is nothing at {at}.")
    wishes = {
        name[len(at) :]: (name, ([whole(tensor.shape)], _only))
        for name, tensor in manifest.tensors.items()
        if is_below(name, at)
    }
    values = {
        n[len(at) :]: decode_value(manifest.values[n]) for n in inside if n in manifest.values
    }
    return values | source.bring(wishes)


def _only(read: dict[Box, np.ndarray]) -> np.ndarray:
    (array,) = read.values()
    return array


def _wish(leaf: Any, tensor: Tensor, exchange: str) -> Wish:
    """Boxes of a tensor that a leaf of the target needs, and how it is made of them."""
    shape = tensor.shape
    if tensor.kind == "key":
        boxes, finish = _of_jax(leaf, shape, dtype_of(tensor.dtype), exchange)
        name = tensor.details["implementation"]
        return boxes, lambda read: jax.random.wrap_key_data(finish(read), impl=name)
    dtype = np.dtype(leaf.dtype)
    if isinstance(leaf, np.ndarray | np.generic):
        scalar = isinstance(leaf, np.generic)
        return [whole(shape)], lambda read: _cast(_only(read), dtype)[() if scalar else ...]
    if isinstance(leaf, BucketTensor):
        return _boxes_of(leaf), lambda read: _all_cast(read, dtype)
    return _of_jax(leaf, shape, dtype, exchange)


def _boxes_of(leaf: BucketTensor) -> list[Box]:
    """Boxes of a tensor in a bucket on the devices of this process."""
    sharding = leaf.flat.sharding
    if sharding is None:
        return list(leaf.boxes((slice(None),)))
    indices = sharding.addressable_devices_indices_map(tuple(leaf.flat.shape))
    return [box for index in indices.values() if index for box in leaf.boxes(index)]


def _of_jax(leaf: Any, shape: tuple[int, ...], dtype: np.dtype, exchange: str) -> Wish:
    sharding = leaf.sharding
    if sharding is None or (isinstance(leaf, jax.Array) and not leaf.committed):
        # Not bound to a device, as arrays are that were made without saying where.
        return [whole(shape)], lambda read: jax.device_put(_cast(_only(read), dtype))
    among_devices = exchange == "devices" or (
        exchange == "auto" and not sharding.is_fully_addressable
    )
    moved = among_devices and isinstance(sharding, NamedSharding) and bool(copied_axes(sharding))
    reading = reading_sharding(sharding, shape) if moved else sharding
    if reading is None:
        shares = FlatShares(sharding, shape, dtype)
        return shares.boxes(), lambda read: shares.gather(_all_cast(read, dtype))
    indices = reading.addressable_devices_indices_map(shape)
    boxes = [box_of(index, shape) for index in indices.values() if index is not None]

    def finish(read: dict[Box, np.ndarray]) -> jax.Array:
        read = _all_cast(read, dtype)
        array = jax.make_array_from_callback(
            shape, reading, lambda at: read[box_of(at or (), shape)]
        )
        return spread(array, sharding) if moved else array

    return boxes, finish


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return array if array.dtype == dtype else array.astype(dtype)


def _all_cast(read: dict[Box, np.ndarray], dtype: np.dtype) -> dict[Box, np.ndarray]:
    return {box: _cast(array, dtype) for box, array in read.items()}

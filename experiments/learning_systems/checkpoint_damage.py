"""Damage done to a finished checkpoint, and what verifying and loading it say: a part of `checkpoint_faults`."""

import tempfile
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np

from nn.checkpoint import CheckpointError, load, open_store, save, verify_checkpoint
from nn.checkpoint.commit import read_manifest
from nn.checkpoint.inspection import Damage
from nn.checkpoint.manifest import NAME, Manifest, to_json
from nn.checkpoint.storage import Store

KINDS = ("bit", "byte", "block", "cut")
_BLOCK = 64  # bytes


def small_state(seed: int) -> dict:
    """A state of many types in 8 kB."""
    rng = np.random.default_rng(seed)
    return {
        "weight": rng.normal(size=(32, 40)).astype(np.float32),
        "moments": [rng.normal(size=200).astype(ml_dtypes.bfloat16), rng.normal(size=40) * 1j],
        "codes": rng.integers(-8, 8, 300).astype(ml_dtypes.int4),
        "eight": rng.normal(size=200).astype(ml_dtypes.float8_e4m3fn),
        "mask": rng.integers(0, 2, 100).astype(bool),
        "key": rng.integers(0, 2**32, 2, np.uint32),
        "empty": np.zeros((0, 3), np.float32),
        "step": int(seed),
        "rate": float(rng.random()),
        "name": "run",
    }


def same(one: dict, other: dict) -> bool:
    """Whether two of these states are equal, bit by bit."""
    pairs = ((one[key], other[key]) for key in one)
    flat = [
        pair
        for a, b in pairs
        for pair in (zip(a, b, strict=True) if isinstance(a, list) else [(a, b)])
    ]
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        if isinstance(a, np.ndarray)
        else a == b and type(a) is type(b)
        for a, b in flat
    )


def damages(kind: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Damages a checkpoint again and again.

    Args:
        kind: One of `KINDS`.
        count: How often.
        seed: Seed of the places.

    Returns:
        For each damage whether loading was `silent`, verifying was `unseen`, the file, the tensor and the bytes were
        `named`; and, of data alone, the first byte was `located` exactly.
    """
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    state = small_state(seed)
    found: dict[str, list] = {"silent": [], "unseen": [], "named": [], "located": []}
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "checkpoint", fsync=False)
        save(store, state, writers=2, chunk_bytes=512, step=seed, wait=True)
        manifest = read_manifest(store)
        whole = {name: store.read(name) for name in store.names()}
        names = sorted(whole)
        for _ in range(count):
            name = names[int(rng.integers(len(names)))]
            first, changed = _damaged(whole[name], kind, rng)
            store.write(name, [changed])
            told = verify_checkpoint(store)
            found["unseen"].append(not told)
            found["silent"].append(_loads(store, state))
            found["named"].append(_names(told, manifest, name, first))
            if name != NAME:
                found["located"].append(len(told) == 1 and told[0].offset == first)
            store.write(name, [whole[name]])
    return {key: np.asarray(each) for key, each in found.items()}


def _damaged(data: bytes, kind: str, rng: np.random.Generator) -> tuple[int, bytes]:
    """First byte that differs, and the damaged bytes."""
    place = int(rng.integers(len(data)))
    changed = bytearray(data)
    if kind == "bit":
        changed[place] ^= 1 << int(rng.integers(8))
    elif kind == "byte":
        changed[place] ^= int(rng.integers(1, 256))
    elif kind == "cut":
        del changed[place:]
    else:
        # A block that was lost comes back as zeros; where all were zeros the last becomes one.
        end = min(place + _BLOCK, len(data))
        changed[place:end] = bytes(end - place)
        if changed == data:
            changed[end - 1] = 1
        place = next(i for i in range(place, end) if changed[i] != data[i])
    return place, bytes(changed)


def _loads(store: Store, state: dict) -> bool:
    try:
        load(store, state)
    except CheckpointError:
        return False
    return True


def _names(told: list[Damage], manifest: Manifest, name: str, first: int) -> bool:
    """Whether file, tensor and bytes of a damage are told."""
    if name == NAME:
        return bool(told) and told[0].file == NAME
    owners = {
        path
        for path, tensor in manifest.tensors.items()
        for chunk in tensor.chunks
        if chunk.file == name and chunk.offset <= first < chunk.offset + chunk.length
    }
    return any(
        each.file == name
        and each.offset is not None
        and each.offset <= first < each.offset + each.length
        and owners <= set(each.tensors)
        for each in told
    )


def refusals(seed: int) -> dict[str, np.ndarray]:
    """Each file missing in turn, a manifest of a newer format, and no manifest: whether each is told by name."""
    state = small_state(seed)
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "checkpoint", fsync=False)
        save(store, state, writers=3, chunk_bytes=512, wait=True)
        whole = {name: store.read(name) for name in store.names()}
        for name, data in whole.items():
            store.remove(name)
            told[f"missing.{name}"] = name in _error(store, state)
            store.write(name, [data])
        newer = to_json(replace(read_manifest(store), format=2))
        store.write(NAME, [newer.encode()])
        told["newer"] = "format 2" in _error(store, state)
    return {name: np.asarray(each) for name, each in told.items()}


def _error(store: Store, state: dict) -> str:
    try:
        load(store, state)
    except CheckpointError as error:
        return str(error)
    return ""

"""Checkpoints to and from folders of Orbax, by Orbax's own checkpointer; whole trees pass through memory.

Orbax 0.12 holds arrays and numbers in nested dictionaries and lists, in arrays of Zarr 2 within OCDBT; no arrays of
size zero, text or static parts, and random keys only as their data. What it cannot hold is refused by name, or left out
by an explicit word. It keeps no checksums of data: what was damaged there comes over as it is.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from nn.checkpoint.commit import read_manifest
from nn.checkpoint.key_paths import nested
from nn.checkpoint.load import load
from nn.checkpoint.manifest import Manifest
from nn.checkpoint.save import save
from nn.checkpoint.storage import Store, open_store

_NUMBERS = ("int", "float", "bool")


def to_orbax(path: str | Path | Store, folder: str | Path, *, leave_out: bool = False) -> list[str]:
    """Writes a checkpoint as a folder that `orbax.checkpoint.StandardCheckpointer` restores.

    Args:
        path: The checkpoint: a folder, a URL of fsspec, or a store.
        folder: Where it goes, on a local disk; must be free.
        leave_out: Whether what Orbax cannot hold is left out.

    Returns:
        Paths of what was left out.

    Raises:
        ValueError: If there is something that Orbax cannot hold, and `leave_out` is not set.
        ModuleNotFoundError: If the package `orbax-checkpoint` is missing.
        CheckpointError: If the checkpoint is damaged.
    """
    orbax = _orbax("path")
    store = open_store(path)
    manifest = read_manifest(store)
    lacking = [where for where, tensor in manifest.tensors.items() if 0 in tensor.shape]
    lacking += [where for where, value in manifest.values.items() if value["type"] not in _NUMBERS]
    if lacking and not leave_out:
        raise ValueError(
            f"`path` must hold arrays that are not empty and numbers for Orbax, but has {', '.join(lacking[:5])}"
            f"{' and more' if len(lacking) > 5 else ''}. Set `leave_out` to go on without."
        )
    leaves = {where: leaf for where, leaf in load(store).items() if where not in lacking}
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(Path(folder).absolute(), nested(leaves))
    return lacking


def from_orbax(folder: str | Path, path: str | Path | Store, **options: Any) -> Manifest:
    """Makes a checkpoint of a folder that Orbax wrote, whatever devices it was saved from.

    Args:
        folder: The folder, on a local disk: that of the state itself, which a CheckpointManager calls `default`.
        path: Where the checkpoint goes; must be free.
        options: Passed to `nn.checkpoint.save.save`.

    Returns:
        Manifest of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such folder.
        ModuleNotFoundError: If the package `orbax-checkpoint` is missing.
    """
    orbax = _orbax("folder")
    source = Path(folder).absolute()
    if not source.is_dir():
        raise FileNotFoundError(f"there is no folder {source}.")
    import jax

    with orbax.PyTreeCheckpointer() as checkpointer:
        found = checkpointer.metadata(source)
        tree = found.item_metadata.tree if hasattr(found, "item_metadata") else found
        # Without this Orbax wants the devices that it was saved from.
        as_numpy = jax.tree.map(lambda _: orbax.RestoreArgs(restore_type=np.ndarray), tree)
        state = checkpointer.restore(source, restore_args=as_numpy)
    save(path, state, wait=True, **options)
    return read_manifest(open_store(path))


def _orbax(name: str) -> Any:
    try:
        return importlib.import_module("orbax.checkpoint")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"`{name}` needs the package orbax-checkpoint to be converted; pip install orbax-checkpoint."
        ) from error

"""Checkpoints: any PyTree on any store, whole or not at all, loaded under any mesh, and every damaged byte named."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: I001, RUF022
from nn.checkpoint.manifest import CheckpointError
from nn.checkpoint.retries import Retries, StoreError
from nn.checkpoint.storage import open_store
from nn.checkpoint.save import save
from nn.checkpoint.load import load
from nn.checkpoint.inspection import inspect_checkpoint, verify_checkpoint
from nn.checkpoint.series import Series
from nn.checkpoint.rewrite import rewrite_checkpoint
from nn.checkpoint.safetensors_files import from_safetensors, to_safetensors
from nn.checkpoint.orbax_folders import from_orbax, to_orbax

__all__ = [
    "CheckpointError",
    "Retries",
    "StoreError",
    "open_store",
    "save",
    "load",
    "inspect_checkpoint",
    "verify_checkpoint",
    "Series",
    "rewrite_checkpoint",
    "from_safetensors",
    "to_safetensors",
    "from_orbax",
    "to_orbax",
]

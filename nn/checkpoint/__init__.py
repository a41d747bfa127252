"""Checkpoints: any PyTree on any store, whole or not at all, and every damaged byte named."""

# Order of dependency, which ruff would sort away.
# ruff: noqa: RUF022
from nn.checkpoint.checksums import checksum
from nn.checkpoint.retries import Retries, StoreError
from nn.checkpoint.storage import open_store

__all__ = ["checksum", "Retries", "StoreError", "open_store"]

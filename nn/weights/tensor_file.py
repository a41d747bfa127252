"""A file of named tensors: what is in it is known at once, a tensor is read when it is asked for.

Whoever opens a file may say which SHA-256 it must have, so that a number measured on real weights belongs to one file.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

# The extra of pyproject.toml that brings the packages which read files of weights.
_EXTRA = 'pip install "lightecho[models]"'


class TensorFile(Mapping[str, np.ndarray]):
    """Named tensors of a file, read one by one.

    Floating numbers come in single precision at least, whatever they are stored in.

    Attributes:
        path: The file.
        shapes: Shape of each tensor, as it is read.
        stored_as: How each tensor is stored, in the words of the format (F32, BF16, Q4_1).
        metadata: What the file says about itself.
    """

    def __init__(
        self,
        path: Path,
        shapes: Mapping[str, tuple[int, ...]],
        stored_as: Mapping[str, str],
        metadata: Mapping[str, Any],
        read: Callable[[str], np.ndarray],
    ):
        self.path, self.shapes, self.stored_as, self.metadata = path, shapes, stored_as, metadata
        self._read = read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.shapes:
            raise KeyError(name)
        array = np.asarray(self._read(name))
        if jnp.issubdtype(array.dtype, jnp.floating) and array.dtype != np.float64:
            array = array.astype(np.float32)
        return array

    def __contains__(self, name: object) -> bool:  # a Mapping would read the tensor
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def check_sha256(path: Path | str, expected: str) -> None:
    """Raises ValueError unless the file has the given SHA-256.

    Args:
        path: A file.
        expected: Digest, 64 hexadecimal digits.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its digest is another.
    """
    with open_path(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        raise ValueError(
            f"`{path}` must have the SHA-256 {expected}, but has {found}. It is another file, or a damaged one."
        )


def open_path(path: Path | str) -> Path:
    """The path of a file that exists.

    Raises:
        FileNotFoundError: If there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a file of weights, but there is none at {path}.")
    return path


def import_package(name: str) -> ModuleType:
    """Imports a package of the extra `models` where it is first used.

    Raises:
        ModuleNotFoundError: If it is missing; says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != name.split(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"`{error.name}` must be installed to read this file, but is missing; {_EXTRA} brings it.",
            name=error.name,
        ) from None

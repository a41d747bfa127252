"""JSON and arrays on disk: full precision, no pickles, written whole or not at all."""

import io
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.errors import UserError


def write_json(path: Path, content: Any) -> None:
    """Writes JSON with every digit; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    _write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Reads JSON; a file that is not is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path}: {error}; delete its folder and run again.") from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as compressed NPZ, without pickles."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    _write_bytes(path, buffer.getvalue())


def read_arrays(path: Path, hint: str = "delete its folder and run again") -> dict[str, np.ndarray]:
    """Reads an NPZ; a file that is not is named, with a hint at what to do."""
    try:
        # NumPy leaves a file open that it cannot read, so it is opened here.
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"Cannot read {path}: {error}; {hint}.") from error


def _write_bytes(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

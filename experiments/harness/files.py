"""JSON and arrays on disk: full precision, no pickles, written whole or not at all."""

import ctypes
import io
import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.errors import UserError

# Of Linux: the folder names are those of this process, and the two names are exchanged.
_HERE, _EXCHANGE = -100, 2


def write_json(path: Path, content: Any) -> None:
    """Writes JSON with every digit; NaN and infinity are refused."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path, hint: str = "delete its folder and run again") -> Any:
    """Reads JSON; a file that is not is named, with a hint at what to do."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise UserError(f"Cannot read {path}: it is nested too deep; {hint}.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path}: {error}; {hint}.") from error


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as compressed NPZ, without pickles."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path, hint: str = "delete its folder and run again") -> dict[str, np.ndarray]:
    """Reads an NPZ; a file that is not is named, with a hint at what to do."""
    try:
        # NumPy leaves a file open that it cannot read, so it is opened here.
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            return {name: archive[name] for name in archive.files}
    except (
        OSError, ValueError, EOFError, KeyError, TypeError, MemoryError, RecursionError, NotImplementedError,
        RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise UserError(f"Cannot read {path}: {error}; {hint}.") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it, so that a full disk or a kill leaves the former one."""
    temporary = beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A hidden name beside a path that no other process will choose."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def exchange(one: Path, other: Path) -> bool:
    """Exchanges the names of two folders in one step; False where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    return rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0

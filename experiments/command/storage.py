"""Results on disk: one folder per configuration, written whole or not at all.

`results/<name>/<digest>/` holds config.json, metrics.json, arrays.npz, figure.png, figure.pdf and provenance.json.
The digest is the first 12 hex digits of the SHA-256 of the canonical JSON of name and configuration. A folder is
written beside its place under a temporary name and then renamed, or exchanged with a former one, so a reader never sees
half of one and always sees one.
"""

import contextlib
import dataclasses
import enum
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command.pieces import PieceStore, told_as_storage_error
from experiments.command.stored import FORMAT, Stored, read_stored
from experiments.harness.errors import StorageError, UserError
from experiments.harness.files import exchange, write_arrays, write_json
from experiments.harness.outcome import Outcome

PRINT_DPI = 300
FILES = ("config.json", "metrics.json", "arrays.npz", "figure.png", "figure.pdf", "provenance.json")
# An integral float above this has neighbours further apart than one, so it stays a float in the digest.
_EXACT_INTEGERS = 2**53
YOUNG_S = 3600


def plain(value: Any, name: str = "configuration") -> Any:
    """Turns a configuration into JSON types; equal configurations give equal JSON, since 1.0 is written as 1.

    Args:
        value: The configuration or a part of it.
        name: Name of that part, for messages.

    Raises:
        UserError: If a number is not finite.
        TypeError: If a part is of a kind that JSON cannot hold.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        return {field: plain(getattr(value, field), field) for field in fields}
    if isinstance(value, enum.Enum):
        return plain(value.value, name)
    if isinstance(value, np.generic):
        return plain(value.item(), name)
    if isinstance(value, dict):
        return {str(key): plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item, name) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"`{name}` must be finite, but is {value}.")
        return int(value) if value.is_integer() and abs(value) < _EXACT_INTEGERS else value
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(
        f"`{name}` must hold numbers, text, tuples and dataclasses, not {type(value).__name__}."
    )


def digest(experiment: str, config: Any) -> str:
    """First 12 hex digits of the SHA-256 of canonical JSON (sorted keys, no spaces) of name and configuration."""
    record = {"experiment": experiment, "config": plain(config)}
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Store:
    """All results under one root folder.

    Args:
        root: Folder, made when first written to.

    Attributes:
        root: The folder.
        notes: What the user should know about results that were left out, each once.
    """

    def __init__(self, root: Path | str = "results"):
        self.root = Path(root)
        self.notes: dict[str, None] = {}

    def folder(self, experiment: str, config: Any) -> Path:
        """Where the result of this configuration lives, whether or not it exists."""
        return self.root / experiment / digest(experiment, config)

    def find(self, experiment: str, config: Any) -> Stored | None:
        """Complete result of this configuration, or None; refuses a folder that holds another configuration."""
        folder = self.folder(experiment, config)
        _restore_set_aside(folder)
        stored = read_stored(folder)
        if stored is not None and stored.config != plain(config):
            raise StorageError(
                f"{folder} holds the result of another configuration; move it away or use another --out."
            )
        return stored

    def all(self, experiment: str) -> list[Stored]:
        """Every complete result of an experiment, newest first; one that cannot be read is noted and left out."""
        parent = self.root / experiment
        if not parent.is_dir():
            return []
        for aside in parent.glob(".*.old"):
            _restore_set_aside(parent / aside.name[1:].removesuffix(".old"))
        found = []
        for folder in parent.iterdir():
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            try:
                stored = read_stored(folder)
            except UserError as error:
                self.notes.setdefault(str(error))
                continue
            found += [stored] if stored is not None else []
        return sorted(found, key=lambda stored: stored.provenance["date"], reverse=True)

    def save(self, outcome: Outcome, scale: str, provenance: dict, figure=None) -> Stored:
        """Writes a result beside its place, then renames it; a former result stays until the new one is whole.

        Raises:
            StorageError: If it cannot be written; the message names the path and the former result is kept.
        """
        folder = self.folder(outcome.experiment, outcome.config)
        with told_as_storage_error(folder):
            temporary = _new_folder_beside(folder)
            _clear_left_behind(folder.parent)
            try:
                _write_all(temporary, outcome, scale, provenance, figure)
                _swap(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        stored = read_stored(folder)
        if stored is None:
            raise StorageError(f"{folder} was saved, but another process has removed it since.")
        return stored

    def draw(self, stored: Stored, figure) -> None:
        """Adds the figure to a result that was saved without one."""
        from experiments.harness.plotting import save_figure

        with told_as_storage_error(stored.folder):
            save_figure(figure, stored.folder / "figure", PRINT_DPI)

    def pieces(
        self, experiment: str, config: Any, code: str = "", force: bool = False
    ) -> PieceStore:
        """Pieces of an unfinished run of this configuration."""
        folder = self.folder(experiment, config)
        return PieceStore(folder.with_name(f".{folder.name}.pieces"), plain(config), code, force)


def _write_all(folder: Path, outcome: Outcome, scale: str, provenance: dict, figure) -> None:
    write_json(
        folder / "config.json", {"experiment": outcome.experiment, "config": plain(outcome.config)}
    )
    write_json(folder / "metrics.json", metrics_record(outcome, scale))
    write_arrays(folder / "arrays.npz", dict(outcome.arrays))
    if figure is not None:
        from experiments.harness.plotting import save_figure

        save_figure(figure, folder / "figure", PRINT_DPI)
    # The last file to be written: a folder with provenance is a whole folder.
    write_json(folder / "provenance.json", provenance)


def metrics_record(outcome: Outcome, scale: str) -> dict:
    """Content of metrics.json, the layout that scripts rely on."""
    return {
        "format": FORMAT,
        "experiment": outcome.experiment,
        "digest": digest(outcome.experiment, outcome.config),
        "scale": scale,
        "metrics": {
            name: dataclasses.asdict(measured) for name, measured in outcome.metrics.items()
        },
        "references": [dataclasses.asdict(reference) for reference in outcome.references],
    }


def _new_folder_beside(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
    new.mkdir()
    return new


def _clear_left_behind(parent: Path) -> None:
    """Removes what killed processes left; a young folder may belong to a process still writing."""
    for left in parent.glob(".*.new-*"):
        with contextlib.suppress(OSError):  # another process may have been quicker
            if time.time() - left.stat().st_mtime > YOUNG_S:
                shutil.rmtree(left, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Gives the new folder its name; what had the name before lies under the other one or is gone afterwards."""
    try:
        new.rename(folder)
        return
    except OSError:
        if not folder.exists():
            raise
    if exchange(new, folder):
        return
    # Where two names cannot be exchanged, readers look for the former result under the name `.old` meanwhile.
    aside = _aside(folder)
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        _restore_set_aside(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _restore_set_aside(folder: Path) -> None:
    """Puts a former result back that a process killed between the two renames of `_swap` has set aside."""
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        with contextlib.suppress(OSError):  # two readers may do so at once
            aside.rename(folder)

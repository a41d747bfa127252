"""Results on disk: one folder per configuration, written whole or not at all, and pieces of runs still going.

`results/<name>/<digest>/` holds config.json, metrics.json, arrays.npz, figure.png, figure.pdf and provenance.json.
The digest is the first 12 hex digits of the SHA-256 of the canonical JSON of name and configuration. A folder is
written beside its place under a temporary name and then renamed, so a reader never sees half of one.
"""

import contextlib
import dataclasses
import enum
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness.errors import StorageError, UserError
from experiments.harness.files import read_arrays, read_json, write_arrays, write_json
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

PRINT_DPI = 300
FILES = ("config.json", "metrics.json", "arrays.npz", "figure.png", "figure.pdf", "provenance.json")
# An integral float above this has neighbours further apart than one, so it stays a float in the digest.
_EXACT_INTEGERS = 2**53


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


@dataclass(frozen=True)
class Stored:
    """A complete result folder, its JSON files read."""

    folder: Path
    config: dict
    record: dict
    provenance: dict

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return self.record["experiment"]

    @property
    def digest(self) -> str:
        """Digest of the configuration."""
        return self.record["digest"]

    @property
    def scale(self) -> str:
        """Scale it was run at, "custom" where a field was changed."""
        return self.record["scale"]

    @property
    def metrics(self) -> dict[str, Measurement]:
        """Measurements by name."""
        return {name: Measurement(**entry) for name, entry in self.record["metrics"].items()}

    @property
    def references(self) -> tuple[Reference, ...]:
        """Published numbers as they were when the result was saved."""
        return tuple(Reference(**entry) for entry in self.record["references"])

    def outcome(self, config: Any) -> Outcome:
        """The outcome as `run` returned it, for the configuration object that made it."""
        arrays = read_arrays(self.folder / "arrays.npz")
        return Outcome(self.experiment, config, self.metrics, arrays, self.references)


class Store:
    """All results under one root folder.

    Args:
        root: Folder, made when first written to.
    """

    def __init__(self, root: Path | str = "results"):
        self.root = Path(root)

    def folder(self, experiment: str, config: Any) -> Path:
        """Where the result of this configuration lives, whether or not it exists."""
        return self.root / experiment / digest(experiment, config)

    def find(self, experiment: str, config: Any) -> Stored | None:
        """Complete result of this configuration, or None; refuses a folder that holds another configuration."""
        folder = self.folder(experiment, config)
        _restore_set_aside(folder)
        stored = _read(folder)
        if stored is not None and stored.config != plain(config):
            raise StorageError(
                f"{folder} holds the result of another configuration; move it away or use another --out."
            )
        return stored

    def all(self, experiment: str) -> list[Stored]:
        """Every complete result of an experiment, newest first."""
        parent = self.root / experiment
        if not parent.is_dir():
            return []
        folders = [
            path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")
        ]
        found = [stored for stored in map(_read, folders) if stored is not None]
        return sorted(found, key=lambda stored: stored.provenance.get("date", ""), reverse=True)

    def save(self, outcome: Outcome, scale: str, provenance: dict, figure=None) -> Stored:
        """Writes a result beside its place, then renames it; a former result stays until the new one is whole.

        Raises:
            StorageError: If it cannot be written; the message names the path and the former result is kept.
        """
        folder = self.folder(outcome.experiment, outcome.config)
        with _told_as_storage_error(folder):
            temporary = _new_folder_beside(folder)
            try:
                _write_all(temporary, outcome, scale, provenance, figure)
                _swap(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        stored = _read(folder)
        assert stored is not None
        return stored

    def draw(self, stored: Stored, figure) -> None:
        """Adds the figure to a result that was saved without one."""
        from experiments.harness.plotting import save_figure

        with _told_as_storage_error(stored.folder):
            save_figure(figure, stored.folder / "figure", PRINT_DPI)

    def pieces(
        self, experiment: str, config: Any, code: str = "", force: bool = False
    ) -> "PieceStore":
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
    for left in folder.parent.glob(f".{folder.name}.new-*"):
        # A killed process leaves its folder behind; a young one may belong to a process still writing.
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    new.mkdir()
    return new


def _swap(new: Path, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        _restore_set_aside(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _restore_set_aside(folder: Path) -> None:
    # A process killed between the two renames of `_swap` leaves the former result under the name `.old`.
    aside = folder.with_name(f".{folder.name}.old")
    if aside.is_dir() and not folder.exists():
        aside.rename(folder)


def _read(folder: Path) -> Stored | None:
    if not (folder / "provenance.json").is_file():
        return None
    config, record, provenance = (
        read_json(folder / f"{part}.json") for part in ("config", "metrics", "provenance")
    )
    return Stored(folder, config["config"], record, provenance)


@contextlib.contextmanager
def _told_as_storage_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = "the former result is kept" if path.exists() else "what was saved before is kept"
        raise StorageError(f"Cannot write {path}: {error.strerror or error}; {kept}.") from error


class PieceStore:
    """Finished pieces of an unfinished run, each an NPZ written under a temporary name and renamed.

    Args:
        folder: Where the pieces of one configuration live.
        config: The configuration as plain JSON; pieces of another one are refused.
        code: Fingerprint of the source, kept with each piece so that mixing of versions is seen.
        force: Use only pieces of an interrupted forced run of the same code.
    """

    _META = "piece_meta"

    def __init__(self, folder: Path, config: Any, code: str = "", force: bool = False):
        self.folder = folder
        self.notes: list[str] = []
        self.reused = 0
        self.reused_seconds = 0.0
        self._config = config
        self._code = code
        self._force = force

    def load(self, label: str) -> dict[str, np.ndarray] | None:
        """Saved piece, or None; a damaged one is noted and computed again."""
        path = self._path(label)
        if not path.exists():
            return None
        self._check_config()
        try:
            arrays = read_arrays(path)
            meta = json.loads(str(arrays.pop(self._META)))
        except (UserError, KeyError, ValueError):
            self.notes.append(f"{label}: the saved piece {path} is damaged, computing it again")
            return None
        if meta["label"] != label or (
            self._force and not (meta["force"] and meta["code"] == self._code)
        ):
            return None
        if meta["code"] != self._code:
            self.notes.append(
                f"{label}: saved by another version of the code; --force computes it again"
            )
        self.reused += 1
        self.reused_seconds += meta["seconds"]
        return arrays

    def save(self, label: str, arrays: dict[str, np.ndarray], seconds: float) -> None:
        """Writes a piece under a temporary name and renames it."""
        path = self._path(label)
        meta = {"label": label, "code": self._code, "force": self._force, "seconds": seconds}
        with _told_as_storage_error(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_config()
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            try:
                write_arrays(temporary, arrays | {self._META: np.array(json.dumps(meta))})
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def discard(self) -> None:
        """Removes the pieces, once the whole result is saved."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, label: str) -> Path:
        words = "".join(c if c.isalnum() or c in "-_." else "_" for c in label)[:60]
        return self.folder / f"{words}-{hashlib.sha256(label.encode()).hexdigest()[:8]}.npz"

    def _check_config(self) -> None:
        path = self.folder / "config.json"
        if not path.exists():
            write_json(path, self._config)
        elif read_json(path) != self._config:
            raise StorageError(
                f"{self.folder} holds pieces of another configuration; delete it or use another --out."
            )

"""A complete result folder as read from disk: every file checked, so that what is not as we write it is one line.

Results carry a format number. Format 1 had none; what it lacks is filled with what it meant. A newer one is refused by
its number, since a guess at what it says could be wrong.
"""

import datetime
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from experiments.harness.errors import UserError
from experiments.harness.files import read_arrays, read_json
from experiments.harness.measurement import Measurement, Reference
from experiments.harness.outcome import Outcome

FORMAT = 2
PARTS = ("config", "metrics", "provenance")
# What the text of a key must be; the rest of provenance.json is for people and for later versions.
_NUMBER, _TEXT = "a finite number", "text"


@dataclass(frozen=True)
class Stored:
    """A complete result folder, its JSON files read.

    Attributes:
        folder: Where it is.
        config: Configuration as plain JSON.
        record: Content of metrics.json.
        provenance: Content of provenance.json.
        metrics: Measurements by name.
        references: Published numbers as they were when the result was saved.
    """

    folder: Path
    config: dict
    record: dict
    provenance: dict
    metrics: Mapping[str, Measurement]
    references: tuple[Reference, ...]

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
    def code(self) -> str:
        """Fingerprint of the source that made it; "" where the result does not say."""
        return self.provenance.get("code") or ""

    def outcome(self, config: Any) -> Outcome:
        """The outcome as `run` returned it, for the configuration object that made it."""
        arrays = read_arrays(self.folder / "arrays.npz")
        return Outcome(self.experiment, config, self.metrics, arrays, self.references)


def read_stored(folder: Path) -> Stored | None:
    """Result in a folder; None where it has none that is whole.

    Raises:
        UserError: If a file cannot be read or is not as written by us; names file and key.
    """
    for _ in range(5):
        if not (folder / "provenance.json").is_file():
            return None
        before = _identity(folder)
        try:
            found = _read(folder)
        except UserError:
            if _identity(folder) == before:
                raise
            continue
        if _identity(folder) == before:
            return found
    # Another process has replaced it five times while we read.
    raise UserError(
        f"Cannot read {folder}: it changes all the time; wait for the run that writes it."
    )


def _identity(folder: Path) -> tuple[int, int]:
    """Which folder has this name; it is another one once a result has been replaced."""
    try:
        seen = folder.stat()
    except OSError:
        return -1, -1
    return seen.st_ino, seen.st_mtime_ns


def _read(folder: Path) -> Stored:
    config, record, provenance = (read_json(folder / f"{part}.json") for part in PARTS)
    files = {part: folder / f"{part}.json" for part in PARTS}
    for part, content in zip(PARTS, (config, record, provenance), strict=True):
        if not isinstance(content, dict):
            _refuse(files[part], f"it must hold an object, but holds {type(content).__name__}")
    number = record.get("format", 1)
    if not isinstance(number, int) or number < 1:
        _refuse(files["metrics"], f"its `format` must be a number from 1 on, but is {number!r}")
    if number > FORMAT:
        _refuse(
            files["metrics"], f"its `format` is {number} and this lightecho knows up to {FORMAT}; update lightecho"
        )  # fmt: skip
    for name in ("experiment", "digest", "scale"):
        _field(files["metrics"], record, name, _TEXT)
    _check_names(files["metrics"], record, folder)
    _check_provenance(files["provenance"], provenance)
    stated = _field(files["config"], config, "config", "an object")
    metrics = _field(files["metrics"], record, "metrics", "an object")
    references = _field(files["metrics"], record, "references", "a list")
    return Stored(
        folder,
        stated,
        record,
        provenance,
        {key: _made(Measurement, entry, files["metrics"], f"metrics.{key}") for key, entry in metrics.items()},
        tuple(
            _made(Reference, entry, files["metrics"], f"references[{number}]")
            for number, entry in enumerate(references)
        ),
    )  # fmt: skip


def _check_names(path: Path, record: dict, folder: Path) -> None:
    # They become names of pages and links.
    if record["experiment"] != folder.parent.name:
        _refuse(
            path,
            f"its `experiment` is {record['experiment']!r}, but it lies in {folder.parent.name}",
        )
    if not re.fullmatch(r"[0-9a-f]{12}", record["digest"]):
        _refuse(path, f"its `digest` must be 12 hex digits, but is {record['digest']!r}")


def _check_provenance(path: Path, provenance: dict) -> None:
    _field(path, provenance, "wall_time_s", _NUMBER)
    try:
        datetime.datetime.fromisoformat(_field(path, provenance, "date", _TEXT))
    except ValueError:
        _refuse(
            path, f"its `date` must be as 2026-01-31T12:00:00+00:00, but is {provenance['date']!r}"
        )
    for name in ("code", "commit", "device", "precision", "workers"):
        if provenance.get(name) is not None:
            _field(path, provenance, name, _TEXT)
    for name, kind in (("versions", "an object"), ("command", "a list")):
        if provenance.get(name) is not None:
            _field(path, provenance, name, kind)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST and not math.isnan(value)


_LARGEST = 1e300
_KINDS: dict[str, Callable[[Any], bool]] = {
    _NUMBER: _is_number,
    _TEXT: lambda value: isinstance(value, str),
    "an object": lambda value: isinstance(value, dict),
    "a list": lambda value: isinstance(value, list),
}


def _field(path: Path, content: dict, name: str, kind: str) -> Any:
    if name not in content:
        _refuse(path, f"it lacks `{name}`")
    if not _KINDS[kind](content[name]):
        _refuse(path, f"its `{name}` must be {kind}, but is {_short(content[name])}")
    return content[name]


def _made(kind: type, entry: Any, path: Path, name: str) -> Any:
    """A measurement or reference; keys that we do not know are left out, those with a default may be missing."""
    if not isinstance(entry, dict):
        _refuse(path, f"its `{name}` must be an object, but is {_short(entry)}")
    known = {field.name: field for field in fields(kind)}
    lacking = [
        field.name for field in known.values() if field.default is MISSING and field.name not in entry
    ]  # fmt: skip
    if lacking:
        _refuse(path, f"its `{name}` lacks `{lacking[0]}`")
    for key in known.keys() & entry.keys():
        _check_entry(path, kind, name, key, entry[key])
    try:
        return kind(**{key: entry[key] for key in known if key in entry})
    except (TypeError, ValueError, OverflowError) as error:
        _refuse(path, f"its `{name}` is not as it must be: {error}".removesuffix("."))


_NUMBERS = ("value", "stderr", "uncertainty")
_MAY_BE_NULL = {(Measurement, "stderr"), (Reference, "value"), (Reference, "uncertainty")}


def _check_entry(path: Path, kind: type, name: str, key: str, value: Any) -> None:
    if value is None and (kind, key) in _MAY_BE_NULL:
        return
    if key in _NUMBERS:
        wanted, right = _NUMBER, _KINDS[_NUMBER](value)
    elif key == "n":
        wanted, right = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    elif key == "comparable":
        wanted, right = "true or false", isinstance(value, bool)
    else:
        wanted, right = _TEXT, isinstance(value, str)
    if not right:
        _refuse(path, f"its `{name}.{key}` must be {wanted}, but is {_short(value)}")


def _short(value: Any) -> str:
    text = "null" if value is None else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(path: Path, why: str) -> NoReturn:
    raise UserError(f"Cannot read {path}: {why}; delete its folder and run again.")

"""The accepted numbers of every quick run: a change of a result has to be noticed and given a reason.

`accepted.json` holds for each experiment the digest of its quick configuration and for each metric a value and a
tolerance in its unit. The tolerance comes from `TOLERANCES` of the experiment (shell patterns), else it is five
standard errors, else 1e-3 of the value (float32 sums differ between machines by about 1e-6 and grow over a training;
both are choices of ours).
"""

import datetime
import fnmatch
from dataclasses import dataclass
from pathlib import Path

from experiments.command import provenance
from experiments.command.registry import load, summary
from experiments.command.runner import other_code
from experiments.command.storage import Store, Stored, digest
from experiments.harness.errors import UserError
from experiments.harness.files import read_json, write_json
from experiments.harness.measurement import Measurement

PATH = Path(__file__).with_name("accepted.json")


@dataclass(frozen=True)
class Finding:
    """One departure from the accepted numbers."""

    experiment: str
    text: str


def verify(names: list[str], store: Store, path: Path | None = None) -> list[Finding]:
    """Compares stored quick results with the accepted ones; an empty list means all is well."""
    accepted = _read(path or PATH)["experiments"]
    return [Finding(name, text) for name in names for text in _departures(name, store, accepted)]


def accept(names: list[str], store: Store, reason: str, path: Path | None = None) -> None:
    """Makes the stored quick results the accepted ones.

    Args:
        names: Experiments.
        store: Where their results live.
        reason: Sentence that says why the numbers change.
        path: The file of accepted numbers; None takes the tracked one.

    Raises:
        UserError: If a quick result is not stored, there is no reason, or this is not a checkout.
    """
    if len(reason.split()) < 2:
        raise UserError("`--reason` must be a sentence that says why the accepted numbers change.")
    if not (provenance.ROOT / "pyproject.toml").is_file():
        raise UserError(
            "`--accept` changes a file that git tracks, but this lightecho is installed without its source; use it "
            "in a checkout."
        )
    path = path or PATH
    content = _read(path)
    for name in names:
        stored = _quick_result(name, store)
        if stored is None:
            raise UserError(
                f"{name} has no quick result; `lightecho run {name} --scale quick` makes one."
            )
        content["experiments"][name] = _entry(name, stored)
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        content["history"].append({"date": today, "experiment": name, "reason": reason})
    write_json(path, content)


def made_by_other_code(names: list[str], store: Store) -> list[str]:
    """A line for each stored quick result that the present source has not made."""
    results = (_quick_result(name, store, strict=False) for name in names)
    return [note for stored in results if stored is not None and (note := other_code(stored))]


def _read(path: Path) -> dict:
    if not path.exists():
        return {"experiments": {}, "history": []}
    content = read_json(path, hint := "git restores it")
    if not isinstance(content, dict) or not isinstance(content.get("experiments"), dict):
        raise UserError(f"Cannot read {path}: it lacks `experiments`; {hint}.")
    for name, entry in content["experiments"].items():
        if not isinstance(entry, dict) or not _is_entry(entry):
            raise UserError(f"Cannot read {path}: its entry `{name}` is not as accepted; {hint}.")
    return {"history": []} | content


def _is_entry(entry: dict) -> bool:
    metrics = entry.get("metrics")
    return (
        isinstance(entry.get("digest"), str)
        and isinstance(metrics, dict)
        and all(
            isinstance(metric, dict)
            and all(isinstance(metric.get(part), int | float) for part in ("value", "tolerance"))
            for metric in metrics.values()
        )
    )


def _quick_result(name: str, store: Store, strict: bool = True) -> Stored | None:
    try:
        return store.find(name, load(name).SCALES["quick"])
    except UserError:
        if strict:
            raise
        return None


def _entry(name: str, stored: Stored) -> dict:
    patterns = summary(name).tolerances
    metrics = {
        metric: {"value": measured.value, "tolerance": _tolerance(metric, measured, patterns)}
        for metric, measured in stored.metrics.items()
    }
    return {"digest": stored.digest, "metrics": metrics}


def _tolerance(metric: str, measured: Measurement, patterns: dict[str, float]) -> float:
    for pattern, tolerance in patterns.items():
        if fnmatch.fnmatchcase(metric, pattern):
            return tolerance
    return 5 * measured.stderr if measured.stderr else max(1e-3 * abs(measured.value), 1e-9)


def _departures(name: str, store: Store, accepted: dict) -> list[str]:
    try:
        stored = _quick_result(name, store)
    except UserError as error:
        return [str(error)]
    if name not in accepted:
        return ["nothing is accepted yet; `lightecho verify --accept --reason ...` does it"]
    if stored is None:
        return [f"no quick result is stored; `lightecho run {name} --scale quick` makes one"]
    entry = accepted[name]
    if entry["digest"] != digest(name, load(name).SCALES["quick"]):
        return ["the quick configuration changed since its numbers were accepted"]
    gone = [
        f"{metric} is no longer measured"
        for metric in entry["metrics"]
        if metric not in stored.metrics
    ]
    new = [f"{metric} is new" for metric in stored.metrics if metric not in entry["metrics"]]
    return gone + new + _out_of_tolerance(stored, entry["metrics"])


def _out_of_tolerance(stored: Stored, accepted: dict) -> list[str]:
    found = []
    for metric, measured in stored.metrics.items():
        expected = accepted.get(metric)
        # Written so that a NaN in the accepted file cannot pass.
        if expected and not abs(measured.value - expected["value"]) <= expected["tolerance"]:
            found.append(
                f"{metric} is {measured.value:.6g} {measured.unit}".rstrip()
                + f", but {expected['value']:.6g} ± {expected['tolerance']:.2g} was accepted"
            )
    return found

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

from experiments.command.registry import load, summary
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
        UserError: If a quick result is not stored, or there is no reason.
    """
    if len(reason.split()) < 2:
        raise UserError("`--reason` must be a sentence that says why the accepted numbers change.")
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


def _read(path: Path) -> dict:
    return read_json(path) if path.exists() else {"experiments": {}, "history": []}


def _quick_result(name: str, store: Store) -> Stored | None:
    return store.find(name, load(name).SCALES["quick"])


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
    stored = _quick_result(name, store)
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

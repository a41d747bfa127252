import json
import re

import pytest

from experiments.command import provenance
from experiments.command.accepted import accept, made_by_other_code, verify
from experiments.command.runner import run_and_store
from experiments.harness.errors import UserError
from tests.experiments.pendulum import SCALES


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accepted.json"


@pytest.fixture
def quick(registered, store):
    return run_and_store("pendulum", SCALES["quick"], store)[0]


def change(path, metric, shift):
    content = json.loads(path.read_text())
    content["experiments"]["pendulum"]["metrics"][metric]["value"] += shift
    path.write_text(json.dumps(content))


def texts(store, path):
    return [finding.text for finding in verify(["pendulum"], store, path)]


def test_accepted_numbers_pass_and_the_reason_is_kept(quick, store, path):
    accept(["pendulum"], store, "first measurement", path)
    assert verify(["pendulum"], store, path) == []
    assert json.loads(path.read_text())["history"][0]["reason"] == "first measurement"


def test_tolerance_is_that_of_the_experiment_else_five_standard_errors(quick, store, path):
    accept(["pendulum"], store, "first measurement", path)
    entry = json.loads(path.read_text())["experiments"]["pendulum"]["metrics"]
    assert entry["period.1m"]["tolerance"] == 0.5
    assert entry["period.2m"]["tolerance"] == 5 * quick.metrics["period.2m"].stderr


def test_a_number_outside_its_tolerance_is_found_and_one_inside_is_not(quick, store, path):
    accept(["pendulum"], store, "first measurement", path)
    change(path, "period.1m", 0.49)
    assert texts(store, path) == []
    change(path, "period.1m", 0.02)
    (text,) = texts(store, path)
    assert text.startswith("period.1m is 2.00")
    assert "± 0.5 was accepted" in text


def test_a_metric_that_comes_or_goes_is_found(quick, store, path):
    accept(["pendulum"], store, "first measurement", path)
    content = json.loads(path.read_text())
    metrics = content["experiments"]["pendulum"]["metrics"]
    metrics["period.9m"] = metrics.pop("period.2m")
    path.write_text(json.dumps(content))
    assert texts(store, path) == ["period.9m is no longer measured", "period.2m is new"]


def test_another_quick_configuration_is_found(quick, store, path, registered, monkeypatch):
    accept(["pendulum"], store, "first measurement", path)
    monkeypatch.setitem(registered.SCALES, "quick", registered.Config(seed=5))
    assert "no quick result is stored" in texts(store, path)[0]
    run_and_store("pendulum", registered.Config(seed=5), store)
    assert texts(store, path) == ["the quick configuration changed since its numbers were accepted"]


def test_nothing_stored_and_nothing_accepted_are_told_apart(registered, store, path):
    assert "nothing is accepted yet" in texts(store, path)[0]
    with pytest.raises(UserError, match="no quick result"):
        accept(["pendulum"], store, "first measurement", path)


@pytest.mark.parametrize("reason", ["", "why"])
def test_accepting_needs_a_reason(quick, store, path, reason):
    with pytest.raises(UserError, match="--reason"):
        accept(["pendulum"], store, reason, path)
    assert not path.exists()


def test_a_result_that_cannot_be_read_is_a_departure(quick, store, path):
    accept(["pendulum"], store, "first measurement", path)
    (quick.folder / "metrics.json").write_text("{}")
    assert "lacks `experiment`" in texts(store, path)[0]


def test_numbers_of_other_code_are_told(quick, store):
    assert made_by_other_code(["pendulum"], store) == []
    file = quick.folder / "provenance.json"
    file.write_text(json.dumps({**quick.provenance, "code": "0ld"}))
    (note,) = made_by_other_code(["pendulum"], store)
    assert re.search(r"was made by other code \(fingerprint 0ld, now \w{12}\); --force", note)


def test_an_installed_copy_accepts_nothing(quick, store, path, monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    with pytest.raises(UserError, match="`--accept` changes a file that git tracks"):
        accept(["pendulum"], store, "first measurement", path)
    assert not path.exists()


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"experiments": {"pendulum": {"digest": 1}}}', '{"experiments": {"pendulum": null}}']
)  # fmt: skip
def test_a_damaged_file_of_accepted_numbers_is_one_line(quick, store, path, content):
    path.write_text(content)
    with pytest.raises(UserError, match=r"Cannot read .*accepted\.json: .*; git restores it"):
        verify(["pendulum"], store, path)

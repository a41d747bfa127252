import dataclasses
import errno
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.command import storage
from experiments.command.pieces import PieceStore
from experiments.command.storage import digest, plain
from experiments.command.stored import FORMAT
from experiments.harness import files
from experiments.harness.errors import StorageError, UserError
from experiments.harness.files import read_arrays
from experiments.harness.measurement import Measurement
from experiments.harness.outcome import Outcome
from tests.experiments.pendulum import Config, run

RECORD = {"date": "2026-01-01T00:00:00+00:00", "wall_time_s": 1.0}


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_every_field_of_a_configuration_changes_the_digest():
    changed = {
        "seed": 1,
        "lengths": (2.0, 1.0),
        "gravity": np.nextafter(9.81, 10),
        "pause": 0.1,
        "fault": "nan",
        "precision": "double",
    }
    assert set(changed) == {field.name for field in dataclasses.fields(Config)}
    digests = {
        digest("pendulum", dataclasses.replace(Config(), **{k: v})) for k, v in changed.items()
    }
    digests |= {digest("pendulum", Config()), digest("other", Config())}
    assert len(digests) == len(changed) + 2


def test_the_order_of_fields_does_not_change_the_digest():
    @dataclass(frozen=True)
    class A:
        seed: int = 1
        size: float = 2.5

    @dataclass(frozen=True)
    class B:
        size: float = 2.5
        seed: int = 1

    assert digest("x", A()) == digest("x", B())


def test_the_digest_is_that_of_canonical_json():
    import hashlib

    @dataclass(frozen=True)
    class One:
        b: float = 0.1
        a: tuple = (1, "x")

    text = '{"config":{"a":[1,"x"],"b":0.1},"experiment":"e"}'
    assert digest("e", One()) == hashlib.sha256(text.encode()).hexdigest()[:12]


@given(st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False)))
def test_equal_numbers_and_only_those_have_equal_json(number):
    back = json.loads(json.dumps(plain(number)))
    assert back == number
    if abs(number) < 2**53:
        assert json.dumps(plain(float(number))) == json.dumps(plain(number))


def test_a_configuration_that_is_not_finite_is_refused():
    with pytest.raises(UserError, match="finite"):
        digest("x", Config(gravity=float("nan")))


def test_a_stored_result_gives_back_the_outcome_exactly(store):
    outcome = run(Config(lengths=(1.0, 1 / 3)))
    stored = store.save(outcome, "custom", RECORD, outcome.figure())
    back = stored.outcome(outcome.config)
    assert dict(back.metrics) == dict(outcome.metrics)
    assert back.references == outcome.references
    for name, array in outcome.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array, strict=True)
    assert {path.name for path in stored.folder.iterdir()} == set(storage.FILES)
    assert [path.name for path in stored.folder.parent.iterdir()] == [stored.folder.name]


def test_metrics_json_has_the_documented_layout(store):
    stored = store.save(run(Config()), "quick", RECORD)
    content = json.loads((stored.folder / "metrics.json").read_text())
    assert list(content) == ["format", "experiment", "digest", "scale", "metrics", "references"]
    assert content["format"] == FORMAT
    assert (content["experiment"], content["scale"]) == ("pendulum", "quick")
    assert content["digest"] == stored.folder.name
    assert all(list(m) == ["value", "stderr", "unit", "n"] for m in content["metrics"].values())
    keys = ["name", "value", "uncertainty", "unit", "place", "how", "comparable", "note"]
    assert [list(reference) for reference in content["references"]] == [keys] * 3
    assert content["references"][1]["value"] is None


def test_a_full_disk_keeps_the_former_result(store, monkeypatch):
    stored = store.save(run(Config()), "quick", RECORD)
    before = {path.name: path.read_bytes() for path in stored.folder.iterdir()}
    monkeypatch.setattr(storage.os, "fsync", full_disk)
    with pytest.raises(
        StorageError, match=r"Cannot write .*No space left.*former result is kept"
    ) as caught:
        store.save(run(Config()), "quick", {**RECORD, "wall_time_s": 2.0})
    assert str(stored.folder) in str(caught.value)
    assert {path.name: path.read_bytes() for path in stored.folder.iterdir()} == before
    assert [path.name for path in stored.folder.parent.iterdir()] == [stored.folder.name]


def test_a_rename_that_fails_puts_the_former_result_back(store, monkeypatch):
    stored = store.save(run(Config()), "quick", RECORD)
    rename = storage.Path.rename

    def fail_for_new(self, target):
        if ".new-" in self.name:
            full_disk()
        return rename(self, target)

    monkeypatch.setattr(storage.Path, "rename", fail_for_new)
    monkeypatch.setattr(storage, "exchange", lambda *_: False)
    with pytest.raises(StorageError):
        store.save(run(Config()), "quick", {**RECORD, "wall_time_s": 2.0})
    assert stored.folder.is_dir()
    assert store.find("pendulum", Config()).provenance == RECORD


def test_a_result_set_aside_by_a_killed_process_is_found_again(store):
    stored = store.save(run(Config()), "quick", RECORD)
    stored.folder.rename(stored.folder.with_name(f".{stored.folder.name}.old"))
    assert store.find("pendulum", Config()).provenance == RECORD


def test_a_new_result_takes_the_name_in_one_step(store, monkeypatch):
    first = store.save(run(Config()), "quick", RECORD)
    seen = []
    swap = storage.exchange

    def watch(new, folder):
        seen.append(store.find("pendulum", Config()).provenance["wall_time_s"])
        swapped = swap(new, folder)
        seen.append(store.find("pendulum", Config()).provenance["wall_time_s"])
        return swapped

    monkeypatch.setattr(storage, "exchange", watch)
    again = store.save(run(Config()), "quick", {**RECORD, "wall_time_s": 2.0})
    assert again.folder == first.folder
    assert seen in ([1.0, 2.0], [1.0, 1.0])  # the second where a file system cannot exchange
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]


def test_two_results_saved_at_once_end_in_one(store):
    outcome = run(Config())

    def save(seconds):
        return store.save(outcome, "quick", {**RECORD, "wall_time_s": float(seconds)})

    with ThreadPoolExecutor(4) as threads:
        saved = list(threads.map(save, range(12)))
    assert all(stored.experiment == "pendulum" for stored in saved)
    assert store.find("pendulum", Config()).provenance["wall_time_s"] in range(12)
    assert [path.name for path in saved[0].folder.parent.iterdir()] == [saved[0].folder.name]


def test_folders_of_killed_runs_go_at_the_next_save(store):
    parent = store.folder("pendulum", Config()).parent
    old, young = (parent / f".{name}.new-{os.getpid()}" for name in ("abc", "def"))
    for left in (old, young):
        left.mkdir(parents=True)
    past = time.time() - 2 * storage.YOUNG_S
    os.utime(old, (past, past))
    store.save(run(Config()), "quick", RECORD)
    assert not old.exists()
    assert young.exists()


def test_a_folder_of_another_configuration_is_refused(store):
    stored = store.save(run(Config()), "quick", RECORD)
    stored.folder.rename(store.folder("pendulum", Config(seed=1)))
    with pytest.raises(StorageError, match="another configuration"):
        store.find("pendulum", Config(seed=1))


def test_a_folder_without_provenance_is_not_a_result(store):
    stored = store.save(run(Config()), "quick", RECORD)
    (stored.folder / "provenance.json").unlink()
    assert store.find("pendulum", Config()) is None
    assert store.all("pendulum") == []


def test_a_damaged_json_is_named(store):
    stored = store.save(run(Config()), "quick", RECORD)
    (stored.folder / "metrics.json").write_text('{"experiment": ')
    with pytest.raises(UserError, match=r"Cannot read .*metrics\.json"):
        store.find("pendulum", Config())


def test_one_damaged_result_is_left_out_of_the_list_with_a_note(store):
    damaged = store.save(run(Config()), "quick", RECORD)
    whole = store.save(run(Config(seed=1)), "quick", RECORD)
    (damaged.folder / "config.json").write_text("null")
    assert [stored.digest for stored in store.all("pendulum")] == [whole.digest]
    (note,) = store.notes
    assert "config.json: it must hold an object" in note


def test_results_are_listed_newest_first(store):
    for year in (2025, 2027, 2026):
        store.save(
            run(Config(seed=year)), "quick", {**RECORD, "date": f"{year}-01-01T00:00:00+00:00"}
        )
    assert [stored.config["seed"] for stored in store.all("pendulum")] == [2027, 2026, 2025]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def pieces(tmp_path, **options):
    return PieceStore(tmp_path / "pieces", {"seed": 0}, **options)


def test_a_piece_comes_back_exactly(tmp_path):
    arrays = {"a/b c": np.linspace(0, 1, 7) + 1j, "n": np.array(3), "s": np.array(["x", "yz"])}
    pieces(tmp_path).save("depth 2, seed 1", arrays, 1.5)
    again = pieces(tmp_path)
    back = again.load("depth 2, seed 1")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, strict=True)
    assert (again.reused, again.reused_seconds) == (1, 1.5)
    assert again.load("depth 2, seed 2") is None


def test_labels_that_look_alike_as_file_names_stay_apart(tmp_path):
    for label in ("a b", "a/b", "a" * 100, "a" * 101):
        pieces(tmp_path).save(label, {"x": np.array(len(label))}, 0.0)
    assert pieces(tmp_path).load("a" * 100)["x"] == 100
    assert len(list((tmp_path / "pieces").glob("*.npz"))) == 4


@pytest.mark.parametrize("keep", [0, 1, 100, -10])
def test_a_truncated_piece_is_computed_again_with_a_warning(tmp_path, keep):
    pieces(tmp_path).save("a", {"x": np.arange(1000.0)}, 0.0)
    (path,) = (tmp_path / "pieces").glob("*.npz")
    path.write_bytes(path.read_bytes()[:keep])
    again = pieces(tmp_path)
    assert again.load("a") is None
    assert "damaged" in again.notes[0]


@pytest.mark.parametrize("position", [0.3, 0.5, 0.7])
def test_a_piece_with_changed_bytes_is_never_believed(tmp_path, position):
    values = np.random.default_rng(0).normal(size=2000)
    pieces(tmp_path).save("a", {"x": values}, 0.0)
    (path,) = (tmp_path / "pieces").glob("*.npz")
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 0xFF
    path.write_bytes(content)
    back = pieces(tmp_path).load("a")
    assert back is None or np.array_equal(back["x"], values)


def test_a_damaged_configuration_of_pieces_costs_none_of_them(tmp_path):
    pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)
    (tmp_path / "pieces" / "config.json").write_text('{"se')
    again = pieces(tmp_path)
    with again.held():
        assert again.load("a")["x"].tolist() == [0, 1, 2]
    assert "config.json is damaged, written again" in again.notes[0]
    assert json.loads((tmp_path / "pieces" / "config.json").read_text()) == {"seed": 0}


def test_a_full_disk_leaves_no_half_of_any_file(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "fsync", full_disk)
        with pytest.raises(StorageError, match="No space left"), pieces(tmp_path).held():
            pytest.fail("computes although nothing can be saved")
    assert list((tmp_path / "pieces").iterdir()) == []
    with pieces(tmp_path).held():
        pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)


def test_the_same_run_in_another_process_is_refused_and_named(tmp_path):
    with (
        pieces(tmp_path).held(),
        pytest.raises(UserError, match=f"is being computed by process {os.getpid()}; wait"),
        pieces(tmp_path).held(),
    ):
        pytest.fail("two at once")
    assert not (tmp_path / "pieces").exists()
    with pieces(tmp_path).held():
        pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)
    assert pieces(tmp_path).load("a") is not None


@pytest.mark.parametrize("meta", ["null", "{}", "[]", '{"label": "a", "code": "", "force": false}'])
def test_a_piece_of_another_version_counts_as_damaged(tmp_path, meta):
    pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)
    (path,) = (tmp_path / "pieces").glob("*.npz")
    files.write_arrays(path, {"x": np.arange(3), "piece_meta": np.array(meta)})
    again = pieces(tmp_path)
    assert again.load("a") is None
    assert "damaged" in again.notes[0]


def test_pieces_of_another_configuration_are_refused(tmp_path):
    pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)
    with pytest.raises(StorageError, match="another configuration"):
        PieceStore(tmp_path / "pieces", {"seed": 1}).load("a")


def test_a_piece_of_other_code_is_used_with_a_warning(tmp_path):
    pieces(tmp_path, code="old").save("a", {"x": np.arange(3)}, 0.0)
    again = pieces(tmp_path, code="new")
    assert again.load("a") is not None
    assert "another version of the code" in again.notes[0]


def test_a_forced_run_uses_only_its_own_pieces_of_the_same_code(tmp_path):
    pieces(tmp_path, code="c").save("a", {"x": np.arange(3)}, 0.0)
    assert pieces(tmp_path, code="c", force=True).load("a") is None
    pieces(tmp_path, code="c", force=True).save("a", {"x": np.arange(3)}, 0.0)
    assert pieces(tmp_path, code="c", force=True).load("a") is not None
    assert pieces(tmp_path, code="d", force=True).load("a") is None


def test_a_full_disk_keeps_the_pieces_that_are_there(tmp_path, monkeypatch):
    pieces(tmp_path).save("a", {"x": np.arange(3)}, 0.0)
    monkeypatch.setattr(storage.os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"Cannot write .*No space left"):
        pieces(tmp_path).save("b", {"x": np.arange(3)}, 0.0)
    assert pieces(tmp_path).load("a") is not None
    assert sorted(p.suffix for p in (tmp_path / "pieces").iterdir()) == [".json", ".npz"]


def test_arrays_need_no_pickles(tmp_path):
    files.write_arrays(tmp_path / "a.npz", {"x": np.arange(3)})
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    assert read_arrays(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2]
    with pytest.raises(UserError, match=r"b\.npz"):
        read_arrays(tmp_path / "b.npz")


def test_digests_ignore_the_kind_of_equal_numbers():
    assert digest("x", Config(gravity=10)) == digest("x", Config(gravity=10.0))
    assert Config(gravity=10) == Config(gravity=10.0)


def test_an_outcome_without_references_is_stored(store):
    stored = store.save(Outcome("e", Config(), {"a": Measurement(1.0)}, {}), "quick", RECORD)
    assert stored.references == ()

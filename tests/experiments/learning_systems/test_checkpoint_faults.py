import os

import numpy as np
import pytest

from experiments.learning_systems import checkpoint_damage, checkpoint_faults, checkpoint_kills
from experiments.learning_systems.failing_disk import FailingDisk, Killed
from nn.checkpoint import checksums
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.storage import Store

CALLS = checkpoint_kills.n_calls()


@pytest.fixture(scope="module")
def outcome():
    return checkpoint_faults.run(
        checkpoint_faults.Config(
            n_damages=12,
            n_kills=CALLS,
            n_power_failures=12,
            n_true_kills=1,
            n_full_disks=6,
            n_races=4,
            state_mib=1,
        )
    )


def test_nothing_is_silent_lost_or_half_there(outcome):
    value = {name: metric.value for name, metric in outcome.metrics.items()}
    for name in value:
        what = name.split(".")[0 if name.split(".")[1] in checkpoint_damage.KINDS else 1]
        if name.startswith("unsynced.lost"):
            continue
        if what in ("silent", "unseen", "lost", "old_lost", "half", "failed", "mixed"):
            assert value[name] == 0, name
        if what in ("named", "told", "waited"):
            assert value[name] == 1, name
    assert value["located.bit"] == value["located.cut"] == value["races.committed"] == 1
    assert value["unsynced.lost"] > 0.5
    assert 0 < value["kills.committed"] < 0.5


def test_the_figure_shows_damages_kills_and_the_stages_of_a_save(outcome):
    assert len(checkpoint_faults.plot(outcome).axes) == 5


def test_a_flip_that_no_checksum_sees_is_counted_as_silent(monkeypatch):
    monkeypatch.setattr(checksums.RunningChecksum, "update", lambda self, data: None)
    found = checkpoint_damage.damages("bit", 12, 0)
    assert found["silent"].any()
    assert found["unseen"].any()


def test_a_manifest_that_grows_in_sight_is_counted_as_half(monkeypatch):
    def grows(self, name, data):
        self._write_new(self._made(name), [memoryview(data)])

    monkeypatch.setattr(LocalFiles, "create", grows)
    found = checkpoint_kills.kills(checkpoint_kills.n_calls(), 0)
    assert found["half"].any()


def test_a_save_that_touches_the_old_one_is_counted_as_lost(monkeypatch):
    former = checkpoint_kills._save_new

    def careless(disk, path, **words):
        (path.parent / "step_00000001" / "data" / "00000.bin").unlink()
        former(disk, path, **words)

    monkeypatch.setattr(checkpoint_kills, "_save_new", careless)
    assert checkpoint_kills.after_acknowledged(2, 0, fsync=True)["old_lost"].all()


def test_a_killed_process_writes_no_more_and_its_files_are_closed(tmp_path):
    disk = FailingDisk(kill_at=5)
    store = Store(LocalFiles(tmp_path, system=disk))
    release = store.hold("lock", b"me")
    with pytest.raises(Killed):
        store.write("a", [b"some", b"bytes"])
    with pytest.raises(Killed):
        store.write("b", [b"more"])
    with pytest.raises(Killed):
        release()
    Store(LocalFiles(tmp_path)).hold("lock", b"next")()  # the dead hold none
    assert Store(LocalFiles(tmp_path)).names() == []


def test_what_was_synced_outlives_the_power_and_what_was_not_is_lost_in_part(tmp_path):
    disk = FailingDisk(seed=(3,))
    synced, not_synced = (LocalFiles(tmp_path, fsync=fsync, system=disk) for fsync in (True, False))
    synced.put("kept/a", [memoryview(b"whole")])
    not_synced.put("kept/b", [memoryview(bytes(1000))])
    not_synced.put("kept/a", [memoryview(b"newer")])
    disk.cut_power()
    after = LocalFiles(tmp_path)
    assert after.get("kept/a", 0, None) in (b"whole", *(b"newer"[:n] for n in range(6)))
    assert "kept/b" not in after.names() or after.size("kept/b") < 1000


def test_a_full_disk_takes_what_fits(tmp_path):
    disk = FailingDisk(room=5)
    number = disk.open(tmp_path / "a", os.O_CREAT | os.O_WRONLY)
    assert disk.write(number, memoryview(b"12345678")) == 5
    with pytest.raises(OSError, match="No space left"):
        disk.write(number, memoryview(b"678"))


def test_states_are_compared_bit_by_bit():
    one, other = checkpoint_damage.small_state(1), checkpoint_damage.small_state(1)
    assert checkpoint_damage.same(one, other)
    other["moments"][1] = other["moments"][1].copy()
    other["moments"][1][3] = np.nextafter(other["moments"][1][3].imag, 1) * 1j
    assert not checkpoint_damage.same(one, other)
    assert not checkpoint_damage.same(one, one | {"step": 1.0})


@pytest.mark.parametrize("left_out", ["files", "folders"])
def test_a_save_that_leaves_out_a_sync_is_counted_as_lost(monkeypatch, left_out):
    former = FailingDisk.fsync

    def fsync(self, number):
        if self._open[number].is_dir() != (left_out == "folders"):
            former(self, number)

    monkeypatch.setattr(FailingDisk, "fsync", fsync)
    assert checkpoint_kills.after_acknowledged(6, 0, fsync=True)["lost"].any()

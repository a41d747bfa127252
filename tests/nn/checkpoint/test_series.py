import numpy as np
import pytest

from nn.checkpoint.files import LocalFiles
from nn.checkpoint.manifest import CheckpointError
from nn.checkpoint.retries import StoreError
from nn.checkpoint.series import SCORES, Series, remove_checkpoint
from nn.checkpoint.storage import Store, open_store


def run_of(path, steps, scores=None, **kept):
    series = Series(path, fsync=False, **kept)
    for number, step in enumerate(steps):
        score = scores[number] if scores else None
        series.save({"w": np.full(3, float(step))}, step, score=score, wait=True)
    return series


def test_the_newest_is_found_and_loaded(tmp_path):
    series = Series(tmp_path)
    assert series.latest() is None
    with pytest.raises(FileNotFoundError, match="there is no finished checkpoint in"):
        series.load()
    series = run_of(tmp_path, [9, 10, 100_000_000])
    assert (series.steps(), series.latest()) == ([9, 10, 100_000_000], 100_000_000)
    assert series.load({"w": np.zeros(3)})["w"].tolist() == [1e8] * 3
    assert series.load(step=9)["['w']"].tolist() == [9] * 3


def test_what_is_not_finished_is_not_among_them(tmp_path):
    series = run_of(tmp_path, [1, 2])
    series.at(2).remove("manifest.json")
    assert series.latest() == 1


def test_a_damaged_one_is_passed_over_where_that_is_asked(tmp_path):
    series = run_of(tmp_path, [1, 2])
    series.at(2).write("data/00000.bin", [bytes(24)])
    assert (series.latest(), series.latest(sound=True)) == (2, 1)
    with pytest.raises(CheckpointError, match="damaged"):
        series.load()


def test_the_newest_and_the_best_are_kept(tmp_path):
    series = run_of(tmp_path / "a", [1, 2, 3, 4, 5], [5, 1, 3, 1, 4], keep_last=1, keep_best=2)
    assert series.steps() == [2, 4, 5]
    assert set(series.scores()) >= {2, 4, 5}
    assert not list((tmp_path / "a" / "step_00000003").rglob("*.bin"))
    series = run_of(
        tmp_path / "b", [1, 2, 3, 4], [5, 1, 3, 2], keep_last=1, keep_best=1, best="highest"
    )
    assert series.steps() == [1, 4]
    assert run_of(tmp_path / "c", [1, 2, 3], keep_last=2).steps() == [2, 3]
    assert run_of(tmp_path / "d", [1, 2, 3]).steps() == [1, 2, 3]


class Full(LocalFiles):
    """A disk that takes no more data, but still removes."""

    def put(self, name, pieces):
        raise OSError(28, "No space left on device")

    def under(self, name):
        return Full(self.root / name)


def test_nothing_is_removed_for_one_that_was_not_committed(tmp_path):
    run_of(tmp_path, [1, 2])
    full = Series(Store(Full(tmp_path)), keep_last=1)
    with pytest.raises(StoreError, match="No space left on device"):
        full.save({"w": np.zeros(3)}, 3).wait()
    assert Series(tmp_path).steps() == [1, 2]


def test_one_that_is_removed_in_part_is_no_checkpoint(tmp_path):
    series = run_of(tmp_path, [1])
    removed = []

    class Cut(LocalFiles):
        def remove(self, name):
            if removed:
                raise OSError(5, "cut off")
            removed.append(name)
            super().remove(name)

    with pytest.raises(OSError, match="cut off"):
        remove_checkpoint(Store(Cut(tmp_path / "step_00000001"), sleep=lambda s: None))
    assert series.steps() == []
    assert series.at(1).names() == ["data/00000.bin"]


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`keep_last` must be at least 1, but is 0"):
        Series(tmp_path, keep_last=0)
    with pytest.raises(ValueError, match="`best` must be one of lowest, highest"):
        Series(tmp_path, best="min")
    with pytest.raises(ValueError, match="`score` must be finite, but is nan"):
        Series(tmp_path).save({}, 1, score=float("nan"))
    with pytest.raises(ValueError, match="`step` must be at least 0, but is -1"):
        Series(tmp_path).at(-1)
    open_store(tmp_path).write(SCORES, [b"{"])
    with pytest.raises(CheckpointError, match=r"scores\.json is damaged"):
        Series(tmp_path).scores()

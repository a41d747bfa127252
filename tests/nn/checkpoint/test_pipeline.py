"""Threads of a save: what is written, in which files, and whose error is raised."""

import threading

import numpy as np
import pytest

from nn.checkpoint.boxes import whole
from nn.checkpoint.checksums import checksum
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.pipeline import Background, Clock, run_together, write_parts
from nn.checkpoint.plan import Part
from nn.checkpoint.retries import Retries
from nn.checkpoint.storage import Store


class Flaky(LocalFiles):
    """Fails in the middle of the first attempt."""

    failed = False

    def put(self, name, pieces):
        if not self.failed:
            self.failed = True
            next(iter(pieces))
            raise ConnectionError("reset")
        return super().put(name, pieces)


def test_files_hold_the_parts_in_order_also_after_a_second_attempt(tmp_path):
    arrays = {str(i): np.arange(i * 4, dtype=np.int16) for i in range(5)}
    parts = [
        Part(path, whole(array.shape), whole(array.shape), array.nbytes, 2)
        for path, array in arrays.items()
    ]
    shards = {(part.path, part.shard): arrays[part.path] for part in parts}
    store = Store(Flaky(tmp_path), retries=Retries(first_wait=1e-3))
    clock = Clock()
    written = write_parts(store, parts, shards, file_bytes=40, clock=clock)
    assert [(f.name, f.size) for f in written.files] == [
        ("data/00002.bin", 24), ("data/00002.bin.1", 24), ("data/00002.bin.2", 32)
    ]  # fmt: skip
    for file in written.files:
        data = (tmp_path / file.name).read_bytes()
        assert checksum(data) == file.checksum
        mine = [(path, chunk) for path, chunk in written.chunks if chunk.file == file.name]
        for path, chunk in mine:
            stretch = data[chunk.offset : chunk.offset + chunk.length]
            assert stretch == arrays[path].tobytes()
            assert checksum(stretch) == chunk.checksum
    assert {event.stage for event in clock.events} == {"serialise", "checksum", "write"}
    assert sum(e.n_bytes for e in clock.events if e.stage == "write") == 80


def test_tasks_run_side_by_side_and_the_first_error_is_raised():
    both = threading.Barrier(2)

    def fail(number):
        raise ValueError(str(number))

    run_together([lambda: both.wait(20) and None, lambda: both.wait(20) and None])
    done = []
    with pytest.raises(ValueError, match="1"):
        run_together([lambda: done.append(0), lambda: fail(1), lambda: fail(2)])
    assert done == [0]
    run_together([])


def test_without_new_threads_the_tasks_run_one_after_the_other(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    done = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        run_together([lambda: done.append(0), lambda: done.append(1)])
    assert sorted(done) == [0, 1]


def test_a_background_task_keeps_its_error_and_lets_its_task_go():
    def fail():
        raise KeyError("x")

    task = Background(fail, "test")
    assert not task.done()
    assert not task.wait(0.001)
    task.start()
    assert task.wait(20)
    assert isinstance(task.error, KeyError)

"""Texts that go up and down a tree of processes: all arrive, nobody handles many, who is silent is named."""

import threading
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from nn.checkpoint import Retries, load
from nn.checkpoint.boxes import whole
from nn.checkpoint.coordination import Processes, all_processes
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.manifest import Manifest, Tensor
from nn.checkpoint.pipeline import Clock
from nn.checkpoint.plan import Spec, plan_save
from nn.checkpoint.save import _Job
from nn.checkpoint.storage import Store


class Texts:
    """The key-value store of many processes, in one."""

    def __init__(self):
        self.values, self.arrived = {}, threading.Condition()
        self.gets, self.sets = Counter(), Counter()

    def key_value_set(self, key, value):
        with self.arrived:
            assert key not in self.values, f"{key} was used before"
            self.values[key] = value
            self.sets[threading.current_thread().name] += 1
            self.arrived.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.arrived:
            self.gets[threading.current_thread().name] += 1
            if not self.arrived.wait_for(lambda: key in self.values, timeout_in_ms / 1000):
                raise RuntimeError(f"DEADLINE_EXCEEDED: {key}")
            return self.values[key]


def together(count, fan_out, task, silent=()):
    texts, found = Texts(), {}

    def run(index):
        each = Processes(index, count, texts, fan_out=fan_out, timeout=20)
        try:
            found[index] = task(each)
        except TimeoutError as error:
            found[index] = error

    threads = [
        threading.Thread(target=run, args=(i,), name=str(i))
        for i in range(count)
        if i not in silent
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, texts


@pytest.mark.parametrize(("count", "fan_out"), [(2, 16), (7, 2), (100, 4), (40, 100)])
def test_all_items_arrive_and_nobody_handles_many(count, fan_out):
    def task(each):
        items = each.gather("a", {"from": each.index})
        return items, each.broadcast("b", lambda: ["said", each.index])

    found, texts = together(count, fan_out, task)
    assert found[0][0] == [{"from": i} for i in range(count)]
    assert all(found[i] == (None, ["said", 0]) for i in range(1, count))
    assert max(texts.gets.values()) <= min(fan_out, count - 1) + 1  # its children, and the answer
    assert max(texts.sets.values()) <= 2


def test_one_process_needs_no_store_of_texts():
    alone = all_processes()
    assert (alone.index, alone.count) == (0, 1)
    assert alone.gather("a", 3) == [3]
    assert alone.broadcast("b", lambda: "x") == "x"
    with pytest.raises(ValueError, match="`texts` must be given for 2 processes"):
        Processes(0, 2)
    with pytest.raises(ValueError, match="`fan_out` must be at least 1"):
        Processes(fan_out=0)


def test_who_does_not_report_is_named():
    texts = Texts()
    with pytest.raises(TimeoutError, match=r"process 0 waited 0\.01 s for a message of process 1"):
        Processes(0, 2, texts, timeout=0.01).gather("a", 1)


@dataclass(frozen=True)
class Device:
    process_index: int


class Rows:
    """Cuts the first axis over processes of one device each."""

    def __init__(self, count):
        self.count = count

    def devices_indices_map(self, shape):
        rows = shape[0] // self.count
        return {
            Device(i): (slice(i * rows, (i + 1) * rows), slice(None)) for i in range(self.count)
        }


class Refusing(LocalFiles):
    def put(self, name, pieces):
        raise PermissionError(13, "Permission denied", name)


def saved_by(count, root, refusing=None):
    """One save of simulated processes, each with its rows, up and down a tree of three."""
    data = np.arange(count * 16, dtype=np.float32).reshape(2 * count, 8)
    spec = Spec("['w']", data.shape, 4, Rows(count))
    plan = plan_save([spec], n_processes=count, chunk_bytes=32)
    draft = Manifest(5, {"['w']": Tensor("float32", data.shape, ())}, {}, {}, ())

    def task(each):
        mine = plan.of(each.index)
        shards = {
            ("['w']", part.shard): data[part.shard.within(whole(data.shape))] for part in mine
        }
        files = (Refusing if each.index == refusing else LocalFiles)(root, fsync=False)
        store = Store(files, retries=Retries(1))
        try:
            _Job(store, each, "save/0", [mine], shards, draft, 1 << 20, Clock()).run()
        except (OSError, RuntimeError) as error:
            return str(error)
        return ""

    return data, together(count, 3, task)[0]


def test_twenty_processes_save_one_checkpoint_up_and_down_the_tree(tmp_path):
    data, told = saved_by(20, tmp_path / "a")
    assert set(told.values()) == {""}
    assert (load(tmp_path / "a")["['w']"] == data).all()
    assert len(list((tmp_path / "a" / "data").iterdir())) == 20


def test_one_of_twenty_that_cannot_write_stops_all_and_is_named(tmp_path):
    _, told = saved_by(20, tmp_path / "a", refusing=17)
    assert "Permission denied" in told.pop(17)
    assert "process 17 could not write" in told.pop(0)
    assert all("process 0 gave up" in text and "process 17" in text for text in told.values())
    assert not (tmp_path / "a" / "manifest.json").exists()

"""Texts that go up and down a tree of processes: all arrive, nobody handles many, who is silent is named."""

import threading
from collections import Counter

import pytest

from nn.checkpoint.coordination import Processes, all_processes


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

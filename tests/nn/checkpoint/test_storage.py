import errno
import os
import threading
from pathlib import Path

import pytest

from nn.checkpoint import open_store
from nn.checkpoint.files import AbstractFiles, LocalFiles
from nn.checkpoint.remote_files import RemoteFiles
from nn.checkpoint.retries import Retries, StoreError
from nn.checkpoint.storage import Store

fsspec = pytest.importorskip("fsspec", reason="fsspec comes with the extra `checkpoint`")


class Failing(AbstractFiles):
    """Memory that raises each of a list of errors first, and then waits for `answer` where there is one."""

    def __init__(self, *errors, answer=None):
        self.location = "failing"
        self.kept, self.errors, self.answer = {}, list(errors), answer

    def _happen(self):
        if self.errors and (error := self.errors.pop(0)):
            raise error
        if self.answer:
            self.answer.wait()

    def put(self, name, pieces):
        data = b"".join(pieces)
        self._happen()
        self.kept[name] = data
        return len(data)

    def create(self, name, data):
        if name in self.kept:
            raise FileExistsError(name)
        self.kept[name] = data  # comes through even where the answer does not
        self._happen()

    def get(self, name, start, stop):
        self._happen()
        return self.kept[name][start:stop]

    def get_many(self, ranges):
        return [self.get(*each) for each in ranges]

    def size(self, name):
        self._happen()
        return len(self.kept[name])

    def names(self, folder=""):
        return sorted(self.kept)

    def remove(self, name):
        del self.kept[name]

    def hold(self, name, data):
        self.create(name, data)
        return lambda: self.remove(name)

    def under(self, name):
        return self

    def clear(self, folder=""):
        pass


class Recording:
    """The calls of `os`, written down; `write` gives at most 5 bytes at once, as a system may."""

    def __init__(self):
        self.calls, self.opened = [], []

    def __getattr__(self, name):
        def call(*args):
            self.calls.append((name, *args))
            return getattr(os, name)(*args)

        return call

    def open(self, *args):
        self.calls.append(("open", *args))
        self.opened.append(os.open(*args))
        return self.opened[-1]

    def write(self, number, data):
        return os.write(number, data[:5])


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    if request.param == "local":
        yield open_store(tmp_path / "deep" / "store")
    else:
        yield open_store(f"memory://{tmp_path.name}")
        fsspec.filesystem("memory").store.clear()


def test_what_is_written_is_read_whole_in_part_and_beyond_the_end(store):
    assert store.write("data/0.bin", [b"one", b"", memoryview(b"two"), bytearray(b"three")]) == 11
    assert store.read("data/0.bin") == b"onetwothree"
    assert store.read("data/0.bin", 3, 6) == b"two"
    assert store.read("data/0.bin", 6, 10**18) == b"three"
    assert store.read("data/0.bin", 3, 3) == b""
    target = bytearray(8)
    assert store.read_into("data/0.bin", 6, target) == 5
    assert target == b"three\0\0\0"
    targets = bytearray(2), bytearray(0), bytearray(3), bytearray(4)
    assert store.read_into("data/0.bin", 4, *targets) == 7
    assert b"".join(targets) == b"wothree\0\0"
    ranges = [("data/0.bin", 6, 11), ("data/0.bin", 0, 0), ("data/0.bin", 0, 3)]
    assert store.read_ranges(ranges) == [b"three", b"", b"one"]


def test_a_file_of_that_name_is_replaced_by_write_and_kept_by_create(store):
    store.write("a", [b"old"])
    store.write("a", [b"new"])
    with pytest.raises(FileExistsError):
        store.create("a", b"newer")
    store.create("b", b"first")
    assert (store.read("a"), store.read("b")) == (b"new", b"first")


def test_names_sizes_and_folders(store):
    for name in ("a", "b/c", "b/d/e"):
        store.write(name, [name.encode()])
    assert store.names() == ["a", "b/c", "b/d/e"]
    assert store.names("b/") == store.names("b") == ["b/c", "b/d/e"]
    inner = store.under("b")
    assert inner.names() == ["c", "d/e"]
    assert inner.read("c") == b"b/c"
    assert (store.size("b/c"), store.exists("b"), store.exists("x")) == (3, False, False)
    store.remove("b/c")
    assert store.names() == ["a", "b/d/e"]
    with pytest.raises(FileNotFoundError):
        store.remove("b/c")
    with pytest.raises(FileNotFoundError):
        store.read("b/c")


def test_a_store_that_was_never_written_to_is_empty(store):
    assert store.names() == []


def test_a_lock_is_held_by_one_until_it_is_let_go(store):
    release = store.hold("lock", b"me")
    with pytest.raises(FileExistsError):
        store.hold("lock", b"you")
    release()
    assert not store.exists("lock")
    store.hold("lock", b"you")()


def test_a_local_lock_outlives_no_owner(tmp_path):
    system = Recording()
    store = Store(LocalFiles(tmp_path, system=system))
    store.hold("lock", b"killed")
    with pytest.raises(FileExistsError):
        open_store(tmp_path).hold("lock", b"next")
    os.close(system.opened[-1])  # as the system does for a process that ends
    open_store(tmp_path).hold("lock", b"next")
    assert store.read("lock") == b"next"


def test_pieces_that_fail_leave_what_was_there(store):
    store.write("a", [b"old"])

    def pieces():
        yield bytes(9 * 2**20)  # more than goes in one request
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.write("b", pieces())
    assert store.names() == ["a"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a//b", "a\\b", "a/./b"])
def test_a_name_stays_within_the_store(store, name):
    with pytest.raises(ValueError, match="`name` must be a relative name"):
        store.read(name)


def test_a_local_file_is_synced_before_it_has_its_name_and_its_folders_after(tmp_path):
    system = Recording()
    Store(LocalFiles(tmp_path, system=system)).write("new/a", [b"twelve bytes"])
    assert (tmp_path / "new/a").read_bytes() == b"twelve bytes"
    calls = [call[0] for call in system.calls]
    folder = ["open", "fsync", "close"]
    assert calls == ["mkdir", *folder, "open", "fsync", "close", "replace", *folder]
    opened = [Path(call[1]).name for call in system.calls if call[0] == "open"]
    assert opened[0] == tmp_path.name
    assert opened[2] == "new"
    quick = Recording()
    Store(LocalFiles(tmp_path, fsync=False, system=quick)).write("b", [b""])
    assert "fsync" not in [call[0] for call in quick.calls]


def test_where_a_file_grows_in_sight_it_is_written_under_another_name(tmp_path):
    system = fsspec.filesystem("file")
    store = Store(RemoteFiles(system, str(tmp_path / "store"), "hdfs"))
    for data in (b"old", bytes(9 * 2**20)):
        store.write("data/a", [data])
    assert store.size("data/a") == 9 * 2**20

    def pieces():
        yield bytes(9 * 2**20)
        assert store.names() == ["data/a"]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.write("data/b", pieces())
    store.create("lock", b"")
    with pytest.raises(FileExistsError):
        store.create("lock", b"")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["a", "lock"]


def test_half_a_file_is_not_listed_and_can_be_cleared(tmp_path):
    store = open_store(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".0.bin.1-ab.part").write_bytes(b"half")
    assert store.names() == []
    store.clear()
    assert len(list(tmp_path.glob("**/*.part"))) == 1  # not below
    store.clear("data")
    assert list(tmp_path.glob("**/*.part")) == []


def test_what_passes_is_tried_again_after_growing_pauses():
    waits = []
    files = Failing(OSError(errno.EIO, "a bad day"), ConnectionError("gone"), RuntimeError("503"))
    store = Store(files, retries=Retries(4, 1.0, 3.0), sleep=waits.append)
    assert store.write("a", [b"data"]) == 4
    assert waits == [1, 2, 3]


def test_what_does_not_pass_is_told_with_the_number_of_attempts():
    files = Failing(*[OSError(errno.EIO, "a bad day")] * 3)
    store = Store(files, retries=Retries(3), sleep=lambda s: None)
    with pytest.raises(
        StoreError, match=r"cannot write failing/a: a bad day, after 3 attempts\."
    ) as error:
        store.write("a", [b"data"])
    assert error.value.errno == errno.EIO


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "Ask for the right to write there"),
    ],
)
def test_what_lasts_is_told_at_once(error, told):
    files = Failing(error)
    with pytest.raises(StoreError, match=f"cannot write failing/a: .*{told}"):
        Store(files, sleep=pytest.fail).write("a", [b"data"])


def test_pieces_that_are_read_once_are_not_written_twice():
    store = Store(Failing(OSError(errno.EIO, "a bad day")), sleep=pytest.fail)
    with pytest.raises(StoreError, match="its pieces could be read only once"):
        store.write("a", iter([b"data"]))


def test_a_new_name_whose_acknowledgement_was_lost_is_still_ours():
    files = Failing(ConnectionError("gone"), None)
    store = Store(files, sleep=lambda s: None)
    store.create("a", b"mine")
    with pytest.raises(FileExistsError):
        store.create("a", b"mine")


def test_a_store_that_does_not_answer_is_given_up():
    answer = threading.Event()
    store = Store(Failing(answer=answer), retries=Retries(2, 0.01, timeout=0.05))
    with pytest.raises(StoreError, match=r"no progress for 0\.05 s, after 2 attempts"):
        store.write("a", [b"data"])
    answer.set()


def test_waiting_for_the_pieces_is_not_the_fault_of_the_store():
    def pieces():
        threading.Event().wait(0.1)
        yield b"late"

    store = Store(Failing(), retries=Retries(1, timeout=0.05))
    assert store.write("a", pieces()) == 4


def test_paths_that_lead_nowhere_are_refused():
    with pytest.raises(ValueError, match="`path` must name a folder, but is ''"):
        open_store("")
    with pytest.raises(ValueError, match="protocol that fsspec knows, but is 'nowhere://a'"):
        open_store("nowhere://a")
    with pytest.raises(TypeError, match="`path` must be a path, a URL or a store, but is a int"):
        open_store(3)
    with pytest.raises(ValueError, match="`attempts` must be at least 1"):
        Retries(0)

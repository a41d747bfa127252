import datetime
import errno
import json
import os
from dataclasses import replace

import pytest

from nn.checkpoint.checksums import checksum
from nn.checkpoint.commit import (
    LOCK,
    commit_manifest,
    is_finished,
    read_manifest,
    writing,
)
from nn.checkpoint.files import LocalFiles
from nn.checkpoint.manifest import NAME, CheckpointError, Chunk, DataFile, Manifest, Tensor
from nn.checkpoint.retries import Retries, StoreError
from nn.checkpoint.storage import Store, open_store

DATA = bytes(range(8))
CHUNK = Chunk((0,), (8,), "data/00000.bin", 0, 8, checksum(DATA, "crc32"))
FILE = DataFile("data/00000.bin", 8, checksum(DATA, "crc32"), 0)
MANIFEST = Manifest(3, {"['w']": Tensor("uint8", (8,), (CHUNK,))}, {"x": {"a": 1e20}}, {}, (FILE,))


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def save(store):
    with writing(store):
        store.write(FILE.name, [DATA])
        assert not is_finished(store)
        commit_manifest(store, MANIFEST)


def test_a_checkpoint_is_there_when_its_manifest_is_and_the_lock_is_let_go(store):
    save(store)
    assert read_manifest(store) == MANIFEST
    assert store.names() == ["data/00000.bin", NAME]


def test_nothing_and_not_finished_are_told_apart(store):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        read_manifest(store)
    store.write(FILE.name, [DATA])
    with pytest.raises(
        CheckpointError, match=r"is not finished: it has data but no manifest\.json"
    ):
        read_manifest(store)


def test_a_finished_checkpoint_is_not_written_over(store):
    save(store)
    with pytest.raises(
        ValueError, match=r"`path` must be free, but .* holds a finished checkpoint"
    ):
        save(store)
    assert store.read(FILE.name) == DATA


def test_what_a_cut_off_save_left_is_cleared_and_what_is_not_ours_stays(store, tmp_path):
    for name in ("data/00007.bin", "data/00007.bin.2", "data/mine.bin", "notes.txt"):
        store.write(name, [b"old"])
    (tmp_path / "data" / ".00000.bin.1-ab.part").write_bytes(b"half")
    save(store)
    assert store.names() == ["data/00000.bin", "data/mine.bin", NAME, "notes.txt"]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("written", [b"short", None])
def test_a_file_that_is_not_as_written_is_not_committed(store, written):
    if written:
        store.write(FILE.name, [written])
    with pytest.raises(StoreError, match=r"data/00000\.bin (has 5 bytes|is not there), but 8 were"):
        commit_manifest(store, MANIFEST)
    assert not is_finished(store)


def test_a_second_writer_is_told_who_writes_and_for_how_long(store):
    with (
        writing(store),
        pytest.raises(
            StoreError, match=rf"is being written by process {os.getpid()} on .*, for \d s\. Wait"
        ),
        writing(store),
    ):
        pass
    save(store)


def test_a_lock_left_on_another_store_is_told_with_its_age_and_what_to_do():
    fsspec = pytest.importorskip("fsspec")
    store = open_store("memory://commit")
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    owner = {"host": "far", "process": 7, "since": since.isoformat(), "token": "a"}
    store.create(LOCK, json.dumps(owner).encode())
    with pytest.raises(
        StoreError, match=r"process 7 on far, for 360\d s\. .*, remove memory://commit/writer\.lock"
    ):
        save(store)
    store.remove(LOCK)
    store.create(LOCK, b"")
    with pytest.raises(StoreError, match="by a process that has not said its name"):
        save(store)
    store.remove(LOCK)
    save(store)
    fsspec.filesystem("memory").store.clear()


def test_of_two_commits_one_counts(store):
    save(store)
    with pytest.raises(ValueError, match="was committed by another writer meanwhile"):
        commit_manifest(store, replace(MANIFEST, step=4))
    assert read_manifest(store).step == 3


def test_every_flipped_bit_of_the_manifest_is_found(tmp_path):
    store = open_store(tmp_path, fsync=False)
    save(store)
    text = store.read(NAME)
    assert b"1e+20" in text  # a number that reads the same with an E
    for bit in [*range(0, 8 * len(text), 11), 8 * text.index(b"e+20") + 5]:
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        store.write(NAME, [changed])
        with pytest.raises(CheckpointError, match=r"manifest\.json"):
            read_manifest(store)
    store.write(NAME, [text.replace(b"1e+20", b"1e920")])
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged: Out of range"):
        read_manifest(store)
    store.write(NAME, [text[:-1]])
    with pytest.raises(CheckpointError, match="it reads the same, but not all its bytes"):
        read_manifest(store)


class NoLinks:
    """A file system without hard links."""

    def __getattr__(self, name):
        return getattr(os, name)

    def link(self, *names):
        raise OSError(errno.EPERM, "Operation not permitted")


def test_a_new_name_is_taken_whole_where_there_are_no_links(tmp_path):
    store = Store(LocalFiles(tmp_path, system=NoLinks()), retries=Retries(1))
    save(store)
    with pytest.raises(FileExistsError):
        store.create(NAME, b"")
    assert read_manifest(store) == MANIFEST

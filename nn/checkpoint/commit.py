"""When a checkpoint counts: one writer at a time, data first, the manifest last.

The manifest is the commit. It is created whole or not at all, on a name that nobody may have taken, when all files that
it names are there with their sizes. What makes a checkpoint valid is thus what it holds; no renamed folder and no empty
file says so, which a copy to another store would lose or a killed writer leave behind.

The lock `writer.lock` keeps a second writer away. On a local disk the system lets go of it when its owner ends, so none
is left behind; elsewhere a killed owner leaves it, and the error tells how old it is and what to do.
"""

import contextlib
import datetime
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator

from nn.checkpoint.manifest import NAME, CheckpointError, Manifest, from_json, to_json
from nn.checkpoint.retries import StoreError
from nn.checkpoint.storage import Store

LOCK = "writer.lock"
DATA = re.compile(r"data/\d{5}\.bin(\.\d+)?")


@contextlib.contextmanager
def writing(store: Store) -> Iterator[None]:
    """Holds the lock of a checkpoint that is to be written, and clears what an earlier attempt left.

    Raises:
        ValueError: If there is a finished checkpoint.
        StoreError: If another process writes there, naming it.
    """
    owner = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": _now().isoformat(timespec="seconds"),
        "token": secrets.token_hex(8),
    }
    try:
        release = store.hold(LOCK, json.dumps(owner).encode())
    except FileExistsError:
        raise StoreError(_told(store)) from None
    try:
        if store.exists(NAME):
            raise ValueError(
                f"`path` must be free, but {store.location} holds a finished checkpoint. "
                "Save to another path, or remove it first."
            )
        # Not all that lies below: the path may be one that holds much else.
        for folder in ("", "data"):
            store.clear(folder)
        for name in store.names("data/"):
            if DATA.fullmatch(name):
                store.remove(name)
        yield
    finally:
        release()


def commit_manifest(store: Store, manifest: Manifest) -> None:
    """Makes a checkpoint of files that are written: before this call there is none, after it a whole one.

    Raises:
        StoreError: If a file is not there with its size, or the manifest cannot be written.
        ValueError: If another writer has committed there.
    """
    for file in manifest.files:
        try:
            found = f"has {store.size(file.name)} bytes"
        except FileNotFoundError:
            found = "is not there"
        if found != f"has {file.size} bytes":
            raise StoreError(
                f"cannot commit {store.location}: {file.name} {found}, but {file.size} were written. "
                "Save again; does another process write there?"
            )
    try:
        store.create(NAME, to_json(manifest).encode())
    except FileExistsError:
        raise ValueError(
            f"`path` must be free, but {store.location} was committed by another writer meanwhile."
        ) from None


def read_manifest(store: Store) -> Manifest:
    """The manifest of a finished checkpoint.

    Raises:
        FileNotFoundError: If there is nothing at all.
        CheckpointError: If the checkpoint is not finished, or its manifest is damaged.
    """
    try:
        text = store.read(NAME)
    except FileNotFoundError:
        if not any(DATA.fullmatch(name) for name in [*store.names("data/")]):
            raise FileNotFoundError(f"there is no checkpoint at {store.location}.") from None
        raise CheckpointError(
            f"the checkpoint at {store.location} is not finished: it has data but no {NAME}. "
            "Its save was cut off, or this copy is not whole; take an earlier one or copy again."
        ) from None
    try:
        manifest = from_json(text)
    except CheckpointError as error:
        raise CheckpointError(f"{store.location}: {error}") from error
    if to_json(manifest).encode() != text:
        # Such as a letter of a number that reads the same, e for E: harmless today, but not what was written.
        raise CheckpointError(
            f"{store.location}: {NAME} is damaged: it reads the same, but not all its bytes are as written. "
            "Take another copy or an earlier checkpoint."
        )
    return manifest


def is_finished(store: Store) -> bool:
    """Whether there is a manifest; not whether it, and what it names, is whole."""
    return store.exists(NAME)


def _told(store: Store) -> str:
    place = f"{store.location}/{LOCK}"
    try:
        owner = json.loads(store.read(LOCK))
        since = datetime.datetime.fromisoformat(owner["since"])
        age = (_now() - since).total_seconds()
        who = f"process {owner['process']} on {owner['host']}, for {age:.0f} s"
    except FileNotFoundError:
        return f"{store.location} was being written by another process until now. Try again."
    except (ValueError, KeyError, TypeError):
        who = "a process that has not said its name"
    return (
        f"{store.location} is being written by {who}. Wait for it or save to another path; "
        f"if that process is gone, remove {place}."
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

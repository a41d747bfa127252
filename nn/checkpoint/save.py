"""Saving a PyTree: the call keeps the bytes and returns, the rest is done beside the training."""

import atexit
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nn._checks import check_at_least, check_choice, is_concrete
from nn.checkpoint.buckets import BucketTensor
from nn.checkpoint.commit import commit_manifest, writing
from nn.checkpoint.coordination import Processes, all_processes
from nn.checkpoint.manifest import Chunk, DataFile, Manifest, Tensor
from nn.checkpoint.pipeline import Background, Clock, Written, run_together, write_parts
from nn.checkpoint.plan import PlanCache, SavePlan, Spec, plan_save
from nn.checkpoint.snapshot import KINDS, Shards, take_snapshot
from nn.checkpoint.storage import Store, open_store
from nn.checkpoint.tree import (
    Leaves,
    describe,
    dtype_name,
    encode_value,
    key_implementation,
    kind_of,
    sharding_text,
    take_apart,
)

PLANS = PlanCache(8)
_COUNT = itertools.count()
_OPEN: list["SaveHandle"] = []  # saves that run, or whose error nobody has seen


class SaveHandle:
    """A save under way.

    Attributes:
        path: Where it goes.
        step: Its step, or None.
        plan: Who writes what.
        clock: Times of its stages.
    """

    def __init__(self, path: str, step: int | None, plan: SavePlan, clock: Clock):
        self.path, self.step, self.plan, self.clock = path, step, plan, clock
        self._background: Background | None = None
        self._seen = False

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._background is not None and self._background.done()

    @property
    def error(self) -> BaseException | None:
        """What went wrong, None where nothing has so far."""
        return self._background.error if self._background else None

    def wait(self, timeout: float | int | None = None) -> None:
        """Waits until the checkpoint is committed. Ctrl-C ends the waiting and not the save.

        Args:
            timeout: Seconds; None for any number.

        Raises:
            TimeoutError: If it has not ended by then.
            Exception: What went wrong; the checkpoint is then not there.
        """
        assert self._background is not None
        if not self._background.wait(timeout):
            raise TimeoutError(f"the save to {self.path} has not ended after {timeout:g} s.")
        self._seen = True
        if self in _OPEN:
            _OPEN.remove(self)
        if self._background.error is not None:
            raise self._background.error

    def _begin(self, background: Background) -> None:
        self._background = background
        _OPEN.append(self)
        background.start()


def save(
    path: str | Path | Store,
    state: Any,
    *,
    step: int | None = None,
    wait: bool = False,
    snapshot: str = "auto",
    writers: int = 1,
    chunk_bytes: int = 4 << 20,
    file_bytes: int = 1 << 30,
    plans: PlanCache = PLANS,
    processes: Processes | None = None,
    after: Callable[[], None] | None = None,
    **options: Any,
) -> SaveHandle:
    """Saves a PyTree as a new checkpoint.

    The call takes a snapshot and returns; files are written by a thread. The manifest comes last: before it there is no
    checkpoint, and after it a whole one. A save waits for the one before, so that there is one snapshot at most in
    memory, and raises that one's error if nobody has seen it. A program that ends waits for its saves.

    Where there are more processes, each calls it with the same structure; what is not a global array of JAX is taken
    from the first.

    Args:
        path: A folder, a URL of fsspec, or a store. Each checkpoint has one of its own.
        state: Arrays of JAX or NumPy, typed random keys, numbers, strings, None, functions, in any PyTree.
        step: Step of the run that the state belongs to.
        wait: Whether to wait until the checkpoint is committed.
        snapshot: `views`, `copies`, `pinned` or `auto`; see `nn.checkpoint.snapshot`.
        writers: Files that each process writes side by side.
        chunk_bytes: Most bytes of a chunk: what has a checksum, and what is read at least.
        file_bytes: Most bytes of a file, if no chunk is larger.
        plans: Where plans are kept; a state of the same structure and shardings is not planned again.
        processes: The processes that save together; None takes those of `jax.distributed`.
        after: Called when the checkpoint is committed, in the thread of the save and in the first process alone; an
            error of it is one of the save.
        options: Passed to `nn.checkpoint.storage.open_store`.

    Returns:
        Handle to wait for it.

    Raises:
        TypeError: If a leaf cannot be stored, naming it.
        ValueError: If an argument is out of its range.
        Exception: What went wrong in the save before.
    """
    check_choice(snapshot, "snapshot", KINDS)
    check_at_least(writers, 1, "writers")
    check_at_least(chunk_bytes, 1, "chunk_bytes")
    check_at_least(file_bytes, 1, "file_bytes")
    settle()
    clock = Clock()
    start = time.perf_counter()
    store = open_store(path, **options)
    everyone = processes or all_processes()
    taken = take_apart(state)
    arrays, draft = _sorted(taken, step)
    key = (taken.treedef, tuple(_specs(arrays)), everyone.count, writers, chunk_bytes)
    plan: SavePlan = plans.get(
        key,
        lambda: plan_save(
            key[1], n_processes=everyone.count, lanes=writers, chunk_bytes=chunk_bytes
        ),
    )
    first = everyone.index * writers
    mine = [plan.of(writer) for writer in range(first, first + writers)]
    start = clock.add("plan", start)
    shards = take_snapshot(arrays, itertools.chain(*mine), snapshot)
    clock.add("snapshot", start, n_bytes=sum(plan.loads[first : first + writers]))
    handle = SaveHandle(store.location, step, plan, clock)
    job = _Job(store, everyone, f"save/{next(_COUNT)}", mine, shards, draft, file_bytes, clock)

    def run() -> None:
        job.run()
        if after is not None and everyone.index == 0:
            after()

    handle._begin(Background(run, f"save to {store.location}"))
    if wait:
        handle.wait()
    return handle


def settle() -> None:
    """Waits for all saves of this process, and raises the first error that nobody has seen."""
    for handle in list(_OPEN):
        handle.wait()


@atexit.register
def _tell_unseen_errors() -> None:
    for handle in _OPEN:
        if handle.error is not None:
            sys.stderr.write(f"The save to {handle.path} failed: {handle.error!r}\n")


def _specs(arrays: Mapping[str, Any]) -> list[Spec]:
    return [
        Spec(
            path,
            tuple(array.shape),
            array.dtype.itemsize,
            None if isinstance(array, np.ndarray) else array.sharding,
        )
        for path, array in arrays.items()
    ]


def _sorted(taken: Leaves, step: int | None) -> tuple[dict[str, Any], Manifest]:
    """The arrays of a state, keys as their data, and a manifest that has all but the chunks and files."""
    arrays: dict[str, Any] = {}
    draft = Manifest(step, {}, {}, dict(taken.static), ())
    for path, leaf in taken.leaves.items():
        kind = kind_of(leaf, path)
        data: Any = leaf.flat if isinstance(leaf, BucketTensor) else leaf
        if isinstance(data, jax.ShapeDtypeStruct):
            raise TypeError(f"leaf {path} must be an array, but is a shape and dtype without data.")
        if not is_concrete(data):
            raise TypeError(f"leaf {path} must be an array, but is traced. Save outside of `jit`.")
        if kind == "static":
            draft.static[path] = describe(leaf)
        elif kind == "value":
            draft.values[path] = encode_value(leaf)
        else:
            details = {} if (text := sharding_text(leaf)) is None else {"sharding": text}
            if kind == "key":
                details["implementation"] = key_implementation(leaf)
                leaf = jax.random.key_data(data)
            arrays[path] = np.asarray(leaf) if isinstance(leaf, np.generic) else leaf
            draft.tensors[path] = Tensor(
                dtype_name(leaf.dtype), tuple(leaf.shape), (), kind, details
            )
    return arrays, draft


class _Job:
    """What the thread of a save does."""

    def __init__(
        self,
        store: Store,
        everyone: Processes,
        tag: str,
        mine: list[tuple],
        shards: Shards,
        draft: Manifest,
        file_bytes: int,
        clock: Clock,
    ):
        self._store, self._everyone, self._tag = store, everyone, tag
        self._mine, self._shards, self._draft = mine, shards, draft
        self._file_bytes, self._clock = file_bytes, clock
        self._failed: Exception | None = None

    def run(self) -> None:
        if self._everyone.index:
            self._follow()
        else:
            self._lead()

    def _lead(self) -> None:
        stage, failed = "begin", None
        try:
            with writing(self._store):
                self._everyone.broadcast(f"{self._tag}/begin", lambda: None)
                stage = "end"
                found = self._everyone.gather(f"{self._tag}/written", self._written())
                assert found is not None
                for number, item in enumerate(found):
                    if "error" in item:
                        raise self._failed or RuntimeError(
                            f"process {number} could not write: {item['error']}"
                        )
                start = time.perf_counter()
                commit_manifest(self._store, _complete(self._draft, found))
                self._clock.add("commit", start)
        except BaseException as error:
            failed = repr(error)
            raise
        finally:
            # The others wait for it, whatever it is.
            self._everyone.broadcast(f"{self._tag}/{stage}", lambda: failed)

    def _follow(self) -> None:
        for stage in ("begin", "end"):
            failed = self._everyone.broadcast(f"{self._tag}/{stage}", lambda: None)
            if failed is not None:
                raise self._failed or RuntimeError(f"process 0 gave up: {failed}")
            if stage == "begin":
                self._everyone.gather(f"{self._tag}/written", self._written())

    def _written(self) -> dict[str, Any]:
        """Writes the parts of this process; what it says of them is of JSON."""
        found: list[Written | None] = [None] * len(self._mine)

        def task(lane: int):
            def run() -> None:
                found[lane] = write_parts(
                    self._store,
                    self._mine[lane],
                    self._shards,
                    file_bytes=self._file_bytes,
                    clock=self._clock,
                )

            return run

        try:
            run_together([task(lane) for lane in range(len(self._mine))])
        except Exception as error:
            self._failed = error
            return {"error": repr(error)}
        done = [written for written in found if written is not None]
        return {
            "files": [asdict(file) for written in done for file in written.files],
            "chunks": [[p, asdict(chunk)] for written in done for p, chunk in written.chunks],
        }


def _complete(draft: Manifest, found: list[dict[str, Any]]) -> Manifest:
    """The manifest with what all processes have written."""
    files = [DataFile(**file) for item in found for file in item["files"]]
    chunks: dict[str, list[Chunk]] = {path: [] for path in draft.tensors}
    for item in found:
        for path, chunk in item["chunks"]:
            place = {axis: tuple(chunk[axis]) for axis in ("offsets", "lengths")}
            chunks[path].append(Chunk(**(chunk | place)))
    tensors = {
        path: replace(tensor, chunks=tuple(sorted(chunks[path], key=lambda chunk: chunk.offsets)))
        for path, tensor in draft.tensors.items()
    }
    return replace(draft, tensors=tensors, files=tuple(sorted(files, key=lambda f: f.name)))

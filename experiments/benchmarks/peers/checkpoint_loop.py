"""A loop of training steps that is saved while it runs: what engines of checkpoints share.

A save costs a loop more than the time until its call returns: a step that is given the buffers (donation) has to make
new ones while the old ones are kept, and the thread that writes takes cores and memory from all steps until it has
ended. So what is measured is the time that the loop loses: the call, and what all steps up to one after the end of the
save take beyond as many normal ones, which are timed before and afterwards in the same loop.

Runs in the environments of peers too, so it imports nothing of this package.
"""

import contextlib
import ctypes
import gc
import itertools
import os
import shutil
import time
import zlib

import numpy as np
from worker import peak_memory


def draw_state(n_tensors, tensor_mib, seed):
    """Tensors (rows, 1024) of normal numbers by name, float32, so that nothing is gained by compressing them."""
    rng = np.random.default_rng(seed)
    rows = max(int(tensor_mib * 2**20) // 4096, 8)
    return {f"w{i:03d}": rng.standard_normal((rows, 1024), np.float32) for i in range(n_tensors)}


def lost_time(call, steps, normal):
    """Seconds that a loop loses by a save.

    Args:
        call: Seconds of the call of the save.
        steps: Seconds of the steps after it, up to one after its end.
        normal: Seconds of steps without a save.
    """
    # The mean and not the median: what slows some steps down without a save does so with one too.
    return call + float(np.sum(steps)) - len(steps) * float(np.mean(normal))


def reset_peak():
    """Lets the peak memory of this process begin anew and returns its memory now; None where the system cannot.

    What was freed is first given back to the system: what is taken again from it would not be seen to grow. JAX lets
    go of memory of NumPy that it had taken over when it is used again, or when garbage is collected.
    """
    gc.collect()
    try:
        with contextlib.suppress(AttributeError):  # glibc alone has it
            ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")
        with open("/proc/self/statm") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


class SavedLoop:
    """An engine of `worker.serve`: one package that saves and loads, and a loop that goes on meanwhile.

    Args:
        package: Has `versions`, `begin(path)`, `done(path)`, `wait()`, `load(path)` and `arrays(loaded)` by name.
        state: Has `n_bytes` and `advance(donating)`, a step that is over when it returns.
        folder: Where it saves.
    """

    def __init__(self, package, state, folder):
        self._package, self._state, self._folder = package, state, folder
        self._numbers = itertools.count()
        self._first = None
        self.versions = package.versions

    def step(self):
        """A whole save; the first one is of the state that all engines have at the beginning."""
        path = self._path()
        self._save(path)
        if self._first is None:
            self._first = path
        else:
            shutil.rmtree(path)

    def check(self):
        """Checksums of what comes back from the first save."""
        arrays = self._package.arrays(self._package.load(self._first))
        sums = [zlib.crc32(np.ascontiguousarray(arrays[name]).data) for name in sorted(arrays)]
        return {"crc": np.array(sums, float)}

    def measure(self, what, **how):
        """`save`, `load` or `stall`; seconds, bytes, and the growth of memory over the bytes of the state."""
        return {"save": self._whole_save, "load": self._load, "stall": self._stall}[what](**how)

    def _whole_save(self):
        path = self._path()
        found = self._timed(lambda: self._save(path))
        found["bytes"] = sum(
            os.path.getsize(os.path.join(place, name))
            for place, _, names in os.walk(path)
            for name in names
        )
        shutil.rmtree(path)
        return found

    def _load(self):
        return self._timed(lambda: self._package.load(self._first))

    def _timed(self, act):
        before = reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        kept = act()
        found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        growth = None if before is None else (peak_memory() - before) / self._state.n_bytes
        del kept
        return found | {"peak": growth}

    def _stall(self, donating, n_normal):
        for _ in range(2):  # compiles, and finds the buffers that it will go on with
            self._state.advance(donating)
        normal = [self._advance(donating) for _ in range(n_normal)]
        path = self._path()
        before = reset_peak()
        start = time.perf_counter()
        self._package.begin(path)
        call = time.perf_counter() - start
        steps = []
        while not self._package.done(path):
            steps.append(self._advance(donating))
        self._package.wait()
        steps.append(self._advance(donating))
        growth = None if before is None else (peak_memory() - before) / self._state.n_bytes
        normal += [self._advance(donating) for _ in range(n_normal)]
        shutil.rmtree(path)
        return {
            "call": call,
            "lost": lost_time(call, steps, normal),
            "step": float(np.mean(normal)),
            "steps": len(steps),
            "peak": growth,
        }

    def _advance(self, donating):
        start = time.perf_counter()
        self._state.advance(donating)
        return time.perf_counter() - start

    def _save(self, path):
        self._package.begin(path)
        self._package.wait()

    def _path(self):
        return os.path.join(self._folder, f"{next(self._numbers):05d}")


class SavedTraining:
    """What saves cost a training that calls this after each of its calls of several steps.

    Args:
        package: As of `SavedLoop`.
        folder: Where it saves.
        at: Numbers of steps after which there is a save.
        n_warm: Calls at the beginning that are not counted as normal.
    """

    def __init__(self, package, folder, at, n_warm):
        self._package, self._folder = package, folder
        self._at, self._n_warm = set(at), n_warm
        self._n_calls = 0
        self._normal, self._saves = [], []
        self._path, self._is_over, self._mark = None, False, 0.0

    def after_call(self, n_done):
        """Notes the time since the one before, and saves where one is due."""
        now = time.perf_counter()
        self._n_calls += 1
        if self._path is not None:
            self._saves[-1]["after"].append(now - self._mark)
            # The call after the one in which it ended is its last: buffers may find their places again in it.
            if self._is_over:
                self._end()
            elif self._package.done(self._path):
                self._is_over = True
        elif self._n_calls > self._n_warm:
            self._normal.append(now - self._mark)
        if n_done in self._at:
            # Where the one before has not ended, this one waits for it.
            start = time.perf_counter()
            path = os.path.join(self._folder, f"{n_done:06d}")
            self._package.begin(path)
            self._saves.append({"step": n_done, "call": time.perf_counter() - start, "after": []})
            self._end()
            self._path, self._is_over = path, False
        self._mark = time.perf_counter()

    def report(self):
        """Seconds of a normal call, and of each save its step, its call and the time lost."""
        self._package.wait()
        self._end()
        for save in self._saves:
            save["lost"] = lost_time(save["call"], save.pop("after"), self._normal)
        return {"normal": float(np.mean(self._normal)), "saves": self._saves}

    def _end(self):
        if self._path is not None:
            shutil.rmtree(self._path)
        self._path = None

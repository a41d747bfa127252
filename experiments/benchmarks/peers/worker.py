"""The worker's half of the benchmark: one engine, kept alive, asked for a round of steps at a time.

Runs as a script in any environment with numpy, so it imports nothing of this package. Commands and
answers are JSON lines on standard input and output:
    {"do": "prepare", "task": {..., "arrays": FILE}}  ->  {"import_s", "first_s", "versions", "temporary_mib"}
    {"do": "check", "to": FILE}                       ->  {}; what `check` of the engine gives, in FILE
    {"do": "round", "steps": N}                       ->  {"seconds": [...], "cpu_seconds": [...]}
    {"do": "measure", "what": NAME, "how": {...}}     ->  {...}; numbers that `measure` of the engine gives
    {"do": "finish"}                                  ->  {"peak_mib"}
A failure is answered with {"error": one line}.
"""

import json
import os
import resource
import sys
import time

import numpy as np


def serve(build):
    """Answers commands until `finish`.

    Args:
        build: Makes the engine from (task, arrays): an object with `step()`, one training step that
            returns when it is done; `check()`, a dictionary of arrays that all engines have to agree on,
            such as loss, gradient and intensity at the initial phases; `versions`; perhaps `temporary_mib`,
            known once it has made a step; and `measure(what, **how)` where time is not all. It imports its packages
            itself, so that this is timed.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not end up among the answers
    engine = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "prepare":
                engine, answer = _prepare(build, command)
            else:
                answer = _answer(engine, command)
        except Exception as error:  # the benchmark reports it and goes on without this engine
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)
        if command["do"] == "finish":
            return


def _prepare(build, command):
    start = time.perf_counter()
    with np.load(command["task"]["arrays"]) as arrays:
        engine = build(command["task"], dict(arrays))
    ready = time.perf_counter()
    engine.step()
    return engine, {
        "import_s": ready - start,
        "first_s": time.perf_counter() - ready,
        "versions": engine.versions,
        "temporary_mib": getattr(engine, "temporary_mib", None),
    }


def _answer(engine, command):
    if command["do"] == "check":
        np.savez(command["to"], **engine.check())
        return {}
    if command["do"] == "round":
        wall, cpu = zip(*[_timed(engine.step) for _ in range(command["steps"])], strict=True)
        return {"seconds": wall, "cpu_seconds": cpu}
    if command["do"] == "measure":
        return engine.measure(command["what"], **command["how"])
    return {"peak_mib": peak_memory() / 2**20}


def _timed(step):
    cpu, wall = time.process_time(), time.perf_counter()
    step()
    return time.perf_counter() - wall, time.process_time() - cpu


def on_one_core():
    """Keeps this process to one core, where the system can, so that every package makes one thread.

    To be called before they are imported.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def peak_memory():
    """Peak resident memory of this process, in bytes."""
    try:
        # Not ru_maxrss where this exists: a child starts with the peak of the parent that made it.
        with open("/proc/self/status") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

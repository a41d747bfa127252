"""Runs every experiment at quick scale, two at a time, and says how long each took.

Each is a process of its own, as for a user, but forked from one that has imported the packages: importing them takes a
quarter of a quick run. Nothing has touched a device there, so that a fork is safe. What a run prints is shown if it
fails; the others still run.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from typing import IO

from experiments.command import registry
from experiments.command.compilation_cache import kept_programs

AT_A_TIME = 2  # most of a quick run is compiling on one core


def _run(name: str, log: str) -> None:
    """The body of a forked process."""
    handle = os.open(log, os.O_WRONLY)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    from experiments.__main__ import main

    sys.exit(main(["run", name, "--scale", "quick", "--force"]))


def _quick(context: ForkServerContext, name: str) -> bool:
    start = time.monotonic()
    log: IO[str]
    with tempfile.NamedTemporaryFile("r", prefix=f"quick-{name}-") as log:
        process = context.Process(target=_run, args=(name, log.name))
        process.start()
        process.join()
        if process.exitcode:
            print(
                f"{log.read()}\n=== quick {name} failed ({process.exitcode})",
                file=sys.stderr,
                flush=True,
            )
        else:
            print(f"{time.monotonic() - start:5.0f} s  quick {name}", flush=True)
    return process.exitcode == 0


def _seconds(name: str) -> float:
    """What an experiment says that its quick run takes."""
    number, unit = registry.summary(name).expected_time["quick"].split()[:2]
    return float(number) * {"s": 1, "min": 60}[unit]


def main() -> int:
    """Runs those named, else all, and returns the exit code."""
    context = multiprocessing.get_context("forkserver")
    # The longest first, so that at the end no core waits long for the other.
    names = sys.argv[1:] or sorted(registry.names(), key=_seconds, reverse=True)
    modules = [registry.module_path(name) for name in registry.names()]
    context.set_forkserver_preload([*modules, "experiments.command.commands"])
    # JAX reads where compiled programs are kept when it is imported, which the server does before any run asks.
    with kept_programs(), ThreadPoolExecutor(AT_A_TIME) as threads:
        done = list(threads.map(lambda name: _quick(context, name), names))
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())

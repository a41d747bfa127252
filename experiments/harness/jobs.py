"""Pieces side by side in processes of this machine: `lightecho run NAME --jobs N`.

Each process computes one piece at a time with its share of the cores. One that dies (killed, out of memory, a fault in
compiled code) costs only the piece it was at, which another one computes again. None outlives the command.

Importing the packages takes a process longer than many a piece. On Linux they are therefore forked from one server that
has imported them and computes nothing itself; a fork of the command, in which JAX has threads, may hang.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from experiments.harness.errors import UserError
from experiments.harness.relay import Done, Failed, Replay, compute
from experiments.harness.settings import Settings, thread_share

IDLE, STARTING = "(idle)", "(starting)"
READY = None
ATTEMPTS = 3  # a piece that has ended this many processes would end the next one too


class LocalWorkers:
    """Processes that compute pieces; started when first needed, ended by `close`.

    Args:
        jobs: How many, at least 1.
        modules: Names of modules that the pieces need, to be imported once for all processes.
    """

    def __init__(self, jobs: int, modules: Sequence[str] = ()):
        self.jobs = jobs
        self._modules = ["experiments.harness.relay", "jax", *modules]
        self._workers: list[_Worker] = []
        self._started = 0

    def __str__(self) -> str:
        return f"{self.jobs} processes"

    def run(
        self, calls: Mapping[str, bytes], settings: Settings, replay: Replay
    ) -> Iterator[tuple[str, Done]]:
        """Yields pieces by label as they are finished.

        Args:
            calls: What `relay.pack` made, by label; started in this order.
            settings: To compute under.
            replay: Shows what the processes tell.

        Raises:
            UserError: If a piece has ended three processes.
            Exception: The error of a piece, as itself.
        """
        waiting, attempts = deque(calls), dict.fromkeys(calls, 0)
        unfinished = set(calls)
        while unfinished:
            self._start_processes(len(waiting))
            for worker in self._workers:
                if worker.label == IDLE and waiting:
                    worker.give(waiting.popleft(), calls, settings)
            busy = {worker.connection: worker for worker in self._workers if worker.label != IDLE}
            for connection in wait(list(busy)):
                worker = busy[connection]
                try:
                    message = worker.connection.recv()
                except (EOFError, OSError):
                    self._bury(worker, replay)
                    attempts[worker.label] = attempts.get(worker.label, 0) + 1
                    _again_or_not(worker, attempts[worker.label], replay)
                    if worker.label != STARTING:
                        waiting.appendleft(worker.label)
                    continue
                if isinstance(message, tuple):
                    replay.hear(worker.name, message)
                    continue
                label, worker.label = worker.label, IDLE
                replay.forget(worker.name)
                if isinstance(message, Failed):
                    raise message.again()
                # Not what a former call, ended by an error, has left behind.
                if message is not READY and label in unfinished:
                    unfinished.discard(label)
                    yield label, message

    def _start_processes(self, waiting: int) -> None:
        free = sum(worker.label in (IDLE, STARTING) for worker in self._workers)
        for _ in range(min(waiting - free, self.jobs - len(self._workers))):
            self._started += 1
            with thread_share(self.jobs):
                worker = _Worker(f"worker {self._started}", _context(self._modules))
                self._workers.append(worker)

    def _bury(self, worker: "_Worker", replay: Replay) -> None:
        self._workers.remove(worker)
        replay.forget(worker.name)
        worker.process.join()
        worker.connection.close()

    def close(self) -> None:
        """Ends every process, at once where one is still busy."""
        for worker in self._workers:
            worker.connection.close()
            if worker.label != IDLE:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []


def _again_or_not(worker: "_Worker", attempt: int, replay: Replay) -> None:
    ended = _how(worker.process.exitcode)
    what = "the start" if worker.label == STARTING else f"`{worker.label}`"
    if attempt >= ATTEMPTS:
        raise UserError(
            f"{what} has ended {attempt} processes, the last one {ended}; finished pieces are kept. Where memory ran "
            "out, use fewer --jobs or a smaller configuration."
        )
    replay.hear(
        worker.name, ("log", f"warning: a process ended at {what} ({ended}); another one goes on")
    )


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"by {name}" + (", often a lack of memory" if name == "SIGKILL" else "")
    return f"with exit code {code}"


def _context(modules: list[str]) -> Any:
    """How processes are started, with the server running where there is one."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(modules)
    # Ctrl-C reaches every process of the terminal; it is the command that decides.
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
    return context


class _Worker:
    """One process, our end of the pipe to it, and the label of the piece it is at."""

    def __init__(self, name: str, context: Any):
        self.name, self.label = name, STARTING
        self.connection, theirs = context.Pipe()
        # A server has the environment that was there when it was started.
        arguments = theirs, dict(os.environ)
        self.process = context.Process(target=_serve, args=arguments, name=name, daemon=True)
        self.process.start()
        theirs.close()  # or its end would never be seen here

    def give(self, label: str, calls: Mapping[str, bytes], settings: Settings) -> None:
        self.label = label
        # One that died while idle is found, and the piece handed to another, when its pipe is read.
        with contextlib.suppress(OSError):
            self.connection.send((calls[label], settings))


def _serve(connection: Connection, environment: dict[str, str]) -> None:
    """The life of a worker: one call after another, until the pipe is closed."""
    os.environ.clear()
    os.environ.update(environment)
    # Also where no server has kept Ctrl-C away.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nor should what a piece starts be deaf, as the server is from its start on.
    if sys.platform == "linux":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The command tells of a cache that is out of order, once; JAX would tell in each process, once a program.
    warnings.filterwarnings("ignore", ".*persistent compilation cache")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def send(message: Any) -> None:
        with lock:  # a loop may be advanced from a thread of XLA
            connection.send(message)

    # Where the command has closed the pipe it is ending, perhaps while this was starting: there is nobody to tell.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        send(READY)
        while True:
            call, settings = connection.recv()
            send(compute(call, settings, send))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

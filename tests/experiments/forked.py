"""Commands in processes forked from one that has imported the packages, which takes a command longer than its work.

That process computes nothing, so that forking it is safe; it is the server from which `LocalWorkers` of this process
come too. What a forked command does is what one started anew does, but for the imports.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from contextlib import chdir, contextmanager
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import jax

from experiments.benchmarks.peers import engine

ROOT = Path(__file__).parents[2]
_MODULES = (
    "pytest",
    "distributed.nanny",
    "experiments.command.commands",
    "tests.experiments.pendulum",
    "tests.experiments.descent",
    "tests.experiments.map_pieces",
    "optics.media",
    "optics.meshes",
    "optax",
    "quantum.nmr",
    "scipy.sparse.linalg",
)


@cache
def server():
    """The context of the one server of this process, which is running."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_MODULES))
    # Where it is imported from, as `lightecho` has it by being installed.
    with patch.dict(os.environ, PYTHONPATH=str(ROOT), JAX_PLATFORMS="cpu"), chdir(ROOT):
        forkserver.ensure_running()
    return context


def _body(words, folder, environment, own_server):
    for target, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / f".{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.setpgid(0, 0)
    # A server that `LocalWorkers` started has Ctrl-C blocked, and so has what is forked from it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if not own_server:
        forkserver._forkserver.ensure_running = lambda: None  # the one it comes from
        forkserver.ensure_running = lambda: None
    from experiments.__main__ import main
    from experiments.command import registry

    registry.EXPERIMENTS = {name: f"tests.experiments.{name}" for name in ("pendulum", "descent")}
    registry.BENCHMARKS = {}
    sys.exit(main(words))


class Command:
    """`lightecho` with the experiments of the tests, in a process group of its own.

    Args:
        words: What stands after `lightecho`.
        folder: Where it runs.
        own_server: Its pieces are computed in processes of a server of its own, as for a user.
    """

    def __init__(self, *words: str, folder: Path, own_server: bool = False):
        self._folder = folder
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}
        arguments = words, folder, environment, own_server
        self._process = server().Process(target=_body, args=arguments)
        self._process.start()
        self.pid: int = self._process.pid or 0

    def send_signal(self, number: signal.Signals) -> None:
        """To this process alone."""
        os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has."""
        return self._process.exitcode is not None

    def finish(self, timeout: float) -> tuple[int, str]:
        """Exit code and standard error, once it has ended."""
        self._process.join(timeout)
        assert self.ended(), f"not ended within {timeout} s: {self.errors()}"
        return self._process.exitcode or 0, self.errors()

    def errors(self) -> str:
        """Standard error so far."""
        path = self._folder / ".stderr"
        return path.read_text(encoding="utf-8") if path.exists() else ""


@contextmanager
def scripts():
    """Workers of benchmarks are forked within the block."""
    forked = SimpleNamespace(
        Popen=_Script, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )
    with patch.object(engine, "subprocess", forked):
        yield


# As in conftest.py: small programs, built soon. XLA ends a process at a flag that it does not know.
_TRIED = jax.__version_info__[:2] == (0, 10)
_FLAGS = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def _script(script, environment, *streams):
    for target, stream in enumerate(streams):
        os.dup2(stream.fileno(), target)
    sys.stdin = os.fdopen(0)
    os.environ.clear()
    os.environ.update(environment | ({"XLA_FLAGS": _FLAGS} if _TRIED else {}))
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


class _Script:
    """What `Engine` needs of `subprocess.Popen`; the interpreter is always that of the tests."""

    def __init__(self, command, *, stdin, stdout, stderr, text, env):
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        self.stdin, self.stdout = os.fdopen(our_out, "w"), os.fdopen(our_in)
        # Connections, since these are sent along with a process.
        theirs = [Connection(fd) for fd in (their_in, their_out, os.dup(stderr.fileno()))]
        self._process = server().Process(target=_script, args=(command[1], env, *theirs))
        self._process.start()
        for stream in theirs:
            stream.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> None:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a worker", timeout or 0.0)

"""The benchmark's half of a worker: starts it, asks it, and says in one line why it could not."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[2]
_PEERS = _ROOT / ".venv-peers"
_FROM_PYPI = ("torch", "torchoptics", "qutip", "dynamiqs")
_OWN_ENVIRONMENT = {
    "chromatix": "a Python 3.12 that imports chromatix, in an environment of its own (the package of "
    "that name on PyPI is empty)",
    "sax": "a Python that imports sax, in an environment of its own (it wants an older jax)",
    "neurophox": "a Python that imports neurophox, in an environment of its own (it wants TensorFlow)",
}


class EngineError(Exception):
    """A worker that cannot run, with the reason in one line."""


@dataclass(frozen=True)
class EngineSpec:
    """An engine of the benchmark.

    Attributes:
        name: Name in the results, such as `chromatix.prepared`.
        package: Package that it measures.
        variant: How the package is used; each worker says what its variants are.
        worker: Which worker, where it is not the one named after the package.
    """

    name: str
    package: str
    variant: str
    worker: str = ""


def find_interpreter(package: str) -> str:
    """Python that can import a package of the benchmark.

    For torchoptics, QuTiP and dynamiqs the first of: the environment variable
    `LIGHTECHO_<PACKAGE>_PYTHON`, this interpreter where it has the package, and `.venv-peers`, which
    `--make-peers` makes. chromatix needs Python 3.12 and an environment of its own, and its name on PyPI
    holds an empty package: install it as its authors say, and name the interpreter that imports it in
    `LIGHTECHO_CHROMATIX_PYTHON`. sax and neurophox are found by `LIGHTECHO_SAX_PYTHON` and
    `LIGHTECHO_NEUROPHOX_PYTHON` alone.
    """
    if package == "lightecho":
        return sys.executable
    variable = f"LIGHTECHO_{package.upper()}_PYTHON"
    if variable in os.environ:
        return os.environ[variable]
    if package in _OWN_ENVIRONMENT:
        raise EngineError(f"{variable} is not set; it must name {_OWN_ENVIRONMENT[package]}")
    if importlib.util.find_spec(package):
        return sys.executable
    python = _PEERS / "bin" / "python"
    if not python.exists():
        raise EngineError(
            f"no {_PEERS.name} here (--make-peers makes it) and {variable} is not set"
        )
    return str(python)


def make_environment() -> None:
    """Makes `.venv-peers` with the peers that PyPI has: torchoptics, QuTiP and dynamiqs.

    Raises:
        EngineError: If it could not be made.
    """
    python = str(_PEERS / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", *_FROM_PYPI]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(_PEERS)], check=True)
        subprocess.run(pip, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EngineError(f"{_PEERS.name} was not made: {error}") from error


class Engine:
    """A running worker.

    Args:
        spec: Which engine.
        patience: Longest wait for an answer, in seconds.

    Raises:
        EngineError: If its interpreter or package is missing.
    """

    def __init__(self, spec: EngineSpec, patience: float):
        self.spec = spec
        self._patience = patience
        python = find_interpreter(spec.package)
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (lives as long as the worker)
        # This package is found without being installed; in a peer's environment it must not be.
        path = {"PYTHONPATH": str(_ROOT)} if spec.package == "lightecho" else {}
        # A cache of compiled programs would hide what the first call costs.
        dropped = ("PYTHONPATH", "JAX_COMPILATION_CACHE_DIR")
        keep = {k: v for k, v in os.environ.items() if k not in dropped}
        try:
            self._process = subprocess.Popen(
                [python, str(_HERE / f"{spec.worker or spec.package}_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                text=True,
                env={"JAX_PLATFORMS": "cpu"} | keep | path,
            )
        except OSError as error:
            self._complaints.close()
            raise EngineError(f"{error.strerror}: {error.filename}") from error

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Timer(self._patience, self._process.kill)
        late.start()
        try:
            self._process.stdin.write(json.dumps({"do": do} | details) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            expired = late.finished.is_set()
            late.cancel()
        if not line:
            reason = f"no answer in {self._patience:g} s" if expired else self._last_words()
            raise EngineError(reason)
        answer = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def close(self) -> None:
        """Ends the worker, also one that hangs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._complaints.close()

    def _last_words(self) -> str:
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        said = lines[-1] if lines else "nothing said"
        return f"worker ended with status {self._process.returncode}: {said}"

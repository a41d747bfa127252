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
_ROOT = _HERE.parents[1]

# chromatix needs Python 3.12, and its name on PyPI holds an empty package, hence a commit of its source.
CHROMATIX = (
    "git+https://github.com/chromatix-team/chromatix@51c10db711aaf29b9df424a7e94a9d5d8d54d7ea"
)


class EngineError(Exception):
    """A worker that cannot run, with the reason in one line."""


@dataclass(frozen=True)
class EngineSpec:
    """An engine of the benchmark.

    Attributes:
        name: Name in the results, such as `chromatix.prepared`.
        package: Package that it measures.
        variant: How the package is used; each worker says what its variants are.
    """

    name: str
    package: str
    variant: str


def find_interpreter(package: str) -> str:
    """Python that can import a peer.

    The first of: the environment variable `LIGHTECHO_<PACKAGE>_PYTHON`, this interpreter where it has
    the package, and the environment beside the repository, which `--make-peers` makes.
    """
    if package == "lightecho":
        return sys.executable
    variable = f"LIGHTECHO_{package.upper()}_PYTHON"
    if variable in os.environ:
        return os.environ[variable]
    # The package called chromatix on PyPI is an empty one, so that finding a name says too little.
    if package == "torchoptics" and importlib.util.find_spec(package):
        return sys.executable
    folder = {"torchoptics": ".venv-peers", "chromatix": ".venv-chromatix"}[package]
    python = _ROOT / folder / "bin" / "python"
    if not python.exists():
        raise EngineError(f"no {folder} here (--make-peers makes it) and {variable} is not set")
    return str(python)


def make_environments() -> None:
    """Makes `.venv-peers` and, where there is a Python 3.12, `.venv-chromatix`."""
    import importlib.metadata

    jax = f"jax=={importlib.metadata.version('jax')}"  # the same JAX, so that optics is compared
    recipes = (
        (".venv-peers", sys.executable, ["torch", "torchoptics"]),
        (".venv-chromatix", "python3.12", [f"chromatix @ {CHROMATIX}", jax]),
    )
    for folder, python, packages in recipes:
        target = _ROOT / folder
        try:
            subprocess.run([python, "-m", "venv", str(target)], check=True)
            pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(pip, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{folder} was not made: {error}", file=sys.stderr)


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
        keep = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        try:
            self._process = subprocess.Popen(
                [python, str(_HERE / f"{spec.package}_worker.py")],
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

"""The benchmark's half of a worker: starts it, asks it, and says in one line why it could not."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers.environments import EngineError, find_interpreter

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[2]


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

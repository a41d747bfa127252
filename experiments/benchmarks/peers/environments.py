"""Where each peer runs: environments of their own, since their wants clash, made by `make peers`.

Nothing of it is installed beside lightecho. `python -m experiments.benchmarks.peers.environments NAME ...` makes those
named, `make peers` all; each takes minutes, and torch alone several GB.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

_PEERS = Path(__file__).resolve().parents[3] / ".venv-peers"
# Packages that live together, with the versions that were compared with (tests/peers.md).
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "spins": ("qutip==5.3.1", "dynamiqs==0.3.7"),
    "sax": ("sax==0.18.2",),  # wants an older jax
    "networks": ("torchoptics==1.0.2", "neurophox==0.1.0a4"),  # torch and TensorFlow
    # Checkpoints of others, and a server of S3; beside them what `nn.checkpoint` and `nn.training` import.
    "checkpoints": (
        "orbax-checkpoint==0.12.8",
        "s3fs==2026.9.0",
        "moto[server]==5.2.5",
        "safetensors==0.8.0",
        "jax==0.10.2",
        "equinox==0.13.8",
        "optax==0.2.8",
        "google-crc32c==1.9.0",
    ),
    "transformers": (
        "torch==2.13.0",
        "transformers==5.24.0",
        "diffusers==0.42.1",
        "gguf==0.19.0",
        "accelerate==1.15.0",
    ),
}
_HOME = {
    "qutip": "spins",
    "dynamiqs": "spins",
    "sax": "sax",
    "torchoptics": "networks",
    "neurophox": "networks",
    "transformers": "transformers",
    "diffusers": "transformers",
    "torch": "transformers",
    "orbax": "checkpoints",
    "safetensors": "checkpoints",
    "s3fs": "checkpoints",
    "moto": "checkpoints",
}
# A peer may run in this interpreter where it is installed here; these two never can.
_APART = ("sax", "neurophox", "chromatix")


class EngineError(Exception):
    """A worker that cannot run, with the reason in one line."""


def find_interpreter(package: str) -> str:
    """Python that can import a package of the benchmark.

    The first of: the environment variable `LIGHTECHO_<PACKAGE>_PYTHON`; this interpreter, where it has the package;
    and the environment in `.venv-peers` that `make peers` makes. chromatix needs Python 3.12, and its name on PyPI
    holds an empty package: install it as its authors say, and name the interpreter that imports it in
    `LIGHTECHO_CHROMATIX_PYTHON`.

    Args:
        package: lightecho, or a peer.

    Raises:
        EngineError: If there is none.
    """
    if package == "lightecho":
        return sys.executable
    variable = f"LIGHTECHO_{package.upper()}_PYTHON"
    if variable in os.environ:
        return os.environ[variable]
    if package not in _APART and importlib.util.find_spec(package):
        return sys.executable
    if package not in _HOME:
        raise EngineError(
            f"{variable} is not set; it must name a Python 3.12 that imports {package}, in an environment of its own "
            "(the package of that name on PyPI is empty)"
        )
    python = _PEERS / _HOME[package] / "bin" / "python"
    if not python.exists():
        raise EngineError(
            f"no {_PEERS.name}/{_HOME[package]} here (`make peers` makes it) and {variable} is not set"
        )
    return str(python)


def make_environment(name: str) -> None:
    """Makes one of `ENVIRONMENTS`, unless it is there.

    Raises:
        EngineError: If it could not be made; then nothing of it is left.
    """
    folder = _PEERS / name
    python = str(folder / "bin" / "python")
    if Path(python).exists():
        return
    pip = [python, "-m", "pip", "install", "--quiet", *ENVIRONMENTS[name]]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(pip, check=True)
    except BaseException as error:
        # Half an environment would be taken for a whole one.
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError | subprocess.CalledProcessError):
            raise EngineError(f"{_PEERS.name}/{name} was not made: {error}") from error
        raise


def main(names: list[str]) -> int:
    """Makes the named environments, or all; says in a line each which could not be made, and returns the exit code."""
    unknown = sorted(set(names) - set(ENVIRONMENTS))
    if unknown:
        print(
            f"no environment `{unknown[0]}`; known are {', '.join(ENVIRONMENTS)}", file=sys.stderr
        )
        return 2
    failed = 0
    for name in names or ENVIRONMENTS:
        try:
            make_environment(name)
            print(f"{_PEERS.name}/{name}: {', '.join(ENVIRONMENTS[name])}", flush=True)
        except EngineError as error:
            failed = 1
            print(error, file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where a number comes from: commit, versions, device, time. Everything that config.json does not say."""

import datetime
import hashlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "matplotlib", "scikit-learn")
SOURCES = ("optics", "quantum", "nn", "experiments")
ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide our numbers."""
    found = {"lightecho": _version("lightecho"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def commit() -> tuple[str | None, bool | None]:
    """Commit of the source and whether it was changed since; (None, None) outside a checkout of it."""
    # An installed copy may lie inside somebody else's checkout, whose commit would mean nothing.
    if not (ROOT / ".git").exists():
        return None, None
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None, None
    return head, _git("status", "--porcelain", "--untracked-files=normal", "--", *SOURCES) != ""


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def code_fingerprint() -> str:
    """Hash of every source file of the packages, so that a change shows even before it is committed."""
    summary = hashlib.sha256()
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*.py")):
            summary.update(str(path.relative_to(ROOT)).encode())
            summary.update(path.read_bytes())
    return summary.hexdigest()[:12]


def devices() -> list[str]:
    """Names of the devices JAX sees, a CPU with its model and the cores this process may use."""
    import jax

    return [_device_name(device) for device in jax.devices()]


def device_in_use() -> str:
    """Name of the device that JAX computes on now."""
    import jax

    chosen = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return _device_name(chosen or jax.devices()[0])


def _device_name(device) -> str:
    if device.platform != "cpu":
        return device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def record(
    wall_time_s: float, precision: str, resumed_pieces: int, command: list[str], workers: str
) -> dict:
    """Content of provenance.json.

    Args:
        wall_time_s: Computing time in seconds, with that of the pieces taken from an interrupted run.
        precision: "single" or "double".
        resumed_pieces: How many pieces came from an interrupted run.
        command: Command line, or the call that made the result.
        workers: Where the pieces were computed, such as "2 processes".

    Returns:
        JSON-ready record.
    """
    head, dirty = commit()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
        "commit": head,
        "dirty": dirty,
        "code": code_fingerprint(),
        "versions": versions(),
        "device": device_in_use(),
        "platform": platform.platform(),
        "precision": precision,
        "wall_time_s": wall_time_s,
        "resumed_pieces": resumed_pieces,
        "workers": workers,
        "python": sys.version,
        "command": command,
    }

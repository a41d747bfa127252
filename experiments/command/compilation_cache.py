"""JAX's cache of compiled programs on disk, for the command line alone: most of a quick run is compiling.

It lies in the user's cache folder, apart for each kind of processor, since a program may use instructions that another
one lacks. JAX itself bounds its size (the programs used longest ago go first) and lets one process write at a time.
Everything is said in environment variables before JAX is imported, so that processes that a command starts share it,
and a variable that the user has set stays.
"""

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

# About 3000 programs; JAX lists the folder at each write, 0.02 ms for each of them.
MAX_BYTES = 64 * 2**20
# CPU time of a quick run on two busy cores, once or twice each. ffm_depth: 51 s compiling all; with a filled cache
# 13.3 s where every program is kept (98 files), 14.9 s from 0.1 s on (50), 15.5 s from 0.5 s on (15). ffm_chip: 61 to
# 69 s; 26 and 28 s with every one (112), 29 and 30 s from 0.1 s on (96). So small ones gain less than they cost.
MIN_COMPILE_S = 0.1
_SWITCH = "JAX_ENABLE_COMPILATION_CACHE"
_FOLDER = "JAX_COMPILATION_CACHE_DIR"


def folder() -> Path:
    """Where compiled programs are kept for this kind of processor, whether or not it exists."""
    named = os.environ.get(_FOLDER)
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("lightecho")) / "programs" / _processor()


def size() -> tuple[int, int]:
    """Number of programs kept and their bytes."""
    sizes = [path.stat().st_size for path in folder().glob("*-cache")]
    return len(sizes), sum(sizes)


@contextlib.contextmanager
def kept_programs(wanted: bool = True) -> Iterator[None]:
    """Lets JAX keep compiled programs within the block, if it has not been imported yet.

    Args:
        wanted: False compiles everything anew and keeps nothing.
    """
    former = dict(os.environ)
    try:
        if wanted and _usable():
            os.environ.setdefault(_FOLDER, str(folder()))
            os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(MAX_BYTES))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(MIN_COMPILE_S))
        else:
            os.environ[_SWITCH] = "false"
        with _faults_in_one_line():
            yield
    finally:
        os.environ.clear()
        os.environ.update(former)


def _usable() -> bool:
    """Whether the folder can be written to; says so in one line where it cannot."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place):
            return True
    except OSError as error:
        _warn(f"{place} cannot be written ({error.strerror or error})")
        return False


@contextlib.contextmanager
def _faults_in_one_line() -> Iterator[None]:
    """JAX warns of each program that it cannot read or write; one line says it for all of them."""
    show, told = warnings.showwarning, []

    def tell(message, category, filename, lineno, file=None, line=None):
        text = str(message)
        if "persistent compilation cache" not in text:
            show(message, category, filename, lineno, file, line)
        elif not told:
            told.append(text)
            _warn(f"{folder()} is damaged ({text.split(': ', 1)[-1][:120]}); delete it")

    warnings.showwarning = tell
    try:
        yield
    finally:
        warnings.showwarning = show


def _warn(what: str) -> None:
    print(
        f"lightecho: warning: the cache of compiled programs at {what}; the run goes on and compiles.",
        file=sys.stderr,
    )


def _processor() -> str:
    """Name for processors that run the same programs: 12 hex digits over instruction set and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    kind = [line for line in lines if line.startswith(("flags", "Features", "model name"))][:2]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    summary = "\n".join([platform.system(), platform.machine(), str(cores), *(kind or lines)])
    return hashlib.sha256(summary.encode()).hexdigest()[:12]

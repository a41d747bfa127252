"""How much memory a state takes, how much there is, what would fit; and how many threads are worth their while.

A state of n qubits holds 2^n complex numbers: 8 bytes each in single precision, 16 in double. An engine keeps one or
more such arrays at a time. Free memory is what the operating system says can be had without swapping, or less where
the process runs under a control group with a limit. Left out: memory of an accelerator, which its own library reports.
"""

import os
from pathlib import Path

from quantum._checks import check_choice, check_count

_BYTES = {"single": 8, "double": 16}
_MEMORY_INFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
# Python, the libraries and the circuit itself want room too (our choice).
_USABLE_SHARE = 0.9
_RUNNING = Path("/proc/loadavg")
# A second thread brings nothing below 16 qubits and 1.8 times the speed at 18 to 20, but only where a core is free for
# it: on a taken one the threads wait for each other, up to 30 times as long. Above 22 qubits they gain either way.
_THREADS_FROM, _ALWAYS_FROM = 16, 22


def state_bytes(n_qubits: int, precision: str = "single", n_states: int = 1) -> int:
    """Bytes of `n_states` states of `n_qubits` qubits."""
    check_count(n_qubits, "n_qubits", 1)
    check_count(n_states, "n_states", 1)
    check_choice(precision, "precision", tuple(_BYTES))
    return n_states * _BYTES[precision] * 2**n_qubits


def available_bytes() -> int:
    """Bytes that this process can still take without swapping."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if _MEMORY_INFO.exists():
        # Counts what the page cache would give back, which SC_AVPHYS_PAGES does not.
        lines = dict(line.split(":", 1) for line in _MEMORY_INFO.read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].split()[0]) if "MemAvailable" in lines else free
    limit, used = _GROUP / "memory.max", _GROUP / "memory.current"
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return max(free, 0)


def check_memory(
    n_qubits: int, precision: str = "single", n_states: int = 1, available: int | None = None
) -> None:
    """Raises unless states of `n_qubits` qubits fit into memory.

    Args:
        n_qubits: Number of qubits.
        precision: "single" or "double".
        n_states: States held at a time.
        available: Bytes there are; None asks the operating system.

    Raises:
        ValueError: If they do not fit; says how much is needed, how much there is, and what would fit.
    """
    needed = state_bytes(n_qubits, precision, n_states)
    there = available_bytes() if available is None else available
    if needed <= _USABLE_SHARE * there:
        return
    fits = max(int(_USABLE_SHARE * there / state_bytes(1, precision, n_states)).bit_length(), 0)
    held = "one state" if n_states == 1 else f"{n_states} states"
    other = ", or single precision for one more" if precision == "double" else ""
    raise ValueError(
        f"`n_qubits` must leave room in memory, but {held} of {n_qubits} qubits in {precision} precision take "
        f"{_shown(needed)} and {_shown(there)} are free; at most {fits} qubits fit{other}."
    )


def n_threads(n_qubits: int) -> int:
    """Threads for a state of that size: one for a small one, idle cores for a middling, all of ours for a large one."""
    cores = len(os.sched_getaffinity(0))
    if n_qubits < _THREADS_FROM:
        return 1
    if n_qubits >= _ALWAYS_FROM:
        return cores
    return max(1, cores - _n_others())


def _n_others() -> int:
    """Threads that run at this moment on this machine, but for the one that asks; unknown counts as busy."""
    try:
        running = int(_RUNNING.read_text().split()[3].split("/")[0])
    except (OSError, ValueError, IndexError):
        return os.cpu_count() or 1
    return max(0, running - 1)


def _shown(n_bytes: int) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB" if n_bytes < 1e21 else f"{n_bytes:.3g} bytes"

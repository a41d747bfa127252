"""What a compiled program takes: CPU time, and memory as its compiler plans it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax


def least_cpu_seconds(program: Callable, operands: Sequence[Any], repeats: int) -> float:
    """Least CPU time of all threads in `repeats` runs, after one that compiles what is not compiled."""
    jax.block_until_ready(program(*operands))
    times = []
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(program(*operands))
        times.append(time.process_time() - start)
    return min(times)


def temporary_bytes(compiled: jax.stages.Compiled) -> int:
    """Memory beside arguments and results.

    Raises:
        RuntimeError: If this backend of JAX does not say.
    """
    analysis: Any = compiled.memory_analysis()
    if analysis is None:
        raise RuntimeError("this backend of JAX says nothing of the memory of its programs")
    return analysis.temp_size_in_bytes

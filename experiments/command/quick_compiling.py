"""How XLA compiles where most of the time goes into compiling: at quick scale, from the command line.

XLA's older emitters without loop vectorisation, cold cache, two cores of an Intel Xeon, CPU and wall time:
mixture_of_experts, when it was larger, 77 and 58 s by default, 50 and 46 s so on one thread. In four parts, for the
other core, sparse_attention took 28 s in place of 32; `.ci/run`, which runs two at a time, keeps to one. Numbers differ
by rounding. Where a run computes for minutes this would be a loss, so it is for `quick` alone.
"""

import contextlib
import importlib.metadata
import os
from collections.abc import Iterator

FLAGS = {
    "--xla_cpu_use_fusion_emitters": "false",
    "--xla_cpu_parallel_codegen_split_count": "4",
    "--xla_backend_optimization_level": "1",
}
_VARIABLE = "XLA_FLAGS"
# XLA ends a process at a flag that it does not know, so they are set for the version that they were tried with.
_TRIED = "0.10."


@contextlib.contextmanager
def compiled_soon(wanted: bool = True) -> Iterator[None]:
    """Lets XLA compile so within the block, if it has not compiled yet; a flag that the user has set stays.

    Args:
        wanted: False leaves everything as it is.
    """
    former = os.environ.get(_VARIABLE)
    if wanted and importlib.metadata.version("jax").startswith(_TRIED):
        given = (former or "").split()
        set_already = {flag.partition("=")[0] for flag in given}
        ours = [f"{name}={value}" for name, value in FLAGS.items() if name not in set_already]
        os.environ[_VARIABLE] = " ".join([*given, *ours])
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
        if former is not None:
            os.environ[_VARIABLE] = former

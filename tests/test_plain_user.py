"""A part of the suite in a process as a user has it.

The suite runs with 64-bit numbers, with types and shapes checked at run time, and with silent rank promotion refused.
A user has none of the three. So one process is started with JAX as it comes, and runs the tests of what users bring.
"""

import os
import subprocess
import sys
from pathlib import Path

import jax

ROOT = Path(__file__).parents[1]
FILES = (
    "tests/optics/test_user_input_numbers.py",
    "tests/optics/test_user_input_dark.py",
    "tests/optics/test_user_input_rows.py",
    "tests/quantum/as_users_call.py",
)
# As in conftest.py: one MLIR context for all programs, and less to look through for the garbage collector.
PROGRAM = """
import functools, gc, sys, jax, pytest
from jax._src.interpreters import mlir
if jax.__version_info__[:2] == (0, 10):
    mlir.make_ir_context = functools.cache(mlir.make_ir_context)
gc.set_threshold(50_000, 20, 20)
assert not jax.config.jax_enable_x64
assert jax.config.jax_numpy_rank_promotion == "allow"
code = pytest.main(["-q", "-x", "--noconftest", "-p", "no:cacheprovider", *sys.argv[1:]])
import optics.metrics, jaxtyping
assert not hasattr(optics.metrics, "jaxtyping"), "the import hook is on"
sys.exit(code)
"""


def test_what_users_bring_works_in_a_process_as_they_have_it():
    own = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "PYTEST_"))}
    # Compiling the many small programs with care would take most of the time.
    own |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if jax.__version_info__[:2] == (
        0,
        10,
    ):  # as in conftest.py: XLA ends the process at a flag that it does not know
        own["XLA_FLAGS"] = (
            "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        )
    call = [sys.executable, "-c", PROGRAM, *FILES]
    run = subprocess.run(call, cwd=ROOT, env=own, capture_output=True, text=True, timeout=900)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]

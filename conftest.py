"""Test settings shared by all packages: run-time shape checks, 64-bit, no silent rank promotion."""

import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

# The hook must be in place before any test imports the packages.
install_import_hook(["optics", "quantum", "nn"], "beartype.beartype")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of the suite's time goes into compiling small programs: 877 s on two cores so, 1194 s optimised. Optimised they
# run where a test asks for `optimised`, in processes that tests start, in notebooks and in the quick runs of `.ci/run`.
jax.config.update("jax_disable_most_optimizations", True)

# Every compiled program keeps several memory maps for the life of its process, and Linux grants a process
# 65,530 of them by default (vm.max_map_count). A worker had 34,000 at 80 % of the suite, and one died of a
# segmentation fault in the compiler near its end. Clearing sooner than needed only costs compiling again.
_MOST_MEMORY_MAPS = 16_000


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_let_go() -> Iterator[None]:
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MEMORY_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """Programs compiled as users have them, for the rest of the module: for rounding at its limit."""
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)

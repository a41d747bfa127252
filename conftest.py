"""Test settings shared by all packages: run-time shape checks, 64-bit, no silent rank promotion, fast compiling."""

import dataclasses
import gc
import importlib.machinery
import inspect
import os
import typing
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import jax
import jaxtyping
import pytest
from beartype import BeartypeConf, beartype
from jax._src.interpreters import mlir
from jaxtyping import _import_hook, install_import_hook

# The hook must be in place before any test imports the packages.
install_import_hook(["optics", "quantum", "nn"], "beartype.beartype")


def _checked_code(loader, name):
    """The code of one of our modules from a cache with a mark of its own, as `jaxtyping` has it.

    Its own loader also sets that mark for whatever the module imports while it runs, so that all of JAX, Cirq, Qiskit
    and so on are parsed anew in every process: 12 of 38 s of collecting.
    """
    mark = partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with patch("importlib._bootstrap_external.cache_from_source", mark):
        return importlib.machinery.SourceFileLoader.get_code(loader, name)


_loader = _import_hook._JaxtypingLoader
_loader.get_code = _checked_code
_loader.exec_module = importlib.machinery.SourceFileLoader.exec_module

_with_shapes = jaxtyping.jaxtyped
_without_shapes = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


def _has_shape(hint) -> bool:
    """Whether an annotation holds a type of jaxtyping anywhere."""
    if isinstance(hint, list | tuple):  # the arguments of a Callable
        return any(map(_has_shape, hint))
    return type(hint).__module__.startswith("jaxtyping") or _has_shape(typing.get_args(hint))


def _checked(*this, **options):
    """`jaxtyped`, but beartype alone where there is no shape to keep in mind.

    That takes 1 us a call in place of 40, and 4 us for a gate in place of 130: half of the time of quantum's tests.
    """
    if this:
        return _with_shapes(*this, **options)

    def decorate(this):
        # Plain dataclasses; those of equinox have a class of their own.
        own = vars(this).get("__init__") if type(this) is type else None
        plain = own if dataclasses.is_dataclass(this) and inspect.isfunction(own) else this
        if not inspect.isfunction(plain) or _has_shape([*plain.__annotations__.values()]):
            return _with_shapes(this, **options)
        if plain is this:
            # Functions within functions would be looked through anew at every call of the outer one.
            return this if "<locals>" in this.__qualname__ else _without_shapes(this)
        this.__init__ = _without_shapes(plain)
        return this

    return decorate


# By this name the hook calls it in every module.
jaxtyping.jaxtyped = _checked

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of the suite's time goes into compiling small programs: 877 s on two cores so, 1194 s optimised. Optimised they
# run where a test asks for `optimised`, in processes that tests start, in notebooks and in the quick runs of `.ci/run`.
jax.config.update("jax_disable_most_optimizations", True)

# XLA's older emitters build a small program in 0.6 of the time of the newer ones, on one thread. XLA ends the process
# at a flag that it does not know, so they are set for the version they were tried with. It reads them once, at its
# first program; after it they go, so that processes that tests start compile as a user's do.
_TRIED = jax.__version_info__[:2] == (0, 10)
_FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
if _TRIED:
    with patch.dict(os.environ, XLA_FLAGS=f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}".strip()):
        jax.jit(lambda: 1.0)()
    # Each program is lowered in an MLIR context of its own, which takes half of the lowering; one per module will do.
    mlir.make_ir_context = cache(mlir.make_ir_context)

# Tracing makes many objects that live on, among two million of the imported packages: looking through all of them
# again and again is a tenth of the suite.
gc.set_threshold(50_000, 20, 20)

# Every compiled program keeps several memory maps for the life of its process, and Linux grants a process
# 65,530 of them by default (vm.max_map_count). A worker had 34,000 at 80 % of the suite, and one died of a
# segmentation fault in the compiler near its end. Clearing sooner than needed only costs compiling again.
_MOST_MEMORY_MAPS = 16_000


# One test, half a minute in a process of its own: started last, it would leave the other workers idle so long.
_FIRST = "test_plain_user.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers get the files in the order of their items."""
    items.sort(key=lambda item: item.path.name != _FIRST)


def pytest_collection_finish() -> None:
    """What is imported by now stays; the collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_let_go() -> Iterator[None]:
    yield
    if _TRIED:
        mlir.make_ir_context.cache_clear()
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MEMORY_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """Programs optimised as users have them, for the rest of the module: for rounding at its limit."""
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)

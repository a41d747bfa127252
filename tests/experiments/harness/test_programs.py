import jax
import jax.numpy as jnp
import pytest

from experiments.harness import programs


def test_the_least_of_the_runs_counts_after_the_one_that_compiles(monkeypatch):
    clock, called = iter([0, 5, 5, 7, 7, 10]), []
    monkeypatch.setattr(programs.time, "process_time", lambda: next(clock))
    assert programs.least_cpu_seconds(lambda *x: called.append(x) or 0, (1, 2), 3) == 2
    assert called == 4 * [(1, 2)]


def test_memory_is_what_lies_between_arguments_and_results():
    # Two products of 64 x 64: one matrix in between, in double precision; what the products themselves take is less.
    x = jnp.ones((64, 64))
    held = programs.temporary_bytes(jax.jit(lambda x: x @ x @ x).lower(x).compile())
    assert 8 * 64**2 <= held < 4 * 8 * 64**2


def test_a_backend_that_does_not_say_is_named():
    class Silent:
        def memory_analysis(self):
            return None

    with pytest.raises(RuntimeError, match="says nothing of the memory"):
        programs.temporary_bytes(Silent())  # pyright: ignore[reportArgumentType]

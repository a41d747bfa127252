import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.peers.engine import EngineSpec
from experiments.benchmarks.peers.environments import EngineError
from experiments.benchmarks.timing import (
    copy_seconds,
    differences,
    load_average,
    ratio,
    time_calls,
    time_in_turn,
)
from experiments.harness.context import Context


def test_ratio_is_formed_within_each_round():
    ours, other = np.array([[1.0, 1.0, 9.0], [4.0, 4.0, 4.0]]), np.array([[2.0] * 3, [8.0] * 3])
    found = ratio(ours, other)
    assert (found.value, found.stderr, found.n) == (0.5, 0.0, 2)


def test_engine_with_other_results_is_refused():
    truth = {"loss": np.ones(1), "gradient": np.ones(4), "intensity": np.ones(4)}
    # One of four entries off by 0.01: 0.01 / 2 of the norm.
    found = truth | {"gradient": np.array([1.0, 1.0, 1.0, 1.01])}
    assert differences(found, truth, 0.0051)["gradient"] == pytest.approx(0.005)
    with pytest.raises(EngineError, match="its results differ from ours"):
        differences(found, truth, 0.0049)
    for part in truth:
        with pytest.raises(EngineError, match="its results differ from ours"):
            differences(truth | {part: np.full_like(truth[part], np.nan)}, truth, 1e-3)


def test_excluded_engine_is_not_started_and_says_why(monkeypatch):
    monkeypatch.setattr(
        "experiments.benchmarks.timing.Engine", lambda *_: pytest.fail("was started")
    )
    lines: list[str] = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    times = time_in_turn(
        [EngineSpec("slow", "lightecho", "matrix")], lambda _: {}, context,
        size="4 px", rounds=1, steps=1, patience=1.0, tolerance=1e-3, excluded={"slow": "too slow"},
    )  # fmt: skip
    assert times.absent == lines == ["slow, 4 px: not run, too slow"]
    assert not times.seconds


@pytest.mark.parametrize(("load", "warnings"), [(0.4, 0), (1.7, 1)])
def test_a_busy_machine_is_warned_of(monkeypatch, load, warnings):
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    lines: list[str] = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    assert load_average(context).value == load
    assert len([line for line in lines if "load 1.7" in line]) == warnings == len(lines)


def test_calls_take_turns_and_each_is_checked_by_the_first(monkeypatch):
    called, checked = [], []
    clock = iter(range(1000))
    monkeypatch.setattr("experiments.benchmarks.timing.time.perf_counter", lambda: next(clock))
    calls = {name: lambda name=name: called.append(name) or len(name) for name in ("ab", "c")}
    found = time_calls(
        calls, Context(), size="none", rounds=2, steps=3, check=lambda *seen: checked.append(seen)
    )
    turn = 3 * ["ab"] + 3 * ["c"]
    assert called == ["ab", "c", *turn, *turn]
    assert {(name, *value, *truth) for name, value, truth in checked} == {("ab", 2, 2), ("c", 1, 2)}
    # A clock that counts its readings: each call lasts 1 s.
    assert {name: list(np.ravel(t)) for name, t in found.items()} == {
        "first/ab": [1], "first/c": [1], "seconds/ab": [1, 1], "seconds/c": [1, 1],
    }  # fmt: skip


def test_a_copy_takes_the_median_of_its_runs_over_its_passes(monkeypatch):
    clock = iter([0, 8, 8, 12, 12, 112])
    monkeypatch.setattr("experiments.benchmarks.timing.time.perf_counter", lambda: next(clock))
    assert copy_seconds(jnp.ones(4), passes=4, repeats=3) == 2

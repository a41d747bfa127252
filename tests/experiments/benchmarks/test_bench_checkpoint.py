import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import bench_checkpoint as bench
from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.engine import EngineSpec
from experiments.harness.measurement import Measurement
from tests.experiments.forked import scripts

TINY = dataclasses.replace(
    bench.SCALES["quick"], n_tensors=2, tensor_mib=0.0625, n_products=1, n_normal=2
)


@pytest.fixture
def loop(monkeypatch):
    """The module that workers import as scripts do."""
    monkeypatch.syspath_prepend(str(Path(environments.__file__).parent))
    import checkpoint_loop  # pyright: ignore

    yield checkpoint_loop
    for name in ("checkpoint_loop", "worker"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_ours_saves_and_loads_while_a_loop_goes_on(outcome):
    found = outcome.metrics
    assert outcome.arrays["not_run"].size == 0
    assert outcome.arrays["storages"][0].startswith("disk: ")
    n_bytes = 2 * 0.0625 * 2**20
    assert (outcome.arrays["save_bytes.disk.lightecho"] > n_bytes).all()
    for name in ("save_wall", "save_cpu", "load_wall", "load_cpu", "step.donating", "step.keeping"):
        kind, _, end = name.partition(".")
        values = outcome.arrays[f"{name}.disk.lightecho"]
        metric = found[".".join(part for part in (kind, "disk", end, "lightecho") if part)]
        assert (values > 0).all()
        assert metric.value == pytest.approx(values.mean() * (1e3 if kind == "step" else 1))
    assert (outcome.arrays["steps.donating.disk.lightecho"] >= 1).all()
    lost, whole = (outcome.arrays[f"{n}.disk.lightecho"] for n in ("lost.keeping", "save_wall"))
    expected = bench.quotient(lost, whole)
    assert expected is not None
    assert found["ratio.lost.disk.keeping.blocking"].value == expected.value
    assert len(bench.plot(outcome).axes) == 2


def test_time_lost_is_the_call_and_what_steps_take_beyond_normal_ones(loop):
    assert loop.lost_time(0.1, [0.5, 0.4, 0.3], [0.2, 0.4]) == pytest.approx(0.1 + 1.2 - 0.9)
    assert loop.lost_time(0.1, [], [0.3]) == pytest.approx(0.1)


def test_the_state_is_the_same_for_all_and_hardly_compressible(loop):
    first, again = (loop.draw_state(2, 0.0625, seed=3) for _ in range(2))
    assert {name: array.nbytes for name, array in first.items()} == {"w000": 2**16, "w001": 2**16}
    assert all((first[name] == again[name]).all() for name in first)
    assert abs(np.concatenate(list(first.values())).std() - 1) < 0.02


def test_an_engine_that_brings_back_other_numbers_is_not_timed(monkeypatch):
    other = EngineSpec("copies", "lightecho", "copies", "checkpoint")
    monkeypatch.setattr(bench, "ENGINES", (bench.ENGINES[0], other))
    real = bench.write_task
    seeds = iter([0, 1])

    class Reseeded(dict):
        def __or__(self, more):
            return dict(self) | more | {"seed": next(seeds)}

    monkeypatch.setattr(bench, "write_task", lambda *a: Reseeded(real(*a)))
    with scripts():
        found = bench.run(dataclasses.replace(TINY, peers=True, rounds=1))
    (line,) = found.arrays["not_run"]
    assert line.startswith("copies, disk: not run, its results differ from ours")
    assert not any(name.endswith("copies") for name in found.metrics)


def test_quotients_are_of_means_with_their_errors():
    found = bench.quotient(np.array([1.0, 3.0]), np.array([4.0, 4.0]))
    assert found == Measurement(0.5, 0.25, "", 2)
    assert bench.quotient(np.array([1.0]), np.array([2.0])) == Measurement(0.5)
    assert bench.quotient(np.array([1.0, 1.0]), np.array([-1.0, 0.5])) is None


def test_answers_have_names_and_memory_that_is_held_anyway():
    answer = {"call": 1.0, "lost": 2.0, "step": 3.0, "steps": 4, "peak": 0.5}
    assert bench.named("stall", True, answer) == {
        "call.donating": 1.0, "lost.donating": 2.0, "step.donating": 3.0, "steps.donating": 4,
        "peak_step.donating": 1.5,
    }  # fmt: skip
    assert "peak_step.keeping" not in bench.named("stall", False, answer)
    whole = {"wall": 1.0, "cpu": 2.0, "peak": 0.25}
    assert bench.named("save", None, whole) == {"save_wall": 1.0, "save_cpu": 2.0, "peak_save": 1.25}  # fmt: skip
    assert bench.named("load", None, whole)["peak_load"] == 0.25
    assert bench.named("load", None, whole | {"peak": None}) == {"load_wall": 1.0, "load_cpu": 2.0}


def test_aims_are_found_by_storage_step_and_engine():
    assert bench.aim_of("ratio.call.memory.donating.orbax") == 0.1
    assert bench.aim_of("ratio.lost.disk.donating.orbax") == 0.7
    assert bench.aim_of("ratio.lost.memory.donating.blocking") is None
    assert bench.aim_of("peak_load.disk.lightecho") == 1.1
    found = {
        "ratio.save_wall.disk.orbax": Measurement(0.6),
        "ratio.save_wall.disk.dcp": Measurement(2.0),
    }
    assert bench.missed_aims(found) == ["ratio.save_wall.disk.orbax"]


def test_the_file_system_of_a_folder_is_named(tmp_path):
    found = bench.file_system(tmp_path)
    assert found == "unknown" or found.isidentifier() or "." in found
    if Path("/proc/mounts").exists():
        assert bench.file_system(Path("/proc")) == "proc"


def test_a_folder_that_is_not_there_is_not_run(tmp_path):
    found = bench.run(dataclasses.replace(TINY, folder=str(tmp_path / "none")))
    assert "is not there or cannot be written" in found.arrays["not_run"][0]
    assert set(found.metrics) == {"load_average", "aims_missed"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"storages": ("tape",)}, "`storages` must be one of disk, memory"),
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"tensor_mib": 0.01}, "`tensor_mib` must be at least 1/32, but is 0.01"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.interop
@pytest.mark.parametrize("engine", [spec.name for spec in bench.ENGINES[1:]])
def test_a_peer_brings_the_same_bits_back(engine, monkeypatch):
    spec = next(each for each in bench.ENGINES if each.name == engine)
    try:
        environments.find_interpreter(spec.package)
    except environments.EngineError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(bench, "ENGINES", (bench.ENGINES[0], spec))
    found = bench.run(dataclasses.replace(TINY, rounds=1, peers=True))
    assert not found.arrays["not_run"].size
    assert f"ratio.save_wall.disk.{engine}" in found.metrics
    assert (f"call.disk.donating.{engine}" in found.metrics) == (spec.variant != "blocking")

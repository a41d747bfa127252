import dataclasses

import numpy as np
import pytest

from experiments.benchmarks import bench_generation as bench
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.harness.measurement import Measurement
from tests.experiments.forked import scripts

TINY = dataclasses.replace(
    bench.SCALES["quick"], kinds=("sample", "train"), side=2, width=8, heads=2, n_layers=2, n_times=2
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


@pytest.mark.parametrize("kind", bench.KINDS)
def test_both_of_ours_do_the_same_work_and_are_timed(outcome, kind):
    found = outcome.metrics
    # Single precision, and sums in another order.
    assert found[f"difference.{kind}.unrolled"].value < 1e-5
    for engine in ("scanned", "unrolled"):
        assert (outcome.arrays[f"cpu.{kind}.{engine}"] > 0).all()
        assert found[f"first_call.{kind}.{engine}"].value > 0
        assert found[f"peak_memory.{kind}.{engine}"].value > 10
    ours, other = (
        np.median(outcome.arrays[f"cpu.{kind}.{engine}"], axis=1)
        for engine in ("scanned", "unrolled")
    )
    assert found[f"ratio.{kind}.unrolled"].value == pytest.approx((ours / other).mean())
    assert outcome.arrays["not_run"].size == 0


@pytest.mark.interop
def test_diffusers_does_the_same_work():
    try:
        find_interpreter("diffusers")
    except EngineError as error:
        pytest.skip(str(error))
    found = bench.run(dataclasses.replace(TINY, peers=True)).metrics
    for kind in bench.KINDS:
        assert found[f"difference.{kind}.diffusers"].value < bench.AGREEMENT


def test_figure_has_a_bar_for_each_ratio(outcome):
    assert len(bench.plot(outcome).axes[0].patches) == 2


def test_an_aim_is_missed_where_a_number_lies_above_it():
    found = {
        "ratio.sample.diffusers": Measurement(0.71),
        "ratio.train.diffusers": Measurement(0.99),
        "first_call.train.scanned": Measurement(10.1),
    }
    assert bench.missed_aims(found) == ["ratio.sample.diffusers", "first_call.train.scanned"]
    names = {f"{kind}.{engine.name}" for kind in bench.KINDS for engine in bench.ENGINES[1:]}
    assert set(bench.AIMS) <= names


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"kinds": ("paint",)}, "`kinds` must"),
        ({"n_times": 0}, "`n_times` must be at least 1"),
        ({"width": 12}, "`width` must be a multiple of 4 times `heads`, 8, but is 12"),
        ({"rate": 0.0}, "`rate` must lie between 0 and 1, but is 0.0"),
    ],
)
def test_bad_settings_are_named(wrong, match):
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(TINY, **wrong)


def test_peer_without_interpreter_is_reported(monkeypatch):
    monkeypatch.setenv("LIGHTECHO_DIFFUSERS_PYTHON", "/nowhere/python")
    with scripts():
        found = bench.run(dataclasses.replace(TINY, kinds=("sample",), peers=True, rounds=1))
    assert str(found.arrays["not_run"][0]).startswith("diffusers, sample: not run, ")
    assert "ratio.sample.diffusers" not in found.metrics

import dataclasses

import numpy as np
import pytest

from experiments.benchmarks import bench_compression as bench
from experiments.benchmarks.peers import compression_task
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.harness.measurement import Measurement
from nn.layers.expert_dispatch import expert_capacity
from tests.experiments.forked import scripts

TINY = dataclasses.replace(
    bench.SCALES["quick"], tasks=("product", "dispatch"), shapes=((64, 24),), product_size=16
)


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_ours_do_the_same_work_and_are_timed(outcome):
    found = outcome.metrics
    assert outcome.arrays["not_run"].size == 0
    for name in ("product.nvfp4.64x24.1.dense", "dispatch.groups", "dispatch.loop"):
        # Single precision and short sums.
        assert found[f"difference.{name}"].value < 1e-6
        assert (outcome.arrays[f"cpu.{name}"] > 0).all()
    ours, other = (
        np.median(outcome.arrays[f"cpu.dispatch.{name}"], axis=1) for name in ("capacity", "loop")
    )
    assert found["ratio.dispatch.loop"].value == pytest.approx((ours / other).mean())
    assert len(bench.plot(outcome).axes[0].patches) == 3


def test_bytes_are_those_of_the_weights(outcome):
    task = "product.nvfp4.64x24.1"
    found = {n: outcome.metrics[f"bytes.{task}.{n}"].value for n in ("packed", "dense")}
    assert found == {
        "packed": pytest.approx(64 * 24 * 4.5 / 8e6), "dense": pytest.approx(64 * 24 * 4 / 1e6)
    }  # fmt: skip
    seconds = np.median(outcome.arrays[f"cpu.{task}.packed"], axis=1)
    rate = 1e-9 * 64 * 24 * 4.5 / 8 / seconds
    assert outcome.metrics[f"reading.{task}.packed"].value == pytest.approx(rate.mean())
    assert [compression_task.bits(f) for f in ("int4", "nvfp4", "mxfp4")] == [4.5, 4.5, 4.25]


def test_aims_are_found_by_task_tokens_and_engine():
    assert bench.aim_of("product.mxfp4.2048x8192.1.dense") == 1
    assert bench.aim_of("product.mxfp4.2048x8192.8.dense") is None
    assert bench.aim_of("gptq.torch") == 1 / 3
    assert bench.aim_of("dispatch.groups") is None
    found = {"ratio.gptq.torch": Measurement(0.34), "ratio.dispatch.loop": Measurement(0.4)}
    assert bench.missed_aims(found) == ["gptq.torch"]


def test_tokens_are_so_even_that_none_is_dropped_at_factor_one():
    arrays, capacity = compression_task.dispatch_arrays(24, 4, 4, 6, 2, 1.0, 0)
    assert capacity == expert_capacity(24, 2, 6, 1.0) == 8
    np.testing.assert_array_equal(np.bincount(arrays["experts"].ravel()), 8)
    assert (arrays["experts"][:, 0] != arrays["experts"][:, 1]).all()


def test_gram_matrices_fit_their_maps():
    arrays, grams = compression_task.gptq_arrays(6, 8, 0)
    shapes = [arrays[f"weight{i}"].shape for i in range(6)]
    assert shapes == [(8, 8)] * 4 + [(8, 32), (32, 8)]
    assert [arrays[f"gram{k}"].shape[0] for k in grams] == [n for n, _ in shapes]
    values = np.linalg.eigvalsh(arrays["gram0"])
    np.testing.assert_allclose(values[::-1], 1 / np.arange(1, 9), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formats": ("fp4",)}, "`formats` must be one of int4, nvfp4, mxfp4"),
        ({"shapes": ((40, 8),)}, "`shapes` must have multiples of 32 inputs"),
        ({"group": 48}, "`group` must divide 128 and `gptq_width`, 64, but is 48"),
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.interop
def test_torch_finds_the_same_codes_and_sums():
    try:
        find_interpreter("torch")
    except EngineError as error:
        pytest.skip(str(error))
    outcome = bench.run(dataclasses.replace(TINY, tasks=tuple(bench.ENGINES), peers=True))
    assert not outcome.arrays["not_run"].size
    assert outcome.metrics["difference.gptq.torch"].value < 0.003
    assert outcome.metrics["difference.dispatch.torch"].value < 1e-6

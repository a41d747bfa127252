import dataclasses

import numpy as np
import pytest

from experiments.benchmarks import bench_language_kernels as bench
from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.decode_task import decoder_weights
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.harness.context import Context
from experiments.harness.measurement import Measurement
from tests.experiments.forked import scripts

TINY = dataclasses.replace(
    bench.SCALES["quick"], tasks=("attention_gradient", "decode"), length=32, heads=1, n_new=3, rounds=2,
    product_size=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_ours_and_jax_do_the_same_work_and_are_timed(outcome):
    found = outcome.metrics
    # Single precision, 6e-8 and sums of 32 terms; not 0, for the order of the sums is another.
    assert 0 < found["difference.attention_gradient.16.jax"].value < 3e-6
    assert found["difference.decode.scanned"].value < 3e-6
    for name in ("attention_gradient.16.online", "attention_gradient.16.jax", "decode.unrolled"):
        assert (outcome.arrays[f"cpu.{name}"] > 0).all()
        assert found[f"first_call.{name}"].value > 0
    assert found["temporary_memory.attention_gradient.16.jax"].value > 0
    memory = [found[f"temporary_memory.attention_gradient.16.{n}"].value for n in ("online", "jax")]
    share = found["memory_ratio.attention_gradient.16.jax"].value
    assert share == pytest.approx(memory[0] / memory[1])
    assert found["rate.product"].value > 0
    assert outcome.arrays["not_run"].size == 0


def test_ratios_and_rates_are_those_of_cpu_time(outcome):
    ours, other = (
        np.median(outcome.arrays[f"cpu.attention_gradient.16.{name}"], axis=1)
        for name in ("online", "jax")
    )
    ratio = outcome.metrics["ratio.attention_gradient.16.jax"].value
    assert ratio == pytest.approx((ours / other).mean())
    tokens = TINY.n_new / np.median(outcome.arrays["cpu.decode.scanned"], axis=1)
    assert outcome.metrics["tokens.scanned"].value == pytest.approx(tokens.mean())


def test_products_alone_take_less_than_a_decoder(outcome):
    found = outcome.metrics
    share = found["share_of_products.unrolled"]
    # No limit of this machine can be seen at 2 layers of 32: only that decoding does more than its products.
    assert 0 < share.value < 1
    assert share.value == pytest.approx(
        found["cpu.decode.products"].value / found["cpu.decode.unrolled"].value, rel=0.5
    )


def test_figure_has_a_bar_for_each_ratio(outcome):
    assert len(bench.plot(outcome).axes[0].patches) == 2


def test_every_aim_is_for_an_engine_that_runs():
    names = set()
    for task, engines in bench.ENGINES.items():
        dims = bench.Config().delta_dims if "delta" in task else (64,)
        names |= {f"{task}.{dim}.{engine.name}" for dim in dims for engine in engines[1:]}
        names |= {f"{task}.{engine.name}" for engine in engines[1:] if task == "decode"}
    assert set(bench.AIMS) - {"decode.scanned_transformers"} <= names
    assert set(bench.MEMORY_AIMS) <= names


def test_an_aim_is_missed_where_a_ratio_lies_above_it():
    found = {
        "ratio.attention_forward.64.torch": Measurement(1.21),
        "ratio.attention_forward.64.jax": Measurement(0.19),
        "memory_ratio.delta_gradient.64.scan": Measurement(0.13),
    }
    missed = ["ratio.attention_forward.64.torch", "memory_ratio.delta_gradient.64.scan"]
    assert bench.missed_aims(found) == missed


def test_weights_keep_the_size_of_what_passes_and_are_those_of_every_engine():
    task = dataclasses.asdict(TINY) | {"heads": TINY.decoder_heads}
    weights = decoder_weights(task)
    assert len(weights) == 3 + TINY.n_layers * 11
    head = weights["lm_head.weight"]
    # 2,048 numbers: their spread is known to 1.6 %.
    assert head.std() * np.sqrt(head.shape[1]) == pytest.approx(1, abs=0.05)
    again = decoder_weights(task)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_missing_peers_are_reported_and_not_invented(monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTECHO_TRANSFORMERS_PYTHON", raising=False)
    monkeypatch.setattr(environments, "_PEERS", tmp_path / ".venv-peers")
    monkeypatch.setattr(environments, "_APART", ("transformers",))
    engines = {"decode": bench.ENGINES["decode"][2:]}
    monkeypatch.setattr(bench, "ENGINES", engines)
    lines: list[str] = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    work = bench._work(dataclasses.replace(TINY, tasks=("decode",), peers=True))
    times = bench._timed(TINY, work["decode"][0], "decode", work["decode"][1], context)
    assert times.absent == lines
    assert lines[0].startswith("transformers, decode: not run, no .venv-peers/transformers here")
    assert not times.cpu_seconds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ("encode",)}, "`tasks` must be one of delta_forward"),
        ({"decoder_heads": 6}, "`decoder_heads` must be a multiple of `kv_heads`, 4, but is 6"),
        ({"head_dim": 15}, "`head_dim` must be even"),
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        bench.Config(**change)


@pytest.mark.interop
@pytest.mark.parametrize("task", ["delta_gradient", "attention_gradient", "decode"])
def test_peer_agrees_on_values_gradients_and_tokens(task, monkeypatch):
    try:
        find_interpreter("transformers")
    except EngineError as error:
        pytest.skip(str(error))
    engines = (bench.ENGINES[task][0], bench.ENGINES[task][-1])
    monkeypatch.setattr(bench, "ENGINES", bench.ENGINES | {task: engines})
    outcome = bench.run(dataclasses.replace(TINY, tasks=(task,), length=100, peers=True))
    assert not outcome.arrays["not_run"].size
    differences = [m.value for name, m in outcome.metrics.items() if name.startswith("difference")]
    # Both in single precision, 6e-8, and sums of up to a hundred terms.
    assert len(differences) == 1
    assert differences[0] < 1e-5

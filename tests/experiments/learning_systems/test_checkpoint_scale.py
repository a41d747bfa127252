"""The simulator of saves against closed forms, and the label of every rate."""

import dataclasses
import math

import numpy as np
import pytest

from experiments.learning_systems import checkpoint_scale, checkpoint_simulator
from experiments.learning_systems.checkpoint_simulator import OURS, PAPER, Job, Rates, Times

RATES = Rates()


def test_every_rate_says_whose_it_is():
    labels = {each.name: each.metadata["source"] for each in dataclasses.fields(Rates)}
    assert set(labels.values()) == {PAPER, OURS}
    lines = dict(
        line.strip().split(": ", 1) for line in (Rates.__doc__ or "").splitlines() if ": " in line
    )
    text = " ".join((Rates.__doc__ or "").split())
    for name, source in labels.items():
        assert name in lines
        told = text.split(f" {name}: ")[1].split("). ")[0]
        assert told.rstrip(").").endswith(source), name
    with pytest.raises(ValueError, match="`storage` must be positive and finite, but is 0"):
        Rates(storage=0.0)


@pytest.mark.parametrize("rates", [[3.0, 2.0, 5.0], [1.0, 4.0, 4.0], [2.0, 2.0, 2.0]])
def test_chunks_of_one_size_pass_as_in_a_flow_shop(rates):
    # All stages once, and the slowest one again for each further chunk.
    expected = sum(6 / r for r in rates) + 9 * 6 / min(rates)
    assert checkpoint_simulator.pipelined(60.0, 6.0, rates) == pytest.approx(expected, rel=1e-12)
    alone = checkpoint_simulator.pipelined(4.0, 6.0, rates)
    assert alone == pytest.approx(sum(4 / r for r in rates), rel=1e-12)


def test_every_byte_is_written_once_and_evenly():
    job = Job(4e9, 16, 64, tensor_parallel=2, pipeline=2)
    own = 12 * 4e9 / 64
    plain, even = job.loads(balanced=False), job.loads(balanced=True)
    assert len(plain) == len(even) == 16
    assert plain.sum() == pytest.approx(even.sum(), rel=1e-6)  # sizes are whole bytes
    assert even.sum() == pytest.approx(16 * own + 2 * 4e9 / 4, rel=1e-6)
    assert plain.max() == plain.sum() - 15 * own
    assert even.max() < 1.5 * even.mean() < plain.max()
    assert Job(1e9, 8, 10, flat=True).loads(balanced=True) == pytest.approx(1.4e9, rel=1e-12)


def test_what_the_loop_waits_for_is_a_copy_and_nothing_else():
    job = dataclasses.replace(checkpoint_scale.JOBS["v3.405b"])
    now = checkpoint_simulator.after(job, RATES)
    slow = dataclasses.replace(RATES, storage=RATES.storage / 10, serialise=RATES.serialise / 10)
    later = checkpoint_simulator.after(job, slow)
    assert later.stall == now.stall < now.save < later.save
    assert (
        checkpoint_simulator.before(job, slow).stall > checkpoint_simulator.before(job, RATES).stall
    )


def test_failures_cost_what_first_order_says_where_they_are_rare():
    times, total = Times(5.0, 20.0, 30.0), 54 * 86400.0
    shares = [
        checkpoint_simulator.simulated_share(
            600.0, times, 100.0, 40_000.0, total, np.random.default_rng(i)
        )
        for i in range(60)
    ]
    expected = checkpoint_simulator.effective_share(600.0, times, 100.0, 40_000.0)
    assert np.mean(shares) == pytest.approx(expected, abs=4 * np.std(shares) / math.sqrt(60))
    never = checkpoint_simulator.simulated_share(
        600.0, times, 100.0, 1e15, 605e3, np.random.default_rng(0)
    )
    assert never == pytest.approx(600 / 605, rel=1e-12)
    assert checkpoint_simulator.paper_share(600.0, Times(0.0, 0.0, 0.0)) == pytest.approx(2 / 3)


def test_the_experiment_sets_its_numbers_beside_the_published_ones():
    config = dataclasses.replace(checkpoint_scale.SCALES["quick"], n_runs=2, n_periods=2)
    outcome = checkpoint_scale.run(config)
    assert {each.name for each in outcome.references} <= set(outcome.metrics)
    assert outcome.metrics["stall.v3.405b"].value < 0.6
    assert outcome.metrics["plan.v3.405b"].value == pytest.approx(62, rel=0.01)  # made to fit
    assert outcome.metrics["effective.after"].value > outcome.metrics["effective.before"].value
    assert not any(each.comparable for each in outcome.references)
    assert len(checkpoint_scale.plot(outcome).axes) == 3

import contextlib
import dataclasses
import io

import jax
import numpy as np
import pytest
from rich.console import Console

from experiments.data.tasks import load_task
from experiments.forward_mode.panel import Optics, accuracy, draw_bench, train
from experiments.harness.context import Context
from optics.hardware import Imperfections
from optics.learning.rules import InSilico

SMALL = Optics(pixels=16, distance=1e-3, n_steps=30, batch_size=16)


def _quiet() -> Context:
    return Context(console=Console(file=io.StringIO(), force_terminal=False))


def test_task_takes_the_first_classes_and_caps_the_counts():
    task = load_task("digits", 3, n_train=60, n_test=30, seed=0)
    assert task.n_classes == 3
    assert len(task.y_train) == 60
    assert len(task.y_test) == 30
    assert set(np.asarray(task.y_train)) == {0, 1, 2}


def test_cap_of_zero_keeps_all():
    everything = load_task("digits", 10, n_train=0, n_test=0, seed=0)
    assert len(everything.y_train) + len(everything.y_test) == 1797


@pytest.mark.parametrize("n_classes", [1, 11])
def test_impossible_class_count_is_named(n_classes):
    with pytest.raises(
        ValueError, match=f"`n_classes` must lie between 2 and 10 .* is {n_classes}"
    ):
        load_task("digits", n_classes, 0, 0, seed=0)


def test_encoder_is_the_same_object_for_the_same_panel():
    assert SMALL.encode is dataclasses.replace(SMALL, n_steps=5).encode
    assert SMALL.encode is not dataclasses.replace(SMALL, pixels=20).encode


def test_training_in_the_model_beats_chance_and_the_untrained_start():
    task = load_task("digits", 2, 0, 60, seed=0)
    start = SMALL.network(1, 2, jax.random.key(0))
    trained = train(_quiet(), "x", SMALL, start, InSilico(), task, jax.random.key(1)).network
    before, after = (accuracy(SMALL, net, task, jax.random.key(2)) for net in (start, trained))
    assert after > 85
    assert after > before


def test_accuracy_on_an_ideal_bench_is_that_of_the_model():
    task = load_task("digits", 4, 0, 60, seed=0)
    network = SMALL.network(2, 4, jax.random.key(0))
    bench = draw_bench(SMALL, Imperfections(), jax.random.key(1), camera=False)
    key = jax.random.key(2)
    assert accuracy(SMALL, network, task, key, bench) == accuracy(SMALL, network, task, key)


def test_progress_counts_every_step():
    steps = []

    class Recorder(Context):
        @contextlib.contextmanager
        def progress(self, label, total):
            steps.append((label, total))
            yield self

        def advance(self, n=1, note=""):
            steps.append(n)

    task = load_task("digits", 2, 0, 60, seed=0)
    start = SMALL.network(1, 2, jax.random.key(0))
    train(Recorder(), "label", SMALL, start, InSilico(), task, jax.random.key(1))
    assert steps[0] == ("label", 30)
    assert sum(steps[1:]) == 30

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import checkpoint_stall as stall
from experiments.benchmarks.peers import environments
from experiments.harness.measurement import Measurement
from tests.experiments.forked import scripts

# Two sizes, each with folders of its own.
TINY = dataclasses.replace(stall.SCALES["quick"], sizes=(0.0005, 0.001))


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return stall.run(TINY)


def test_a_training_is_saved_beside_it_and_while_it_waits(outcome):
    assert outcome.arrays["not_run"].tolist() == [
        "orbax, dcp: not run, they are left out at this scale"
    ]
    assert outcome.arrays["storage"].item().endswith(", synced")
    found = outcome.metrics
    for engine in ("beside", "blocking"):
        step = found[f"step.1MB.{engine}"].value
        assert step > 0
        for interval in (4, 8):
            place = f"1MB.{interval}.{engine}"
            assert found[f"call.{place}"].value > 0
            lost = found[f"lost.{place}"].value
            assert found[f"share.{place}"].value == pytest.approx(100 * lost / interval / step)
    assert len(stall.plot(outcome).axes) == 2


def test_states_have_the_size_and_saves_the_distance_that_is_said():
    for size in stall.SCALES["paper"].sizes:
        n_bytes = 3 * 4 * 8 * stall.Config().width(size) ** 2
        assert n_bytes == pytest.approx(1e9 * size, rel=0.02)
    assert stall.Config().saves() == {25: None, 75: 50, 175: 100}


class Package:
    """A save that ends when it is told."""

    def __init__(self):
        self.begun, self.ended = [], False

    def begin(self, path):
        Path(path).mkdir()
        self.begun.append(Path(path).name)

    def done(self, path):
        return self.ended

    def wait(self):
        self.ended = True


@pytest.fixture
def loop(monkeypatch):
    """The module that workers import as scripts do, with a clock that counts what it is told."""
    monkeypatch.syspath_prepend(str(Path(environments.__file__).parent))
    import checkpoint_loop  # pyright: ignore

    now = [0.0]
    monkeypatch.setattr(checkpoint_loop.time, "perf_counter", lambda: now[0])
    yield checkpoint_loop, now
    for name in ("checkpoint_loop", "worker"):
        sys.modules.pop(name, None)


def test_calls_from_a_save_to_one_after_its_end_are_what_it_costs(loop, tmp_path):
    module, now = loop
    package = Package()
    saved = module.SavedTraining(package, tmp_path, at=[3, 8], n_warm=1)

    def call(n_done, seconds, ended=False):
        now[0] += seconds
        package.ended = ended
        saved.after_call(n_done)

    for n_done, seconds, ended in (
        (1, 50.0, False),  # compiles
        (2, 1.0, False), (3, 3.0, False),  # normal: 2 in the mean; then a save
        (4, 5.0, False), (5, 4.0, True), (6, 3.0, True),  # 6 more than normal
        (7, 2.0, True), (8, 2.0, True),  # normal; then a save
        (9, 7.0, True), (10, 2.0, True), (11, 2.0, True),  # 5 more
    ):  # fmt: skip
        call(n_done, seconds, ended)
    found = saved.report()
    assert package.begun == ["000003", "000008"]
    assert found["normal"] == 2
    assert [(save["step"], save["call"], save["lost"]) for save in found["saves"]] == [
        (3, 0, 6),
        (8, 0, 5),
    ]
    assert not list(tmp_path.iterdir())


def test_the_call_itself_counts_and_the_next_save_ends_the_one_before(loop, tmp_path):
    module, now = loop
    package = Package()
    saved = module.SavedTraining(package, tmp_path, at=[2, 4], n_warm=1)
    saved.after_call(0)
    began = package.begin

    def slow(path):
        now[0] += 0.5
        began(path)

    package.begin = slow
    for n_done in (1, 2, 3, 4, 5):
        now[0] += 1.0
        saved.after_call(n_done)
    found = saved.report()
    assert [save["lost"] for save in found["saves"]] == [0.5, 0.5]


def test_answers_are_named_by_the_interval_before_the_save():
    saves = [{"step": 10, "call": 1, "lost": 2}, {"step": 14, "call": 3, "lost": 4}]
    answer = {"normal": 0.2, "saves": saves}
    found = stall.named(answer, {10: None, 14: 4}, 2)
    assert found == {"step": 0.1, "call.4": 3, "lost.4": 4}
    samples = {"beside": {"step": [0.1], "lost.4": [0.02]}, "blocking": {"step": [0.1], "lost.4": [0.2]}}  # fmt: skip
    metrics = stall.as_metrics("1MB", (4,), samples)
    assert metrics["ratio.1MB.4.blocking"] == Measurement(0.02 / 0.2)
    assert metrics["share.1MB.4.blocking"].value == pytest.approx(50)
    assert metrics["lost.1MB.4.beside"] == Measurement(20.0, None, "ms")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (0.4, 0.1)}, "`sizes` must be rising numbers from 1e-06 on"),
        ({"intervals": (5,)}, "`intervals` must be multiples of `steps_per_call`, 2, but one is 5"),
        ({"intervals": (2,)}, "`intervals` must be at least 4, but is 2"),
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.interop
@pytest.mark.parametrize("engine", ["orbax", "dcp"])
def test_a_peer_trains_and_saves_the_same_state(engine, monkeypatch):
    spec = next(each for each in stall.ENGINES if each.name == engine)
    try:
        environments.find_interpreter(spec.package)
    except environments.EngineError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(stall, "ENGINES", (stall.ENGINES[0], spec))
    found = stall.run(dataclasses.replace(TINY, peers=True))
    assert not found.arrays["not_run"].size
    assert np.isfinite(found.metrics[f"lost.1MB.8.{engine}"].value)

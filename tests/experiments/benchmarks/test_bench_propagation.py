import dataclasses
import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.benchmarks import bench_propagation as bench
from experiments.benchmarks.peers import engine
from experiments.benchmarks.peers.engine import Engine, EngineSpec
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.benchmarks.timing import Times, prepare, workers
from experiments.harness.context import Context
from tests.experiments.forked import scripts

TINY = dataclasses.replace(
    bench.SCALES["quick"], pixels=16, distance=3e-3, batch_size=2, n_layers=2, sizes=(), peers=False
)


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_every_own_method_does_the_same_work_and_is_timed(outcome):
    for method in ("matrix", "fft", "reference"):
        name = f"lightecho.{method}"
        assert outcome.arrays[f"seconds.{name}"].shape == (TINY.rounds, TINY.n_steps)
        assert (outcome.arrays[f"seconds.{name}"] > 0).all()
        # Single precision: 6e-8 for each of about 30 operations between input and gradient.
        assert outcome.metrics[f"difference.gradient.{name}"].value < 2e-6
    assert outcome.metrics["difference.gradient.lightecho.fft"].value > 0  # other arithmetic


def test_work_is_the_transfer_function_on_a_grid_padded_twice(tmp_path, monkeypatch):
    # In this process; peers have no other kernel, so ours is made of it there, and only there.
    monkeypatch.syspath_prepend(str(Path(engine.__file__).parent))
    build = importlib.import_module("lightecho_worker").build
    task = bench._write_task(TINY, 16, tmp_path)
    arrays = dict(np.load(task["arrays"]))
    with jax.numpy_rank_promotion("allow"):  # as in the worker
        found = build(task | {"variant": "matrix"}, arrays).check()["intensity"]
    f = np.fft.fftfreq(32, TINY.pixel_pitch)
    wave = np.exp(-1j * np.pi * TINY.wavelength * task["distance"] * (f[:, None] ** 2 + f**2))
    u = arrays["fields"]
    for phase in arrays["phases"]:
        u = np.fft.ifft2(wave * np.fft.fft2(u * np.exp(1j * phase), (32, 32)))[:, :16, :16]
    np.testing.assert_allclose(found, np.abs(u) ** 2, atol=1e-5)


def test_peak_memory_is_that_of_the_worker(outcome):
    # JAX alone takes more than 100 MiB; a benchmark of 16 px must stay below a few GiB.
    assert 100 < outcome.metrics["peak_memory.lightecho.matrix"].value < 4000


class Stub:
    """A worker that answers at once."""

    def __init__(self, spec, _):
        self.spec = spec

    def ask(self, do, **details):
        if do == "check":
            np.savez(details["to"], loss=np.ones(1), gradient=np.ones(4), intensity=np.ones(4))
        seconds = [0.25] * details.get("steps", 0)
        return {
            "import_s": 1.0,
            "first_s": 2.0,
            "seconds": seconds,
            "cpu_seconds": seconds,
            "peak_mib": 3.0,
        }

    def close(self):
        pass


def test_missing_peer_is_reported_and_not_invented(monkeypatch):
    monkeypatch.setenv("LIGHTECHO_CHROMATIX_PYTHON", "/nowhere/python")
    monkeypatch.setattr(bench, "ENGINES", (bench.ENGINES[0], bench.ENGINES[3]))
    start = lambda spec, wait: (Engine if spec.package == "chromatix" else Stub)(spec, wait)  # noqa: E731
    monkeypatch.setattr("experiments.benchmarks.timing.Engine", start)
    config = dataclasses.replace(TINY, peers=True, sizes=(8,))
    lines = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    outcome = bench.run(config, context)
    said = "chromatix.documented, 16 px: not run, No such file or directory: /nowhere/python"
    assert [line for line in lines if "warning" not in line] == [said]
    assert outcome.arrays["not_run"].tolist() == [said]
    assert not any("chromatix" in name for name in outcome.metrics)
    assert outcome.metrics["size.lightecho.matrix.8"].value == 250
    assert outcome.metrics["first_call.lightecho.matrix"].value == 2


def test_worker_that_cannot_import_its_package_says_so_in_one_line(monkeypatch):
    # Python 3.11 here; chromatix needs 3.12, so that this environment cannot hold it.
    monkeypatch.setenv("LIGHTECHO_CHROMATIX_PYTHON", sys.executable)
    with pytest.raises(EngineError, match="chromatix") as caught:
        _prepared(EngineSpec("chromatix.prepared", "chromatix", "prepared"))
    assert "\n" not in str(caught.value)


def _prepared(spec):
    with workers() as (folder, engines):
        engine = Engine(spec, 60)
        engines.append(engine)
        nothing = Times({}, {}, {}, {}, {}, [], {}, {}, {})
        prepare(engine, bench._write_task(TINY, 16, folder), nothing, folder / "check.npz")


def test_dead_worker_is_named_and_others_go_on():
    engine = Engine(EngineSpec("lightecho.magic", "lightecho", "magic"), 60)
    try:
        engine._process.kill()
        with pytest.raises(EngineError, match="worker ended with status -9"):
            engine.ask("finish")
    finally:
        engine.close()


def test_figure_shows_every_engine(outcome):
    axes = bench.plot(outcome).axes
    assert [t.get_text() for t in axes[0].get_yticklabels()] == [
        "lightecho.reference", "lightecho.fft", "lightecho.matrix"
    ]  # fmt: skip
    assert len(axes[1].lines) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": 0.1}, "`distance` must be positive and at most 0.048"),
        ({"distance": -0.1}, "`distance` must be positive"),
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"sizes": (63,)}, "must be even"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        bench.Config(**change)


@pytest.mark.interop
@pytest.mark.parametrize("spec", bench.ENGINES[3:], ids=lambda spec: spec.name)
def test_peer_agrees_on_loss_gradient_and_intensity(spec):
    try:
        find_interpreter(spec.package)
    except EngineError as error:
        pytest.skip(str(error))
    times = bench._compare(TINY, 16, [bench.ENGINES[0], spec], Context())
    assert not times.absent
    assert set(times.seconds) == {bench.OURS, spec.name}
    # Peers sample the kernel in single precision: phases up to 2 pi N / 4 = 25 rad, times 6e-8.
    assert times.differences[spec.name]["gradient"] < 2e-5

import dataclasses

import pytest

from experiments.benchmarks import bench_mesh as bench
from experiments.benchmarks.peers import environments
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.harness.context import Context
from tests.experiments.forked import scripts

TINY = bench.Config(n_ports=(5,), batch_size=2, rounds=2, n_steps=2, peers=False)


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_mesh_and_matrix_products_do_the_same_work_and_are_timed(outcome):
    for name in (bench.OURS, "matrix products"):
        assert (outcome.arrays[f"seconds.{name}.5"] > 0).all()
        assert outcome.metrics[f"first_call.{name}.5"].value > 0
    # Single precision, 6e-8 for each of some 10 operations in 5 columns; not 0, for the arithmetic is another.
    assert 0 < outcome.metrics["difference.matrix products.5"].value < 5e-6
    assert "ratio.matrix products.5" in outcome.metrics
    assert outcome.arrays["not_run"].size == 0


def test_figure_shows_what_ran(outcome):
    axes = bench.plot(outcome).axes
    assert [len(panel.lines) for panel in axes] == [2, 2]


def test_missing_peers_are_reported_and_not_invented(monkeypatch, tmp_path):
    for name in ("SAX", "NEUROPHOX"):
        monkeypatch.delenv(f"LIGHTECHO_{name}_PYTHON", raising=False)
    monkeypatch.setattr(environments, "_PEERS", tmp_path / ".venv-peers")
    monkeypatch.setattr(bench, "ENGINES", bench.ENGINES[2:])
    lines: list[str] = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    config = dataclasses.replace(TINY, peers=True, n_xla_ports=4)
    outcome = bench.run(config, context)
    said = [line for line in lines if "warning" not in line]
    assert said[0].startswith(
        "neurophox.graph, 5 ports: not run, no .venv-peers/networks here (`make peers` makes it)"
    )
    assert said[1].endswith("not run, its compile time; `neurophox.xla` stops at 4")
    assert outcome.arrays["not_run"].tolist() == said
    assert set(outcome.metrics) == {"load_average"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"n_ports": (1, 4)}, "`n_ports` must be at least 2, but is 1"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        bench.Config(**change)


@pytest.mark.interop
@pytest.mark.parametrize("spec", bench.ENGINES[2:], ids=lambda spec: spec.name)
@pytest.mark.parametrize("n_ports", [4, 5])
def test_peer_agrees_on_loss_gradient_and_powers(spec, n_ports, monkeypatch):
    try:
        find_interpreter(spec.package)
    except EngineError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(bench, "ENGINES", (bench.ENGINES[0], spec))
    outcome = bench.run(dataclasses.replace(TINY, n_ports=(n_ports,), peers=True))
    assert not outcome.arrays["not_run"].size
    # Both in single precision: 6e-8 times some 10 operations in 5 columns.
    assert outcome.metrics[f"difference.{spec.name}.{n_ports}"].value < 1e-5

import dataclasses
import math

import numpy as np
import pytest
from scipy.linalg import expm

from experiments.benchmarks import bench_nmr as bench
from experiments.benchmarks.peers import spin_task
from experiments.benchmarks.peers.environments import EngineError, find_interpreter
from experiments.harness.context import Context
from quantum.nmr import average_hamiltonian, exact_echo
from quantum.nmr.dipolar_sequences import BLEW_12_AXIS
from quantum.spins.action import is_real
from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product
from tests.experiments.forked import scripts

TINY = bench.Config(
    exact=(5, 15), sampled=(5,), points=2, rounds=2, least_states=3, statistical_error=0.5,
    engines=("lightecho.blocks", "dense.eigh", "dense.expm", "lightecho.typicality", "scipy.expm_multiply"),
)  # fmt: skip
PEERS = [(work, s) for work, specs in bench.WORKS.items() for s in specs if s.package != "lightecho"]  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    with scripts():
        return bench.run(TINY)


def test_all_do_the_same_work_and_are_timed(outcome):
    for name in TINY.engines:
        seconds = outcome.arrays[f"seconds.{name}.5"]
        assert (seconds > 0).all()
        assert outcome.metrics[f"time.{name}.5"].value == pytest.approx(
            np.median(seconds, axis=1).mean()
        )
        # The first call does the work of a later one, and compiles.
        assert outcome.metrics[f"first_call.{name}.5"].value > 0.5 * seconds.min()
        assert 20 < outcome.metrics[f"peak_memory.{name}.5"].value < 4000
    # Two other ways to the same number, in double and in single precision; not 0, for the arithmetic is another.
    for name in ("dense.eigh", "dense.expm"):
        assert 0 < outcome.metrics[f"difference.{name}.5"].value < 1e-12
        assert outcome.metrics[f"ratio.lightecho.blocks.to.{name}.5"].n == TINY.rounds
    assert 0 < outcome.metrics["difference.scipy.expm_multiply.5"].value < 1e-5


def test_what_is_timed_is_the_echo_and_its_standard_error_holds(outcome):
    hamiltonian, struck = bench.molecule(5)
    times = average_hamiltonian.GRID_STEP * np.array([1, 2])
    wanted = exact_echo.echo_by_sectors(hamiltonian, struck, math.pi, times)
    np.testing.assert_allclose(outcome.arrays["echo.exact.5"], wanted, atol=1e-10)
    assert outcome.arrays["echo.sampled.5"].shape == (3, 2)
    off, error = (outcome.metrics[f"{name}.5"].value for name in ("off_exact", "standard_error"))
    assert 0 < off < 5 * error < 1


def test_dense_propagation_of_15_spins_is_not_run_and_says_why(outcome):
    assert outcome.metrics["computed_memory.one_dense_matrix.15"].value == 16
    said = outcome.arrays["not_run"].tolist()
    assert "dense.eigh, 15 spins: not run, one dense matrix takes 16 GiB" in said
    assert "lightecho.blocks, 15 spins: not run, a dense block takes 4 GiB" in said
    assert not any(name.startswith("extrapolated") for name in outcome.metrics)


def test_extrapolation_is_the_power_law_of_the_largest_sizes():
    config = dataclasses.replace(TINY, exact=(7, 8, 9, 10))
    seconds = {f"seconds.dense.eigh.{n}": np.full((3, 1), 2.0 ** (3 * n)) for n in (8, 9, 10)}
    found = bench._extrapolated(config, seconds | {"seconds.dense.eigh.7": np.full((3, 1), 1e9)})
    assert found["power_of_dimension.dense.eigh"].value == pytest.approx(3)
    assert found["extrapolated_time.dense.eigh.15"].value == pytest.approx(2.0**45)
    assert set(found) == {"power_of_dimension.dense.eigh", "extrapolated_time.dense.eigh.15"}


def test_states_are_as_many_as_the_error_needs():
    config = dataclasses.replace(TINY, statistical_error=0.01, least_states=4)
    # 1 / sqrt(2 * 20 * 256) = 0.0099, 1 / sqrt(2 * 19 * 256) = 0.0101.
    assert (config.n_states(9), config.n_states(15)) == (20, 4)


def test_the_matrix_that_peers_get_is_ours_and_real_where_it_can_be():
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=(4, 4, 3, 3))
    tensor = tensor + tensor.transpose(1, 0, 3, 2)
    tensor[np.arange(4), np.arange(4)] = 0
    fields = rng.normal(size=(4, 3))
    found = spin_task.sparse_hamiltonian(tensor, fields)
    np.testing.assert_allclose(found.toarray(), dense(make_hamiltonian(tensor, fields)), atol=1e-12)
    toluene = bench.molecule(7)[0]
    real = spin_task.sparse_hamiltonian(np.asarray(toluene.couplings), np.asarray(toluene.fields))
    assert is_real(toluene)
    assert real.dtype == float


def test_the_butterfly_of_peers_is_the_exponential_and_the_probe_is_read_along_x():
    turn = spin_task.one_turn(1.1, BLEW_12_AXIS)
    generator = sum(BLEW_12_AXIS[a] * spin_product(3, {k: a}) for k in (1, 2) for a in range(3))
    found = spin_task.struck(np.eye(8, dtype=complex), (1, 2), turn)
    np.testing.assert_allclose(found, expm(-1.1j * generator), atol=1e-12)
    rng = np.random.default_rng(1)
    states = rng.normal(size=(8, 2)) + 1j * rng.normal(size=(8, 2))
    wanted = [np.vdot(s, 2 * spin_product(3, {0: 0}) @ s).real for s in states.T]
    np.testing.assert_allclose(spin_task.read_along_x(states), wanted, atol=1e-12)


def test_fifteen_spins_have_states_in_the_frame_of_their_hamiltonian(monkeypatch):
    # TARDIS-1 is real only after a turn, so that states have to be turned back; sizes up to 11 are real as they are.
    whole, struck = bench.molecule(15)
    assert not is_real(whole)
    assert struck == tuple(range(9, 15))
    assert bench.molecule(10)[1] == (4, 5, 6, 7, 8, 9)
    small = average_hamiltonian.reversible_hamiltonian(np.asarray(_table(5)), 0, "tardis-1")
    monkeypatch.setattr(bench, "molecule", lambda n: (small, (2, 3)))
    found = bench.run(dataclasses.replace(TINY, exact=(), engines=TINY.engines[3:]))
    assert not found.arrays["not_run"].size
    assert found.metrics["difference.scipy.expm_multiply.5"].value < 1e-5


def _table(n):
    table = np.triu(np.random.default_rng(3).normal(size=(n, n)) * 500, 1)
    return table + table.T


def test_figure_shows_what_ran_and_what_a_matrix_takes(outcome):
    time, memory = bench.plot(outcome).axes
    assert len(time.lines) == 5
    assert len(memory.lines) == 6
    assert np.asarray(memory.lines[-1].get_ydata())[-1] == 16 * 2**10


def test_missing_peers_are_reported_and_not_invented(monkeypatch):
    monkeypatch.setenv("LIGHTECHO_DYNAMIQS_PYTHON", "/nowhere/python")
    monkeypatch.setenv("LIGHTECHO_QUTIP_PYTHON", "/nowhere/python")
    lines: list[str] = []
    context = Context()
    monkeypatch.setattr(context, "log", lines.append)
    config = dataclasses.replace(TINY, exact=(5,), engines=tuple(s.name for _, s in PEERS))
    outcome = bench.run(config, context)
    said = [line for line in lines if "warning" not in line]
    reason = "not run, No such file or directory: /nowhere/python"
    assert said == [f"{s.name}, 5 spins: {reason}" for _, s in PEERS]
    assert outcome.arrays["not_run"].tolist() == said
    assert set(outcome.metrics) == {"load_average"}
    bench.plot(outcome)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"points": 1}, "`points` must be at least 2"),
        ({"exact": (4,)}, "`exact` must be numbers of spins from 5 to 15"),
        ({"sampled": (9, 16)}, "`sampled` must be numbers of spins from 5 to 15"),
        ({"statistical_error": 0.0}, "`statistical_error` must lie between 0 and 1"),
        ({"engines": ("matlab",)}, "`engines` must be one of .*dense.eigh"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


@pytest.mark.interop
@pytest.mark.parametrize(("work", "spec"), PEERS, ids=lambda part: getattr(part, "name", part))
def test_peer_agrees_on_the_echo(work, spec):
    try:
        find_interpreter(spec.package)
    except EngineError as error:
        pytest.skip(str(error))
    other = "sampled" if work == "exact" else "exact"
    names = (bench.WORKS[work][0].name, spec.name)
    config = dataclasses.replace(TINY, engines=names, **{other: (), work: (6,)})
    found = bench.run(config)
    assert not found.arrays["not_run"].size
    # Steps of the solver are good to 1e-6 each, some hundred of them.
    assert found.metrics[f"difference.{spec.name}.6"].value < (1e-10 if work == "exact" else 2e-4)

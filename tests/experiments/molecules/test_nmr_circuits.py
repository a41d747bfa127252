import dataclasses

import numpy as np
import pytest

from experiments.molecules import nmr_circuits as experiment
from quantum.compiling.nmr_circuit import nearest_only
from quantum.nmr import exact_echo

TINY = experiment.Config(
    spins=(0, 1, 2, 6), points=(1, 2), densities=(1, 3), biphenyl=(), training=1, held_out=1, mutations=2,
    iterations=4, searches=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(TINY)


def test_more_gates_buy_less_error(outcome):
    for way in ("order1", "order2", "order4"):
        coarse, fine = (outcome.metrics[f"error.{way}.x{d}"].value for d in (1, 3))
        assert fine < coarse
        gates = [outcome.metrics[f"gates.{way}.x{d}"].value for d in (1, 3)]
        assert gates[1] > gates[0]
    # Order p gains 3^p from three times the steps once they are short; halfway at these.
    ratio = outcome.metrics["error.order2.x1"].value / outcome.metrics["error.order2.x3"].value
    assert ratio > 4


def test_the_dropped_couplings_set_a_floor_and_save_gates(outcome):
    assert outcome.metrics["gates.nearest.x1"].value < outcome.metrics["gates.order1.x1"].value
    dropped = nearest_only(experiment.toluene_hamiltonian(TINY))
    limit = exact_echo.echo_by_sectors(dropped, TINY.struck, TINY.angle, TINY.times)
    exact = experiment._exact(TINY)["echo"]
    # Many short steps come to the echo without those couplings, and no nearer to the whole one.
    echo = experiment._circuits(TINY, "nearest", 12)["echo"]
    floor = np.linalg.norm(limit - exact)
    assert np.linalg.norm(echo - limit) < 0.1 * floor
    assert np.linalg.norm(echo - exact) == pytest.approx(floor, rel=0.1)
    assert floor > 1e-3 * np.linalg.norm(exact)


def test_a_searched_program_errs_less_where_it_was_fitted(outcome):
    first, found = (outcome.metrics[f"program.{n}.training"].value for n in experiment.SEARCHED)
    assert found < first
    gates = [outcome.metrics[f"program.{n}.gates"].value for n in experiment.SEARCHED]
    assert gates[1] <= 6 * 1.5  # pairs of four spins times the mean steps


def test_the_rule_of_the_sheet_counts_the_larger_molecule():
    found = experiment._biphenyl(TINY, 1)["counts"]
    assert found[-1] == 630
    assert found[2] < 630


def test_the_methyl_is_struck_where_it_is():
    config = dataclasses.replace(TINY, spins=(0, 1, 6, 8))
    assert config.struck == (2, 3)
    exact = experiment._exact(config)["echo"]
    assert np.all(np.abs(exact) <= 1)
    np.testing.assert_allclose(config.times, [3.75e-4, 7.5e-4])


def test_the_figure_is_drawn(outcome):
    axes = experiment.plot(outcome).axes
    assert len(axes) == 3
    for line, way in zip(axes[0].lines, experiment.WAYS, strict=True):
        keys = [f"{way}.x{density}" for density in outcome.config.densities]
        errors = [100 * outcome.metrics[f"error.{key}"].value for key in keys]
        np.testing.assert_allclose(line.get_ydata(), errors)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"spins": (0, 2, 6)}, "spins"), ({"spins": (0, 1, 2)}, "spins"), ({"points": ()}, "points"),
        ({"densities": (2, 1)}, "densities"), ({"held_out": 0}, "held_out"), ({"biphenyl": (0,)}, "biphenyl"),
    ],
)  # fmt: skip
def test_bad_input_is_named(changes, name):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        dataclasses.replace(TINY, **changes)

import dataclasses

import numpy as np
import pytest

from experiments.molecules import nmr_circuits as experiment
from quantum.compiling.nmr_circuit import nearest_only
from quantum.nmr import exact_echo
from tests.exact.given_pieces import Given, rng

TINY = experiment.Config(
    spins=(0, 1, 2, 6), points=(1, 2), densities=(1, 3), biphenyl=(), training=1, held_out=1, mutations=2,
    iterations=4, searches=1,
)  # fmt: skip


def piece(label, *_):
    """Echoes that are off by a share of the exact one, and counts and programs as drawn."""
    draw = rng(label).uniform
    if label == "exact":
        return {"echo": EXACT}
    if label.startswith("search"):
        return {name: draw(size=3) for name in experiment.SEARCHED}
    if label.startswith("biphenyl"):
        return {"counts": draw(100, 600, 5).round()}
    return {"echo": EXACT * (1 + OFF[label]), "counts": draw(10, 99, (2, 4)).round()}


EXACT = np.array([0.9, -0.4])
OFF = {f"{way}_x{d}": 0.01 * d * (k + 1) for k, way in enumerate(experiment.WAYS) for d in (1, 3)}


@pytest.fixture(scope="module")
def outcome():
    return experiment.run(dataclasses.replace(TINY, searches=2, biphenyl=(1,)), Given(piece))


def test_errors_are_relative_and_gates_are_means_over_the_times(outcome):
    value = {name: measured.value for name, measured in outcome.metrics.items()}
    for way in experiment.WAYS:
        for density in TINY.densities:
            key = f"{way}_x{density}"
            assert value[f"error.{way}.x{density}"] == pytest.approx(OFF[key])
            counts = piece(key)["counts"]
            assert value[f"gates.{way}.x{density}"] == pytest.approx(counts[:, 0].mean())


def test_counts_stand_at_their_times_and_programs_are_means_over_searches(outcome):
    value = {name: measured.value for name, measured in outcome.metrics.items()}
    for name, key in (("all", "order1_x1"), ("nearest", "nearest_x1")):
        for row, steps in zip(piece(key)["counts"], TINY.points, strict=True):
            found = [value[f"counts.toluene.{name}.{k}.t{steps}"] for k in ("fsim", "cz_moments")]
            assert found == [row[0], row[3]]
    row = piece("biphenyl_1")["counts"]
    assert value["counts.biphenyl.moments.t1"] == row[1]
    assert value["counts.biphenyl.rule.cz.t1"] == row[-1]
    for name in experiment.SEARCHED:
        mean = np.mean([piece(f"search_{k}")[name] for k in range(2)], axis=0)
        found = [value[f"program.{name}.{kind}"] for kind in ("gates", "training", "held_out")]
        np.testing.assert_allclose(found, mean)


def test_the_dropped_couplings_set_a_floor():
    dropped = nearest_only(experiment.toluene_hamiltonian(TINY))
    limit = exact_echo.echo_by_sectors(dropped, TINY.struck, TINY.angle, TINY.times)
    exact = experiment._exact(TINY)["echo"]
    # Many short steps come to the echo without those couplings, and no nearer to the whole one.
    echo = experiment._circuits(TINY, "nearest", 12)["echo"]
    floor = np.linalg.norm(limit - exact)
    assert np.linalg.norm(echo - limit) < 0.1 * floor
    assert np.linalg.norm(echo - exact) == pytest.approx(floor, rel=0.1)
    assert floor > 1e-3 * np.linalg.norm(exact)


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

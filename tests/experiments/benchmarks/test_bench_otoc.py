import dataclasses

import numpy as np
import pytest

from experiments.benchmarks import bench_otoc as bench

TINY = dataclasses.replace(
    bench.SCALES["quick"], grids=((2, 3),), butterflies=((1, 1),), n_cycles=4, rounds=2,
    qsim_options=((2, 1),), ensemble_grid=(2, 3), ensemble_circuits=2, ensemble_pairs=3, depths=(2, 6),
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return bench.run(TINY)


def test_every_engine_is_timed_in_every_round(outcome):
    times = bench._seconds(outcome.arrays, "2x3.b1_1/seconds/")
    ours = {f"ours: {name}" for name in ("JAX literal", "JAX pruned", "qsim pruned")}
    assert set(times) == {"qsim f=2 t=1", "Cirq", "Aer"} | ours
    assert all(t.shape == (TINY.rounds,) and (t > 0).all() for t in times.values())
    batches = bench._seconds(outcome.arrays, "ensemble/seconds/")
    assert set(batches) == {"qsim f=2 t=1", "ours: qsim batch", "ours: JAX batch"}
    assert all(t.shape == (TINY.ensemble_circuits,) for t in batches.values())


def test_something_is_left_of_the_pruned_circuit(outcome):
    literal, pruned = outcome.arrays["2x3.b1_1/two_qubit_gates"]
    assert 0 < pruned < literal


def test_memory_is_what_the_compiled_program_says(outcome):
    states, seconds = outcome.arrays["compile/states"], outcome.arrays["compile/seconds"]
    assert outcome.metrics["memory.jax"].value == states.max()
    # Whole bytes of a register of 64 amplitudes, and no more of them for a circuit three times as deep than its gates.
    np.testing.assert_array_equal(states * 8 * 64 % 1, 0)
    gates = 16 * 8 * 3 * 2 * (TINY.depths[1] - TINY.depths[0]) * 2
    assert (states[1] - states[0]) * 8 * 64 <= gates
    found = [outcome.metrics[f"compile.{depth}_cycles"].value for depth in TINY.depths]
    np.testing.assert_array_equal(found, seconds)


def test_other_value_is_refused():
    bench._check("qsim", np.array([0.5]), np.array([0.50001]))
    for wrong in (0.501, np.nan):
        with pytest.raises(ValueError, match="`qsim` must do the same work"):
            bench._check("qsim", np.array([wrong]), np.array([0.5]))


def test_ratio_is_to_the_fastest_qsim_run_and_formed_within_each_round():
    found = {
        "seconds/qsim f=2 t=1": np.array([4.0, 8.0]),
        "seconds/qsim f=2 t=2": np.array([2.0, 4.0]),
        "seconds/ours: JAX batch": np.array([1.0, 2.0]),
    }
    ratio = bench._summary("ensemble", found)["ensemble.ratio.ours_JAX_batch"]
    assert (ratio.value, ratio.stderr, ratio.n) == (0.5, 0.0, 2)


def test_figure_shows_every_engine(outcome):
    axes = bench.plot(outcome).axes
    assert len(axes[0].get_yticklabels()) == 6
    assert axes[2].lines[0].get_xdata().tolist() == list(TINY.depths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "`rounds` must be at least 1, but is 0"),
        ({"butterflies": ((7, 7),)}, "`site` must be on the lattice"),
        ({"ensemble_grid": (3,)}, "`ensemble_grid` must hold rows and columns or nothing"),
        ({"depths": ()}, "must not be empty"),
    ],
)
def test_bad_configuration_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

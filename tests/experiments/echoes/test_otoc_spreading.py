import dataclasses

import numpy as np
import pytest

from experiments.echoes import otoc_spreading
from experiments.echoes.otoc_spreading_figure import plot

# Seven cycles walk once and a half through the order; cones of at most 8 qubits need no compiled simulator.
TINY = otoc_spreading.Config(
    n_cycles=7, n_circuits=6, clifford_circuits=12, paths=200, most_qubits=8, most_terms=100, propagation_cycles=3,
    propagation_circuits=2, fit=(2, 7), exact_fit=(1, 3), doping=(0, 3), doping_cycles=8, steps_cycles=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return otoc_spreading.run(TINY)


def test_the_front_moves_behind_the_light_cone(outcome):
    metrics = outcome.metrics
    for method in otoc_spreading.METHODS:
        speed = metrics[f"velocity.{method}"]
        assert 0.2 < speed.value < metrics["velocity.cone"].value + 3 * speed.stderr
    assert metrics["velocity.cone"].value == pytest.approx(8 / 17.5)  # 2, 2, 3, 3, 4, 4
    assert metrics["outside_cone"].value == 0


def test_walk_and_exact_state_agree_on_average(outcome):
    metrics = outcome.metrics
    assert metrics["exact_cycles"].value == 3
    assert abs(metrics["difference.mean"].value) < 4 * metrics["difference.mean"].stderr
    # One circuit differs, by its input state and by the interference that the walk leaves out.
    assert 0.02 < metrics["difference.rms"].value < 0.4


def test_propagation_loses_its_norm_where_its_strings_run_out(outcome):
    kept = [outcome.metrics[f"propagation.kept.cycle{t}"].value for t in (1, 2, 3)]
    assert kept[0] == pytest.approx(1, abs=1e-12)
    assert kept[2] < 0.9 < kept[1]


def test_doping_narrows_the_spread_of_clifford_circuits(outcome):
    metrics = outcome.metrics
    signs = outcome.arrays["doping"][0]
    np.testing.assert_array_equal(np.abs(signs), 1)
    assert metrics["doping.sd.3"].value < 0.8 * metrics["doping.sd.0"].value


def test_the_four_steps_end_in_the_echo_and_are_drawn(outcome):
    start, there, struck, back = outcome.arrays["steps"]
    chip = TINY.chip()
    centre = chip.qubit(TINY.butterfly)
    assert (start == 1).all()
    assert struck[centre] == pytest.approx(-there[centre], abs=1e-6)
    first = otoc_spreading.wavefront.correlator_map(
        otoc_spreading.random_circuit(chip, TINY.n_cycles, seed=0)[:6], centre
    )
    np.testing.assert_allclose(back, first, atol=1e-6)
    labels = [axes.get_ylabel() for axes in plot(outcome).axes]
    assert "Front radius (steps)" in labels
    assert r"Mean OTOC $C^{(2)}$" in labels


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="`lattice` must be willow or rows x columns"):
        dataclasses.replace(TINY, lattice="3by4")
    with pytest.raises(ValueError, match="`site` must be on the lattice, but is"):
        dataclasses.replace(TINY, butterfly=(0, 0))
    with pytest.raises(ValueError, match="`fit` must be a first and a last of the 7 cycles"):
        dataclasses.replace(TINY, fit=(2, 9))
    with pytest.raises(ValueError, match="`n_circuits` must be at least 3, but is 2"):
        dataclasses.replace(TINY, n_circuits=2)

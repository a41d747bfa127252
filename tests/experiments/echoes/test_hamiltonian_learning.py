import dataclasses
import functools

import numpy as np
import pytest

from experiments.echoes import hamiltonian_learning as experiment
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import statevector
from quantum.inference.phase_response import curves, middle_coupler, with_phase

TINY = experiment.Config(
    rows=2, columns=3, n_cycles=(8,), n_sets=3, n_circuits=3, shots=100_000, engine="reference"
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def responses_once():
    """Responses are exact and know neither shots nor the true phase, so runs that differ in these alone share them."""
    real, kept = experiment._responses, {}

    @functools.wraps(real)  # `Context.map` wants a function of a module
    def remembered(config, cycles, number):
        key = dataclasses.replace(config, shots=1, phase_over_pi=1.0), cycles, number
        if key not in kept:
            kept[key] = real(config, cycles, number)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_responses", remembered)
        patch.setattr(experiment, "N_REFITS", 25)
        yield


@pytest.fixture(scope="module")
def outcome(responses_once):
    return experiment.run(TINY)


@pytest.mark.parametrize("name", experiment.CORRELATORS)
def test_the_noiseless_cost_vanishes_at_the_truth_alone(outcome, name):
    cost = outcome.arrays[f"noiseless.{name}.t8"].mean(axis=0)
    phases = outcome.arrays["phases"]
    assert abs(phases[cost.argmin()] - 0.6 * np.pi) <= phases[1] / 2 + 1e-12
    far = np.abs(phases - 0.6 * np.pi) > 0.5
    assert cost.min() < 0.02 * cost[far].min()


def test_the_phase_is_learned_blind_and_within_its_error(outcome):
    other = experiment.run(dataclasses.replace(TINY, phase_over_pi=1.3))
    for truth, found in ((0.6, outcome), (1.3, other)):
        for name in ("otoc", "otoc2"):
            learned = found.metrics[f"phase.{name}.t8"]
            assert abs(learned.value - truth) < 5 * (learned.stderr or 0)
            assert found.metrics[f"found.{name}.t8"].value == 1


def test_widths_are_compared_on_the_same_circuits(outcome):
    for name in ("toc", "otoc"):
        wider = outcome.arrays[f"width.{name}.t8"] / outcome.arrays["width.otoc2.t8"]
        found = outcome.metrics[f"wider.{name}.t8"]
        assert found.value == pytest.approx(wider.mean())
        assert found.stderr == pytest.approx(wider.std(ddof=1) / np.sqrt(3))


def test_the_unknown_phase_may_belong_to_any_coupler():
    layout, unitary = TINY.layout(), random_circuit(TINY.layout().lattice, 8, seed=0)
    for number in (-1, 0, 3):
        config = dataclasses.replace(TINY, coupler=number)
        circuit = experiment.circuit_of_phase(config, layout, unitary, 2)(2.2)
        turned = {op.qubits for op in circuit.operations() if 2.2 in map(abs, op.gate.parameters)}
        wanted = middle_coupler(layout) if number < 0 else layout.lattice.couplers[number]
        assert turned == {wanted}


def test_a_hundred_times_the_shots_make_a_tenth_of_the_width(outcome):
    more = experiment.run(dataclasses.replace(TINY, shots=10_000_000))
    for name in experiment.CORRELATORS:
        ratio = outcome.arrays[f"width.{name}.t8"] / more.arrays[f"width.{name}.t8"]
        np.testing.assert_allclose(ratio, 10, rtol=1e-6)


def test_curves_are_those_of_the_literal_circuit():
    layout = TINY.layout()
    seeds = np.random.SeedSequence((0, 8, 1)).generate_state(3)
    harmonics = experiment._responses(TINY, 8, 1)["otoc2"]
    drawn = random_circuit(layout.lattice, 8, seed=int(seeds[2]))
    unitary = with_phase(drawn, middle_coupler(layout), 2.2)
    echo = make_echo(layout, unitary)
    state = statevector.run(echo_circuit(echo, prune=False))
    wanted = statevector.expectation(state, echo.observable)
    assert curves(harmonics, np.array([2.2]))[2, 0] == pytest.approx(wanted, abs=1e-12)


def test_a_correlator_that_does_not_feel_the_phase_is_left_out():
    found = experiment.run(dataclasses.replace(TINY, n_cycles=(4, 8), n_sets=2, n_circuits=2))
    assert "phase.otoc2.t8" in found.metrics
    assert not any(name.endswith(".t4") for name in found.metrics)
    assert found.metrics["phase.otoc2"] == found.metrics["phase.otoc2.t8"]


def test_all_panels_are_drawn(outcome):
    axes = outcome.figure().axes
    assert len(axes) == 4
    assert len(axes[0].lines) >= 4
    assert axes[0].get_yscale() == axes[2].get_yscale() == "log"


def test_the_published_sub_lattice_is_taken():
    assert experiment.SCALES["laptop"].layout().lattice.n_qubits == 18
    assert TINY.layout() == rectangle_layout(2, 3, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_sets": 1}, "`n_sets` must be at least 2"),
        ({"n_circuits": 0}, "`n_circuits` must be at least 2"),
        ({"shots": 0}, "`shots` must be at least 1"),
        ({"phase_over_pi": 2.5}, "`phase_over_pi` must lie between 0 and 2"),
        ({"n_cycles": (8, 8)}, "`n_cycles` must be rising"),
        ({"coupler": 7}, "`coupler` must lie between -1 and 6"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

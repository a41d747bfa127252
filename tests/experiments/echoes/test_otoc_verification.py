import dataclasses

import numpy as np
import pytest

from experiments.echoes import otoc_verification

TINY = otoc_verification.Config(
    n_qubits=4, n_cycles=4, n_circuits=2, n_strings=1, n_devices_circuits=8, gate_error=0.1,
    shots=(100, 100_000), repeats=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def outcome():
    return otoc_verification.run(TINY)


def test_every_engine_gives_the_same_echo(outcome):
    for quantity in otoc_verification.QUANTITIES:
        assert outcome.metrics[f"difference.{quantity}.double"].value < 1e-10
        assert outcome.metrics[f"difference.{quantity}.single"].value < 1e-5
    table = outcome.arrays["largest_difference"]
    np.testing.assert_array_equal(table, table.T)
    assert table.max() < 1e-5
    # The echo is no trivial one, on which anything would agree.
    assert np.abs(outcome.arrays["values"][0, 0, 0]).min() > 1e-3
    assert np.abs(outcome.arrays["values"][0, 0, 0, :2]).max() < 0.999


def test_one_engine_that_differs_in_one_value_is_seen():
    methods, forms, quantities = len(otoc_verification.METHODS), 2, 3
    circuits = np.random.default_rng(0).normal(size=(4, 1, 1, quantities))
    values = np.broadcast_to(circuits, (4, methods, forms, quantities)).copy()
    np.testing.assert_array_equal(otoc_verification.largest_spread(values, "double"), [0, 0, 0])
    values[2, otoc_verification.METHODS.index(("jax", "double")), 1, 1] += 1e-3
    np.testing.assert_allclose(
        otoc_verification.largest_spread(values, "double"), [0, 1e-3, 0], atol=1e-15
    )
    np.testing.assert_array_equal(otoc_verification.largest_spread(values, "single"), [0, 0, 0])


def test_pruning_spares_operations(outcome):
    assert outcome.metrics["operations.literal_over_pruned"].value > 1.3


def test_ideal_devices_agree_within_their_error_and_a_gate_error_shows(outcome):
    agreement = outcome.metrics["agreement.ideal"]
    # z^2 of one comparison: mean 1, variance 2.
    assert agreement.value == pytest.approx(1, abs=5 * np.sqrt(2 / agreement.n))
    assert outcome.metrics["agreement.gate_error"].value > 10
    assert outcome.metrics["shots.gate_error_found"].value == 100_000
    assert outcome.metrics["shots.false_alarms"].value <= 0.2  # 1 % of 20


def test_a_device_without_error_is_not_accused():
    same = otoc_verification.run(dataclasses.replace(TINY, gate_error=0.0))
    assert same.metrics["agreement.gate_error"].value == pytest.approx(1, abs=5 * np.sqrt(2 / 80))
    assert "shots.gate_error_found" not in same.metrics


def test_differences_times_and_devices_are_drawn(outcome):
    figure = outcome.figure()
    assert [axes.get_xlabel() for axes in figure.axes[1:3]] == [
        "Time of one OTOC(2) (ms)",
        "Shots per circuit",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_qubits": 13}, r"`n_qubits` must be a size \(4, 6, 9, 12, 18"),
        ({"n_qubits": 40}, "sites of the 40 and 65 qubit runs are unknown"),
        ({"shots": (10, 5)}, "`shots` must be rising"),
        ({"gate_error": -1.0}, "`gate_error` must lie between"),
        (
            {"n_qubits": 9, "n_cycles": 6},
            "`n_cycles` must let the butterfly reach the measured qubit",
        ),
        ({"n_cycles": 0}, "`n_cycles` must be at least 1"),
    ],
)
def test_what_cannot_be_run_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

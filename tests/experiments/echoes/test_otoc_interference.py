import dataclasses

import numpy as np
import pytest

from experiments.echoes import otoc_interference
from experiments.echoes.otoc_published import ALL_ORDERS, GOLDEN, order_name
from quantum.circuits.layouts import rectangle_layout
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.interference import Interference, exact_diagonal
from quantum.echoes.otoc import correlator, make_echo

TINY = otoc_interference.Config(
    sizes=("2x3", "2x4"),
    rectangle_cycles=7,
    n_circuits=(5, 3),
    n_strings=(12, 2),
    orders=("ACBD", "acbd"),
    follow_up=3,
    order_circuits=3,
    order_strings=2,
    shots=1000,
    engine="reference",
)


@pytest.fixture(scope="module")
def outcome():
    return otoc_interference.run(TINY)


def echoes(order, number):
    """The experiment's own circuit, seen through the exact functions of the library."""
    layout = rectangle_layout(2, 3, 7)
    seed = int(np.random.SeedSequence((0, number)).generate_state(1)[0])
    unitary = random_circuit(
        layout.lattice, 7, seed=seed, order=order.upper(), aligned=order.islower()
    )
    return make_echo(layout, unitary)


def test_strings_give_the_exact_diagonal_within_their_errors(outcome):
    inserted = outcome.arrays["n6.inserted"]
    exact = np.array([exact_diagonal(echoes("ACBD", number)) for number in range(5)])
    stderr = inserted.std(axis=1, ddof=1) / np.sqrt(12)
    # Five standard errors on each of five circuits, which twelve strings know to a fifth.
    assert np.all(abs(inserted.mean(axis=1) - exact) < 5 * stderr)
    off = outcome.arrays["n6.total"] - inserted.mean(axis=1)
    assert outcome.metrics["off_diagonal.n6.mean"].value == pytest.approx(off.mean())
    assert outcome.metrics["off_diagonal.n6.share_negative"].value == np.mean(off < 0)


def test_insertion_loses_what_shots_keep(outcome):
    found = {name: m.value for name, m in outcome.metrics.items() if "correlation" in name}
    assert found["correlation.with_insertion"] < found["correlation.without_insertion"] - 0.1
    # Shot noise of 1 / sqrt(1000) on the measured values, five of them.
    error = outcome.arrays["measured"] - outcome.arrays["n6.total"]
    assert 0 < abs(error).max() < 5 / np.sqrt(1000)


def test_every_order_is_reported_on_the_same_circuits(outcome):
    for order in TINY.orders:
        assert f"order.{order_name(order)}.mean" in outcome.metrics
        total = outcome.arrays[f"order.{order_name(order)}.total"]
        expected = [correlator(echoes(order, number), engine="reference") for number in range(3)]
        np.testing.assert_allclose(total, expected, atol=1e-12)
    # Nothing is published for a rectangle, so nothing is excluded; the main order has a run of its own.
    assert "order.n8.aligned_ACBD.mean" in outcome.metrics
    assert "order.n8.staggered_ACBD.mean" not in outcome.metrics
    # The order of the main run is one of them: the same circuits, the same numbers.
    np.testing.assert_array_equal(
        outcome.arrays["order.staggered_ACBD.total"], outcome.arrays["n6.total"][:3]
    )


def test_theta_once_per_circuit_is_another_ensemble(outcome):
    assert not np.allclose(
        outcome.arrays["theta_per_circuit.n6.total"], outcome.arrays["n6.total"], atol=1e-3
    )


def test_both_larger_scales_try_all_48_orders():
    assert len(set(ALL_ORDERS)) == 48
    for scale in ("laptop", "paper"):
        assert otoc_interference.SCALES[scale].orders == ALL_ORDERS


def test_an_order_is_near_if_mean_and_spread_are():
    pattern = np.resize([1.0, -1.0], 20) * np.sqrt(19 / 20)

    def near(mean, sd):
        ensemble = Interference(mean + sd * pattern, np.zeros((20, 2)))
        return otoc_interference._is_near(ensemble, 18)

    golden = GOLDEN[18]
    assert near(golden.mean, golden.sd)
    # Errors: 0.018 / sqrt(20) = 0.004 of the mean beside 0.0025, next to none of a spread of two values beside 0.001.
    assert not near(golden.mean - 0.012, golden.sd)
    assert near(golden.mean - 0.007, golden.sd)
    assert not near(golden.mean, golden.sd + 0.005)


def test_orders_are_counted_where_something_is_published():
    config = dataclasses.replace(TINY, sizes=("18", "23"))
    spread = GOLDEN[23].sd * np.resize([1.0, -1.0], 20)
    at_23 = Interference(GOLDEN[23].mean + spread, np.zeros((20, 2)))
    found = {"n23": at_23, "order.n23.aligned_ACBD": Interference(spread + 0.1, np.zeros((20, 2)))}
    counted = otoc_interference._counts(config, found, ["ACBD", "acbd"])
    assert {name: (m.value, m.n) for name, m in counted.items()} == {
        "orders_near.n18": (2, 2),
        "orders_near.n23": (1, 2),
    }


def test_an_echo_that_never_closes_has_no_correlation():
    # Two cycles do not join opposite corners: every value is 1, and nothing varies.
    still = otoc_interference.run(
        dataclasses.replace(
            TINY, sizes=("2x3",), n_circuits=(3,), n_strings=(2,), rectangle_cycles=2
        )
    )
    assert still.metrics["total.n6.mean"].value == pytest.approx(1)
    assert not any("correlation" in name for name in still.metrics)
    still.figure()


def test_figure_shows_orders_insertion_distribution_and_sizes(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 6
    assert [t.get_text() for t in figure.axes[2].get_xticklabels()] == ["ACBD", "acbd"]


def test_bad_settings_are_named():
    replace = dataclasses.replace
    with pytest.raises(ValueError, match="`order` must be one of ABCD"):
        replace(TINY, order="ABBA")
    with pytest.raises(ValueError, match="`n_circuits` and `n_strings` must hold one number"):
        replace(TINY, n_circuits=(3,))
    with pytest.raises(ValueError, match="`order_strings` must be at least 2, but is 1"):
        replace(TINY, order_strings=1)
    with pytest.raises(ValueError, match="`follow_up` must be 0 or at least 3"):
        replace(TINY, follow_up=1)
    with pytest.raises(ValueError, match="`shots` must be at least 1"):
        replace(TINY, shots=0)
    with pytest.raises(ValueError, match=r"`sizes` must be a size \(4, 6"):
        replace(TINY, sizes=("3by4", "2x4"))
    with pytest.raises(ValueError, match="40 and 65 qubit runs are unknown"):
        replace(TINY, sizes=("40", "2x4"))

import dataclasses
import math

import numpy as np
import pytest

from experiments.echoes import otoc_decay
from experiments.echoes.otoc_decay_figure import order_key
from experiments.echoes.otoc_published import ALL_ORDERS
from experiments.harness.measurement import Measurement
from quantum.circuits.pauli import PauliString
from quantum.circuits.random_circuits import random_circuit
from quantum.echoes.otoc import echo_circuit, make_echo
from quantum.engines import statevector
from quantum.inference.decays import scrambled_std

TINY = otoc_decay.Config(
    sizes=("2x4",),
    orders=("ABCD",),
    n_cycles=(1, 2, 3, 4, 5, 6, 8, 16),
    n_circuits=30,
    engine="reference",
)


@pytest.fixture(scope="module")
def outcome():
    return otoc_decay.run(TINY)


def test_one_cycle_turns_the_measured_qubit_by_one_of_three_angles(outcome):
    # <Z> = cos(theta) of 0.25, 0.5, 0.75 pi before any partner is met, then moved by the swap to a neighbour that did
    # the same: variance 1/3. Thirty circuits: four errors of 0.04.
    first = outcome.arrays["toc.n8.ABCD"][0]
    assert set(np.round(np.abs(first), 4)) <= {0.0, round(math.sqrt(0.5), 4)}
    assert first.std(ddof=1) == pytest.approx(math.sqrt(1 / 3), abs=0.16)


def test_echoes_are_one_until_the_cones_meet(outcome):
    for name in ("otoc", "otoc2"):
        values = outcome.arrays[f"{name}.n8.ABCD"]
        np.testing.assert_allclose(values[:3], 1, atol=1e-12)
        assert values[5].std() > 0.05


def test_values_are_those_of_the_literal_circuits_of_each_order(outcome):
    word = int(np.random.SeedSequence((0, 8)).generate_state(30)[7])
    layout = TINY.layout("2x4")
    unitary = random_circuit(layout.lattice, 8, seed=word, order="ABCD")
    for name, k in (("otoc", 1), ("otoc2", 2)):
        echo = make_echo(layout, unitary, order=k)
        state = statevector.run(echo_circuit(echo, prune=False))
        wanted = statevector.expectation(state, echo.observable)
        assert outcome.arrays[f"{name}.n8.ABCD"][6, 7] == pytest.approx(wanted, abs=1e-12)
    state = statevector.run(unitary)
    wanted = statevector.expectation(state, PauliString.on({layout.measured: "Z"}))
    assert outcome.arrays["toc.n8.ABCD"][6, 7] == pytest.approx(wanted, abs=1e-12)


def test_a_scrambled_register_ends_at_its_floor(outcome):
    floor = scrambled_std(8)
    for name in ("toc", "otoc", "otoc2"):
        late = outcome.metrics[f"late_sd.{name}.n8.ABCD"]
        # Four errors of the estimate, and a tenth for what a register of 8 is away from the limit of many qubits.
        assert abs(late.value - floor) < 4 * late.stderr + 0.1 * floor
        assert outcome.metrics[f"usable_until.{name}.n8.ABCD"].value < 16


def test_fluctuations_of_the_toc_decay_exponentially(outcome):
    metrics = outcome.metrics
    assert metrics["power_law_weight.toc.n8.ABCD"].value < 0.05
    assert 1 < metrics["tau.toc.n8.ABCD"].value < 6
    chi = metrics["chi_squared.exponential.toc.n8.ABCD"].value
    assert chi < metrics["chi_squared.power_law.toc.n8.ABCD"].value


@pytest.fixture(scope="module")
def several():
    """Two sizes and orders of both kinds, with the off-diagonal part."""
    config = dataclasses.replace(
        TINY, sizes=("2x2", "2x3"), orders=("ABCD", "acbd"), n_cycles=(2, 3, 4, 5, 6), n_circuits=4,
        n_strings=2,
    )  # fmt: skip
    return otoc_decay.run(config)


def test_sizes_and_orders_come_out_apart(several):
    for n in (4, 6):
        for order in ("ABCD", "aligned_ACBD"):
            assert several.arrays[f"off_diagonal.n{n}.{order}"].shape == (5, 4)
            assert f"late_sd.off_diagonal.n{n}.{order}" in several.metrics
    first, second = (several.arrays[f"toc.n6.{order}"] for order in ("ABCD", "aligned_ACBD"))
    assert np.all(np.any(first != second, axis=1))


def test_an_aligned_order_is_the_circuit_of_aligned_groups(several):
    word = int(np.random.SeedSequence((0, 6)).generate_state(4)[3])
    layout = TINY.layout("2x3")
    unitary = random_circuit(layout.lattice, 6, seed=word, order="ACBD", aligned=True)
    wanted = statevector.expectation(statevector.run(unitary), PauliString.on({0: "Z"}))
    assert several.arrays["toc.n6.aligned_ACBD"][4, 3] == pytest.approx(wanted, abs=1e-12)


def test_orders_are_summed_up_by_median_and_ends_and_counted_by_verdict():
    config = dataclasses.replace(TINY, orders=("ABCD", "ACBD", "abcd"))
    names, weights = [order_key(o) for o in config.orders], (0.01, 0.02, 0.99)
    assert names == ["ABCD", "ACBD", "aligned_ABCD"]
    metrics = {f"tau.toc.n8.{o}": Measurement(v) for o, v in zip(names, (3, 1, 7), strict=True)}
    metrics |= {
        f"power_law_weight.toc.n8.{o}": Measurement(w) for o, w in zip(names, weights, strict=True)
    }
    found = otoc_decay._over_orders(config, metrics, ["toc", "otoc"])
    assert {k.removeprefix("orders."): (m.value, m.n) for k, m in found.items()} == {
        "tau.toc.n8.median": (3, 3),
        "tau.toc.n8.least": (1, 3),
        "tau.toc.n8.most": (7, 3),
        "exponential.toc.n8": (2, 3),
        "power_law.toc.n8": (1, 3),
    }


def test_the_larger_scales_show_every_cyclic_order():
    orders = otoc_decay.CYCLIC_ORDERS
    assert len(orders) == 12

    def cycle(order):  # where it starts aside
        return frozenset(zip(order, order[1:] + order[0], strict=True))

    assert {cycle(o) for o in orders} == {cycle(o) for o in ALL_ORDERS}
    for scale in ("laptop", "paper"):
        assert otoc_decay.SCALES[scale].orders == orders


def test_figure_has_a_panel_for_each_correlator_and_size_and_every_fit(outcome, several):
    assert len(outcome.figure().axes) == 3 + 3
    figure = several.figure()
    assert len(figure.axes) == 2 * 4 + 3
    assert figure.axes[5].get_title() == "OTOC, 6 qubits"
    assert [t.get_text() for t in figure.axes[-1].get_xticklabels()] == ["ABCD", "acbd"]
    fits = [k for k in several.metrics if k.startswith("tau.")]
    assert len(figure.axes[-3].containers) == len(fits) > 0


def test_points_are_independent_and_repeatable(outcome):
    fewer = dataclasses.replace(TINY, n_cycles=(1, 2, 3, 6), n_circuits=4)
    again = otoc_decay._point(fewer, "2x4", "ABCD", 6)
    for name, values in again.items():
        np.testing.assert_array_equal(values, outcome.arrays[f"{name}.n8.ABCD"][5, :4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_circuits": 3}, "`n_circuits` must be at least 4"),
        ({"n_cycles": (1, 3, 2, 4)}, "`n_cycles` must be 4 or more rising"),
        ({"n_cycles": (0, 1, 2, 3)}, "`n_cycles` must be 4 or more rising"),
        ({"n_strings": 1}, "`n_strings` must be 0 or at least 2"),
        ({"orders": ()}, "`orders` must have at least one entry"),
        ({"sizes": ()}, "`sizes` must have at least one entry"),
        ({"sizes": ("2x4", "4x2")}, "`sizes` must differ in their numbers of qubits"),
        ({"sizes": ("19",)}, "40 and 65 qubit runs are unknown"),
        ({"orders": ("AXBD",)}, "`orders` must be one of ABCD"),
        ({"orders": ("AbCD",)}, "`orders` must be one of ABCD"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)

import dataclasses
import math

import numpy as np
import pytest

from experiments import otoc_decay
from quantum import statevector
from quantum.circuit import random_circuit
from quantum.otoc import echo_circuit, make_echo
from quantum.pauli import PauliString
from quantum.statistics import scrambled_std

TINY = otoc_decay.Config(
    rows=2,
    columns=4,
    orders=("ABCD",),
    cycles=(1, 2, 3, 4, 5, 6, 8, 16),
    n_circuits=30,
    engine="reference",
)


@pytest.fixture(scope="module")
def outcome():
    return otoc_decay.run(TINY)


def test_one_cycle_turns_the_measured_qubit_by_one_of_three_angles(outcome):
    # <Z> = cos(theta) of 0.25, 0.5, 0.75 pi before any partner is met, then moved by the swap to a neighbour that did
    # the same: variance 1/3. Thirty circuits: four errors of 0.04.
    first = outcome.arrays["toc.ABCD"][0]
    assert set(np.round(np.abs(first), 4)) <= {0.0, round(math.sqrt(0.5), 4)}
    assert first.std(ddof=1) == pytest.approx(math.sqrt(1 / 3), abs=0.16)


def test_echoes_are_one_until_the_cones_meet(outcome):
    for name in ("otoc", "otoc2"):
        values = outcome.arrays[f"{name}.ABCD"]
        np.testing.assert_allclose(values[:3], 1, atol=1e-12)
        assert values[5].std() > 0.05


def test_values_are_those_of_the_literal_circuits_of_each_order(outcome):
    word = int(np.random.SeedSequence((0, 8)).generate_state(30)[7])
    layout = TINY.layout()
    unitary = random_circuit(layout.lattice, 8, word, order="ABCD")
    for name, k in (("otoc", 1), ("otoc2", 2)):
        echo = make_echo(layout, unitary, order=k)
        state = statevector.run(echo_circuit(echo, prune=False))
        wanted = statevector.expectation(state, echo.observable)
        assert outcome.arrays[f"{name}.ABCD"][6, 7] == pytest.approx(wanted, abs=1e-12)
    state = statevector.run(unitary)
    wanted = statevector.expectation(state, PauliString.on({layout.measured: "Z"}))
    assert outcome.arrays["toc.ABCD"][6, 7] == pytest.approx(wanted, abs=1e-12)


def test_a_scrambled_register_ends_at_its_floor(outcome):
    floor = scrambled_std(8)
    for name in ("toc", "otoc", "otoc2"):
        late = outcome.metrics[f"late_sd.{name}.ABCD"]
        # Four errors of the estimate, and a tenth for what a register of 8 is away from the limit of many qubits.
        assert abs(late.value - floor) < 4 * late.stderr + 0.1 * floor
        assert outcome.metrics[f"usable_until.{name}.ABCD"].value < 16


def test_fluctuations_of_the_toc_decay_exponentially(outcome):
    metrics = outcome.metrics
    assert metrics["power_law_weight.toc.ABCD"].value < 0.05
    assert 1 < metrics["tau.toc.ABCD"].value < 6
    chi = metrics["chi_squared.exponential.toc.ABCD"].value
    assert chi < metrics["chi_squared.power_law.toc.ABCD"].value


def test_both_laws_are_drawn_for_every_order(outcome):
    figure = outcome.figure()
    assert len(figure.axes) == 2
    assert "exponential fit" in figure.axes[0].get_title()
    assert figure.axes[1].get_xscale() == "log"


def test_the_off_diagonal_part_and_each_order_come_out_apart():
    config = dataclasses.replace(
        TINY, rows=2, columns=2, orders=("ABCD", "ACBD"), cycles=(2, 3, 4, 5), n_circuits=4, n_strings=2
    )  # fmt: skip
    found = otoc_decay.run(config)
    for order in config.orders:
        assert found.arrays[f"off_diagonal.{order}"].shape == (4, 4)
        assert f"late_sd.off_diagonal.{order}" in found.metrics
    assert np.any(found.arrays["toc.ABCD"] != found.arrays["toc.ACBD"])
    assert len(otoc_decay.plot(found).axes) == 4


def test_points_are_independent_and_repeatable(outcome):
    again = otoc_decay.run(dataclasses.replace(TINY, cycles=(1, 2, 3, 6), n_circuits=30))
    np.testing.assert_array_equal(again.arrays["toc.ABCD"][3], outcome.arrays["toc.ABCD"][5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_circuits": 3}, "`n_circuits` must be at least 4"),
        ({"cycles": (1, 3, 2, 4)}, "`cycles` must be at least 4 rising"),
        ({"cycles": (0, 1, 2, 3)}, "`cycles` must be at least 4 rising"),
        ({"n_strings": 1}, "`n_strings` must be 0 or at least 2"),
        ({"orders": ()}, "`orders` must name at least one"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_an_unknown_layer_order_is_named():
    with pytest.raises(ValueError, match="`order` must be one of A, B, C, D"):
        otoc_decay.run(dataclasses.replace(TINY, orders=("AXBD",)))

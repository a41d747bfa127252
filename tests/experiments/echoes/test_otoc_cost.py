import dataclasses
import math

import numpy as np
import pytest

from experiments.echoes import otoc_cost
from quantum.circuits.lattice import willow

TINY = otoc_cost.Config(sizes=(18, 23), searches=1, sweeps=(5, 50), n_circuits=2, loops=1000)


@pytest.fixture(scope="module")
def outcome():
    return otoc_cost.run(TINY)


def test_a_contraction_costs_what_a_state_vector_costs(outcome):
    metrics = outcome.metrics
    for size in TINY.sizes:
        for order in TINY.orders:
            found = metrics[f"contraction.log10_flop.{size}.{order}.unlimited"].value
            vector = metrics[f"state_vector.log10_flop.{size}.{order}"].value
            # V and V^dagger are both in the network, so twice the state vector without annealing; never a hundredfold.
            assert vector - 2 < found < vector + 0.6
            width = metrics[f"contraction.log2_largest.{size}.{order}.unlimited"].value
            assert size - 6 <= width <= size + 2


def test_more_sweeps_find_cheaper_trees(outcome):
    for size in TINY.sizes:
        flops, *_, sweeps = outcome.arrays[f"unlimited.{size}.ACBD"]
        assert flops[sweeps == 50].min() < flops[sweeps == 5].min()


def test_a_limit_on_memory_is_kept_and_paid_for():
    # A millionth of Frontier holds some 2^29 amplitudes, less than the state of 36 qubits.
    share = 1e-6
    config = dataclasses.replace(
        TINY, sizes=(36,), orders=("BDAC",), sweeps=(50,), searches=1, memory_share=share
    )
    metrics = otoc_cost.run(config).metrics
    most = math.log2(share * otoc_cost.classical_cost.make_frontier().memory_bytes / 8)
    key = "36.BDAC"
    assert metrics[f"contraction.log2_largest.{key}.sliced"].value <= most
    assert metrics[f"contraction.log2_largest.{key}.unlimited"].value > most
    assert metrics[f"contraction.log2_slices.{key}.sliced"].value > 0
    costs = [metrics[f"contraction.log10_flop.{key}.{k}"].value for k in ("unlimited", "sliced")]
    assert costs[1] > costs[0]


def test_small_circuits_stay_below_their_ceilings(outcome):
    for name in ("strings", "loops"):
        for n_qubits in (4, 6):
            filled = outcome.metrics[f"growth.{name}.filled.{n_qubits}"].value
            assert 0.005 < filled < 1
    # Small circuits fill their register less, so the fit is steeper than the ceiling of 2 a qubit.
    assert outcome.metrics["growth.strings.slope"].value == pytest.approx(2.2, abs=0.3)


def test_the_methods_stand_in_the_order_of_their_exponents(outcome):
    for order in TINY.orders:
        gain = {
            name: outcome.metrics[f"{name}.log10_flop.23.{order}"].value
            - outcome.metrics[f"{name}.log10_flop.18.{order}"].value
            for name in ("state_vector", "pauli_strings", "monte_carlo")
        }
        gates = [outcome.arrays[f"gates.{size}.{order}"][0] for size in TINY.sizes]
        more_gates = math.log10(gates[1] / gates[0])
        assert gain["state_vector"] == pytest.approx(5 * math.log10(2) + more_gates)
        assert gain["pauli_strings"] == pytest.approx(5 * math.log10(4) + more_gates)
        smaller_signal = 2 * math.log10(0.018 / 0.011)
        assert gain["monte_carlo"] == pytest.approx(5 * math.log10(16) + smaller_signal)


def test_time_and_ratio_follow_from_the_operations(outcome):
    metrics = outcome.metrics
    flops = 10 ** metrics["contraction.log10_flop.23.ACBD.unlimited"].value
    hours = flops / (0.2 * 37632 * 47.8e12) / 3600
    assert 10 ** metrics["log10_ratio_to_willow.23.ACBD.unlimited"].value == pytest.approx(
        hours / 2.1
    )
    assert 10 ** metrics["log10_years.23.ACBD.unlimited"].value == pytest.approx(hours / 8766)


def test_a_limit_that_nothing_reaches_slices_nothing(outcome):
    for size in TINY.sizes:
        both = [outcome.arrays[f"{kind}.{size}.ACBD"] for kind in ("unlimited", "sliced")]
        assert (both[0] == both[1]).all()
        assert (both[0][2] == 1).all()


def test_our_patches_lie_on_the_chip_and_have_the_published_size():
    chip = set(willow().sites)
    for size, n_butterflies, n_cycles in ((40, 2, 22), (65, 3, 23)):
        layout = otoc_cost.make_layout(size)
        assert layout.lattice.n_qubits == size
        assert set(layout.lattice.sites) <= chip
        assert (len(layout.butterflies), layout.n_cycles) == (n_butterflies, n_cycles)
    assert otoc_cost.make_layout(18).n_cycles == 14


def test_nothing_is_called_comparable_with_the_paper():
    assert not any(reference.comparable for reference in otoc_cost.REFERENCES)
    ratio = next(r for r in otoc_cost.REFERENCES if "ratio" in r.name)
    assert ratio.value is not None
    assert 10**ratio.value == pytest.approx(13_000)


def test_operations_time_and_memory_are_drawn(outcome):
    figure = outcome.figure()
    labels = [axes.get_ylabel() for axes in figure.axes]
    years = "Time at 20 % of Frontier's peak (years)"
    assert labels == ["Operations (flop)", years, years]
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {f"layer order {order}" for order in TINY.orders} <= set(shown)
    # The paper's point stands at its published place.
    stars = [line for line in figure.axes[1].lines if line.get_marker() == "*"]
    assert [tuple(np.ravel(line.get_data())) for line in stars] == [(65, 3.2)]
    assert all(np.isfinite(values).all() for values in outcome.arrays.values())


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="`sizes` must be one of 18"):
        otoc_cost.Config(sizes=(19,))
    with pytest.raises(ValueError, match="`efficiency` must lie between"):
        otoc_cost.Config(efficiency=0.0)
    with pytest.raises(ValueError, match="`starts` must be one of sweep"):
        otoc_cost.Config(starts=("best",))
    with pytest.raises(ValueError, match="`sweeps` must be rising"):
        otoc_cost.Config(sweeps=(10, 10))
    with pytest.raises(ValueError, match="`shapes` must be one of"):
        otoc_cost.Config(shapes=((1, 2),))
    with pytest.raises(ValueError, match="`searches` must be at least 1"):
        dataclasses.replace(TINY, searches=0)
    with pytest.raises(ValueError, match="`order` must be one of A"):
        otoc_cost.run(dataclasses.replace(TINY, sizes=(18,), orders=("ABX",)))

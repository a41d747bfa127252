"""The one call: every method gives the same echo, and says what it cannot do."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quantum.compiling.nmr_circuit import ProductFormula, nearest_only
from quantum.nmr import methods
from quantum.nmr.average_hamiltonian import reversible_hamiltonian, secular_hamiltonian
from quantum.nmr.dipolar_sequences import scale_factors, tardis_2_like
from quantum.nmr.methods import PulsedStates, Pulses, Sectors, Typicality, echo
from quantum.spins.hamiltonian import SpinHamiltonian, make_hamiltonian

TIMES = (0.0, 3e-4, 1.1e-3)  # s
STRUCK = (1, 3)
TABLE = np.triu(np.random.default_rng(4).normal(size=(5, 5)) * 400, 1)
TABLE += TABLE.T


@pytest.fixture(scope="module")
def average():
    return reversible_hamiltonian(TABLE)


@pytest.fixture(scope="module")
def exact(average):
    return np.asarray(echo(average, STRUCK, 1.4, TIMES).values)


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (0.0, 0.6, 0.8)])
@pytest.mark.parametrize("variant", ["tardis-1", "tardis-2"])
@pytest.mark.parametrize("probe", [0, 2])
def test_real_and_complex_sectors_give_one_echo(variant, probe, axis):
    hamiltonian = reversible_hamiltonian(TABLE, probe, variant)
    both = [
        echo(hamiltonian, STRUCK, 1.4, TIMES, method=name, axis=axis, probe=probe)
        for name in ("sectors", "real_sectors")
    ]
    np.testing.assert_allclose(both[0].values, both[1].values, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([b.stderr for b in both]), 0)
    assert abs(both[0].values[2] - 1) > 0.02


def test_random_states_give_the_echo_within_their_errors(average, exact):
    found = echo(average, STRUCK, 1.4, TIMES, method=Typicality(400, 1, "double"))
    assert np.all(np.abs(found.values - exact)[1:] < 4 * found.stderr[1:])
    assert found.stderr[1:].max() < 0.02


def test_a_circuit_of_nearest_neighbours_is_the_echo_of_those_couplings():
    near = nearest_only(secular_hamiltonian(TABLE))
    found = echo(near, (1, 3), 1.4, [8e-4], method=ProductFormula(20, layout="nearest"))
    wanted = echo(near, (1, 3), 1.4, [8e-4], method="matrices")
    np.testing.assert_allclose(found.values, wanted.values, atol=5e-4)  # of 20 steps 1.3e-4
    assert wanted.values[0] < 0.95


def test_a_series_that_leaves_out_more_is_coarser(average):
    asked = {"times": TIMES, "struck": STRUCK, "angle": 1.4}
    fine, coarse = (
        echo(average, **asked, method=Typicality(4, 1, "double", tolerance)).values
        for tolerance in (1e-12, 1e-2)
    )
    assert 1e-7 < np.abs(fine - coarse).max() < 0.1


def test_a_circuit_gives_the_echo_to_second_order_in_the_step(average, exact):
    found = [echo(average, STRUCK, 1.4, TIMES, method=ProductFormula(n, 2)) for n in (8, 16)]
    errors = [np.abs(curve.values - exact).max() for curve in found]
    np.testing.assert_array_equal([curve.stderr for curve in found], 0)
    assert 3.5 < errors[0] / errors[1] < 4.5  # (2 steps for one)^2


@pytest.fixture(scope="module")
def pulsed():
    """A weakly coupled molecule, a cycle with pulses, and times of whole cycles."""
    secular = secular_hamiltonian(TABLE[:4, :4] / 4)
    cycle = tardis_2_like(10e-6, 1e-6)
    return secular, cycle, cycle.duration * np.array([0, 2, 12])


def test_pulses_as_matrices_and_on_random_states_give_one_echo(pulsed):
    secular, cycle, times = pulsed
    wanted = echo(secular, (1, 3), 1.4, times, method=Pulses(cycle))
    found = echo(secular, (1, 3), 1.4, times, method=PulsedStates(cycle, 200, 2))
    assert np.all(np.abs(found.values - wanted.values)[1:] < 4 * found.stderr[1:])
    assert found.stderr.max() < 0.05


def test_pulses_give_the_echo_of_their_average(pulsed):
    secular, cycle, times = pulsed
    found = echo(secular, (1, 3), 1.4, times, method=Pulses(cycle))
    tensor, _, heter = scale_factors(cycle)
    factors = float(tensor[1, 1]), float(heter[2])
    average = reversible_hamiltonian(TABLE[:4, :4] / 4, scaling=factors)
    wanted = echo(average, (1, 3), 1.4, times)
    # Odd Magnus terms vanish; of second order some (2 pi D_eff tau)^2 = (2 pi 30 Hz x 0.4 ms)^2 = 0.6 % of the fall of
    # 0.24 remain, at most.
    np.testing.assert_allclose(found.values, wanted.values, atol=2e-3)
    assert abs(wanted.values[2] - 1) > 0.2
    np.testing.assert_array_equal(found.stderr, 0)


def test_an_uneven_field_is_the_mean_over_its_strengths(pulsed):
    secular, cycle, times = pulsed
    found, *parts = (
        echo(secular, (1, 3), 1.4, times, method=Pulses(cycle, scales)).values
        for scales in ((0.9, 1.05), (0.9,), (1.05,))
    )
    np.testing.assert_allclose(found, np.mean(parts, axis=0), atol=1e-12)
    assert np.abs(parts[0] - parts[1]).max() > 1e-3


def test_single_precision_of_states_is_good_to_its_digits(pulsed):
    secular, cycle, times = pulsed
    single, double = (
        echo(secular, (1, 3), 1.4, times, method=PulsedStates(cycle, 2, precision=p)).values
        for p in ("single", "double")
    )
    assert 0 < np.abs(single - double).max() < 1e-4


def test_the_orders_of_an_echo_are_an_option_of_the_sectors(average, exact):
    second = echo(average, STRUCK, 1.4, TIMES, method=Sectors(order=2)).values
    np.testing.assert_allclose(second[0], 1, atol=1e-12)
    assert abs(second[2] - exact[2]) > 0.01


def test_what_the_table_says_of_derivatives_is_so(average):
    value = lambda angle, method: echo(average, STRUCK, angle, TIMES, method=method).values[2]  # noqa: E731
    step = 1e-5
    slope = (value(1.4 + step, "sectors") - value(1.4 - step, "sectors")) / (2 * step)
    assert jax.grad(value)(1.4, Sectors()) == pytest.approx(float(slope), rel=1e-6)
    assert abs(slope) > 0.01
    for method in ("real_sectors", Typicality(2), ProductFormula(1)):
        with pytest.raises(
            ValueError, match=r"`method` must differentiate and trace, but .* take sectors"
        ):
            jax.grad(value)(1.4, method)


def test_the_table_of_the_docstring_is_that_of_the_methods():
    rows = {
        line.split()[0]: line
        for line in (methods.__doc__ or "").splitlines()
        if " spins   " in line
    }
    assert list(rows) == [row.name for row in methods.methods()]
    for row in methods.methods():
        assert f" {row.most_spins} spins " in rows[row.name]
        assert row.error in rows[row.name]
        assert rows[row.name].endswith("differentiates" if row.differentiates else "no derivative")


@pytest.mark.parametrize(
    ("n", "method", "advice"),
    [
        (
            12,
            "sectors",
            "sectors takes 11 at most; take real_sectors or typicality or pulsed_states",
        ),
        (13, "real_sectors", "real_sectors takes 12 at most; take typicality or pulsed_states"),
        (21, "typicality", "typicality takes 20 at most; no method does"),
        (12, ProductFormula(2), "product_formula takes 11 at most; take real_sectors"),
    ],
)
def test_a_molecule_too_large_is_told_the_method_to_take(n, method, advice):
    with pytest.raises(ValueError, match=f"`method` must take {n} spins, but {advice}"):
        echo(make_hamiltonian(np.zeros((n, n, 3, 3))), (1,), 1.0, TIMES, method=method)


def test_a_probe_that_turns_is_for_random_states_alone(average):
    fields = np.array(average.fields)
    fields[0, 0] = 500.0
    turning = SpinHamiltonian(average.couplings, jnp.asarray(fields))
    assert np.isfinite(echo(turning, STRUCK, 1.4, TIMES, method=Typicality(2)).values).all()
    for name in ("sectors", "real_sectors"):
        with pytest.raises(ValueError, match=r"keep S_z of the probe.*`typicality`"):
            echo(turning, STRUCK, 1.4, TIMES, method=name)


@pytest.mark.parametrize("method", ["sectors", "real_sectors", "typicality", ProductFormula(1)])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"struck": (0, 1)}, "`struck` must be different spins of 0 to 4 other than the probe 0"),
        ({"struck": (1, 1)}, "`struck` must be different spins"),
        (
            {"times": (1e-3, -1e-3)},
            "`times` must be finite and not negative, but begin at -0.001 s",
        ),
        ({"angle": math.nan}, "`angle` must be finite"),
        ({"axis": (0.0, 2.0, 0.0)}, "`axis` must lie between"),
        ({"probe": 5}, "`probe` must be a spin from 0 to 4"),
    ],
)
def test_bad_input_is_named_alike_by_all_methods(method, change, message, average):
    asked = {"struck": STRUCK, "angle": 1.4, "times": TIMES} | change
    with pytest.raises(ValueError, match=message):
        echo(average, method=method, **asked)


def test_what_only_pulses_ask_is_named(pulsed, average):
    secular, cycle, times = pulsed
    with pytest.raises(ValueError, match=r"`method` must be one of sectors.* `Pulses\(sequence\)`"):
        echo(secular, (1,), 1.0, times, method="pulses")
    with pytest.raises(ValueError, match="`times` must be whole cycles of"):
        echo(secular, (1,), 1.0, 1.01 * times, method=Pulses(cycle))
    with pytest.raises(ValueError, match="`probe` must be the spin that the Hamiltonian was made"):
        echo(secular, (1,), 1.0, times, method=Pulses(cycle), probe=2)
    with pytest.raises(ValueError, match="`probe` must be one spin with product_formula"):
        echo(average, (1,), 1.0, TIMES, method=ProductFormula(1), probe=(0, 2))

import numpy as np
import pytest

from quantum.compiling.nmr_circuit import ProductFormula
from quantum.nmr import echo, examine, reversible_hamiltonian, secular_hamiltonian, tardis_2_like
from quantum.nmr.methods import PulsedStates, Pulses
from quantum.nmr.species import probe_first, pulse_channels
from quantum.spins.coupling_table import make_coupling_table

HZ = np.random.default_rng(1).normal(0, 60, (4, 4))
HZ = np.triu(HZ, 1) + np.triu(HZ, 1).T


def secular(*names):
    return secular_hamiltonian(make_coupling_table(HZ[: len(names), : len(names)], names))


@pytest.mark.parametrize(
    ("names", "probe", "wanted"),
    [
        (("13C", "1H", "1H"), 0, "C H H"),
        (("1H", "15N", "1H"), 1, "H C H"),
        (("13C", "15N", "1H"), 1, "13C C H"),
        (("13C", "19F", "1H"), 0, "C 19F H"),
        (("13C", "19F", "19F"), 0, "C H H"),
        (("13C", "13C", "1H"), (0, 1), "C C H"),
    ],
)
def test_pulses_are_on_the_nuclide_of_the_probe_and_on_protons(names, probe, wanted):
    assert pulse_channels(secular(*names), probe) == tuple(wanted.split())


def test_what_pulses_cannot_tell_apart_is_named():
    with pytest.raises(ValueError, match="`probe` must be of one nuclide that is not that of all"):
        pulse_channels(secular("1H", "1H"))
    with pytest.raises(
        ValueError, match="`hamiltonian` must hold 1H or one nuclide beside the probe"
    ):
        pulse_channels(secular("13C", "19F", "31P"))
    with pytest.raises(
        ValueError, match="`probe` must be the spin that the Hamiltonian was made for"
    ):
        pulse_channels(secular_hamiltonian(HZ), 2)


def test_the_order_of_the_spins_is_seen_by_no_pulsed_method_and_no_circuit():
    """The probe last, once with nuclides and once as a bare table."""
    first, last = secular("13C", "1H", "1H"), secular("13C", "1H", "1H").of((1, 2, 0))
    assert last.isotopes == ("1H", "1H", "13C")
    cycle = tardis_2_like(1e-5)
    times = cycle.duration * np.array([0, 3])
    for method in (Pulses(cycle), PulsedStates(cycle, 4, 1)):
        wanted = echo(first, (2,), 1.2, times, method=method)
        found = echo(last, (1,), 1.2, times, method=method, probe=2)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-10)
        assert found.values[1] < 0.9999
    average, method = reversible_hamiltonian(HZ, 3), ProductFormula(2)
    moved, struck = probe_first(average, (0, 2), 3)
    assert struck == (1, 3)
    found = echo(average, (0, 2), 1.2, [1e-3], method=method, probe=3).values
    np.testing.assert_allclose(found, echo(moved, (1, 3), 1.2, [1e-3], method=method).values)
    exact = echo(average, (0, 2), 1.2, [1e-3], probe=3).values
    np.testing.assert_allclose(echo(moved, struck, 1.2, [1e-3]).values, exact)
    np.testing.assert_allclose(found, exact, atol=0.05)


def test_a_reversal_is_examined_with_a_third_nuclide_left_alone():
    found = examine(tardis_2_like(1e-5, 1e-6), secular("13C", "19F", "1H"))
    assert found.identity < 1e-12

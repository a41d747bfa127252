"""Lines against closed forms: one spin, Pake pair, AX and AB, with signs of ratios."""

import numpy as np
import pytest

from quantum.nmr.average_hamiltonian import secular_hamiltonian
from quantum.nmr.spectrum import free_induction, spectrum_lines
from quantum.spins.coupling_table import make_coupling_table


def pair(coupling, names, scalar=0.0, offsets=(0.0, 0.0)):
    both = np.array([[0.0, 1.0], [1.0, 0.0]])
    table = make_coupling_table(coupling * both, names)
    return secular_hamiltonian(table, scalar_hz=scalar * both, offsets_hz=np.array(offsets))


@pytest.mark.parametrize("name", ["1H", "13C", "15N", "29Si"])
def test_a_line_stands_at_the_offset_whatever_the_sign_of_the_ratio(name):
    found = spectrum_lines(pair(0, (name, "19F"), offsets=(123.0, -50.0)), (0,))
    np.testing.assert_allclose(found.frequencies_hz, [123.0], atol=1e-6)
    np.testing.assert_allclose(found.intensities, [1.0])


def test_like_spins_are_three_d_apart_and_unlike_ones_two_d_and_j():
    like = spectrum_lines(pair(400.0, ("1H", "1H"), scalar=12.0), (0, 1))
    np.testing.assert_allclose(
        like.frequencies_hz, [-600, 600], atol=1e-6
    )  # J of alike spins is not seen
    np.testing.assert_allclose(like.intensities, [0.5, 0.5])
    unlike = spectrum_lines(pair(400.0, ("15N", "1H"), scalar=-90.0, offsets=(20.0, 0.0)), (0,))
    np.testing.assert_allclose(unlike.frequencies_hz, [20 - 355, 20 + 355], atol=1e-6)


def test_two_coupled_shifts_are_the_quartet_of_textbooks():
    scalar, apart = 10.0, 25.0
    found = spectrum_lines(pair(0, ("1H", "1H"), scalar, (apart / 2, -apart / 2)), (0, 1))
    mean = np.hypot(scalar, apart)
    places = np.sort([s * (mean + t * scalar) / 2 for s in (1, -1) for t in (1, -1)])
    np.testing.assert_allclose(found.frequencies_hz, places, atol=1e-6)
    inner = (1 + scalar / mean) / 4
    np.testing.assert_allclose(
        found.intensities, [0.5 - inner, inner, inner, 0.5 - inner], atol=1e-9
    )


def test_the_decay_is_the_sum_of_its_lines_under_one_width():
    lines = spectrum_lines(pair(400.0, ("1H", "1H"), offsets=(70.0, 70.0)), (0, 1))
    times = np.linspace(0, 3e-3, 7)
    found = free_induction(lines, times, 50.0)
    wanted = np.exp(-np.pi * 50 * times + 2j * np.pi * 70 * times) * np.cos(2 * np.pi * 600 * times)
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_what_no_receiver_hears_is_named():
    with pytest.raises(
        ValueError, match=r"`observed` must be spins of one nuclide, but are .0, 1. of 13C, 1H"
    ):
        spectrum_lines(pair(0, ("13C", "1H")), (0, 1))
    with pytest.raises(
        ValueError, match=r"`observed` must be spins of one nuclide, but are .. of none"
    ):
        spectrum_lines(pair(0, ("13C", "1H")), ())
    with pytest.raises(ValueError, match="`width_hz` must lie between"):
        free_induction(spectrum_lines(pair(0, ("1H", "1H")), (0,)), [0.0], -1.0)

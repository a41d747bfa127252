import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm

from quantum.nmr.exact_echo import echo_by_real_sectors
from quantum.nmr.molecular_ruler import (
    dimethylbiphenyl_ruler,
    double_quantum,
    toluene_ruler,
    turning_dimethylbiphenyl,
)
from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product
from quantum.spins.molecule import ANGSTROM

# Computed once by other code from the same lengths; Hz.
ESTIMATES = {
    (0, 1): -4141, (0, 2): 50, (0, 3): 50, (0, 4): -76, (0, 5): -76, (1, 2): -241, (1, 3): -241,
    (1, 4): -192, (1, 5): -192, (2, 3): 27, (2, 4): -1379, (3, 5): -1379, (2, 5): -30, (3, 4): -30,
    (4, 5): 27,
}  # fmt: skip
ESTIMATES_METHYL = {0: -45, 1: -100, 2: -126, 3: -126, 4: -395, 5: -395}
ESTIMATES_ECHO = (1, 0.949, 0.804, 0.814, 0.735, 0.653, 0.589, 0.525, 0.536, 0.473, 0.361)


def _estimated_couplings():
    found = np.zeros((9, 9))
    for (i, j), value in ESTIMATES.items():
        found[i, j] = found[j, i] = value
    for i, value in ESTIMATES_METHYL.items():
        found[i, 6:] = found[6:, i] = value
    found[6:, 6:] = 1883 * (1 - np.eye(3))
    return found


def test_couplings_of_toluene_are_those_of_the_sheet():
    found = toluene_ruler(2.4835e-10).couplings_hz()
    for (i, j), value in ESTIMATES.items():
        assert found[i, j] == pytest.approx(value, abs=1)
    for i, value in ESTIMATES_METHYL.items():
        np.testing.assert_allclose(found[i, 6:], value, atol=1)
    np.testing.assert_allclose(found[6, 7:], 1883, atol=1)


def test_the_echo_of_the_estimated_couplings_is_the_estimated_curve():
    ruler = toluene_ruler(2.4835e-10)
    hamiltonian = double_quantum(_estimated_couplings(), 1, 2 / 9)
    found = echo_by_real_sectors(
        hamiltonian, ruler.struck(), math.pi, 0.375e-3 * np.array([0, 3, 8, 10])
    )
    # Three digits are printed, couplings are rounded to 1 Hz of up to 4 kHz over 4 ms.
    np.testing.assert_allclose(found, np.array(ESTIMATES_ECHO)[[0, 3, 8, 10]], atol=3e-3)


def test_stretching_moves_the_distance_asked_for_and_keeps_the_rest():
    short, long = (np.asarray(toluene_ruler(r * ANGSTROM).molecule.positions) for r in (2.40, 2.55))
    for places, distance in ((short, 2.40), (long, 2.55)):
        for i, j in ((2, 4), (3, 5)):
            apart = np.linalg.norm(places[i] - places[j])
            assert apart == pytest.approx(distance * ANGSTROM)
    np.testing.assert_allclose(short[:4], long[:4])
    moved = np.broadcast_to([0, 0, 0.15 * ANGSTROM], (5, 3))
    np.testing.assert_allclose(long[4:] - short[4:], moved, atol=1e-22)


def test_methyl_groups_average_to_minus_one_half_and_are_what_is_struck():
    ruler = toluene_ruler(2.4835e-10)
    # Closed form: u normal to the rotor averages u^T S u to -S_zz / 2; a circle of radius 1.095 A sin 110.5 degrees.
    side = 1.095 * math.sin(math.radians(110.5)) * math.sqrt(3)
    rigid = -120120 / side**3
    assert ruler.couplings_hz()[6, 7] == pytest.approx(rigid * -0.5 * 0.1758, rel=1e-4)
    assert [ruler.labels[k] for k in ruler.struck()] == ["H6", "H7", "H8"]
    far = dimethylbiphenyl_ruler(0.6)
    assert [far.labels[k] for k in far.struck()] == [f"M{k}" for k in range(6)]


def test_methyl_groups_turn_independently():
    between = dimethylbiphenyl_ruler(0.6).couplings_hz()[9:12, 12:]
    np.testing.assert_allclose(between, between[0, 0], rtol=1e-9)


def test_the_dihedral_angle_changes_only_couplings_between_the_rings():
    here, there = (dimethylbiphenyl_ruler(math.radians(a)).couplings_hz() for a in (30, 50))
    first, second = np.arange(6), np.arange(6, 15)
    np.testing.assert_allclose(here[np.ix_(first, first)], there[np.ix_(first, first)], atol=1e-9)
    np.testing.assert_allclose(
        here[np.ix_(second, second)], there[np.ix_(second, second)], rtol=2e-3
    )
    assert abs(here[1, 6] - there[1, 6]) > 100


def test_the_turn_of_a_whole_turn_and_its_mirror_are_the_same_molecule():
    labels = dimethylbiphenyl_ruler(0.6).labels
    swap = [labels.index(x) for x in ("C", "H6", "H5", "H4", "H3", "H2")] + list(range(6, 15))
    plus, minus = (
        dimethylbiphenyl_ruler(0.6).couplings_hz(),
        dimethylbiphenyl_ruler(-0.6).couplings_hz(),
    )
    mirror = [*swap[:6], 8, 7, 6, 12, 13, 14, 9, 10, 11]
    np.testing.assert_allclose(plus, minus[np.ix_(mirror, mirror)], rtol=1e-6, atol=1e-6)
    whole = dimethylbiphenyl_ruler(0.6 + 2 * math.pi).couplings_hz()
    np.testing.assert_allclose(plus, whole, rtol=1e-9)


def _general(couplings, rng):
    """The probe's S_z with couplings and fields of any form, which no turn about z makes real."""
    tensor = rng.normal(size=(4, 4, 3, 3)) * 900
    tensor = tensor + tensor.transpose(1, 0, 3, 2)
    tensor[np.arange(4), np.arange(4)] = 0
    tensor[0] = tensor[:, 0] = 0
    tensor[0, :, 2, 2] = tensor[:, 0, 2, 2] = 2 * couplings[0]
    fields = rng.normal(size=(4, 3)) * 800
    fields[0] = [0, 0, 700]
    return make_hamiltonian(tensor, fields)


@pytest.mark.parametrize("form", ["yy-xx", "xy+yx", "general"])
def test_the_echo_is_the_trace_over_the_whole_space(form):
    rng = np.random.default_rng(0)
    couplings = rng.normal(size=(4, 4)) * 300
    couplings = couplings + couplings.T
    np.fill_diagonal(couplings, 0)
    general = form == "general"
    hamiltonian = _general(couplings, rng) if general else double_quantum(couplings, 0.8, 0.3, form)
    axis = np.array([0, 2, 1]) / math.sqrt(5)
    generator = sum(
        n * (spin_product(4, {2: a}) + spin_product(4, {3: a})) for a, n in enumerate(axis)
    )
    butterfly = expm(-1.3j * generator)
    times = np.array([0.0, 4e-4, 1.1e-3])
    spin = spin_product(4, {0: 0})
    expected = []
    for time in times:
        u = expm(-1j * time * dense(hamiltonian))
        w = u.conj().T @ butterfly @ u
        expected.append(np.trace(spin @ w @ spin @ w.conj().T).real / np.trace(spin @ spin).real)
    found = echo_by_real_sectors(hamiltonian, (2, 3), 1.3, times)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert expected[2] < 0.95


def test_both_forms_are_one_turned_by_45_degrees():
    couplings = toluene_ruler(2.48e-10).couplings_hz()[:5, :5]
    turn = np.array([[1, -1, 0], [1, 1, 0], [0, 0, math.sqrt(2)]]) / math.sqrt(2)
    rotations = jnp.stack([np.eye(3)] + [turn] * 4)
    one = double_quantum(couplings, 0.7, 0.3).rotated(rotations)
    other = double_quantum(couplings, -0.7, 0.3, "xy+yx")
    np.testing.assert_allclose(one.couplings, other.couplings, atol=1e-9)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`ortho_meta` must lie between .* Is it in metres"):
        toluene_ruler(2.48)
    with pytest.raises(ValueError, match="`dihedral` must lie between"):
        dimethylbiphenyl_ruler(math.nan)
    with pytest.raises(ValueError, match="`form` must be one of"):
        double_quantum(np.zeros((2, 2)), 1, 1, "zz")
    pair = double_quantum(np.array([[0, 1.0], [1, 0]]), 1, 1)
    with pytest.raises(ValueError, match="`times` must be finite and not negative"):
        echo_by_real_sectors(pair, (1,), 1.0, np.array([-1e-3]))
    with pytest.raises(
        ValueError, match="`struck` must be different spins of 0 to 1 other than the probe 0"
    ):
        echo_by_real_sectors(pair, (0,), 1.0, np.zeros(1))
    tensor = np.zeros((2, 2, 3, 3))
    tensor[0, 1, 0, 0] = tensor[1, 0, 0, 0] = 1
    with pytest.raises(ValueError, match="`hamiltonian` must keep S_z"):
        echo_by_real_sectors(make_hamiltonian(tensor), (1,), 1.0, np.zeros(1))
    with pytest.raises(ValueError, match="`hamiltonian` must have 2 to 12 spins, but has 13"):
        echo_by_real_sectors(make_hamiltonian(np.zeros((13, 13, 3, 3))), (1,), 1.0, np.zeros(1))


def test_rings_behind_high_barriers_stay_in_the_four_minima():
    kept, minimum = [0, 1, 6, 8, 9], 2 * math.pi * 5 / 48
    labels = ("C", "H2", "H2'", "H6'", "M0")
    found, struck = turning_dimethylbiphenyl(minimum, 1e6, 10, labels)
    assert struck == (4,)
    angles = (minimum, -minimum, math.pi + minimum, math.pi - minimum)
    wanted = np.mean([dimethylbiphenyl_ruler(a).couplings_hz() for a in angles], axis=0)
    np.testing.assert_allclose(found, wanted[np.ix_(kept, kept)], atol=1e-6)
    with pytest.raises(ValueError, match="`labels` must be one of C, H2"):
        turning_dimethylbiphenyl(minimum, 1e6, 10, ("C", "H9"))

import math

import jax
import numpy as np
import pytest

from quantum.spins.molecule import (
    ANGSTROM,
    GYROMAGNETIC,
    ORTHO_META,
    Bonds,
    dimethylbiphenyl,
    make_molecule,
    read_xyz,
    toluene,
)

WATER = "3\nwater, 17O is left out\nO 0 0 0\nH 0.96 0 0\n1H -0.24 0.93 0.0 extra\n"


def distance(molecule, i, j):
    places = np.asarray(molecule.positions)
    return float(np.linalg.norm(places[i] - places[j])) / ANGSTROM


def test_bond_lengths_are_those_asked_for():
    bonds = Bonds(1.4e-10, 1.08e-10, 1.1e-10, 1.5e-10, 1.48e-10, math.radians(111))
    molecule = toluene(1.4e-10 + 1.08e-10, bonds)
    # 13C, H1 to H8, then ortho, ortho, meta, meta, ipso and the methyl carbon.
    assert distance(molecule, 0, 1) == pytest.approx(1.08)
    assert distance(molecule, 9, 2) == pytest.approx(1.08)
    assert distance(molecule, 0, 9) == pytest.approx(1.4)
    assert distance(molecule, 9, 11) == pytest.approx(1.4)
    assert distance(molecule, 13, 14) == pytest.approx(1.5)
    methyl = [distance(molecule, 14, k) for k in (6, 7, 8)]
    np.testing.assert_allclose(methyl, 1.1, rtol=1e-12)
    # Chord of three sites 120 degrees apart on the cone of the methyl group.
    assert distance(molecule, 6, 8) == pytest.approx(
        math.sqrt(3) * 1.1 * math.sin(math.radians(111))
    )
    places = np.asarray(molecule.positions)
    cosine = (places[6] - places[14]) @ (places[13] - places[14]) / (1.1e-10 * 1.5e-10)
    assert float(cosine) == pytest.approx(math.cos(math.radians(111)))


def test_a_stretch_moves_ortho_and_meta_apart_and_nothing_within_each_half():
    near, far = toluene(ORTHO_META), toluene(ORTHO_META + 0.1e-10)
    for i, j in ((2, 4), (3, 5)):
        assert distance(near, i, j) == pytest.approx(2.4835)
        assert distance(far, i, j) == pytest.approx(2.5835)
    for half in ((0, 1, 2, 3, 9, 10), (4, 5, 6, 7, 8, 11, 12, 13, 14)):
        for i in half:
            for j in half:
                assert distance(near, i, j) == pytest.approx(distance(far, i, j), abs=1e-9)
    slope = jax.jit(jax.jacfwd(lambda r: toluene(r).positions))(ORTHO_META)
    wanted = np.zeros((15, 3))
    wanted[[4, 5, 6, 7, 8, 11, 12, 13, 14], 2] = 1
    np.testing.assert_allclose(slope, wanted, atol=1e-12)


def test_molecules_have_the_atoms_of_the_samples():
    for molecule, atoms, protons, methyl in ((toluene(), 15, 8, 1), (dimethylbiphenyl(0.7), 28, 14, 2)):  # fmt: skip
        assert molecule.positions.shape == (atoms, 3)
        assert molecule.isotopes.count("1H") == protons
        assert molecule.isotopes[0] == "13C"
        assert molecule.isotopes.count("13C") == 1
        assert len(molecule.rotors) == methyl
        spins = molecule.spins()
        assert spins.isotopes == ("13C",) + protons * ("1H",)
        gaps = np.linalg.norm(spins.positions[:, None] - spins.positions[None], axis=-1)
        assert gaps[gaps > 0].min() > 1e-10


def test_the_dihedral_angle_is_that_between_the_rings():
    for angle in (0.0, 0.3, 1.2):
        places = np.asarray(dimethylbiphenyl(angle).positions)
        near = np.cross(
            places[1] - places[0], places[5] - places[0]
        )  # normal of the ring of the 13C
        far = np.cross(places[6] - places[0], places[8] - places[0])
        cosine = abs(near @ far) / np.linalg.norm(near) / np.linalg.norm(far)
        assert cosine == pytest.approx(math.cos(angle))
    # 3' and 5' are meta to the bond between the rings: methyl carbons as far from its end as each other.
    carbons = places[-2:]
    np.testing.assert_allclose(*np.linalg.norm(carbons - places[0], axis=1), rtol=1e-12)
    assert np.all(carbons[:, 2] > places[6, 2])


def test_the_rings_of_dimethylbiphenyl_stand_as_the_labels_say():
    bonds = Bonds(ring=1.4e-10, to_methyl=1.5e-10, between_rings=1.48e-10)
    molecule = dimethylbiphenyl(0.3, bonds)
    places = np.asarray(molecule.positions)
    # 13C and its ring hang down from the origin, the other ring stands up from its own first carbon.
    assert places[:6, 2].max() == 0
    assert places[[*range(6, 15), *range(20, 28)], 2].min() >= 1.48e-10 * (1 - 1e-12)
    assert distance(molecule, 0, 20) == pytest.approx(1.48)
    # H7 is para to the bond between the rings, H6 and H8 ortho: H6 at +y, turned by the angle about +z.
    np.testing.assert_allclose(places[7, :2], 0, atol=1e-16)
    assert math.atan2(-places[6, 0], places[6, 1]) == pytest.approx(0.3)
    np.testing.assert_allclose(places[8, :2], -places[6, :2], atol=1e-16)


def test_the_product_of_ratios_gives_the_constants_of_the_sheet():
    from scipy.constants import hbar, mu_0

    unit = mu_0 * hbar / (8 * math.pi**2) / ANGSTROM**3
    h, c = GYROMAGNETIC["1H"], GYROMAGNETIC["13C"]
    # Computed once by other code, rounded to 1 Hz.
    assert unit * h * h == pytest.approx(120120, abs=0.6)
    assert unit * h * c == pytest.approx(30211, abs=0.6)
    assert unit * c * c == pytest.approx(7598, abs=0.6)


def test_an_xyz_file_is_read_in_angstrom(tmp_path):
    path = tmp_path / "water.xyz"
    path.write_text(WATER + "\n")
    molecule = read_xyz(path)
    assert molecule.isotopes == ("16O", "1H", "1H")
    np.testing.assert_allclose(molecule.positions[1:], [[0.96e-10, 0, 0], [-0.24e-10, 0.93e-10, 0]])
    assert molecule.spins().isotopes == ("1H", "1H")


def test_spins_keep_their_rotors_and_stand_behind_the_rare_ones():
    places = 2e-10 * np.arange(15).reshape(5, 3)
    molecule = make_molecule(places, ("H", "H", "C", "1H", "13C"), ((0, 1, 3),))
    spins = molecule.spins()
    assert spins.isotopes == ("13C", "1H", "1H", "1H")
    assert spins.rotors == ((1, 2, 3),)
    np.testing.assert_allclose(spins.positions, places[[4, 0, 1, 3]])
    np.testing.assert_allclose(spins.gyromagnetic[:2], [6.728284e7, 2.6752e8], rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WATER.replace("3\n", "4\n", 1), "must hold the 4 atoms .* holds 3; is it truncated"),
        (WATER.replace("3\n", "2\n", 1), "must hold the 2 atoms .* holds 3; one molecule a file"),
        (WATER.replace("0.96 0 0", "0.96 0"), "three numbers in line 4, but it reads 'H 0.96 0'"),
        (WATER.replace("0.96", "near"), "three numbers in line 4"),
        (WATER.replace("O 0", "Xx 0"), "`isotopes` must be among .* hold 'Xx'"),
        (WATER.replace("O 0", "99N 0"), "hold '99N'; name the nuclide"),
        (WATER.replace("0.96", "0.06"), "atoms 0 and 1 overlap at 6e-12 m"),
        (WATER.replace("0.96", "nan"), "`positions` must be finite"),
        ("water\n", "must open with the number of atoms, but its first line reads 'water'"),
        ("", "must open with the number of atoms"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "bad.xyz"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_xyz(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="`path` must be a file"):
        read_xyz(tmp_path / "none.xyz")


@pytest.mark.parametrize(
    ("rotors", "message"),
    [
        (((0, 1),), "must hold three atoms"),
        (((0, 1, 2), (2, 3, 4)), "at most once"),
        (((0, 1, 9),), "atoms 0 to 4"),
    ],
)
def test_bad_rotors_are_named(rotors, message):
    with pytest.raises(ValueError, match=message):
        make_molecule(2e-10 * np.arange(15).reshape(5, 3), 5 * ("H",), rotors)


def test_positions_in_angstrom_are_as_far_apart_as_atoms_must_be_in_metres():
    with pytest.raises(ValueError, match="`positions` must have shape"):
        make_molecule(np.zeros((2, 2)), ("H", "H"))

import numpy as np
import pytest

from quantum.nmr import toluene_ruler
from quantum.nmr.stretched_molecule import methyl_groups, read_stretched
from quantum.spins import ANGSTROM, molecule_couplings, toluene
from quantum.spins.molecule import make_molecule

SETTINGS = 'saupe="-0.1582 -0.0176 0.1758" stretch=2,4'


def write(folder, settings=SETTINGS, isotopes=None):
    """Toluene as a file: the 13C is atom 0, protons 1 to 8, the last three of them in the methyl group."""
    molecule = toluene()
    rows = [
        f"{name} {x:.9f} {y:.9f} {z:.9f}"
        for name, (x, y, z) in zip(
            isotopes or molecule.isotopes, np.asarray(molecule.positions) / ANGSTROM, strict=True
        )
    ]
    path = folder / "toluene.xyz"
    path.write_text("\n".join([str(len(rows)), settings, *rows]))
    return path


@pytest.fixture
def own(tmp_path):
    return read_stretched(write(tmp_path))


def test_a_file_of_toluene_is_toluene_at_every_distance(own):
    assert own.distance == pytest.approx(2.4835e-10)
    assert (own.probe, own.struck, own.molecule.rotors) == (0, (6, 7, 8), ((6, 7, 8),))
    for distance in (2.42e-10, 2.55e-10):
        wanted = toluene_ruler(distance).couplings_hz()
        # Nine digits of an angstrom.
        np.testing.assert_allclose(
            molecule_couplings(own.at(distance), own.saupe), wanted, atol=1e-4
        )
    assert own.average(2.5e-10, 1, 2 / 9).isotopes == ("13C", *8 * ("1H",))
    assert own.spins((0, 6)) == (0, 6)


def test_settings_of_the_file_are_taken(tmp_path):
    names = ("H", "13C", "15N", *5 * ("H",), "D", *6 * ("C",))
    said = SETTINGS.replace("2,4", "1,2") + " probe=1 struck=6,7 left_out=2H rotors='6,7,8,14'"
    own = read_stretched(write(tmp_path, said, names))
    assert (own.probe, own.struck, own.stretch) == (1, (6, 7), (1, 2))
    assert own.molecule.left_out == ("2H",)
    assert own.spins((1, 2, 6)) == (0, 1, 6)
    whole = SETTINGS.replace("-0.1582 -0.0176 0.1758", "-0.1582 0 0 0 -0.0176 0 0 0 0.1758")
    np.testing.assert_allclose(read_stretched(write(tmp_path, whole)).saupe, own.saupe)


def test_methyl_groups_are_found_and_others_are_not():
    assert methyl_groups(toluene()) == [(6, 7, 8)]
    deuterated = make_molecule(toluene().positions, ("13C", *7 * ("H",), "D", *6 * ("C",)))
    assert methyl_groups(deuterated) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("stretch=2,4", "must say `saupe` in its second line"),
        ('saupe="0 0 0"', "must say `stretch` in its second line"),
        (SETTINGS.replace("0.1758", "0.2"), "`saupe` must be traceless"),
        (SETTINGS.replace("-0.0176 ", ""), "`saupe` must be three or nine numbers"),
        (SETTINGS.replace("0.1758", "much"), "`saupe` must be three or nine numbers"),
        (SETTINGS.replace("2,4", "2"), "`stretch` must name 2 atoms in .*, but names 1"),
        (
            SETTINGS.replace("2,4", "2,99"),
            "`stretch` must name different atoms of 0 to 14, but names 2, 99",
        ),
        (SETTINGS.replace("2,4", "two,four"), "`stretch` must be numbers of atoms"),
        (SETTINGS.replace("2,4", "6,7"), "`stretch` must not pull a group that turns apart"),
        (SETTINGS + " struck=0", "`struck` must be spins 1/2 other than the probe 0"),
        (SETTINGS + " struck=9", "`struck` must be spins 1/2 other than the probe 0"),
        (SETTINGS + " left_out=13C", "`probe` must be named in the second line"),
        (SETTINGS + " rotors='6,7'", "`rotors` must hold three atoms"),
    ],
)
def test_what_a_file_lacks_or_says_wrong_is_named(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_stretched(write(tmp_path, settings))
    assert str(caught.value).startswith("`")


def test_a_distance_in_angstrom_is_named(own):
    with pytest.raises(ValueError, match=r"`distance` must lie between .* Is it in metres\?"):
        own.at(2.5)

"""XYZ files as others write them: read, or refused in one line."""

import numpy as np
import pytest

from quantum.spins.molecule import read_xyz
from quantum.spins.xyz_file import UNITS, comment_settings, read_comment

ATOMS = "O 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
WATER = "3\nwater\n" + ATOMS
PLACES = 1e-10 * np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
# Methane with our own numbers in the form of QM9: properties, charges, then frequencies, SMILES and InChI.
QM9 = """5
gdb 1\t157.7\t157.7\t157.7\t0.
C\t 0.0\t 0.0\t 0.0\t-0.5357
H\t 0.629\t 0.629\t 0.629\t 0.1339
H\t-0.629\t-0.629\t 0.629\t 0.1339
H\t-0.629\t 0.629\t-0.629\t 0.1339
H\t 0.629\t-0.629\t-6.29*^-1\t 0.1339
1341.3\t1341.3\t1341.3\t1562.7
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


def read(folder, content, **options):
    path = folder / "some.xyz"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_xyz(path, **options)


@pytest.mark.parametrize(
    "content",
    [
        WATER.replace("3\n", "3 atoms\n"),
        WATER.replace("3\n", "  3\n"),
        "\n\n" + WATER,
        WATER + "\n\nmade by hand\n1341.3 1562.7\n",
        WATER.replace("H", "h").replace("O", "o"),
        WATER.replace("H", "1").replace("O", "8"),
        WATER.replace("H 0", "H1 0").replace("O", "O_2"),
        WATER.replace("0.96", "9.6D-1").replace("-0.24", "-2.4d-01").replace("0.93", "0.93*^0"),
        WATER.replace("0 0\n", "0 0 0.417 extra\n"),
        WATER.replace(" ", "\t").replace("\n", "\r\n"),
        WATER.replace("water", "Wasser, 0,96 Å, 20 °C").encode("latin-1"),
        WATER.replace("water", "Å").encode("utf-8-sig"),
        WATER.encode("utf-16"),
        WATER.replace("water", ""),
        WATER.replace("water", "units=angstrom"),
        WATER.replace("water", "E = -76.4 a.u., force 1e-4 hartree/bohr"),
        '3\nProperties=id:I:1:pos:R:3:species:S:1 pbc="F F F"\n1 0 0 0 O\n2 0.96 0 0 H\n3 -0.24 0.93 0 H\n',
        '3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\n' + ATOMS,
    ],
)
def test_a_file_of_any_hand_is_read(tmp_path, content):
    found = read(tmp_path, content)
    assert found.isotopes == ("16O", "1H", "1H")
    np.testing.assert_allclose(found.positions, PLACES, atol=1e-20)


@pytest.mark.parametrize(
    ("content", "unit"),
    [
        (WATER.replace("water", "units=bohr"), "bohr"),
        (WATER.replace("water", "energy=-76.4 Units: Bohr"), "bohr"),
        (WATER.replace("water", "unit = au"), "bohr"),
        (WATER.replace("3\n", "3 atomic\n"), "bohr"),
        (WATER.replace("3\n", "3 angstroem\n"), "angstrom"),
    ],
)
def test_units_that_are_said_are_honoured(tmp_path, content, unit):
    scale = UNITS[unit] / 1e-10
    assert scale == pytest.approx({"bohr": 0.529177210, "angstrom": 1}[unit], rel=1e-8)
    np.testing.assert_allclose(read(tmp_path, content).positions, scale * PLACES, rtol=1e-12)


def test_the_caller_knows_best_about_units_and_frames(tmp_path):
    said = WATER.replace("water", "positions in bohr")
    found = read(tmp_path, said, units="angstrom")
    np.testing.assert_allclose(found.positions, PLACES, atol=1e-20)
    both = read(tmp_path, WATER + WATER.replace("0.96", "0.97"), frame=1)
    assert both.positions[1, 0] == pytest.approx(0.97e-10)
    with pytest.raises(ValueError, match="`units` must be one of angstrom, bohr, nm"):
        read(tmp_path, WATER, units="feet")
    with pytest.raises(ValueError, match="`frame` must be 0 to 0 in"):
        read(tmp_path, WATER, frame=1)


def test_a_file_of_qm9_is_read(tmp_path):
    found = read(tmp_path, QM9)
    assert found.isotopes == ("12C", *4 * ("1H",))
    assert found.positions[4, 2] == pytest.approx(-0.629e-10)


def test_nuclei_of_higher_spin_are_read_and_left_out_by_choice_alone(tmp_path):
    text = "5\nDCN.. \n13C 0 0 0\nN 1.15 0 0\nD -1.07 0 0\nH 0 3 0\nCl 0 0 4\n"
    found = read(tmp_path, text)
    assert found.isotopes == ("13C", "14N", "2H", "1H", "35Cl")
    with pytest.raises(
        ValueError, match=r"holds 14N of spin 1 at 1; .* molecule.without..14N., .2H., .35Cl"
    ):
        found.spins()
    kept = found.without("N", "D").without("Cl").spins()
    assert kept.isotopes == ("13C", "1H")
    assert read(tmp_path, text, left_out=("14N", "2H", "35Cl")).spins().isotopes == kept.isotopes
    with pytest.raises(
        ValueError, match=r"`left_out` must name nuclides of the molecule .*, but names 15N"
    ):
        found.without("15N")
    with pytest.raises(
        ValueError, match="`molecule` must hold a nucleus of spin 1/2, but holds 12C"
    ):
        read(tmp_path, "1\n\nC 0 0 0\n").spins()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WATER + WATER, "must hold one molecule, but holds 2; choose one by `frame`"),
        (WATER + "H 0 0 3\n", "must hold the 3 atoms of its first line, but holds 4"),
        (WATER.replace("water", "units=feet"), "`units` must be angstrom, bohr, nm, but .* says 'feet'"),
        (WATER.replace("water", "coordinates in Bohr"), "`units` must be clear, but .* speaks of 'Bohr'"),
        (WATER.replace("water", "in nm"), "speaks of 'in nm'"),
        (WATER.replace("3\n", "3 reduced\n"), "says 'reduced'; multiply by the cell"),
        (WATER.replace("0.96", "0,96"), "three numbers in line 4"),
        (WATER.replace("0.96", "1_0"), "three numbers in line 4"),
        (WATER.replace("water", "Properties=species:S:1:forces:R:3"), "must name the columns species and pos"),
        (WATER.replace("water", 'Lattice="9 0 0 0 9 0"'), "must give nine numbers as Lattice"),
        ('2\nLattice="6 0 0 0 6 0 0 0 6"\nO 0.2 3 3\nH 5.24 3 3\n', "atoms 0 and 1 are bonded through the wall"),
        (WATER.replace("O 0", "Bq 0"), "hold 'Bq'"),
        ("4.0\n\n" + ATOMS, "must open with the number of atoms, but its first line reads '4.0'"),
        (b"\x89PNG\r\n\x1a\n\0\0", "must be a text file"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith("`")
    assert "\n" not in str(caught.value)


def test_settings_of_a_comment_are_read_with_their_quotes(tmp_path):
    path = tmp_path / "some.xyz"
    path.write_text(WATER.replace("water", "saupe=\"1 2 3\" rotors={1,2,3} Struck='4' note"))
    wanted = {"saupe": "1 2 3", "rotors": "1,2,3", "struck": "4"}
    assert comment_settings(read_comment(path)) == wanted

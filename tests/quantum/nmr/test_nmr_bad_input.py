"""What a caller can get wrong between a molecule and its echo, and what is said about it.

Each message opens with the name in backticks, then rule, value with its unit, and what to do about it.
"""

import math

import numpy as np
import pytest

from experiments.__main__ import main
from quantum.compiling.echo_program import first_order, plan
from quantum.compiling.program_error import make_task
from quantum.compiling.program_search import draw_molecules
from quantum.nmr import average_hamiltonian, exact_echo, molecular_ruler
from quantum.nmr.pulse_sequence import Delay, Pulse
from quantum.nmr.typicality import echo_by_typicality
from quantum.spins.dipolar import TOLUENE_SAUPE, check_saupe, couplings, molecule_couplings
from quantum.spins.hamiltonian import make_hamiltonian
from quantum.spins.molecule import dimethylbiphenyl, make_molecule, toluene
from tests.exact.nmr_calls import (
    APART,
    BACK,
    EARLY,
    PLACES,
    RATIOS,
    TABLE,
    TENSOR,
    TRACEFUL,
    TRACELESS,
    average,
    changed,
    csv,
    echo,
    says_what_is_wrong,
    xyz,
)

# What is called with a folder for files; the name, the rule, the value received, what to do.
CASES = {
    # Overlapping atoms
    "overlap, molecule": (
        lambda _: make_molecule(changed(PLACES, 2, PLACES[0]), 3 * ("H",)),
        "positions", APART, "atoms 0 and 2 overlap at 0 m", "are they in metres?",
    ),
    "overlap, couplings": (
        lambda _: couplings(1e-2 * PLACES, RATIOS, TOLUENE_SAUPE),
        "positions", APART, "atoms 0 and 1 overlap at 1.04e-11 m", "are they in metres?",
    ),
    "overlap, file": (
        lambda at: xyz(at, "0.96", "0.06"),
        "positions", APART, "atoms 0 and 1 overlap at 6e-12 m", "are they in metres?",
    ),
    # Unknown isotopes
    "isotope, molecule": (
        lambda _: make_molecule(PLACES, ("H", "99N", "H")),
        "isotopes", "be among 1H, 12C, 13C", "hold '99N'", "leave out what is none.",
    ),
    "spin 1, couplings": (
        lambda _: molecule_couplings(make_molecule(PLACES, ("H", "N", "H")), TOLUENE_SAUPE),
        "molecule", "hold spins 1/2 or none", "holds 14N of spin 1 at 1", 'molecule.without("14N").',
    ),
    "isotope, file": (
        lambda at: xyz(at, "O 0", "Xx 0"),
        "isotopes", "be among 1H, 12C, 13C", "hold 'Xx'", "leave out what is none.",
    ),
    # Saupe tensors
    "trace, check": (
        lambda _: check_saupe(TRACEFUL), "saupe", "be traceless", "its trace is 0.1", TRACELESS
    ),
    "trace, couplings": (
        lambda _: couplings(PLACES, RATIOS, TRACEFUL),
        "saupe", "be traceless", "its trace is 0.1", TRACELESS,
    ),
    "trace, molecule": (
        lambda _: molecule_couplings(toluene(), TRACEFUL),
        "saupe", "be traceless", "its trace is 0.1", TRACELESS,
    ),
    "trace, drawn": (
        lambda _: draw_molecules(toluene(), TRACEFUL, 1, seed=0),
        "saupe", "be traceless", "its trace is 0.1", TRACELESS,
    ),
    "skew Saupe": (
        lambda _: check_saupe(changed(TOLUENE_SAUPE, (0, 1), 0.2)),
        "saupe", "be symmetric", "differs by 0.2 from its transpose", "give S_ab = S_ba.",
    ),
    "complex Saupe": (
        lambda _: check_saupe(1j * TOLUENE_SAUPE),
        "saupe", "be real", "has an imaginary part of 0.176", "in the frame of the molecule.",
    ),
    "beyond full order": (
        lambda _: check_saupe(np.diag([-0.6, 0.0, 0.6])),
        "saupe", "have eigenvalues between -1/2 and 1", "has -0.6 to 0.6", "(3 l_a l_b - delta_ab) / 2?",
    ),
    # Hamiltonians that are not Hermitian
    "T_ji is not T_ij^T": (
        lambda _: make_hamiltonian(changed(TENSOR, (0, 1, 0, 2), 7.0)),
        "couplings", "satisfy T_ji = T_ij^T for a Hermitian Hamiltonian", "differ by 7 rad/s",
        "give every pair in both orders.",
    ),
    "complex coupling": (
        lambda _: make_hamiltonian(changed(TENSOR, (0, 1, 0, 2), 7j)),
        "couplings", "be real for a Hermitian Hamiltonian", "have an imaginary part of 7 rad/s",
        "decay is no part of H.",
    ),
    "complex field": (
        lambda _: make_hamiltonian(TENSOR, np.full((2, 3), 2j)),
        "fields", "be real for a Hermitian Hamiltonian", "have an imaginary part of 2 rad/s",
        "decay is no part of H.",
    ),
    "spin with itself": (
        lambda _: make_hamiltonian(changed(TENSOR, (0, 0, 2, 2), 3.0)),
        "couplings", "be zero from a spin to itself", "reach 3 rad/s", "use `fields`.",
    ),
    "one order of each pair": (
        lambda _: average_hamiltonian.reversible_hamiltonian(np.triu(TABLE)),
        "couplings_hz", "be finite and symmetric", "differ by 100 Hz", "give every pair in both orders.",
    ),
    "complex D": (
        lambda _: average_hamiltonian.secular_hamiltonian(TABLE * (1 + 0.1j)),
        "couplings_hz", "be real", "has an imaginary part of 10 Hz", "give D_ij of every pair.",
    ),
    "ruler, one order": (
        lambda _: molecular_ruler.double_quantum(np.triu(TABLE), 1.0, 1.0),
        "couplings_hz", "be finite and symmetric", "differ by 100 Hz", "give every pair in both orders.",
    ),
    # Negative times
    "time, echo": (
        lambda _: echo(times=EARLY), "times", "be finite and not negative", "begin at -0.002 s", BACK
    ),
    "time, ruler": (
        lambda _: exact_echo.echo_by_real_sectors(average(), (1,), 1.0, EARLY),
        "times", "be finite and not negative", "begin at -0.002 s", BACK,
    ),
    "time, random states": (
        lambda _: echo_by_typicality(average(), (1,), 1.0, EARLY, n_states=2, seed=0),
        "times", "be finite and not negative", "begin at -0.002 s", BACK,
    ),
    "time, programs": (
        lambda _: make_task([average()], (1,), 1.0, EARLY),
        "times", "be finite and not negative", "begin at -0.002 s", BACK,
    ),
    "time zero, programs": (
        lambda _: make_task([average()], (1,), 1.0, np.array([0.0, 1e-3])),
        "times", "be positive", "begin at 0 s", "the echo is 1 at time 0 for any program.",
    ),
    "time, one program": (
        lambda _: plan(first_order(3, (1,)), -1e-3),
        "time", "be positive", "is -0.001 s", "programs only go out.",
    ),
    "time, gates of a program": (
        lambda _: first_order(3, (1,)).count(-1e-3),
        "time", "be positive", "is -0.001 s", "programs only go out.",
    ),
    "time, delay": (
        lambda _: Delay(-1e-6),
        "duration", "not be negative", "is -1e-06 s", "time goes back by a reversed sequence.",
    ),
    "time, pulse": (
        lambda _: Pulse(1.0, duration=-1e-6),
        "duration", "not be negative", "is -1e-06 s", "time goes back by a reversed sequence.",
    ),
    "time, file": (
        lambda at: csv(at, "-1e-3,1,0.1\n"),
        "times", "not be negative", "begin at -0.001 s", "count from the start of the echo.",
    ),
    # Missing columns
    "column, curve": (
        lambda at: csv(at, "0,1\n", "time_s,value\n"),
        "columns", "include time_s, value, standard_error", "lacks standard_error", "name the columns there.",
    ),
    "no header": (
        lambda at: csv(at, "", ""),
        "columns", "include time_s, value, standard_error", "lacks time_s, value, standard_error",
        "name the columns there.",
    ),
    "cell, curve": (
        lambda at: csv(at, "0,1\n"),
        "standard_error", "be a number", "line 2 holds ''", "give it, or leave the row out.",
    ),
    "column, coordinates": (
        lambda at: xyz(at, "0.96 0 0", "0.96 0"),
        "{folder}/water.xyz", "have a name and three numbers in line 4", "it reads 'H 0.96 0'",
        "give x, y and z in angstrom.",
    ),
    "rows, coordinates": (
        lambda at: xyz(at, "3\n", "4\n"),
        "{folder}/water.xyz", "hold the 4 atoms of its first line", "holds 3", "is it truncated?",
    ),
    # Values that are not finite
    "coordinate, molecule": (
        lambda _: make_molecule(changed(PLACES, (1, 2), np.nan), 3 * ("H",)),
        "positions", "be finite", "holds nan m at (1, 2)", "x, y and z in metres for each isotope.",
    ),
    "coordinate, couplings": (
        lambda _: couplings(changed(PLACES, (2, 0), np.inf), RATIOS, TOLUENE_SAUPE),
        "positions", "be finite", "holds inf m at (2, 0)", "x, y and z for each spin.",
    ),
    "coordinate, file": (
        lambda at: xyz(at, "0.96", "nan"),
        "positions", "be finite", "holds nan m at (1, 0)", "x, y and z in metres for each isotope.",
    ),
    "dihedral": (
        lambda _: dimethylbiphenyl(math.nan), "dihedral", "be finite", "holds nan rad", "give an angle."
    ),
    "order": (
        lambda _: check_saupe(changed(TOLUENE_SAUPE, (1, 1), np.nan)),
        "saupe", "be finite", "holds nan at (1, 1)", "in the frame of the molecule.",
    ),
    "D": (
        lambda _: average_hamiltonian.homonuclear(changed(TABLE, (0, 1), np.nan)),
        "couplings_hz", "be finite", "holds nan Hz at (0, 1)", "give D_ij of every pair.",
    ),
    "J": (
        lambda _: average_hamiltonian.reversible_hamiltonian(TABLE, scalar_hz=np.array([0, np.nan, 0])),
        "scalar_hz", "be finite", "holds nan Hz at (1,)", "0 where it is not known.",
    ),
    "offset": (
        lambda _: average_hamiltonian.reversible_hamiltonian(TABLE, offsets_hz=np.array([0, 0, np.inf])),
        "offsets_hz", "be finite", "holds inf Hz at (2,)", "one for each spin.",
    ),
    "scaling": (
        lambda _: average_hamiltonian.reversible_hamiltonian(TABLE, scaling=(1.0, math.nan)),
        "scaling", "be finite", "holds nan", "give eta_homo and eta_heter.",
    ),
    "tensor": (
        lambda _: make_hamiltonian(changed(TENSOR, (0, 1), np.nan)),
        "couplings", "be finite", "hold 9 values that are not", "give 0 rad/s for none.",
    ),
    "times": (
        lambda _: echo(times=np.array([1e-3, np.nan])),
        "times", "be finite", "holds nan s at (1,)", "give a list of seconds.",
    ),
    "angle": (lambda _: echo(angle=math.nan), "angle", "be finite", "holds nan rad", "give an angle."),
    "ruler's angle": (
        lambda _: exact_echo.echo_by_real_sectors(average(), (1,), math.inf, EARLY[:1]),
        "angle", "be finite", "holds inf rad", "give an angle.",
    ),
    "value of a curve": (
        lambda at: csv(at, "0,nan,0.1\n"),
        "values", "be finite", "holds nan at (0,)", "leave out what was not measured.",
    ),
    # Wrong shapes and lengths
    "flat molecule": (
        lambda _: make_molecule(PLACES[:, :2], 3 * ("H",)),
        "positions", "have shape (3, 3)", "has (3, 2)", "x, y and z in metres for each isotope.",
    ),
    "flat spins": (
        lambda _: couplings(PLACES[:, :2], RATIOS, TOLUENE_SAUPE),
        "positions", "have shape (spins, 3)", "has (3, 2)", "x, y and z for each spin.",
    ),
    "ratios": (
        lambda _: couplings(PLACES, RATIOS[:2], TOLUENE_SAUPE),
        "gyromagnetic", "have shape (3,)", "has (2,)", "one for each position.",
    ),
    "flat order": (
        lambda _: check_saupe(np.zeros((2, 2))),
        "saupe", "have shape (3, 3)", "has (2, 2)", "in the frame of the molecule.",
    ),
    "table": (
        lambda _: average_hamiltonian.reversible_hamiltonian(TABLE[:2]),
        "couplings_hz", "have shape (spins, spins)", "has (2, 3)", "give D_ij of every pair.",
    ),
    "J of some": (
        lambda _: average_hamiltonian.reversible_hamiltonian(TABLE, scalar_hz=np.zeros(2)),
        "scalar_hz", "have shape (3,)", "has (2,)", "0 where it is not known.",
    ),
    "offsets of some": (
        lambda _: average_hamiltonian.secular_hamiltonian(TABLE, offsets_hz=np.zeros(2)),
        "offsets_hz", "have shape (3,)", "has (2,)", "one for each spin.",
    ),
    "axis in a plane": (
        lambda _: echo(axis=np.array([1.0, 0.0])),
        "axis", "have shape (3,)", "has (2,)", "give x, y and z.",
    ),
    "long axis": (
        lambda _: exact_echo.echo_by_real_sectors(average(), (1,), 1.0, EARLY[:1], axis=np.array([0.0, 2.0, 0.0])),
        "axis", "lie between 0.999999 and 1", "is 2 long", "Divide it by its length.",
    ),
    "times in a table": (
        lambda _: echo(times=np.full((1, 2), 1e-3)),
        "times", "have shape (times,)", "has (1, 2)", "give a list of seconds.",
    ),
    "tensors": (
        lambda _: make_hamiltonian(TABLE),
        "couplings", "have shape (spins, spins, 3, 3)", "has (3, 3)", "give a 3 x 3 tensor a pair.",
    ),
    "fields": (
        lambda _: make_hamiltonian(TENSOR, np.zeros(3)),
        "fields", "have shape (2, 3)", "has (3,)", "give one a spin.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_message_gives_name_rule_value_and_fix(case, tmp_path):
    says_what_is_wrong(case, tmp_path)


def test_the_same_calls_pass_with_good_input(tmp_path):
    """So that no case fails for another reason than the one it changes."""
    molecule = make_molecule(PLACES, ("H", "13C", "H"))
    assert np.isfinite(molecule_couplings(molecule, TOLUENE_SAUPE)).all()
    assert xyz(tmp_path).isotopes == ("16O", "1H", "1H")
    assert csv(tmp_path, "0,1,0.1\n").times.size == 1
    ruler = exact_echo.echo_by_real_sectors(average(), (1,), 1.0, EARLY[:1])
    np.testing.assert_allclose(echo(), ruler, atol=1e-12)
    assert first_order(3, (1,)).count(1e-3) > 0
    assert first_order(3, (1,)).count(0) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--ortho-meta", "2.48"], "`ortho_meta` must lie between 1e-10 and 1e-09 m, but is 2.48 m; did you mean"),
        (["--angle", "nan"], "`angles` must be finite, but are (nan"),
        (["--pulse", "-1e-5"], "`pulse` must lie between 0 and 1e-4 s, but is -1e-05 s"),
    ],
)  # fmt: skip
def test_the_command_line_says_it_in_one_line(words, said, tmp_path, capsys):
    code = main(["run", "nmr_echo", "--scale", "quick", "--out", str(tmp_path), *words])
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert [line for line in lines if line.startswith("lightecho: ")] == lines[-1:]
    assert said in lines[-1]

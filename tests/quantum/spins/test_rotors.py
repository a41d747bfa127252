import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from quantum.spins.dipolar import couplings, molecule_couplings
from quantum.spins.molecule import ANGSTROM, make_molecule
from quantum.spins.rotors import check_turning, turning_line

FULL = 0.4 * np.diag([-0.5, -0.5, 1.0])
ORDER = np.diag([-0.3, 0.1, 0.2])


def methyl(bond=1.09, angle=109.4712):
    """A carbon at the origin and three protons on a cone about z, in angstrom."""
    turns, tilt = 2 * np.pi * np.arange(3) / 3, np.deg2rad(180 - angle)
    ring = np.stack([np.cos(turns), np.sin(turns), np.full(3, 1 / np.tan(tilt))], 1)
    return np.concatenate([np.zeros((1, 3)), bond * np.sin(tilt) * ring])


def ring(radius):
    turns = 2 * np.pi * np.arange(6) / 6
    return radius * np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)


TILT = Rotation.from_euler("xyz", [0.3, 1.0, -0.7]).as_matrix()


@pytest.mark.parametrize("group", [(0, 1, 2, 3), (2, 0, 3, 1), (1, 2, 3), (3, 1, 2)])
def test_a_methyl_group_turns_about_its_axis_with_or_without_its_carbon(group):
    molecule = make_molecule(ANGSTROM * methyl(), ["13C", "H", "H", "H"], (group,))
    found = np.asarray(molecule_couplings(molecule, FULL))
    # P_2 of the tetrahedral angle and of a right one; published digits are for angles of 109.47 degrees.
    np.testing.assert_allclose(found[0, 1:], 3110.6, atol=0.3)
    np.testing.assert_allclose(found[[1, 1, 2], [2, 3, 3]], 4259.9, atol=0.3)


def test_a_tilted_ring_turns_about_its_normal_whatever_the_order_of_its_atoms():
    atoms = ANGSTROM * np.concatenate([ring(2.48), ring(1.397)]) @ TILT.T
    orders = (
        (0, 3, 1, 2, 4, 5),
        (5, 1, 0, 4, 2, 3),
        tuple(range(12)),
        (6, 0, 9, 3, 7, 1, 10, 4, 8, 2, 11, 5),
    )
    found = [
        np.asarray(molecule_couplings(make_molecule(atoms, 6 * ["H"] + 6 * ["C"], (group,)), ORDER))
        for group in orders
    ]
    normal = TILT @ [0, 0, 1]
    for k in (1, 2, 3):
        # -1/2 of the coupling of a pair along the normal.
        wanted = (
            0.5 * 120120.16 * (normal @ ORDER @ normal) / (2 * 2.48 * np.sin(np.pi * k / 6)) ** 3
        )
        for table in found:
            assert table[0, k] == pytest.approx(wanted, rel=1e-5)


def test_a_long_group_turns_about_its_length():
    chain = np.concatenate([[[0, 0, -1.5]], methyl()]) @ TILT.T
    _, axis = turning_line(jnp.asarray(chain))
    np.testing.assert_allclose(np.abs(axis @ TILT @ np.array([0, 0, 1.0])), 1, atol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_line_follows_the_atoms_as_differences_say(n):
    """Also where two moments coincide, at which the derivative of eigenvectors alone would not be finite."""
    atoms = np.concatenate([methyl()[1:], methyl()[:1], [[0, 0, -1.5]]])[:n] @ TILT.T
    step = np.random.default_rng(n).normal(size=atoms.shape)

    def line(at):
        centre, axis = turning_line(jnp.asarray(at))
        return jnp.concatenate([centre, axis * jnp.sign(axis[2])])

    _, found = jax.jvp(line, (jnp.asarray(atoms),), (jnp.asarray(step),))
    small = 1e-5
    wanted = (line(atoms + small * step) - line(atoms - small * step)) / (2 * small)
    np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_atoms_without_spin_and_left_out_ones_fix_the_axis_too():
    # CH2D: two protons that stay would show no axis; with carbon and deuteron they turn as in CH3.
    atoms, group = ANGSTROM * methyl() @ TILT.T, ((0, 1, 2, 3),)
    whole = molecule_couplings(make_molecule(atoms, ["C", "H", "H", "H"], group), ORDER)
    part = make_molecule(atoms, ["C", "H", "H", "D"], group).without("D")
    assert molecule_couplings(part, ORDER)[0, 1] == pytest.approx(float(whole[0, 1]))
    with pytest.raises(ValueError, match="`rotors` must keep their axis"):
        part.spins()
    # Three protons of CH3 show the line of all four.
    same = make_molecule(atoms, ["C", "H", "H", "H"], group).spins()
    np.testing.assert_allclose(molecule_couplings(same, ORDER), whole, rtol=1e-9)
    moved = atoms + 1e-11 * np.eye(4, 3)
    with pytest.raises(ValueError, match="`rotors` must keep their axis"):
        make_molecule(moved, ["C", "H", "H", "H"], group).spins()


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (np.arange(9.0).reshape(3, 3), "must not lie on a line, but .0, 1, 2. does"),
        (np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]]), "must show an axis"),
        (np.array([[1, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 3], [0, 0, -3.0]]), "must show an axis"),
    ],
)  # fmt: skip
def test_a_group_without_an_axis_is_named(atoms, message):
    group = (tuple(range(len(atoms))),)
    with pytest.raises(ValueError, match=f"`rotors` {message}"):
        check_turning(atoms, group)
    with pytest.raises(ValueError, match=f"`rotors` {message}"):
        couplings(ANGSTROM * atoms, np.full(len(atoms), 2.675e8), ORDER, group)

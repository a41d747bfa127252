import jax
import numpy as np
import pytest

from quantum.spins.hamiltonian import dense, make_hamiltonian, spin_product


def random_hamiltonian(n_spins, seed=0):
    rng = np.random.default_rng(seed)
    upper = np.triu(np.ones((n_spins, n_spins)), 1)[..., None, None]
    couplings = upper * rng.normal(size=(n_spins, n_spins, 3, 3))
    couplings = couplings + couplings.transpose(1, 0, 3, 2)
    return make_hamiltonian(couplings, rng.normal(size=(n_spins, 3)))


def test_two_spins_with_a_dipolar_coupling_have_singlet_and_triplet_levels():
    """3 Iz Iz - I.I has the eigenvalues 1/2 (twice), -1 and, for the singlet, 0."""
    tensor = np.zeros((2, 2, 3, 3))
    tensor[0, 1] = tensor[1, 0] = np.diag([-1, -1, 2])
    levels = np.linalg.eigvalsh(dense(make_hamiltonian(tensor)))
    np.testing.assert_allclose(levels, [-1, 0, 0.5, 0.5], atol=1e-12)


def test_a_field_along_z_puts_spin_0_first():
    energies = np.diag(
        dense(
            make_hamiltonian(np.zeros((2, 2, 3, 3)), np.diag([0, 0, 4.0])[[2, 2]] * [[1], [0.25]])
        )
    )
    np.testing.assert_allclose(energies, [2.5, 1.5, -1.5, -2.5], atol=1e-12)


def test_turning_tensors_is_turning_spins():
    """exp(-i a Iy) on every spin and the rotation by a about y give the same matrix."""
    before = random_hamiltonian(3)
    angles = (0.3, -1.1, 2.0)
    rotations, unitary = [], np.eye(1)
    for a in angles:
        rotations.append([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        half = [[np.cos(a / 2), -np.sin(a / 2)], [np.sin(a / 2), np.cos(a / 2)]]
        unitary = np.kron(unitary, half)
    turned = unitary @ dense(before) @ unitary.conj().T
    np.testing.assert_allclose(dense(before.rotated(np.array(rotations))), turned, atol=1e-12)


def test_sums_and_multiples_are_those_of_matrices():
    a, b = random_hamiltonian(3, 1), random_hamiltonian(3, 2)
    np.testing.assert_allclose(dense(2 * a - b), 2 * dense(a) - dense(b), atol=1e-12)
    np.testing.assert_allclose(dense(-(a + b)), -dense(a) - dense(b), atol=1e-12)
    assert np.abs(dense(a) - dense(a).conj().T).max() == 0


def test_products_of_spin_operators_commute_as_they_should():
    x, y, z = (spin_product(2, {1: axis}) for axis in range(3))
    np.testing.assert_allclose(x @ y - y @ x, 1j * z, atol=1e-15)
    np.testing.assert_allclose(
        spin_product(2, {0: 2, 1: 0}), np.kron(np.diag([0.5, -0.5]), [[0, 0.5], [0.5, 0]])
    )


def test_a_hamiltonian_passes_through_a_transformation():
    norm = jax.jit(lambda h: (h.couplings**2).sum() + (h.fields**2).sum())
    hamiltonian = random_hamiltonian(3)
    gradient = jax.grad(norm)(hamiltonian)
    np.testing.assert_allclose(gradient.fields, 2 * hamiltonian.fields)
    assert hamiltonian.n_spins == 3


def _one(value, at):
    tensor = np.zeros((2, 2, 3, 3), dtype=np.result_type(value))
    tensor[at] = value
    return tensor


@pytest.mark.parametrize(
    ("couplings", "fields", "message"),
    [
        (np.zeros((2, 3, 3, 3)), None, r"`couplings` must have shape \(spins, spins, 3, 3\)"),
        (np.zeros((2, 2, 3, 3)), np.zeros(2), r"`fields` must have shape \(2, 3\)"),
        (_one(1.0, (0, 1, 0, 2)), None, "`couplings` must satisfy T_ji"),
        (_one(1.0, (0, 0, 2, 2)), None, "`couplings` must be zero from a spin to itself"),
        (_one(1j, (0, 1, 0, 2)), None, "`couplings` must be real for a Hermitian"),
        (np.zeros((2, 2, 3, 3)), np.full((2, 3), np.nan), "`fields` must be finite"),
    ],
)
def test_what_is_no_hamiltonian_is_named(couplings, fields, message):
    with pytest.raises(ValueError, match=message):
        make_hamiltonian(couplings, fields)


def test_a_matrix_too_large_is_refused():
    with pytest.raises(ValueError, match="at most 13 spins"):
        dense(make_hamiltonian(np.zeros((14, 14, 3, 3))))

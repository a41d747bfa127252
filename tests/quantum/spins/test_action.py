import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quantum.spins import action as spin_action
from quantum.spins.hamiltonian import dense, make_hamiltonian


def drawn(n, seed=0, *, real=False, fields=True):
    """Random couplings and fields in rad/s; real ones hold no odd power of I_y."""
    rng = np.random.default_rng(seed)
    tensor = rng.normal(size=(n, n, 3, 3))
    field = rng.normal(size=(n, 3)) * fields
    if real:
        tensor[..., 1, (0, 2)] = tensor[..., (0, 2), 1] = 0
        field[:, 1] = 0
    tensor = np.where(np.arange(n)[:, None, None, None] < np.arange(n)[:, None, None], tensor, 0)
    return make_hamiltonian(tensor + tensor.transpose(1, 0, 3, 2), field)


def states(n, seed=1, batch=2):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(batch, 2**n)) + 1j * rng.normal(size=(batch, 2**n)))


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("n", [1, 2, 6, 7, 8])
def test_the_action_is_the_dense_matrix(n, real):
    hamiltonian, columns = drawn(n, real=real), states(n)
    found = spin_action.apply(hamiltonian, columns, precision="double")
    wanted = np.asarray(columns) @ np.asarray(dense(hamiltonian)).T
    np.testing.assert_allclose(found, wanted, atol=1e-11)


def test_blocks_hold_every_spin_once_and_three_at_most():
    assert [list(block) for block in spin_action.blocks(6)] == [[0, 1, 2, 3, 4, 5]]
    for n in range(7, 20):
        held = spin_action.blocks(n)
        assert [spin for block in held for spin in block] == list(range(n))
        assert max(map(len, held)) <= 3


def test_a_real_hamiltonian_has_real_matrices_and_another_has_not():
    assert spin_action.make_action(drawn(7, real=True), precision="double").is_real
    assert not spin_action.make_action(drawn(7), precision="double").is_real
    with pytest.raises(ValueError, match="`real` must be False"):
        spin_action.make_action(drawn(7), precision="double", real=True)


def test_a_turn_of_45_degrees_makes_xy_couplings_real_and_keeps_the_spectrum():
    tensor = np.zeros((3, 3, 3, 3))
    for i, j, size in ((0, 1, 1.3), (0, 2, -0.4), (1, 2, 0.7)):
        tensor[i, j] = tensor[j, i] = size * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0.5]])
    hamiltonian = make_hamiltonian(tensor)
    turned, rotation = spin_action.real_frame(hamiltonian)
    assert spin_action.is_real(turned)
    assert not spin_action.is_real(hamiltonian)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    energies = [np.linalg.eigvalsh(np.asarray(dense(h))) for h in (hamiltonian, turned)]
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-12)


@pytest.mark.parametrize("seed", [0, 3])
def test_bounds_hold_the_spectrum_and_lanczos_comes_close(seed):
    hamiltonian = drawn(8, seed, real=True)
    action = spin_action.make_action(hamiltonian, precision="double")
    energies = np.linalg.eigvalsh(np.asarray(dense(hamiltonian)))
    safe, near = spin_action.rigorous_bounds(action), spin_action.spectral_bounds(action)
    for bounds in (safe, near):
        assert bounds.lowest <= energies[0]
        assert energies[-1] <= bounds.highest
    assert near.highest - near.lowest < 1.03 * (energies[-1] - energies[0])


def test_scaling_is_that_of_the_matrix():
    action = spin_action.make_action(drawn(7), precision="double")
    columns = spin_action.to_columns(states(7), action)
    found, plain = jax.jit(lambda a, c: (a.scaled(0.7, 2.5)(c), a(c)))(action, columns)
    np.testing.assert_allclose(found, (plain - 0.7 * np.asarray(columns)) / 2.5, atol=1e-11)


def test_columns_go_there_and_back_and_i_is_i():
    for real in (False, True):
        action = spin_action.make_action(drawn(4, real=real), precision="double")
        psi = states(4, batch=3)
        columns = spin_action.to_columns(psi, action)
        np.testing.assert_array_equal(spin_action.from_columns(columns, (3,)), psi)
        np.testing.assert_allclose(
            spin_action.from_columns(spin_action.times_i(columns), (3,)), 1j * psi
        )


def test_the_gradient_by_a_coupling_is_the_expectation_of_its_operator():
    hamiltonian, psi = drawn(7, real=True), states(7, batch=1)

    @jax.jit
    def energy(scale):
        moved = spin_action.apply(
            make_hamiltonian_like(hamiltonian, scale), psi, precision="double"
        )
        return jnp.vdot(psi, moved).real

    wanted = np.vdot(psi[0], np.asarray(dense(hamiltonian)) @ psi[0]).real
    assert jax.grad(energy)(1.0) == pytest.approx(wanted, rel=1e-10)


def make_hamiltonian_like(hamiltonian, scale):
    return type(hamiltonian)(hamiltonian.couplings * scale, hamiltonian.fields * scale)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="`precision` must be"):
        spin_action.complex_type("half")

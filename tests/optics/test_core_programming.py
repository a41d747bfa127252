import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.core_programming import program_core, triangular_mesh
from optics.mesh_decomposition import decompose_unitary


def random_complex(seed, *shape):
    random = np.random.default_rng(seed)
    return random.normal(size=shape) + 1j * random.normal(size=shape)


def haar(seed, n):
    return np.linalg.qr(random_complex(seed, n, n))[0]


@eqx.filter_jit
def programmed(matrix, symmetric):
    core = program_core(matrix, symmetric=symmetric)
    return core, core.matrix()


@pytest.mark.parametrize("n", [2, 5])
def test_phases_are_those_of_the_decomposition_on_values(n):
    unitary = haar(n, n)
    found, expected = (
        jax.jit(triangular_mesh)(jnp.asarray(unitary)),
        decompose_unitary(unitary, layout="triangular"),
    )
    there = expected.present
    for name in ("theta", "phi"):
        difference = np.exp(1j * getattr(found, name)) - np.exp(1j * getattr(expected, name))
        assert np.abs(difference[there]).max() < 1e-10
    assert np.abs(found.matrix() - unitary).max() < 1e-12


@pytest.mark.parametrize("unitary", [np.eye(4), np.fliplr(np.eye(4)), np.diag([1, -1, 1j, 1])])
def test_vanishing_elements_leave_no_undefined_phase(unitary):
    mesh = triangular_mesh(jnp.asarray(unitary, complex))
    assert np.abs(mesh.matrix() - unitary).max() < 1e-12


def test_a_symmetric_matrix_gets_tied_phases():
    a = random_complex(1, 6, 6)
    core, matrix = programmed(jnp.asarray(a + a.T), True)
    assert core.mirror is None
    assert np.abs(matrix - a - a.T).max() < 1e-12


def test_any_other_matrix_gets_phases_of_its_own_in_each_half():
    a = jnp.asarray(random_complex(2, 6, 6))
    core, matrix = programmed(a, False)
    assert np.abs(core.mirror.theta - core.mesh.theta).max() > 0.1
    assert np.abs(matrix - a).max() < 1e-12
    assert float(core.attenuation.max()) == pytest.approx(1)


@pytest.mark.parametrize("symmetric", [True, False])
def test_phases_follow_a_slowly_changing_matrix(symmetric):
    a, b = random_complex(3, 6, 6), random_complex(4, 6, 6)
    if symmetric:
        a, b = a + a.T, b + b.T
    near = (
        programmed(jnp.asarray(a), symmetric)[0],
        programmed(jnp.asarray(a + 1e-6 * b), symmetric)[0],
    )
    # Phases move by the change over the gaps of the singular values, here 0.1 and more.
    moved = [np.exp(1j * core.mesh.pack()) for core in near]
    assert np.abs(moved[0] - moved[1]).max() < 1e-3


def test_a_batch_under_jit_is_the_loop():
    batch = jnp.asarray(random_complex(5, 3, 6, 6))
    found = jax.jit(jax.vmap(lambda a: program_core(a, symmetric=False).matrix()))(batch)
    assert np.abs(found - batch).max() < 1e-12

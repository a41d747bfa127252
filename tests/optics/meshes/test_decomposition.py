import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.meshes.decomposition import decompose_matrix, decompose_unitary

MATRIX = eqx.filter_jit(lambda mesh: mesh.matrix())
LAYOUTS = ("rectangular", "triangular")


def haar(n, seed=0):
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    return q * (np.diag(r) / np.abs(np.diag(r)))


MATRICES = {f"random{n}": haar(n, n) for n in (2, 5, 8, 33, 64)} | {
    "identity": np.eye(5),
    "reversal": np.eye(6)[::-1],
    "cyclic": np.roll(np.eye(5), 1, axis=0),
    "dft": np.fft.fft(np.eye(8), norm="ortho"),
    "hadamard": np.kron(*2 * [np.array([[1.0, 1], [1, -1]]) / np.sqrt(2)]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_reconstruction(matrix, layout):
    mesh = decompose_unitary(np.asarray(matrix, complex), layout=layout)
    np.testing.assert_allclose(MATRIX(mesh), matrix, atol=1e-10)
    # No cell that the layout lacks was used, and theta stays in its range.
    assert not np.any(np.asarray(mesh.theta)[~mesh.present])
    assert np.all((mesh.theta >= 0) & (mesh.theta <= np.pi))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_identity_needs_bar_cells_only(layout):
    mesh = decompose_unitary(np.eye(6, dtype=complex), layout=layout)
    np.testing.assert_allclose(np.asarray(mesh.theta)[mesh.present], np.pi)


def test_two_ports_in_closed_form():
    # T(theta, 0) of a single cell returns its own theta.
    mesh = decompose_unitary(np.array([[0.6, 0.8], [0.8, -0.6]]), layout="triangular")
    np.testing.assert_allclose(mesh.theta[0, 0], 2 * np.arctan2(0.6, 0.8), rtol=1e-14)


@pytest.mark.parametrize(
    ("shape", "layout"), [((4, 4), "rectangular"), ((3, 5), "triangular"), ((5, 2), "rectangular")]
)
def test_any_matrix_by_two_meshes_and_attenuators(shape, layout):
    rng = np.random.default_rng(1)
    matrix = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    core = decompose_matrix(matrix, layout=layout)
    assert core.left.layout == core.right.layout == layout
    np.testing.assert_allclose(MATRIX(core), matrix, atol=1e-12)
    fields = jnp.asarray(rng.standard_normal((2, 3, shape[1])) + 0j)
    np.testing.assert_allclose(eqx.filter_jit(core)(fields), fields @ matrix.T, atol=1e-12)
    # Passive: the largest transmission is 1, and the gain is the spectral norm.
    assert core.attenuation.max() == 1
    np.testing.assert_allclose(core.gain, np.linalg.norm(matrix, 2), rtol=1e-13)


def test_singular_matrix_is_realised():
    matrix = np.outer([1.0, 2, 3], [1, -1j, 2])
    np.testing.assert_allclose(MATRIX(decompose_matrix(matrix)), matrix, atol=1e-12)


def test_single_precision_matrix_gives_a_single_precision_mesh():
    core = decompose_matrix(haar(4), dtype=jnp.complex64)
    assert {leaf.dtype for leaf in jax.tree.leaves(core)} == {jnp.dtype(jnp.float32)}
    matrix = jnp.asarray(haar(4), jnp.complex64)
    mesh = decompose_unitary(matrix)
    assert MATRIX(mesh).dtype == jnp.complex64
    np.testing.assert_allclose(MATRIX(mesh), matrix, atol=2e-6)  # 6e-8 times some 30 operations


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (2 * np.eye(3), "`unitary` must be unitary, but U\\^H U differs from 1 by 3"),
        (np.ones((2, 3)), "`unitary` must be square, but its shape is \\(2, 3\\)"),
        (np.full((2, 2), np.nan), "`unitary` must be finite"),
        (np.ones((1, 1)), "`unitary` must be at least 2 x 2"),
    ],
)
def test_what_is_no_unitary_is_named(matrix, message):
    with pytest.raises(ValueError, match=message):
        decompose_unitary(matrix)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 2)), "`matrix` must not be zero"),
        (np.ones((1, 4)), "`matrix` must be at least 2 x 2"),
        (np.full((2, 2), np.inf), "`matrix` must be finite"),
    ],
)
def test_what_cannot_be_realised_is_named(matrix, message):
    with pytest.raises(ValueError, match=message):
        decompose_matrix(matrix)


def test_wrong_port_count_of_a_core_is_named():
    core = decompose_matrix(np.ones((2, 3)))
    with pytest.raises(ValueError, match="`fields` must have last axes \\(3,\\)"):
        core(jax.numpy.ones(2, complex))

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.meshes.takagi import check_unitary, symmetric_unitary_factor, takagi


def random_complex(seed, *shape):
    random = np.random.default_rng(seed)
    return random.normal(size=shape) + 1j * random.normal(size=shape)


def haar(seed, n):
    return np.linalg.qr(random_complex(seed, n, n))[0]


def symmetric(seed, n, values=None):
    v = haar(seed, n)
    values = np.random.default_rng(seed).uniform(0.1, 1, n) if values is None else values
    return (v * np.asarray(values)) @ v.T


REAL = np.random.default_rng(5).normal(size=(6, 6))
MATRICES = {
    "random": symmetric(0, 6),
    "one by one": np.array([[-2j]]),
    "identity": np.eye(6),
    "minus identity": -np.eye(6),
    "swap": np.fliplr(np.eye(6)),
    "real": REAL + REAL.T,
    "real negative definite": -REAL @ REAL.T,
    "symmetric unitary": symmetric(1, 6, np.ones(6)),
    "twofold degenerate": symmetric(2, 6, [1, 1, 0.5, 0.5, 0.2, 0.2]),
    "rank one": symmetric(3, 6, [1, 0, 0, 0, 0, 0]),
    "degenerate and singular": symmetric(4, 6, [2, 2, 1, 0, 0, 0]),
    "nearly degenerate": symmetric(6, 6, [1, 1 + 1e-9, 1 + 2e-12, 1e-7, 1.1e-7, 1e-13]),
    "zero": np.zeros((6, 6), complex),
    "nilpotent": np.array([[1, 1j], [1j, -1]]),  # Defective, yet it has singular values 2 and 0.
    "tiny": 1e-150 * symmetric(8, 6),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_factors_reconstruct_with_a_unitary_and_falling_values(matrix):
    v, s = map(np.asarray, takagi(matrix))
    scale = np.abs(matrix).max() or 1.0
    # Rounding times size: 2e-16 n with a margin of 100; the issue asks for 1e-10.
    assert np.abs((v * s) @ v.T - matrix).max() < 1e-13 * scale
    assert np.abs(v.conj().T @ v - np.eye(len(matrix))).max() < 1e-13
    assert np.all(s >= 0)
    assert np.all(np.diff(s) <= 0)


@pytest.mark.parametrize("name", ["random", "degenerate and singular", "minus identity"])
def test_values_are_the_singular_values(name):
    _, s = takagi(MATRICES[name])
    assert np.allclose(s, np.linalg.svd(MATRICES[name], compute_uv=False), atol=1e-13)


def test_a_batch_under_jit_is_the_loop():
    batch = np.stack([symmetric(seed, 6) for seed in range(3)])
    v, s = jax.jit(jax.vmap(takagi))(jnp.asarray(batch))
    again = jnp.einsum("bik,bk,bjk->bij", v, s, v)
    assert np.allclose(again, batch, atol=1e-13)
    assert np.allclose(takagi(batch)[1], s, atol=1e-13)


def test_single_precision_stays_single_and_near():
    matrix = symmetric(0, 16).astype(np.complex64)
    v, s = takagi(matrix)
    assert v.dtype == jnp.complex64
    assert s.dtype == jnp.float32
    assert np.abs((np.asarray(v) * np.asarray(s)) @ np.asarray(v).T - matrix).max() < 1e-5


def test_a_symmetric_unitary_is_v_times_its_transpose():
    unitary = symmetric(9, 6, np.ones(6))
    v = np.asarray(symmetric_unitary_factor(unitary))
    assert np.abs(v @ v.T - unitary).max() < 1e-13
    check_unitary(v, "v")


def test_the_factor_of_a_unitary_is_free_by_a_real_rotation():
    unitary = symmetric(9, 6, np.ones(6))
    v = np.asarray(symmetric_unitary_factor(unitary))
    rotation = np.linalg.qr(REAL)[0]
    assert np.abs((v @ rotation) @ (v @ rotation).T - unitary).max() < 1e-13


@pytest.mark.parametrize(
    ("function", "matrix", "message"),
    [
        (takagi, np.ones((2, 3)), r"`matrix` must be square, but its shape is \(2, 3\)"),
        (takagi, np.array([[0, 1], [-1, 0.0]]), r"`matrix` must be symmetric .* reaches 2"),
        (takagi, np.array([[1, 1j], [-1j, 1]]), "no conjugate"),
        (takagi, np.array([[np.nan, 0], [0, 1.0]]), "`matrix` must be finite"),
        (
            symmetric_unitary_factor,
            2 * np.eye(2),
            "`unitary` must be unitary, but .* differs from 1 by 3",
        ),
        (symmetric_unitary_factor, haar(0, 3), "`unitary` must be symmetric"),
    ],
)
def test_bad_matrices_are_named(function, matrix, message):
    with pytest.raises(ValueError, match=message):
        function(matrix)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.media.separable import (
    apply_even_odd,
    apply_matrices,
    complex_parts,
    even_odd_parts,
)

SHAPES = [(1, 4), (5, 5), (6, 3)]


def random_complex(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def both_axes(along_y, along_x, u):
    return np.einsum("iy,...yx,jx->...ij", along_y, u, along_x)


@pytest.mark.parametrize("shape", SHAPES)
def test_any_two_matrices_act_on_their_own_axes(shape):
    u = random_complex(2, 3, *shape)
    along_y, along_x = (random_complex(n, n, seed=n) for n in shape)
    got = jax.jit(apply_matrices)(complex_parts(along_y), complex_parts(along_x), jnp.asarray(u))
    # Two sums of up to 6 products of order one, by Gauss's differences: tens of eps.
    np.testing.assert_allclose(got, both_axes(along_y, along_x, u), atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_halves_of_a_symmetric_toeplitz_matrix_do_the_work_of_the_whole(shape):
    u = random_complex(2, *shape)
    # An entry depends on the absolute lag only.
    lags = [np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in shape]
    along_y, along_x = (random_complex(len(lag), seed=7 + len(lag))[lag] for lag in lags)
    parts = (*even_odd_parts(along_y), *even_odd_parts(along_x))
    assert parts[0].shape == (3, (shape[0] + 1) // 2, (shape[0] + 1) // 2)
    got = jax.jit(apply_even_odd)(*parts, jnp.asarray(u))
    np.testing.assert_allclose(got, both_axes(along_y, along_x, u), atol=1e-13)

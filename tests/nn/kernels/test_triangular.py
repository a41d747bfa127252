import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from nn.kernels.triangular import unit_lower_inverse

rng = np.random.default_rng(3)


@pytest.mark.parametrize("n", [1, 2, 11, 16])
def test_it_is_the_inverse_whatever_stands_above_the_diagonal(n):
    matrices = rng.normal(size=(2, 3, n, n))
    found = jax.jit(unit_lower_inverse)(jnp.asarray(matrices))
    # numpy's LU on the whole matrix; condition numbers to 1e3 here.
    wanted = np.linalg.inv(np.eye(n) + np.tril(matrices, -1))
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11 * np.abs(wanted).max())


def test_all_ones_give_the_difference_exactly():
    # 1 + L sums, so its inverse takes differences; the product of powers loses all digits here.
    found = jax.jit(unit_lower_inverse)(jnp.ones((16, 16), jnp.float32))
    np.testing.assert_array_equal(found, np.eye(16) - np.eye(16, k=-1))


def test_its_derivatives_are_those_of_differences_in_both_modes():
    matrices = jnp.asarray(rng.normal(size=(2, 5, 5)))
    check_grads(
        jax.jit(unit_lower_inverse),
        (matrices,),
        order=2,
        modes=["fwd", "rev"],
        rtol=1e-6,
    )


def test_nothing_above_the_diagonal_has_a_gradient():
    gradient = jax.jit(jax.grad(lambda x: jnp.sin(unit_lower_inverse(x)).sum()))(jnp.ones((4, 4)))
    np.testing.assert_array_equal(jnp.triu(gradient), 0)
    assert np.abs(gradient).max() > 0

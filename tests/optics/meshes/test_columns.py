import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.meshes.columns import apply_columns

KEY = jax.random.key(0)
APPLY = jax.jit(apply_columns, static_argnames=("direction", "method"))


def random_elements(n_ports, n_columns, *, key=KEY):
    """Dense random blocks, identities where an odd column has no partner."""
    blocks = np.array(jax.random.normal(key, (4, n_columns, n_ports // 2), complex))
    if n_ports % 2 == 0:
        blocks[:, 1::2, -1] = np.array([1, 0, 0, 1])[:, None]
    return jnp.asarray(blocks)


def explicit(elements, n_ports):
    """Product of full matrices, one for each 2x2 block."""
    product = np.eye(n_ports, dtype=complex)
    for column in range(elements.shape[1]):
        for slot in range(elements.shape[2]):
            port = 2 * slot + column % 2
            if port + 1 < n_ports:
                full = np.eye(n_ports, dtype=complex)
                full[port : port + 2, port : port + 2] = np.reshape(
                    elements[:, column, slot], (2, 2)
                )
                product = full @ product
    return product


@pytest.mark.parametrize(("n_ports", "n_columns"), [(2, 1), (5, 4), (6, 5)])
def test_scan_is_the_product_of_all_blocks(n_ports, n_columns):
    elements = random_elements(n_ports, n_columns)
    matrix = explicit(np.asarray(elements), n_ports)
    fields = jax.random.normal(jax.random.key(1), (2, 3, n_ports), complex)
    scale = 1e-14 * np.abs(matrix).max()  # rounding of a few dozen products
    forward = APPLY(elements, fields)
    np.testing.assert_allclose(forward, fields @ matrix.T, atol=50 * scale)
    backward = APPLY(elements, fields, direction="backward")
    np.testing.assert_allclose(backward, fields @ matrix, atol=50 * scale)


def test_forward_and_backward_obey_the_dot_product_identity():
    elements = random_elements(6, 6)
    x, y = jax.random.normal(jax.random.key(2), (2, 6), complex)
    left = jnp.sum(y * APPLY(elements, x))
    right = jnp.sum(APPLY(elements, y, direction="backward") * x)
    np.testing.assert_allclose(left, right, rtol=1e-13)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("n_ports", [5, 6])
def test_derivative_by_running_backwards_is_that_of_the_stored_fields(direction, n_ports):
    # Blocks need not be unitary for the identity to hold, only invertible.
    elements = random_elements(n_ports, 5)
    fields, weights = jax.random.normal(jax.random.key(3), (2, 4, n_ports), complex)

    def loss(elements, fields, method):
        out = apply_columns(elements, fields, direction=direction, method=method)
        return jnp.sum(jnp.real(weights * out) ** 3)

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)), static_argnums=2)
    by_method = [gradient(elements, fields, method) for method in ("reversible", "stored")]
    for found, expected in zip(*by_method, strict=True):
        # A block that has no partner wraps around inside and may differ where nothing is.
        mask = np.ones(expected.shape)
        if found.ndim == 3 and n_ports % 2 == 0:
            mask[:, 1::2, -1] = 0
        scale = float(jnp.max(jnp.abs(expected)))
        np.testing.assert_allclose(found * mask, expected * mask, atol=1e-10 * scale)


def test_derivative_agrees_with_finite_differences():
    elements = random_elements(4, 3)
    fields = jax.random.normal(jax.random.key(4), (2, 4), complex)

    def loss(elements):
        return jnp.sum(jnp.abs(APPLY(jnp.asarray(elements), fields, method="reversible")) ** 2)

    # A quadratic form of each block: central differences at 1e-6 are good to about 1e-8.
    check_grads(loss, (elements,), order=1, modes=["rev"], rtol=1e-6)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.meshes.columns import apply_columns

APPLY = jax.jit(apply_columns, static_argnames=("direction", "method"))


def random_complex(seed, *shape):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


def random_elements(n_ports, n_columns):
    """Dense random blocks, identities where an odd column has no partner."""
    blocks = random_complex(0, 4, n_columns, n_ports // 2)
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
    fields = random_complex(1, 2, 3, n_ports)
    scale = 1e-14 * np.abs(matrix).max()  # rounding of a few dozen products
    forward = APPLY(elements, jnp.asarray(fields))
    np.testing.assert_allclose(forward, fields @ matrix.T, atol=50 * scale)
    backward = APPLY(elements, jnp.asarray(fields), direction="backward")
    np.testing.assert_allclose(backward, fields @ matrix, atol=50 * scale)


def test_forward_and_backward_obey_the_dot_product_identity():
    elements = random_elements(6, 6)
    x, y = random_complex(2, 2, 2, 3, 6)
    left = np.sum(y * np.asarray(APPLY(elements, jnp.asarray(x))))
    right = np.sum(np.asarray(APPLY(elements, jnp.asarray(y), direction="backward")) * x)
    np.testing.assert_allclose(left, right, rtol=1e-13)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("n_ports", [5, 6])
def test_derivative_by_running_backwards_is_that_of_the_stored_fields(direction, n_ports):
    # Blocks need not be unitary for the identity to hold, only invertible.
    elements = random_elements(n_ports, 5)
    fields, weights = random_complex(3, 2, 4, n_ports)

    def loss(elements, fields, method):
        out = apply_columns(elements, fields, direction=direction, method=method)
        return jnp.sum(jnp.real(weights * out) ** 3)

    @jax.jit
    def both(elements, fields):
        gradient = jax.grad(loss, argnums=(0, 1))
        return [gradient(elements, fields, method) for method in ("reversible", "stored")]

    by_method = jax.tree.map(np.asarray, both(elements, jnp.asarray(fields)))
    for found, expected in zip(*by_method, strict=True):
        # A block that has no partner wraps around inside and may differ where nothing is.
        mask = np.ones(expected.shape)
        if found.ndim == 3 and n_ports % 2 == 0:
            mask[:, 1::2, -1] = 0
        scale = np.max(np.abs(expected))
        np.testing.assert_allclose(found * mask, expected * mask, atol=1e-10 * scale)


def test_derivative_agrees_with_finite_differences():
    elements = random_elements(4, 3)
    fields = jnp.asarray(random_complex(4, 2, 4))

    @jax.jit
    def loss(elements):
        return jnp.sum(jnp.abs(apply_columns(elements, fields, method="reversible")) ** 2)

    # A quadratic form of each block: central differences at 1e-6 are good to about 1e-8.
    check_grads(loss, (elements,), order=1, modes=["rev"], rtol=1e-6)

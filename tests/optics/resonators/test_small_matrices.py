import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.resonators.small_matrices import (
    characteristic_polynomial,
    least_squares,
    orthonormal_columns,
    polynomial_roots,
    solve,
)

# Compiled whole: unrolled and one by one, each operation compiles anew for every shape.
solved = jax.jit(solve)
polynomial = jax.jit(characteristic_polynomial)
roots_of = jax.jit(polynomial_roots)


def _complex(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_solve_agrees_with_lapack_in_a_batch(n):
    matrix, right = _complex(n, 5, n, n), _complex(n + 1, 5, n, 2)
    expected = np.linalg.solve(matrix, right)
    # Pivoted elimination: precision times condition, below 1e3 for these draws.
    np.testing.assert_allclose(
        solved(jnp.asarray(matrix), jnp.asarray(right)), expected, rtol=1e-10
    )


def test_solve_exchanges_rows_where_the_first_pivot_is_zero():
    matrix = jnp.asarray([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    np.testing.assert_allclose(solved(matrix, jnp.asarray([[2.0], [3.0], [8.0]])), [[3], [1], [2]])


def test_least_squares_agrees_with_lapack():
    matrix, wanted = _complex(0, 20, 4), _complex(1, 20, 3)
    expected = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    np.testing.assert_allclose(
        jax.jit(least_squares)(jnp.asarray(matrix), jnp.asarray(wanted)), expected, rtol=1e-12
    )


def test_columns_come_out_orthonormal_and_give_the_matrix_back():
    matrix = _complex(2, 9, 3)
    q, r = (np.asarray(part) for part in jax.jit(orthonormal_columns)(jnp.asarray(matrix)))
    np.testing.assert_allclose(q.conj().T @ q, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(q @ r, matrix, atol=1e-14)
    np.testing.assert_array_equal(np.tril(r, -1), 0)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_characteristic_polynomial_has_the_eigenvalues_as_roots(n):
    matrix = _complex(n, n, n)
    coefficients = polynomial(jnp.asarray(matrix))
    np.testing.assert_allclose(np.asarray(coefficients)[::-1], np.poly(matrix)[1:], rtol=1e-12)
    found = np.sort_complex(np.asarray(roots_of(coefficients)))
    np.testing.assert_allclose(
        found, np.sort_complex(np.linalg.eigvals(matrix)), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("roots", [[1.0, -1.0, 0.0, 1j], [2.0, 2.0, -1.0], [0.5, 0.5, 0.5]])
def test_roots_are_found_where_they_are_multiple_or_symmetric(roots):
    coefficients = jnp.asarray(np.poly(roots)[:0:-1] + 0j)
    found = np.asarray(roots_of(coefficients))
    # An m-fold root moves by the m-th root of precision: 1e-5 for three.
    multiplicity = max(roots.count(root) for root in roots)
    distance = np.abs(found[:, None] - np.array(roots)[None])
    assert distance.min(axis=1).max() < 3 * 1e-16 ** (1 / multiplicity) + 1e-12
    assert distance.min(axis=0).max() < 3 * 1e-16 ** (1 / multiplicity) + 1e-12


@pytest.mark.parametrize("n", [2, 4])
def test_roots_have_the_derivative_of_finite_differences(n):
    coefficients, direction = _complex(7, n), _complex(8, n)
    roots, slope = jax.jit(lambda c, d: jax.jvp(polynomial_roots, (c,), (d,)))(
        coefficients, direction
    )
    roots = np.asarray(roots)
    ahead, behind = (
        np.asarray(roots_of(jnp.asarray(coefficients + step * direction))) for step in (1e-6, -1e-6)
    )
    nearest = lambda there: there[np.abs(there[None] - roots[:, None]).argmin(axis=1)]  # noqa: E731
    # Central difference: error of order step^2.
    np.testing.assert_allclose((nearest(ahead) - nearest(behind)) / 2e-6, slope, rtol=1e-7)


def test_roots_of_what_is_not_finite_are_not_finite():
    assert not np.any(np.isfinite(roots_of(jnp.asarray([np.nan, 1.0, 0j]))))

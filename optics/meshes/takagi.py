"""Takagi factorisation: every complex symmetric matrix is A = V diag(s) V^T with V unitary and s real, s >= 0.

T. Takagi, Japanese Journal of Mathematics 1, 83 (1924), DOI 10.4099/jjm1924.1.0_83; R. A. Horn and C. R. Johnson,
"Matrix Analysis", 2nd ed. (Cambridge 2012), Corollary 4.4.4. Note V^T, not V^H: it is the factorisation that a
mirrored interferometer realises, since light sees the transpose of a mesh in its mirror image.

Method: A conj(v) = s v means, for v = x + i y and A = B + i C, that (x, y) is an eigenvector of the real symmetric
matrix [[B, C], [C, -B]], whose eigenvalues come in pairs +s and -s. Eigenvectors of +s are real-orthogonal to each
other and to i times each other (which belongs to -s), hence complex-orthogonal, however degenerate s is. Only for s
near zero do both signs mix; a Householder QR in the order of falling s then replaces the mixed columns and leaves the
others alone. Values are factored in double precision by NumPy; works under `jit` and `vmap` too. Left out:
derivatives, which do not exist where singular values coincide.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from optics._checks import check_finite, is_concrete
from optics._numbers import takes_numbers


@takes_numbers
def takagi(
    matrix: Inexact[Array | np.ndarray, "*batch rows columns"],
) -> tuple[Complex[Array, "*batch n n"], Float[Array, "*batch n"]]:
    """Factors complex symmetric matrices as A = V diag(s) V^T.

    Args:
        matrix: Symmetric matrices (A = A^T, no conjugate), any rank, degenerate or not.

    Returns:
        V, unitary, and s, falling and not negative; both to a few times rounding (1e-14 in double for N = 16).
        Columns of V are defined up to a sign, those of equal s up to a real rotation.

    Raises:
        ValueError: If a matrix is not square, not finite or not symmetric.
    """
    check_symmetric(matrix, "matrix")
    dtype = jnp.result_type(matrix, jnp.complex64)
    if not is_concrete(matrix):
        return _factor(jnp, matrix.astype(dtype))
    vectors, values = _factor(np, np.asarray(matrix, complex))
    return jnp.asarray(vectors, dtype), jnp.asarray(values, jnp.finfo(dtype).dtype)


def _factor(xp, a):
    """The method, by `numpy` in double precision on values and by `jax.numpy` under transformations."""
    a = (a + xp.swapaxes(a, -1, -2)) / 2
    n = a.shape[-1]
    real = xp.block([[a.real, a.imag], [a.imag, -a.real]])
    values, vectors = xp.linalg.eigh(real)
    values, vectors = values[..., : n - 1 : -1], vectors[..., : n - 1 : -1]
    rough = vectors[..., :n, :] + 1j * vectors[..., n:, :]
    unitary, triangle = xp.linalg.qr(rough)
    # Where columns were complex-orthonormal already the triangle is diagonal with entries of modulus 1.
    turn = xp.diagonal(triangle, 0, -2, -1)
    kept = xp.abs(turn) > 0.5
    turn = xp.where(kept, turn / xp.where(kept, xp.abs(turn), 1), 1)
    return unitary * turn[..., None, :], xp.maximum(values, 0)


@takes_numbers
def symmetric_unitary_factor(
    unitary: Inexact[Array | np.ndarray, "rows columns"],
) -> Complex[Array, "n n"]:
    """Unitary V with U = V V^T for a symmetric unitary U, to within what U lacks to be unitary.

    V is free up to a real orthogonal matrix from the right, N (N - 1) / 2 of the N^2 real freedoms of V, so that a
    symmetric unitary has N (N + 1) / 2.

    Raises:
        ValueError: If the matrix is not square, finite, symmetric and unitary.
    """
    check_symmetric(unitary, "unitary")
    check_unitary(unitary, "unitary")
    return takagi(unitary)[0]


def check_symmetric(matrix, name: str) -> None:
    """Raises ValueError unless the last two axes hold square, finite matrices with A = A^T."""
    _check_square(matrix, name)
    if not is_concrete(matrix):
        return
    check_finite(matrix, name)
    array = np.asarray(matrix)
    error = np.abs(array - np.swapaxes(array, -1, -2)).max()
    if error > _tolerance(array) * np.abs(array).max():
        raise ValueError(
            f"`{name}` must be symmetric (A = A^T, no conjugate), but A - A^T reaches {error:.3g}; symmetrise it, or "
            "use a general core (`decompose_matrix`)."
        )


def unitarity_tolerance(n: int) -> float:
    """Largest element of U^H U - 1 that single precision explains.

    A mesh of N ports computed in single precision deviates by 1.3e-7 N, a product of eight meshes by 1e-6 N, and a
    matrix written with six decimals by 1e-6, whatever the type it is kept in.
    """
    return max(1e-5, 20 * float(np.finfo(np.float32).eps) * n)


def check_unitary(
    matrix,
    name: str,
    hint: str = "a core with attenuators takes any symmetric matrix.",
) -> None:
    """Raises ValueError unless the last two axes hold square matrices that are unitary to single precision."""
    _check_square(matrix, name)
    if not is_concrete(matrix):
        return
    check_finite(matrix, name)
    array = np.asarray(matrix, complex)
    product = np.swapaxes(array.conj(), -1, -2) @ array
    error = np.abs(product - np.eye(array.shape[-1])).max()
    if error > unitarity_tolerance(array.shape[-1]):
        raise ValueError(
            f"`{name}` must be unitary, but U^H U differs from 1 by {error:.2g}; {hint}"
        )


def _check_square(matrix, name: str) -> None:
    if len(matrix.shape) < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"`{name}` must be square, but its shape is {tuple(matrix.shape)}.")


def _tolerance(array: np.ndarray) -> float:
    """Deviation that rounding in the array's own precision explains, with room for products of matrices."""
    single = array.dtype in (np.complex64, np.float32)
    return unitarity_tolerance(array.shape[-1]) if single else 1e-10

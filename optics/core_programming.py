"""Programming mirrored cores inside a training loop: phases for a wanted matrix, under `jit` and `vmap`.

A chip that trains re-computes all its phases after every update. This is the decomposition for that: triangular
meshes (M. Reck et al., Phys. Rev. Lett. 73, 58 (1994), DOI 10.1103/PhysRevLett.73.58), one step of a scan per column
of cells, since the cells of a column null their elements independently. `optics.mesh_decomposition` does the same,
and rectangular meshes too, on values. A symmetric matrix is programmed by Takagi factors, A = g V S V^T, with equal
phases in both halves; any other by singular values, A = g U S W^H, on a mirrored core whose halves have phases of
their own: the mirror image of a mesh for conj(W) is W^H.

Both factorisations leave phases free. They are chosen such that the last row of V, or of U, is real and positive (of
positive real part for Takagi, whose columns are free by a sign only), so that the phases of the shifters follow a
slowly changing matrix without jumps, but for crossings of singular values. Our choice.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex

from optics.mesh import Mesh, cells
from optics.symmetric_mesh import SymmetricCore
from optics.takagi import takagi

SMALLEST = (
    1e-20  # Stands for zero where a zero divisor or angle would be undefined; far below rounding.
)


def triangular_mesh(unitary: Complex[Array, "port port"]) -> Mesh:
    """Triangular mesh without errors whose matrix is `unitary`; the same phases as `decompose_unitary`.

    Args:
        unitary: Unitary matrix, at least 2 x 2. Not checked, for use under `jit`.
    """
    n = unitary.shape[-1]
    columns = tuple(jnp.asarray(a) for a in _schedule(n))

    def null(matrix, column):
        parity, rows, there = column
        matrix = jnp.roll(matrix, -parity, axis=1)
        pairs = matrix[:, : 2 * (n // 2)].reshape(n, n // 2, 2)
        a, b = (pairs[rows, jnp.arange(n // 2), i] for i in range(2))
        theta = 2 * jnp.arctan2(jnp.abs(b), jnp.abs(a))
        theta = jnp.where((jnp.abs(a) < SMALLEST) & (jnp.abs(b) < SMALLEST), jnp.pi, theta)
        phi = _angle(-a * jnp.conj(b))
        pairs = jnp.where(there[None, :, None], _undo_cells(pairs, theta, phi), pairs)
        matrix = matrix.at[:, : 2 * (n // 2)].set(pairs.reshape(n, -1))
        zero = jnp.zeros_like(theta)
        phases = jnp.where(there, theta, zero), jnp.where(there, phi, zero)
        return jnp.roll(matrix, parity, axis=1), phases

    matrix, (theta, phi) = jax.lax.scan(null, unitary, columns)
    return Mesh(theta, phi, jnp.angle(jnp.diagonal(matrix)), layout="triangular")


def program_core(matrix: Complex[Array, "port port"], *, symmetric: bool) -> SymmetricCore:
    """Mirrored core without errors whose matrix is `matrix`.

    Args:
        matrix: Matrix to realise, not zero. Not checked, for use under `jit`.
        symmetric: The matrix is symmetric, and both halves shall have the same phases.
    """
    if symmetric:
        left, values = takagi(matrix)
        sign = jnp.where(left[-1].real < 0, -1, 1)
        mesh, mirror = triangular_mesh(left * sign[None, :].astype(left.dtype)), None
    else:
        left, values, right = jnp.linalg.svd(matrix)
        turn = jnp.exp(-1j * _angle(left[-1]))
        mesh = triangular_mesh(left * turn[None, :])
        # U S W^H stays if column k of U and of W turn alike; the mirror image of the mesh for conj(W) is W^H.
        mirror = triangular_mesh((right / turn[:, None]).T)
    return SymmetricCore(mesh, values / values[0], values[0], mirror)


def _undo_cells(pairs, theta, phi):
    """Right multiplication of each pair of columns with the inverse, T^H, of its ideal cell."""
    sine, cosine = jnp.sin(theta / 2)[None], jnp.cos(theta / 2)[None]
    back = -1j * jnp.exp(-0.5j * theta)[None]
    turn = jnp.exp(-1j * phi)[None]
    a, b = turn * pairs[..., 0], pairs[..., 1]
    return jnp.stack([back * (sine * a + cosine * b), back * (cosine * a - sine * b)], axis=-1)


def _angle(value):
    return jnp.angle(jnp.where(jnp.abs(value) < SMALLEST, 1, value))


def _schedule(n: int) -> tuple[np.ndarray, ...]:
    """Of each column: its parity, the row whose elements each slot nulls, and which slots hold a cell.

    Row n - 1 - k is nulled by the cells of diagonal k, at port p in column p + 2 k.
    """
    there = cells(n, "triangular")
    column, slot = np.arange(len(there))[:, None], np.arange(n // 2)[None]
    port = 2 * slot + column % 2
    row = np.clip(n - 1 - (column - port) // 2, 0, n - 1)
    return column[:, 0] % 2, row, there

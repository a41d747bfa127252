"""Phases of a mesh for a wanted matrix: unitary by Reck or Clements, any other by singular values.

Reck et al., Phys. Rev. Lett. 73, 58 (1994), DOI 10.1103/PhysRevLett.73.58: the elements below the diagonal are nulled
row by row with inverse cells from the right, U T_1^-1 T_2^-1 ... = D. Clements et al., Optica 3, 1460 (2016), DOI
10.1364/OPTICA.3.001460: diagonals are nulled from the right and from the left in turn, and the left cells are then
pulled through D, T^-1 D = D' T', which makes the mesh half as deep. A general matrix M = s U A V^H becomes two meshes
with attenuators A between them, the largest of them 1 (Miller, Photonics Research 1, 1 (2013), DOI
10.1364/PRJ.1.000001). Works on values in double precision, not under `jit`.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from optics._checks import check_finite
from optics._numbers import as_real, into, takes_numbers
from optics.meshes.mesh import Layout, Mesh, cells, check_ports
from optics.meshes.takagi import check_unitary

NEGLIGIBLE = 1e-13  # Elements of a unitary that are rounding, with room for a few hundred products.


@takes_numbers
def decompose_unitary(
    unitary: Inexact[Array | np.ndarray, "row column"],
    *,
    layout: Layout = "rectangular",
    dtype=None,
) -> Mesh:
    """Mesh without errors whose matrix is `unitary`, to within what that lacks to be unitary in single precision.

    Args:
        unitary: Matrix to realise.
        layout: "rectangular" (Clements) or "triangular" (Reck).
        dtype: complex64 or complex128 of the mesh; that of `unitary` if None.

    Returns:
        Mesh with theta in [0, pi] and the other phases in (-pi, pi].

    Raises:
        ValueError: If the matrix is not square, not finite, not unitary or below 2 x 2, or there is no such layout.
    """
    matrix = _as_unitary(unitary)
    n_ports = matrix.shape[0]
    there = cells(n_ports, layout)
    nulled = _null_rectangular if layout == "rectangular" else _null_triangular
    found, diagonal = nulled(matrix)
    theta, phi = np.zeros(there.shape), np.zeros(there.shape)
    depth = np.zeros(n_ports, int)
    for port, angles in found:
        column = depth[port : port + 2].max()
        depth[port : port + 2] = column + 1
        theta[column, port // 2], phi[column, port // 2] = angles
    real = jnp.finfo(jnp.result_type(unitary, jnp.complex64) if dtype is None else dtype).dtype
    phases = (jnp.asarray(_above_minus_pi(a, real)) for a in (theta, phi, _argument(diagonal)))
    return Mesh(*phases, layout=layout)


class SingularValueCore(eqx.Module):
    """A general matrix in light: mesh, attenuators, mesh, and one gain in electronics.

    Attributes:
        right: First mesh, V^H, with one port per input.
        attenuation: Amplitude transmissions in [0, 1] between the meshes.
        left: Second mesh, U, with one port per output.
        gain: Factor that the measured field is multiplied with; the largest singular value.
    """

    right: Mesh
    attenuation: Float[Array, " channel"] = eqx.field(converter=into(as_real, "attenuation"))
    left: Mesh
    gain: Float[Array, ""] = eqx.field(converter=into(as_real, "gain"))

    @takes_numbers
    def __call__(self, fields: Complex[Array, "*batch input"]) -> Complex[Array, "*batch output"]:
        """Fields at the outputs, `gain` included."""
        check_ports(fields, "fields", self.right.n_ports)
        n_channels = self.attenuation.shape[0]
        scale = (self.gain * self.attenuation).reshape((1,) * (fields.ndim - 1) + (n_channels,))
        inside = self.right(fields)[..., :n_channels] * scale
        missing = self.left.n_ports - n_channels
        return self.left(jnp.pad(inside, ((0, 0),) * (fields.ndim - 1) + ((0, missing),)))

    def matrix(self) -> Complex[Array, "output input"]:
        """Transfer matrix with `gain`."""
        n = self.attenuation.shape[0]
        scaled = (self.gain * self.attenuation)[:, None] * self.right.matrix()[:n]
        return self.left.matrix()[:, :n] @ scaled


@takes_numbers
def decompose_matrix(
    matrix: Inexact[Array | np.ndarray, "output input"],
    *,
    layout: Layout = "rectangular",
    dtype=None,
) -> SingularValueCore:
    """Two meshes and attenuators whose matrix is `matrix`.

    Args:
        matrix: Matrix to realise, at least 2 x 2; it need not be square.
        layout: Layout of both meshes.
        dtype: complex64 or complex128 of the meshes; that of `matrix` if None.

    Raises:
        ValueError: If the matrix is not finite, or zero, or has fewer than two rows or columns.
    """
    check_finite(matrix, "matrix")
    if min(matrix.shape) < 2:
        raise ValueError(f"`matrix` must be at least 2 x 2, but its shape is {matrix.shape}.")
    dtype = jnp.result_type(matrix, jnp.complex64) if dtype is None else dtype
    left, values, right = np.linalg.svd(np.asarray(matrix, complex))
    if values[0] == 0:
        raise ValueError(
            "`matrix` must not be zero, since its largest singular value sets the gain."
        )
    real = jnp.finfo(dtype).dtype
    return SingularValueCore(
        decompose_unitary(right, layout=layout, dtype=dtype),
        jnp.asarray(values / values[0], real),
        decompose_unitary(left, layout=layout, dtype=dtype),
        jnp.asarray(values[0], real),
    )


def _as_unitary(unitary) -> np.ndarray:
    if unitary.ndim != 2 or unitary.shape[0] != unitary.shape[1]:
        raise ValueError(
            f"`unitary` must be square, but its shape is {unitary.shape}; `decompose_matrix` takes any."
        )
    if len(unitary) < 2:
        raise ValueError(
            f"`unitary` must be at least 2 x 2, but its shape is {unitary.shape}; one port needs no mesh."
        )
    check_unitary(unitary, "unitary", "`decompose_matrix` takes any.")
    return np.array(unitary, complex)


def _ideal_cell(theta: float, phi: float) -> np.ndarray:
    half, turn = theta / 2, np.exp(1j * phi)
    s, c = np.sin(half), np.cos(half)
    return 1j * np.exp(1j * half) * np.array([[turn * s, c], [turn * c, -s]])


def _null_right(matrix, row: int, port: int):
    """Angles of the cell whose inverse, from the right, nulls element (row, port); applied in place."""
    a, b = matrix[row, port : port + 2]
    theta, phi = _angles(b, a, -a * np.conj(b))
    matrix[:, port : port + 2] = matrix[:, port : port + 2] @ _ideal_cell(theta, phi).conj().T
    return port, (theta, phi)


def _null_left(matrix, port: int, column: int):
    """Angles of the cell that, from the left, nulls element (port + 1, column); applied in place."""
    a, b = matrix[port : port + 2, column]
    theta, phi = _angles(a, b, b * np.conj(a))
    matrix[port : port + 2] = _ideal_cell(theta, phi) @ matrix[port : port + 2]
    return port, (theta, phi)


def _angles(numerator, denominator, product) -> tuple[float, float]:
    """(theta, phi) with tan(theta/2) = |numerator / denominator| and phi the argument of `product`.

    Bar where both elements vanish and any value would do; no phase where one does, and only rounding would choose it.
    """
    sizes = abs(numerator), abs(denominator)
    if max(sizes) < NEGLIGIBLE:
        return np.pi, 0.0
    return 2 * np.arctan2(*sizes), 0.0 if min(sizes) < NEGLIGIBLE else float(_argument(product))


def _argument(value):
    """Argument in (-pi, pi]: a negative zero as imaginary part, which products leave, would give -pi."""
    return np.angle(value + 0.0)


def _above_minus_pi(phase, dtype) -> np.ndarray:
    """Phases in (-pi, pi]; what rounding put just above -pi, as it may a sign, is pi."""
    rounded, least = np.asarray(phase, dtype), 8 * np.pi * float(np.finfo(dtype).eps)
    return np.where(rounded > least - np.pi, rounded, np.asarray(np.pi, dtype))


def _null_triangular(matrix):
    n = len(matrix)
    found = [_null_right(matrix, row, port) for row in range(n - 1, 0, -1) for port in range(row)]
    return found, np.diag(matrix)


def _null_rectangular(matrix):
    n = len(matrix)
    right, left = [], []
    for i in range(1, n):
        if i % 2:
            right += [_null_right(matrix, n - 1 - j, i - 1 - j) for j in range(i)]
        else:
            left += [_null_left(matrix, n + j - i - 2, j - 1) for j in range(1, i + 1)]
    diagonal = np.diag(matrix).copy()
    for port, (theta, phi) in reversed(left):
        # T^H diag(d0, d1) = diag(d0', d1') T' with the same theta, phi' = arg(d0 / d1).
        first, second = diagonal[port : port + 2]
        right.append((port, (theta, float(_argument(first * np.conj(second))))))
        turn = -np.exp(-1j * theta) * second
        diagonal[port : port + 2] = np.exp(-1j * phi) * turn, turn
    return right, diagonal

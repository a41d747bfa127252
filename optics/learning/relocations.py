"""Permutations of the ports of a system that make its forward pass the transpose, T^T = R T J.

    R = S, J = S^-1     a known symmetry S of the system, T^T = S T S^-1 (`symmetry`; those of a grid: `relocations`)
    R, J = 1            a camera displaced by whole pixels (`displacement`)
    R = J = Q           outputs or inputs connected in the wrong order: T Q is symmetric (`find_permutation`)

R reads the answer, J loads the error, both on flat ports. Which of them a measured system has is found by
`reciprocity.find_relocation`, from forward runs alone. Derived for this project from T^T = R T J; forward mode with a
symmetric T: Xue et al., Nature 632, 280 (2024), DOI 10.1038/s41586-024-07687-4. Left out: displacements by parts of a
pixel, and relocations that depend on the wavelength.
"""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jaxtyping import Array, Complex, PRNGKeyArray
from scipy.optimize import linear_sum_assignment

from optics._checks import check_finite

Operator = Callable[..., Array]  # (fields of any batch, key=...) -> fields of the same shape


class Relocation(eqx.Module):
    """Where an error is injected and read: T' = R T J with permutations R and J of the ports.

    Attributes:
        read: Flat port that each port of the answer is read from, R.
        inject: Flat port of the error that each port is loaded with, J.
        shape: Shape of a field.
        name: What it is.
    """

    read: np.ndarray = eqx.field(static=False)
    inject: np.ndarray = eqx.field(static=False)
    shape: tuple[int, ...] = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def transport(self, operator: Operator, error: Array, *, key: PRNGKeyArray) -> Array:
        """R T J c by one forward run."""
        return self.receive(operator(self.load(error), key=key))

    def load(self, error: Array) -> Array:
        """J c."""
        return self._permute(error, self.inject)

    def receive(self, answer: Array) -> Array:
        """R applied to what was measured."""
        return self._permute(answer, self.read)

    def _permute(self, fields, index):
        batch = fields.shape[: fields.ndim - len(self.shape)]
        return fields.reshape(*batch, -1)[..., index].reshape(fields.shape)


def symmetry(index: np.ndarray, shape: tuple[int, ...], name: str) -> Relocation:
    """T^T = S T S^-1, with S c = c[index] on flat ports.

    Raises:
        ValueError: If `index` is no permutation of the ports.
    """
    size = int(np.prod(shape))
    flat = np.asarray(index).reshape(-1)
    if flat.shape != (size,) or not np.array_equal(np.sort(flat), np.arange(size)):
        raise ValueError(f"`index` must be a permutation of the {size} ports, but is {flat}.")
    return Relocation(flat, np.argsort(flat), tuple(shape), name)


def relocations(shape: tuple[int, ...]) -> tuple[Relocation, ...]:
    """Symmetries worth trying: reversal for ports in a row; flips and turns, of square grids also by a quarter.

    Raises:
        ValueError: If a field has neither one nor two axes.
    """
    ports = np.arange(int(np.prod(shape))).reshape(shape)
    if len(shape) == 1:
        found = {"identity": ports, "reversal": ports[::-1]}
    elif len(shape) == 2:
        found = {
            "identity": ports,
            "flip_x": ports[:, ::-1],
            "flip_y": ports[::-1],
            "rotation_180": ports[::-1, ::-1],
        }
        if shape[0] == shape[1]:
            found |= {
                "transposition": ports.T,
                "antitransposition": ports[::-1, ::-1].T,
                "rotation_90": np.rot90(ports),
                "rotation_270": np.rot90(ports, 3),
            }
    else:
        raise ValueError(f"`shape` must have one axis of ports or two of pixels, but is {shape}.")
    return tuple(symmetry(index, shape, name) for name, index in found.items())


def displacement(shift: tuple[int, int], shape: tuple[int, int]) -> Relocation:
    """Reads displaced by whole pixels, T^T = R T: what a camera moved by half of it needs (cyclic at the edges)."""
    ports = np.arange(int(np.prod(shape))).reshape(shape)
    read = np.roll(ports, shift, axis=(0, 1)).reshape(-1)
    return Relocation(read, ports.reshape(-1), tuple(shape), f"displacement{shift}")


def find_permutation(matrix: Complex[Array, "row column"]) -> Relocation:
    """Relocation of a system whose outputs or inputs were connected in the wrong order, from its measured matrix.

    If T Q is symmetric for a permutation Q, then T^T = Q T Q. Row j of T Q holds the values of row j of T, column j
    those of column q(j) of T: moduli, sorted, are matched by linear assignment.

    Raises:
        ValueError: If the matrix is not square or not finite.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"`matrix` must be square, but its shape is {matrix.shape}.")
    check_finite(matrix, "matrix")
    modulus = np.abs(np.asarray(matrix))
    rows, columns = np.sort(modulus, axis=1), np.sort(modulus, axis=0).T
    cost = np.sum((rows[:, None] - columns[None]) ** 2, axis=-1)
    order = linear_sum_assignment(cost)[1]
    # (Q c)_i = c_j where q(j) = i.
    index = np.argsort(order)
    return Relocation(index, index, (len(order),), "permutation")


def residual(matrix: Complex[Array, "port port"], relocation: Relocation) -> float:
    """|T^T - R T J| / |T| (Frobenius) of a known matrix on flat ports."""
    full = np.asarray(matrix)
    # R picks rows. Loading c[inject] multiplies T from the right, which picks columns by the inverse.
    moved = full[relocation.read][:, np.argsort(relocation.inject)]
    return float(np.linalg.norm(full.T - moved) / np.linalg.norm(full))

"""Fast products Y = A_y X A_x^T of fields with complex matrices, one for each axis.

Three ideas, each measured in `experiments/benchmarks/bench_propagation.py`:
    Gauss's three products. (c + i d)(a + i b) takes three real products c (a + b), a (d - c), b (c + d)
    in place of four; real and imaginary parts stay apart until both axes are done.
    Layout (y, batch, x). Both products are then single large ones that need no transposition.
    Even and odd parts. A symmetric Toeplitz matrix commutes with the reversal of its axis, so it maps
    even fields to even and odd to odd ones: two products of half the size in place of one, half the
    multiplications.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from optics._numbers import takes_numbers

# The three real matrices that stand for a complex one, `complex_parts`.
Parts = Float[Array, "3 _ _"]


def complex_parts(matrix: np.ndarray) -> np.ndarray:
    """Stack (C, D - C, C + D) of a complex matrix C + i D."""
    real, imag = np.real(matrix), np.imag(matrix)
    return np.stack([real, imag - real, real + imag])


def even_odd_parts(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`complex_parts` of the even and the odd block of a symmetric Toeplitz matrix.

    The blocks act on what `_fold` returns. A middle sample is counted twice there, hence the halves.
    """
    n = len(matrix)
    half = (n + 1) // 2
    near, far = matrix[:half, :half].copy(), matrix[:half, n - half :][:, ::-1].copy()
    if n % 2:
        near[:, -1] /= 2
        far[:, -1] /= 2
    return complex_parts((near + far) / 2), complex_parts((near - far) / 2)


@takes_numbers
def apply_matrices(
    along_y: Parts, along_x: Parts, u: Complex[Array, "*batch y x"]
) -> Complex[Array, "*batch y x"]:
    """Y = A_y X A_x^T for any two matrices, given by `complex_parts`."""
    real, imag = _split(u)
    real, imag = _product_x(along_x, real, imag)
    real, imag = _product_y(along_y, real, imag)
    return _join(real, imag, u.shape)


@takes_numbers
def apply_even_odd(
    even_y: Parts, odd_y: Parts, even_x: Parts, odd_x: Parts, u: Complex[Array, "*batch y x"]
) -> Complex[Array, "*batch y x"]:
    """Y = A_y X A_x^T for symmetric Toeplitz matrices, given by `even_odd_parts`."""
    real, imag = _split(u)
    (even_real, odd_real), (even_imag, odd_imag) = _fold(real, 2), _fold(imag, 2)
    even, odd = _product_x(even_x, even_real, even_imag), _product_x(odd_x, odd_real, odd_imag)
    real, imag = (_unfold(e, o, u.shape[-1], 2) for e, o in zip(even, odd, strict=True))
    (even_real, odd_real), (even_imag, odd_imag) = _fold(real, 0), _fold(imag, 0)
    even, odd = _product_y(even_y, even_real, even_imag), _product_y(odd_y, odd_real, odd_imag)
    real, imag = (_unfold(e, o, u.shape[-2], 0) for e, o in zip(even, odd, strict=True))
    return _join(real, imag, u.shape)


def _split(u):
    ny, nx = u.shape[-2:]
    u = jnp.moveaxis(u.reshape(-1, ny, nx), 0, 1)
    return u.real, u.imag


def _join(real, imag, shape):
    return jnp.moveaxis(jax.lax.complex(real, imag), 0, 1).reshape(shape)


def _product_x(parts, real, imag):
    return _gauss(parts, real, imag, lambda a, v: _dot(v, a, 2, 1))


def _product_y(parts, real, imag):
    return _gauss(parts, real, imag, lambda a, v: _dot(a, v, 1, 0))


def _gauss(parts, real, imag, product):
    common = product(parts[0], real + imag)
    return common - product(parts[2], imag), common + product(parts[1], real)


def _dot(a, b, axis_a, axis_b):
    dimensions = (((axis_a,), (axis_b,)), ((), ()))
    # HIGHEST: accelerators would otherwise round the factors to 10 bits.
    return jax.lax.dot_general(a, b, dimensions, precision=jax.lax.Precision.HIGHEST)


def _fold(v, axis):
    """Even and odd parts (not halved) on the first half of an axis; an odd length keeps its middle."""
    n = v.shape[axis]
    half = (n + 1) // 2
    near = jax.lax.slice_in_dim(v, 0, half, axis=axis)
    far = jnp.flip(jax.lax.slice_in_dim(v, n - half, n, axis=axis), axis)
    return near + far, near - far


def _unfold(even, odd, n, axis):
    far = jnp.flip(even - odd, axis)
    far = jax.lax.slice_in_dim(far, n % 2, far.shape[axis], axis=axis)
    return jnp.concatenate([even + odd, far], axis)

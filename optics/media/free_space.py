"""Prepared free-space operator: one geometry, applied many times, fast.

`make_free_space` computes the kernel once (`optics.media.free_space_kernels` has formulas and sources) and
returns a `FreeSpace`, which maps complex amplitudes to complex amplitudes on a window of the same size
and pitch. Fields are zero outside the input window, and the convolution is linear, never circular.
The carrier exp(i k z) is left out: a holographic reference fixes the piston, and intensities do not
see it.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jax.typing import ArrayLike
from jaxtyping import Array, Complex

from optics._checks import check_positive, check_shape, is_concrete
from optics._numbers import as_complex
from optics.media import free_space_kernels as kernels
from optics.media.separable import (
    apply_even_odd,
    apply_matrices,
    complex_parts,
    even_odd_parts,
)
from optics.waves.field import over_batch
from optics.waves.sampling import warn_if_swapped

# Longest axis at which matrices were measured to win, see `make_free_space`.
_LARGEST_MATRIX = 800


def _record(value):
    return value if isinstance(value, Array) else np.asarray(value, dtype=float)


class FreeSpace(eqx.Module):
    """Linear map u -> T u of free space between two windows; made by `make_free_space`.

    T is symmetric (T^T = T) unless the output window is displaced. Both derivatives in the field apply
    a prepared operator: T forwards, T^T backwards, with no conjugate. There is no derivative in the
    geometry: asking for one raises TypeError, and `optics.waves.propagation` has it.

    Attributes:
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing, in metres.
        wavelength: Wavelength in the medium, in metres.
        distance: Propagation distance, in metres; negative goes back.
        kernel: "fresnel" or "exact".
        method: "matrix", "fft" or "reference".
        output_shift: Lateral displacement (dy, dx) of the output window, in metres.
        is_symmetric: Tells whether T^T = T.
    """

    factors: tuple[Array, ...]
    # For the record only. Leaves, so that another distance or shift does not recompile what uses it.
    pixel_pitch: np.ndarray | Array = eqx.field(converter=_record)
    wavelength: np.ndarray | Array = eqx.field(converter=_record)
    distance: np.ndarray | Array = eqx.field(converter=_record)
    output_shift: np.ndarray | Array = eqx.field(converter=_record)
    shape: tuple[int, int] = eqx.field(static=True)
    kernel: str = eqx.field(static=True)
    method: str = eqx.field(static=True)
    is_symmetric: bool = eqx.field(static=True)

    @property
    def dtype(self) -> np.dtype:
        """Complex type that the operator was made for."""
        return jnp.result_type(self.factors[0], jnp.complex64)

    def transpose(self) -> "FreeSpace":
        """Transposed operator T^T (no conjugate): the same free space with the opposite shift."""
        if self.is_symmetric:
            return self
        factors = _transposed(self.method, self.factors)
        return dataclasses.replace(self, factors=factors, output_shift=-self.output_shift)

    def __call__(self, amplitude: Any) -> Complex[Array, "*batch y x"]:
        """Propagates complex amplitudes `(..., y, x)`.

        Args:
            amplitude: Complex or real numbers; those that declare no precision take that of the operator.

        Raises:
            ValueError: If the last two axes are not the grid of the operator.
            TypeError: If the field has a higher precision than the operator, or, while
                differentiating, if a derivative in the geometry is asked for.
        """
        amplitude = as_complex(amplitude, "amplitude", default=self.dtype)
        check_shape(amplitude, "amplitude", self.shape, "Make the operator for this shape.")
        if jnp.finfo(amplitude.dtype).bits > jnp.finfo(self.dtype).bits:
            raise TypeError(
                f"`amplitude` is {amplitude.dtype}, but the operator was made for {self.dtype}. "
                "Pass dtype=jnp.complex128 to make_free_space."
            )
        amplitude = amplitude.astype(
            self.dtype
        )  # the map below has one type for what goes in and out
        return _propagate(self.method, self.is_symmetric, self.factors, amplitude)

    def backward(self, amplitude: Any) -> Complex[Array, "*batch y x"]:
        """Light from the output window back to the input window: T^T u, the pair of calling it.

        Reciprocity, <backward(u), v> = <u, forward(v)> without a conjugate, is what forward mode rests on: where
        T^T = T both directions are one.
        """
        return self.transpose()(amplitude)


def make_free_space(
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    wavelength: ArrayLike,
    distance: ArrayLike,
    *,
    kernel: str = "fresnel",
    method: str = "auto",
    output_shift: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
) -> FreeSpace:
    """Prepares free space between two equal windows.

    What "auto" rests on: milliseconds for loss and gradient of 5 phase masks, complex64, fastest of 5
    to 12 interleaved rounds on 2 cores of an AMD EPYC that others were using (load 2.5 to 3), so that
    rows compare methods and not machines. On the idle machine the whole training step at batch 8 took
    1.6, 7.5, 22, 32 and 149 ms by matrix and 6.0, 26, 93, 161 and 406 ms by reference, for 64, 128,
    200, 256 and 400 px. `lightecho bench` makes such a table for another machine.

        window, batch   64, 8   128, 8   200, 8   256, 8   400, 8   512, 4   800, 2
        matrix            1.8     11.7     40.4     46.5    144.8    122.6    279.8
        fft               6.7     33.7    113.2    178.3    401.7    425.1    424.3
        reference         6.1     41.4    120.7    178.0    399.2    408.0    510.4

    Args:
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing, in metres.
        wavelength: Wavelength in the medium, in metres.
        distance: Propagation distance, in metres; may be negative.
        kernel: "fresnel" (paraxial, separable) or "exact" (Rayleigh-Sommerfeld).
        method: "matrix" (real matrix products; only for the separable Fresnel kernel), "fft" (FFTs that
            skip the zero rows of the padding), "reference" (plain padded FFTs, kept simple to check the
            others), or "auto".
        output_shift: Lateral displacement (dy, dx) of the output window, in metres, in any fraction of
            a pixel.
        dtype: Complex type of the computation, complex64 or complex128.

    Returns:
        The operator.

    Raises:
        ValueError: If a length is not positive and finite, or a name is unknown.
        TypeError: If the geometry is traced by `jit` or `grad`, or `dtype` is not complex.
    """
    geometry = _checked_geometry(shape, pixel_pitch, wavelength, distance, output_shift)
    resolved = _resolved_method(kernel, method, geometry.shape)
    complex_type = _checked_dtype(dtype)
    real_type = np.finfo(complex_type).dtype
    return FreeSpace(
        factors=tuple(
            jnp.asarray(f.astype(complex_type if np.iscomplexobj(f) else real_type))
            for f in _PREPARE[resolved](geometry, kernel)
        ),
        shape=geometry.shape,
        pixel_pitch=geometry.pitch,
        wavelength=geometry.wavelength,
        distance=geometry.distance,
        kernel=kernel,
        method=resolved,
        output_shift=geometry.shift,
        is_symmetric=geometry.shift == (0.0, 0.0),
    )


def _prepare_matrix(geometry: kernels.Windows, kernel: str) -> tuple[np.ndarray, ...]:
    del kernel  # only Fresnel is separable
    spectra = kernels.fresnel_spectra(geometry)
    along_y, along_x = (
        kernels.toeplitz(h, n) for h, n in zip(spectra, geometry.shape, strict=True)
    )
    if geometry.shift == (0.0, 0.0):
        return *even_odd_parts(along_y), *even_odd_parts(along_x)
    return complex_parts(along_y), complex_parts(along_x)


def _apply_matrix(factors: tuple[Array, ...], u: Array) -> Array:
    if len(factors) == 2:
        return apply_matrices(factors[0], factors[1], u)
    even_y, odd_y, even_x, odd_x = factors
    return apply_even_odd(even_y, odd_y, even_x, odd_x, u)


def _prepare_reference(geometry: kernels.Windows, kernel: str) -> tuple[np.ndarray, ...]:
    if kernel == "exact":
        return (kernels.exact_spectrum(geometry),)
    along_y, along_x = kernels.fresnel_spectra(geometry)
    return (along_y[:, None] * along_x[None, :],)


def _apply_reference(factors: tuple[Array, ...], u: Array) -> Array:
    (spectrum,) = factors
    ny, nx = u.shape[-2:]
    filtered = jnp.fft.fft2(u, s=spectrum.shape) * over_batch(spectrum, u)
    return jnp.fft.ifft2(filtered)[..., :ny, :nx]


def _prepare_fft(geometry: kernels.Windows, kernel: str) -> tuple[np.ndarray, ...]:
    ny, nx = (
        scipy.fft.next_fast_len(2 * n - 1) or 0 for n in geometry.shape
    )  # for the type: an int
    (spectrum,) = _prepare_reference(geometry, kernel)
    return (kernels.shortest_spectrum(spectrum, geometry.shape, (ny, nx)),)


def _apply_fft(factors: tuple[Array, ...], u: Array) -> Array:
    (spectrum,) = factors
    (ny, nx), (py, px) = u.shape[-2:], spectrum.shape
    # Rows first: those of the padding are zero going in, and dropped before they are needed going out.
    v = jnp.fft.fft(jnp.fft.fft(u, n=px, axis=-1), n=py, axis=-2)
    v = jnp.fft.ifft(v * over_batch(spectrum, v), axis=-2)[..., :ny, :]
    return jnp.fft.ifft(v, axis=-1)[..., :nx]


_PREPARE = {"matrix": _prepare_matrix, "fft": _prepare_fft, "reference": _prepare_reference}
_APPLY = {"matrix": _apply_matrix, "fft": _apply_fft, "reference": _apply_reference}


def _transposed(method: str, factors: tuple[Array, ...]) -> tuple[Array, ...]:
    if method == "matrix":
        return tuple(jnp.swapaxes(f, -1, -2) for f in factors)
    # h(-m) has the spectrum H(-f): index k goes to -k modulo the length.
    return tuple(jnp.roll(jnp.flip(f, (-2, -1)), (1, 1), (-2, -1)) for f in factors)


@partial(jax.jit, static_argnums=(0, 1))
def _propagate(method: str, is_symmetric: bool, factors, amplitude):
    factors = _without_derivative(factors)
    transposed = factors if is_symmetric else _transposed(method, factors)
    apply = _APPLY[method]
    return _linear_map(lambda u: apply(factors, u), lambda c: apply(transposed, c), amplitude)


def _linear_map(forward: Callable, transposed: Callable, u: Array) -> Array:
    """Applies a linear map with its own transpose, under every transformation of JAX.

    `jax.custom_derivatives.linear_call` says just this but cannot be batched (jax 0.10.2). A linear
    solve that brings its own solvers can: the map plays the solver, and the matrix, which nothing
    evaluates, is left as the identity.
    """
    return jax.lax.custom_linear_solve(
        lambda x: x, u, lambda _, b: forward(b), transpose_solve=lambda _, c: transposed(c)
    )


@jax.custom_jvp
def _without_derivative(factors):
    """Identity that raises when it is differentiated, where `stop_gradient` would say zero."""
    return factors


def _raise_unless_zero(primals, tangents):
    zero = jax.custom_derivatives.SymbolicZero
    leaves = jax.tree.leaves(tangents, is_leaf=lambda t: isinstance(t, zero))
    if not all(isinstance(t, zero) for t in leaves):
        raise TypeError(
            "FreeSpace has no derivative in its geometry. Differentiate in fields and masks only "
            "(jax.lax.stop_gradient on the operator), or use optics.propagation."
        )
    return primals[0], tangents[0]


_without_derivative.defjvp(_raise_unless_zero, symbolic_zeros=True)


def _checked_geometry(shape, pixel_pitch, wavelength, distance, shift) -> kernels.Windows:
    sizes = tuple(int(n) for n in shape)
    if len(sizes) != 2 or min(sizes) < 1:
        raise ValueError(f"`shape` must be two positive sizes (ny, nx), but is {sizes}.")
    if len(shift) != 2:
        raise ValueError(f"`output_shift` must be (dy, dx), but has {len(shift)} entries.")
    pitch = _concrete(pixel_pitch, "pixel_pitch")
    length = _concrete(wavelength, "wavelength")
    check_positive(pitch, "pixel_pitch", "m")
    check_positive(length, "wavelength", "m")
    warn_if_swapped(pitch, length)
    z = _finite(distance, "distance")
    dy, dx = (_finite(s, "output_shift") for s in shift)
    return kernels.Windows((sizes[0], sizes[1]), pitch, length, z, (dy, dx))


def _finite(value, name: str) -> float:
    number = _concrete(value, name)
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be finite, but is {number:g} m.")
    return number


def _concrete(value, name: str) -> float:
    if not is_concrete(value):
        raise TypeError(
            f"`{name}` must be a number, but is traced by jit or grad. Make the operator outside, or "
            "use optics.propagation, which is differentiable in its geometry."
        )
    return float(value)


def _checked_dtype(dtype) -> np.dtype:
    complex_type = np.dtype(dtype)
    if complex_type not in (np.complex64, np.complex128):
        raise TypeError(f"`dtype` must be complex64 or complex128, but is {complex_type}.")
    if jax.dtypes.canonicalize_dtype(complex_type) != complex_type:
        raise ValueError(
            "`dtype` is complex128, but JAX is in 32-bit mode. Set jax_enable_x64 first."
        )
    return complex_type


def _resolved_method(kernel: str, method: str, shape: tuple[int, int]) -> str:
    if kernel not in ("fresnel", "exact"):
        raise ValueError(f"`kernel` must be 'fresnel' or 'exact', but is {kernel!r}.")
    if method not in ("auto", *_APPLY):
        names = "'auto', 'matrix', 'fft' or 'reference'"
        raise ValueError(f"`method` must be {names}, but is {method!r}.")
    if method == "matrix" and kernel == "exact":
        raise ValueError(
            "`method` must be 'fft' or 'reference' for the exact kernel, which is not separable, "
            "but is 'matrix'."
        )
    if method == "auto":
        return "matrix" if kernel == "fresnel" and max(shape) <= _LARGEST_MATRIX else "fft"
    return method

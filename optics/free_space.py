"""Prepared free-space operator: one geometry, applied many times, fast.

`make_free_space` computes the kernel once, on the host in double precision (k z is about 5e6 rad for centimetres, which
single precision cannot resolve), and returns a `FreeSpace` that maps complex amplitudes to complex amplitudes on the
same window. Fields are zero outside the window, and the convolution is linear, never circular.

Kernels (Goodman, Introduction to Fourier Optics, 3rd ed., 2005):
    fresnel  H(f) = exp(-i pi lambda z f^2), h(x) = exp(i pi x^2 / (lambda z)) / sqrt(i lambda z) along each axis
             (eqs. 4-20, 4-16). It is separable, so the operator is Y = A_y X A_x^T with two Toeplitz matrices.
    exact    H(f) = exp(i 2 pi z (sqrt(1/lambda^2 - f^2) - 1/lambda)), band-limited as in Matsushima and Shimobaba
             (2009), DOI 10.1364/OE.17.019662; and the Rayleigh-Sommerfeld impulse response
             h(r) = (z / (2 pi R^2)) (1/R - i k) exp(i k (R - z)).
The transfer function is sampled while |z| <= P pitch^2 / lambda (P = padded length, at least twice the window), the
impulse response beyond: each is free of aliasing on its side (Voelz and Roggemann 2009, DOI 10.1364/AO.48.006132).

The carrier exp(i k z) is left out: a holographic reference fixes the piston, and intensities do not see it.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft
from jaxtyping import Array, Complex, Float

from optics._checks import check_positive, check_shape

Kernel = Literal["fresnel", "exact"]
Method = Literal["auto", "matrix", "fft", "reference"]

# Above this many samples along the longer axis FFTs win over matrix products; see the table of `make_free_space`.
_LARGEST_MATRIX = 512


class FreeSpace(eqx.Module):
    """Linear map u -> T u of free space between two windows of the same size and pitch.

    Differentiable in the field, forward and reverse. It holds no derivative with respect to geometry: asking for one
    raises TypeError (`optics.propagation` has it). Make one with `make_free_space`.

    Attributes:
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing, in metres.
        wavelength: Wavelength in the medium, in metres.
        distance: Propagation distance, in metres; negative goes back.
        kernel: "fresnel" or "exact".
        method: "matrix", "fft" or "reference".
        output_shift: Lateral displacement (dy, dx) of the output window, in metres.
    """

    factors: tuple[Array, ...]
    shape: tuple[int, int] = eqx.field(static=True)
    pixel_pitch: float = eqx.field(static=True)
    wavelength: float = eqx.field(static=True)
    distance: float = eqx.field(static=True)
    kernel: str = eqx.field(static=True)
    method: str = eqx.field(static=True)
    output_shift: tuple[float, float] = eqx.field(static=True)

    @property
    def is_symmetric(self) -> bool:
        """Tells whether T^T = T, which holds when the output window is not displaced."""
        return self.output_shift == (0.0, 0.0)

    @property
    def dtype(self) -> jnp.dtype:
        """Complex type that the operator was made for."""
        return jnp.result_type(self.factors[0], jnp.complex64)

    def transpose(self) -> "FreeSpace":
        """Transposed operator T^T (no conjugate): free space with the opposite output shift."""
        if self.is_symmetric:
            return self
        dy, dx = self.output_shift
        flipped = _transposed_factors(self.factors, self.method)
        return dataclasses.replace(self, factors=flipped, output_shift=(-dy, -dx))

    def __call__(self, amplitude: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
        """Propagates complex amplitudes `(..., y, x)`.

        Raises:
            ValueError: If the last two axes are not the grid of the operator.
            TypeError: If the field is of higher precision than the operator, or (when differentiating) if a
                derivative with respect to the operator's geometry is asked for.
        """
        check_shape(
            amplitude, "amplitude", self.shape, "Make the operator for the shape of the field."
        )
        if jnp.finfo(amplitude.dtype).bits > jnp.finfo(self.dtype).bits:
            raise TypeError(
                f"`amplitude` is {amplitude.dtype} but the operator was made for {self.dtype}. "
                "Pass dtype=jnp.complex128 to make_free_space."
            )
        factors = _no_geometry_derivative(self.factors)
        apply = _APPLY[self.method]
        if self.is_symmetric:
            return _linear_map(lambda u: apply(factors, u), None, amplitude)
        flipped = _transposed_factors(factors, self.method)
        return _linear_map(lambda u: apply(factors, u), lambda c: apply(flipped, c), amplitude)


def make_free_space(
    shape: tuple[int, int],
    pixel_pitch: float,
    wavelength: float,
    distance: float,
    *,
    kernel: Kernel = "fresnel",
    method: Method = "auto",
    output_shift: tuple[float, float] = (0.0, 0.0),
    dtype: Any = jnp.complex64,
) -> FreeSpace:
    """Prepares free space between two equal windows.

    Args:
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing, in metres.
        wavelength: Wavelength in the medium, in metres.
        distance: Propagation distance, in metres; may be negative.
        kernel: "fresnel" (paraxial, separable) or "exact" (Rayleigh-Sommerfeld).
        method: "matrix" (two dense matrix products; only for the separable Fresnel kernel), "fft" (padded FFTs that
            skip the zero rows), "reference" (plain padded FFTs, kept simple to check the others), or "auto".
        output_shift: Lateral displacement (dy, dx) of the output window, in metres, any fraction of a pixel.
        dtype: Complex type of the computation, complex64 or complex128.

    Returns:
        The operator.

    Raises:
        ValueError: If a length is not positive and finite, or a name is unknown.
        TypeError: If a geometry argument is not a concrete number, or `dtype` is not complex.
    """
    spec = _checked_spec(shape, pixel_pitch, wavelength, distance, output_shift)
    method = _checked_method(kernel, method, spec.shape)
    complex_type = np.dtype(dtype)
    if complex_type.kind != "c":
        raise TypeError(f"`dtype` must be complex64 or complex128, but is {complex_type}.")
    if complex_type == np.complex128 and not jax.config.jax_enable_x64:
        raise ValueError(
            "`dtype` is complex128 but JAX is in 32-bit mode. Set jax_enable_x64 first."
        )
    host = _HOST_FACTORS[method](spec, kernel)
    return FreeSpace(
        factors=tuple(jnp.asarray(_cast(f, complex_type)) for f in host),
        shape=spec.shape,
        pixel_pitch=spec.pitch,
        wavelength=spec.wavelength,
        distance=spec.distance,
        kernel=kernel,
        method=method,
        output_shift=spec.shift,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Geometry


class _Spec(eqx.Module):
    shape: tuple[int, int]
    pitch: float
    wavelength: float
    distance: float
    shift: tuple[float, float]


def _checked_spec(shape, pixel_pitch, wavelength, distance, output_shift) -> _Spec:
    shape = tuple(int(n) for n in shape)
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"`shape` must be two positive sizes (ny, nx), but is {shape}.")
    pitch = _concrete(pixel_pitch, "pixel_pitch")
    length = _concrete(wavelength, "wavelength")
    z = _concrete(distance, "distance")
    shift = tuple(_concrete(s, "output_shift") for s in output_shift)
    check_positive(pitch, "pixel_pitch", "m")
    check_positive(length, "wavelength", "m")
    if len(shift) != 2:
        raise ValueError(
            f"`output_shift` must be (dy, dx) in metres, but has {len(shift)} entries."
        )
    for value, name in ((z, "distance"), (shift[0], "output_shift"), (shift[1], "output_shift")):
        if not math.isfinite(value):
            raise ValueError(f"`{name}` must be finite, but is {value:g} m.")
    return _Spec(shape, pitch, length, z, shift)


def _concrete(value, name: str) -> float:
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"`{name}` must be a concrete number, but is traced by jit or grad. Make the operator outside, or use "
            "optics.propagation, which is differentiable in its geometry."
        )
    return float(value)


def _checked_method(kernel: str, method: str, shape: tuple[int, int]) -> str:
    if kernel not in ("fresnel", "exact"):
        raise ValueError(f"`kernel` must be 'fresnel' or 'exact', but is {kernel!r}.")
    if method not in ("auto", "matrix", "fft", "reference"):
        raise ValueError(
            f"`method` must be 'auto', 'matrix', 'fft' or 'reference', but is {method!r}."
        )
    if method == "matrix" and kernel == "exact":
        raise ValueError(
            "`method` must be 'fft' for the exact kernel, but is 'matrix': it is not separable."
        )
    if method == "auto":
        return "matrix" if kernel == "fresnel" and max(shape) <= _LARGEST_MATRIX else "fft"
    return method


def _padded_length(n: int, shift: float, pitch: float) -> int:
    """Even length that keeps the circular convolution of a displaced window linear."""
    return 2 * (n + math.ceil(abs(shift) / pitch))


def _samples_transfer_function(length: int, spec: _Spec) -> bool:
    return abs(spec.distance) <= length * spec.pitch**2 / spec.wavelength


# ---------------------------------------------------------------------------------------------------------------------
# Kernels on the host, float64. Spectra are in FFT order; impulse responses hold lag m at index m modulo the length.


def _shift_phase(length: int, shift: float, pitch: float) -> np.ndarray:
    """Spectrum of a displacement; real at the Nyquist frequency, so that -shift is exactly the transpose."""
    phase = np.exp(2j * np.pi * np.fft.fftfreq(length, pitch) * shift)
    phase[length // 2] = phase[length // 2].real
    return phase


def _lags(length: int) -> np.ndarray:
    return np.fft.fftfreq(length, 1.0 / length)


def _fresnel_spectrum(n: int, shift: float, spec: _Spec) -> np.ndarray:
    """Transfer function of one axis on its padded grid."""
    length = _padded_length(n, shift, spec.pitch)
    if _samples_transfer_function(length, spec):
        f = np.fft.fftfreq(length, spec.pitch)
        quadratic = np.exp(-1j * np.pi * spec.wavelength * spec.distance * f**2)
        return quadratic * _shift_phase(length, shift, spec.pitch)
    x = _lags(length) * spec.pitch + shift
    area = spec.wavelength * abs(spec.distance)
    gouy = np.exp(-0.25j * np.pi * np.sign(spec.distance))
    chirp = np.exp(1j * np.pi * x**2 / (spec.wavelength * spec.distance))
    return np.fft.fft(spec.pitch / math.sqrt(area) * gouy * chirp)


def _exact_spectrum(spec: _Spec) -> np.ndarray:
    """Two-dimensional transfer function on the padded grid."""
    lengths = [
        _padded_length(n, s, spec.pitch) for n, s in zip(spec.shape, spec.shift, strict=True)
    ]
    if _samples_transfer_function(max(lengths), spec):
        # A short axis is padded further, so that one rule holds for both.
        needed = math.ceil(abs(spec.distance) * spec.wavelength / spec.pitch**2)
        lengths = [max(n, needed + needed % 2) for n in lengths]
        return _angular_spectrum(lengths, spec)
    return np.fft.fft2(_rayleigh_sommerfeld(lengths, spec))


def _angular_spectrum(lengths: list[int], spec: _Spec) -> np.ndarray:
    fy, fx = (np.fft.fftfreq(n, spec.pitch) for n in lengths)
    k = 1 / spec.wavelength
    axial = np.sqrt((k**2 - fy[:, None] ** 2 - fx[None, :] ** 2).astype(complex))
    # Written for |z| and conjugated for z < 0, so that evanescent waves never grow. k - axial without cancellation:
    deficit = (fy[:, None] ** 2 + fx[None, :] ** 2) / (k + axial)
    spectrum = np.exp(-2j * np.pi * abs(spec.distance) * deficit)
    for axis, (n, f) in enumerate(zip(lengths, (fy, fx), strict=True)):
        limit = k / math.hypot(2 * spec.distance / (n * spec.pitch), 1)
        spectrum *= np.expand_dims(np.abs(f) <= limit, 1 - axis)
    if spec.distance < 0:
        spectrum = np.conj(spectrum)
    py, px = (_shift_phase(n, s, spec.pitch) for n, s in zip(lengths, spec.shift, strict=True))
    return spectrum * py[:, None] * px[None, :]


def _rayleigh_sommerfeld(lengths: list[int], spec: _Spec) -> np.ndarray:
    y, x = (_lags(n) * spec.pitch + s for n, s in zip(lengths, spec.shift, strict=True))
    z = abs(spec.distance)
    k = 2 * np.pi / spec.wavelength
    square = y[:, None] ** 2 + x[None, :] ** 2
    radius = np.sqrt(square + z**2)
    response = (
        z / (2 * np.pi * radius**2) * (1 / radius - 1j * k) * np.exp(1j * k * square / (radius + z))
    )
    return spec.pitch**2 * (response if spec.distance > 0 else np.conj(response))


def _spectrum(spec: _Spec, kernel: str) -> np.ndarray:
    if kernel == "exact":
        return _exact_spectrum(spec)
    hy, hx = (_fresnel_spectrum(n, s, spec) for n, s in zip(spec.shape, spec.shift, strict=True))
    return hy[:, None] * hx[None, :]


# ---------------------------------------------------------------------------------------------------------------------
# Three ways to apply it


def _matrix_factors(spec: _Spec, kernel: str) -> tuple[np.ndarray, ...]:
    """For each axis (Ar, Ai - Ar, Ar + Ai) of its Toeplitz matrix A."""
    del kernel
    return tuple(
        _three_parts(_toeplitz(_fresnel_spectrum(n, s, spec), n))
        for n, s in zip(spec.shape, spec.shift, strict=True)
    )


def _toeplitz(spectrum: np.ndarray, n: int) -> np.ndarray:
    response = np.fft.ifft(spectrum)
    return response[np.subtract.outer(np.arange(n), np.arange(n))]


def _three_parts(a: np.ndarray) -> np.ndarray:
    return np.stack([a.real, a.imag - a.real, a.real + a.imag])


def _apply_matrix(factors, u: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
    """Y = A_y X A_x^T with three real products for each complex one (Gauss)."""
    along_y, along_x = factors
    real, imag = _gauss_product(u.real, u.imag, along_x, "...yx,zx->...yz")
    real, imag = _gauss_product(real, imag, along_y, "...yx,zy->...zx")
    return jax.lax.complex(real, imag)


def _gauss_product(real: Float[Array, "*b y x"], imag: Float[Array, "*b y x"], parts, spec: str):
    # (a + ib)(c + id): k1 = c(a + b), k2 = a(d - c), k3 = b(c + d); real k1 - k3, imaginary k1 + k2.
    def product(x, a):
        return jnp.einsum(spec, x, a, precision=jax.lax.Precision.HIGHEST)

    k1 = product(real + imag, parts[0])
    return k1 - product(imag, parts[2]), k1 + product(real, parts[1])


def _fft_factors(spec: _Spec, kernel: str) -> tuple[np.ndarray, ...]:
    """Spectrum on the shortest fast grid that holds every lag between two points of the window."""
    ny, nx = spec.shape
    response = np.fft.ifft2(_spectrum(spec, kernel))
    py, px = (scipy.fft.next_fast_len(2 * n - 1) for n in (ny, nx))
    folded = np.zeros((py, px), complex)
    my, mx = np.arange(1 - ny, ny), np.arange(1 - nx, nx)
    folded[np.ix_(my, mx)] = response[np.ix_(my, mx)]
    return (np.fft.fft2(folded),)


def _apply_fft(factors, u: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
    (spectrum,) = factors
    ny, nx = u.shape[-2:]
    py, px = spectrum.shape
    v = jnp.fft.fft(jnp.fft.fft(u, n=px, axis=-1), n=py, axis=-2) * _as_batch(spectrum, u.ndim)
    v = jnp.fft.ifft(v, axis=-2)[..., :ny, :]
    return jnp.fft.ifft(v, axis=-1)[..., :nx]


def _reference_factors(spec: _Spec, kernel: str) -> tuple[np.ndarray, ...]:
    return (_spectrum(spec, kernel),)


def _apply_reference(factors, u: Complex[Array, "*batch y x"]) -> Complex[Array, "*batch y x"]:
    (spectrum,) = factors
    ny, nx = u.shape[-2:]
    v = jnp.fft.fft2(u, s=spectrum.shape) * _as_batch(spectrum, u.ndim)
    return jnp.fft.ifft2(v)[..., :ny, :nx]


def _as_batch(array: Array, ndim: int) -> Array:
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def _transposed_factors(factors: tuple[Array, ...], method: str) -> tuple[Array, ...]:
    if method == "matrix":
        return tuple(jnp.swapaxes(f, -1, -2) for f in factors)
    # h(-m) has the spectrum H(-f): index k goes to -k modulo the length.
    return tuple(jnp.roll(jnp.flip(f, (-2, -1)), (1, 1), (-2, -1)) for f in factors)


_HOST_FACTORS = {"matrix": _matrix_factors, "fft": _fft_factors, "reference": _reference_factors}
_APPLY: dict[str, Callable] = {
    "matrix": _apply_matrix,
    "fft": _apply_fft,
    "reference": _apply_reference,
}


def _cast(array: np.ndarray, complex_type: np.dtype) -> np.ndarray:
    real_type = np.float32 if complex_type == np.complex64 else np.float64
    return array.astype(complex_type if np.iscomplexobj(array) else real_type)


# ---------------------------------------------------------------------------------------------------------------------
# Derivatives


def _linear_map(forward: Callable, transposed: Callable | None, u: Array) -> Array:
    """Applies a linear map whose transpose is known (`None`: it is its own), in every transformation of JAX.

    `jax.custom_derivatives.linear_call` says this directly but cannot be batched (jax 0.10.2). A linear solve with its
    own solver can: the map plays the solver, and the matrix, never evaluated, is left as the identity.
    """
    solve = lambda _, b: forward(b)  # noqa: E731
    back = None if transposed is None else (lambda _, c: transposed(c))
    return jax.lax.custom_linear_solve(
        lambda x: x, u, solve, transpose_solve=back, symmetric=transposed is None
    )


@jax.custom_jvp
def _no_geometry_derivative(factors):
    return factors


def _raise_on_tangent(primals, tangents):
    zero = jax.custom_derivatives.SymbolicZero
    if any(
        not isinstance(t, zero)
        for t in jax.tree.leaves(tangents, is_leaf=lambda t: isinstance(t, zero))
    ):
        raise TypeError(
            "FreeSpace has no derivative with respect to its geometry. Differentiate with respect to fields and masks "
            "only (jax.lax.stop_gradient on the operator), or use optics.propagation."
        )
    return primals[0], tangents[0]


_no_geometry_derivative.defjvp(_raise_on_tangent, symbolic_zeros=True)

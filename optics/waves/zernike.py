"""Zernike polynomials: indices, values, optical path differences from coefficients and back.

With x = r cos t and y = r sin t on the unit disc,

    Z_n^m = N R_n^|m|(r) cos(m t) for m >= 0,   N R_n^|m|(r) sin(|m| t) for m < 0,
    N = sqrt(n + 1) for m = 0, else sqrt(2 (n + 1)),

orthonormal over the disc: (1 / pi) integral Z_i Z_j dA = delta_ij (R. J. Noll, J. Opt. Soc. Am. 66,
207 (1976), DOI 10.1364/JOSA.66.000207). A coefficient in metres is thus the rms optical path
difference of its term over the disc; at the rim it is N times larger. Noll's index j starts at 1,
the OSA/ANSI index (Thibos et al., J. Refract. Surg. 18, S652 (2002)) at 0, j = (n (n + 2) + m) / 2.
The parity under r -> -r is (-1)^n.

Values come from the three-term recurrence of the Jacobi polynomials, R_n^m = r^m P_k^(0,m)(2 r^2 -
1) with k = (n - m) / 2, which stays accurate at orders where the usual sum of factorials has lost
every digit.
"""

import math
from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from optics._checks import check_finite, check_positive, is_concrete
from optics._numbers import as_real, takes_numbers
from optics.waves.field import grid_coordinates

Outside = Literal["continue", "zero"]


def noll_to_nm(j: int) -> tuple[int, int]:
    """Radial order n and signed azimuthal order m of Noll index j = 1, 2, ..."""
    _check_index(j, 1)
    n = (math.isqrt(8 * j - 7) - 1) // 2
    # Within order n, |m| climbs in steps of two; even j are cosines.
    k = j - n * (n + 1) // 2 - 1
    m = 2 * ((k + 1 - n % 2) // 2) + n % 2
    return n, m if j % 2 == 0 else -m


def nm_to_noll(n: int, m: int) -> int:
    """Noll index of radial order n and signed azimuthal order m."""
    _check_orders(n, m)
    first = n * (n + 1) // 2 + abs(m)
    if m == 0:
        return first + 1
    # Of the two candidates, the cosine takes the even one.
    return first + (first + (m < 0)) % 2


def osa_to_nm(j: int) -> tuple[int, int]:
    """Radial order n and signed azimuthal order m of OSA/ANSI index j = 0, 1, ..."""
    _check_index(j, 0)
    n = (math.isqrt(8 * j + 1) - 1) // 2
    return n, 2 * j - n * (n + 2)


def nm_to_osa(n: int, m: int) -> int:
    """OSA/ANSI index of radial order n and signed azimuthal order m."""
    _check_orders(n, m)
    return (n * (n + 2) + m) // 2


def zernike_radial(n: int, m: int, radius: ArrayLike) -> Array:
    """Radial polynomial R_n^m, not normalised: R_n^m(1) = 1.

    Args:
        n: Radial order.
        m: Azimuthal order, 0 .. n with n - m even.
        radius: Distance from the centre over the radius of the disc; above 1 the polynomial goes
            on.

    Returns:
        Values in the shape of `radius`.
    """
    _check_orders(n, m)
    r: Array = as_real(radius, "radius")
    return r ** abs(m) * _jacobi((n - abs(m)) // 2, abs(m), 2 * r**2 - 1)


@takes_numbers
def zernike(
    n: int, m: int, y: Float[Array, "*shape"], x: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Normalised polynomial Z_n^m at Cartesian points in units of the disc radius.

    A polynomial in x and y, so it is smooth at the centre and goes on outside the disc.

    Args:
        n: Radial order.
        m: Azimuthal order from -n to n with n - m even; negative for sines.
        y: Ordinates over the disc radius.
        x: Abscissae over the disc radius; the angle is counted from +x towards +y.

    Returns:
        Values in the shape of `y`.
    """
    _check_orders(n, m)
    # r^|m| (cos |m|t, sin |m|t) by repeated turning.
    cosine, sine = jnp.ones_like(x), jnp.zeros_like(x)
    for _ in range(abs(m)):
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
    norm = math.sqrt(n + 1) if m == 0 else math.sqrt(2 * (n + 1))
    radial = _jacobi((n - abs(m)) // 2, abs(m), 2 * (x**2 + y**2) - 1)
    return norm * radial * (sine if m < 0 else cosine)


def zernike_basis(
    noll_indices: Sequence[int],
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    disc_radius: ArrayLike,
    *,
    outside: Outside = "continue",
) -> Float[Array, "modes y x"]:
    """Normalised polynomials on a grid centred on sample N // 2.

    Args:
        noll_indices: Noll indices of the modes.
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing in metres.
        disc_radius: Radius of the disc of orthogonality in metres.
        outside: "continue" lets the polynomials go on outside the disc, as a square panel needs;
            "zero" cuts them at samples outside it.

    Returns:
        One image per mode.
    """
    check_positive(pixel_pitch, "pixel_pitch", "m")
    check_positive(disc_radius, "disc_radius", "m")
    if outside not in ("continue", "zero"):
        raise ValueError(f"`outside` must be 'continue' or 'zero', but is {outside!r}.")
    y, x = grid_coordinates(shape, jnp.asarray(pixel_pitch) / jnp.asarray(disc_radius))
    basis = jnp.stack([zernike(*noll_to_nm(j), y, x) for j in noll_indices])
    if outside == "continue":
        return basis
    return jnp.where((y**2 + x**2 <= 1)[None], basis, 0)


@takes_numbers
def path_from_zernike(
    coefficients: Float[Array, "*batch modes"],
    shape: tuple[int, int],
    pixel_pitch: ArrayLike,
    disc_radius: ArrayLike,
    *,
    noll_indices: Sequence[int] | None = None,
    outside: Outside = "continue",
) -> Float[Array, "*batch y x"]:
    """Optical path difference sum_j c_j Z_j.

    Args:
        coefficients: Metres rms over the disc, one per mode.
        shape: Grid size (ny, nx).
        pixel_pitch: Sample spacing in metres.
        disc_radius: Radius of the disc in metres.
        noll_indices: Noll indices of the modes; 1, 2, ... if None.
        outside: See `zernike_basis`.

    Returns:
        Optical path difference in metres; positive is a longer path, which adds phase
        (`elements.path_mask`).
    """
    check_finite(coefficients, "coefficients")
    n_modes = coefficients.shape[-1]
    indices = range(1, n_modes + 1) if noll_indices is None else noll_indices
    if len(indices) != n_modes:
        raise ValueError(
            f"`noll_indices` must name {n_modes} modes, one per coefficient, but names {len(indices)}."
        )
    basis = zernike_basis(indices, shape, pixel_pitch, disc_radius, outside=outside)
    return jnp.tensordot(coefficients, basis.astype(coefficients.dtype), axes=1)


@takes_numbers
def fit_zernike(
    optical_path_difference: Float[Array, "*batch y x"],
    pixel_pitch: ArrayLike,
    disc_radius: ArrayLike,
    noll_indices: Sequence[int],
) -> Float[Array, "*batch modes"]:
    """Least-squares coefficients of an optical path difference over the samples inside the disc.

    Exact for a path in the span of the modes; the sampled modes are not orthogonal, which least
    squares accounts for.

    Args:
        optical_path_difference: Path in metres; samples outside the disc are ignored and may be
            anything.
        pixel_pitch: Sample spacing in metres.
        disc_radius: Radius of the disc in metres.
        noll_indices: Noll indices of the modes to fit.

    Returns:
        Coefficients in metres, in the order of `noll_indices`.

    Raises:
        ValueError: If the disc holds fewer samples than there are modes.
    """
    shape = (optical_path_difference.shape[-2], optical_path_difference.shape[-1])
    basis = zernike_basis(noll_indices, shape, pixel_pitch, disc_radius)
    y, x = grid_coordinates(shape, jnp.asarray(pixel_pitch) / jnp.asarray(disc_radius))
    inside = y**2 + x**2 <= 1
    _check_samples(inside, len(noll_indices))
    # Rows outside the disc are zero on both sides, which keeps shapes fixed under jit. (samples,
    # modes)
    matrix = jnp.where(inside[None], basis, 0).reshape(len(noll_indices), -1).T
    known = jnp.broadcast_to(inside, optical_path_difference.shape)
    target = jnp.where(known, optical_path_difference, 0)
    target = target.reshape(-1, matrix.shape[0]).astype(matrix.dtype)
    # Divided by its size: metres of 1e-8 would otherwise meet cut-offs meant for numbers near one.
    scale = jnp.maximum(jnp.max(jnp.abs(target)), jnp.finfo(target.dtype).tiny)
    solution = jnp.linalg.lstsq(matrix, (target / scale).T)[0] * scale
    return solution.T.reshape(*optical_path_difference.shape[:-2], -1)


def _jacobi(k: int, beta: int, x: Array) -> Array:
    """Jacobi polynomial P_k^(0, beta) by its recurrence (Abramowitz and Stegun, 22.7.1)."""
    before, value = jnp.zeros_like(x), jnp.ones_like(x)
    for i in range(1, k + 1):
        s = 2 * i + beta
        if i == 1:
            # The general coefficients are 0 / 0 here for beta = 0.
            before, value = value, 1 + (beta + 2) * (x - 1) / 2
            continue
        a = 2 * i * (i + beta) * (s - 2)
        b = (s - 1) * (s * (s - 2) * x - beta**2)
        before, value = value, (b * value - 2 * (i - 1) * (i + beta - 1) * s * before) / a
    return value


def _check_index(j: int, lowest: int) -> None:
    if j < lowest:
        raise ValueError(f"Zernike index `j` must be at least {lowest}, but is {j}.")


def _check_orders(n: int, m: int) -> None:
    if n < 0 or abs(m) > n or (n - m) % 2:
        raise ValueError(
            f"Zernike orders must satisfy |m| <= n with n - m even, but n is {n} and m is {m}."
        )


def _check_samples(inside: Array, n_modes: int) -> None:
    if not is_concrete(inside):
        return
    n_samples = int(inside.sum())
    if n_samples < n_modes:
        raise ValueError(
            f"`disc_radius` must enclose at least {n_modes} samples, but encloses {n_samples}."
        )

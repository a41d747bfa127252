"""Random valid fields, geometries and elements, and what they give by direct sums in double precision.

Everything is drawn by NumPy from a seed, many cases at once on one small grid, since each shape compiles: `geometries`
and `light` give arrays over cases, the sums below take them case by case and know nothing of Fourier transforms.
"""

from typing import NamedTuple

import numpy as np

SHAPE = (4, 5)


class Geometries(NamedTuple):
    """Cases along the first axis of every array; lengths in units of no matter."""

    wavelength: np.ndarray
    pitch: np.ndarray
    distance: np.ndarray


def light(rng, n: int, shape=SHAPE) -> np.ndarray:
    """Complex amplitudes over eleven decades of brightness, a third of the pixels dark in every second case."""
    values = rng.standard_normal((n, *shape)) + 1j * rng.standard_normal((n, *shape))
    values[::2][rng.random((len(values[::2]), *shape)) < 1 / 3] = 0
    return values * 10.0 ** rng.uniform(-6, 5, (n, 1, 1))


def geometries(rng, n: int, nearest: float = 4.0) -> Geometries:
    """Pitches from a tenth of a wavelength to twenty, distances of either sign from `nearest` pitches to 1e5."""
    wavelength = 10.0 ** rng.uniform(-7, -5, n)
    pitch = wavelength * 10.0 ** rng.uniform(-1, 1.3, n)
    distance = pitch * 10.0 ** rng.uniform(np.log10(nearest), 5, n) * rng.choice([-1, 1], n)
    return Geometries(wavelength, pitch, distance)


def positions(n: int, pitch, centre=0.0) -> np.ndarray:
    """Samples of a grid centred on n // 2, for each case."""
    return (np.arange(n) - n // 2) * np.asarray(pitch)[..., None] + np.asarray(centre)[..., None]


def rayleigh_sommerfeld_sum(amplitude, geometry: Geometries) -> np.ndarray:
    """Sum over all samples as point sources of the first Rayleigh-Sommerfeld kernel; the conjugate for z < 0."""
    w, pitch, z = (a[:, None, None] for a in geometry)
    y, x = (positions(n, geometry.pitch) for n in amplitude.shape[-2:])
    dy = (y[:, :, None] - y[:, None, :])[:, :, None, :, None]
    dx = (x[:, :, None] - x[:, None, :])[:, None, :, None, :]
    depth, k = np.abs(z)[..., None, None], 2 * np.pi / w[..., None, None]
    radius = np.sqrt(dy**2 + dx**2 + depth**2)
    # Whole wavelengths of the depth drop out first, as k R has no digits left for them.
    phase = k * np.fmod(depth, 2 * np.pi / k) + k * (dy**2 + dx**2) / (radius + depth)
    kernel = depth / (2 * np.pi * radius**2) * (1 / radius - 1j * k) * np.exp(1j * phase)
    kernel = np.where(z[..., None, None] < 0, kernel.conj(), kernel)
    return np.einsum("cYXyx,cyx->cYX", kernel, amplitude) * pitch**2


def fresnel_sum(amplitude, geometry: Geometries, out_pitch, centre, shape) -> np.ndarray:
    """exp(i k z) / (i w z) sum u exp(i pi (X - x)^2 / (w z)) dx^2 on any window; T(-z) u = conj(T(z) conj(u))."""
    w, pitch, z = geometry
    depth = np.abs(z)
    back = (z < 0)[:, None, None]
    values = np.where(back, amplitude.conj(), amplitude)
    for axis, n_out in enumerate(shape):
        inner = positions(values.shape[axis + 1], pitch)
        outer = positions(n_out, out_pitch, centre[axis])
        # The difference of two grids, squared, in cycles.
        cycles = (outer[:, :, None] - inner[:, None, :]) ** 2 / (2 * w * depth)[:, None, None]
        matrix = np.exp(2j * np.pi * cycles) * (pitch / np.sqrt(w * depth))[:, None, None]
        values = np.einsum("coi,ci...->co...", matrix, np.moveaxis(values, axis + 1, 1))
        values = np.moveaxis(values, 1, axis + 1)
    values = values * (-1j * np.exp(2j * np.pi * np.fmod(depth, w) / w))[:, None, None]
    return np.where(back, values.conj(), values)


def relative_errors(found, expected) -> np.ndarray:
    """Largest difference over the largest modulus, for each case."""
    found, expected = np.asarray(found), np.asarray(expected)
    axes = tuple(range(1, expected.ndim))
    return np.abs(found - expected).max(axis=axes) / np.abs(expected).max(axis=axes)

"""Response of an endless grid: Fresnel integrals along a line, ever finer transfer functions in the plane."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import fresnel

from optics.media.free_space import make_free_space
from optics.media.geometry import Geometry
from optics.waves.band import band_nodes, line_response, plane_response
from optics.waves.field import Field
from optics.waves.propagation import propagate

GREEN, PITCH = 532e-9, 8e-6


def fresnel_response(x, walk):
    """int exp(-i pi a nu^2 + 2 pi i nu x) d nu over -1/2 ... 1/2 with a = 2 walk, by completing the square."""
    root, shift = np.sqrt(4 * walk), x / (2 * walk)
    (s1, c1), (s0, c0) = (fresnel(root * (end - shift)) for end in (0.5, -0.5))
    return np.exp(1j * np.pi * x**2 / (2 * walk)) * (c1 - c0 - 1j * (s1 - s0)) / root


def on_ever_finer_grids(walk, sine, positions):
    """Sum over the samples of the exact transfer function, 300- and 600-fold, and their difference to the infinite one.

    The error of a trapezoidal sum falls as the square of the step and then the fourth power, 2e-8 of which is left.
    """
    sums = []
    for count in (300, 600):
        nu = np.linspace(-0.5, 0.5, count + 1)
        weights = np.full(count + 1, 1 / count)
        weights[[0, -1]] /= 2
        square = sine**2 * 4 * (nu[:, None] ** 2 + nu**2)  # sine: of the end of the band
        cycles = walk / sine**2 * (np.sqrt(1 - square) - 1)
        rows = [weights * np.exp(2j * np.pi * p[:, None] * nu) for p in positions]
        sums.append(rows[0] @ np.exp(1j * np.pi * cycles) @ rows[1].T)
    return sums[1] + (sums[1] - sums[0]) / 3


@pytest.mark.parametrize("walk", [0.4, 9.0, 40.0])
def test_response_along_a_line_is_a_fresnel_integral(walk):
    nodes, weights = band_nodes(40)
    x = np.array([-40.0, -12.3, 0.0, 1.0, 7.5, 39.0])
    found = line_response(np.exp(-2j * np.pi * walk * nodes**2), x, nodes, weights)
    np.testing.assert_allclose(found, fresnel_response(x, walk), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("walk", "sine"), [(3.0, 0.033), (8.0, 0.5)])
def test_response_in_the_plane_is_the_limit_of_ever_finer_transfer_functions(walk, sine):
    nodes, weights = band_nodes(8)
    square = 4 * sine**2 * (nodes[:, None] ** 2 + nodes**2)
    transfer = np.exp(1j * np.pi * walk / sine**2 * (np.sqrt(1 - square) - 1))
    positions = np.array([-7.0, 0.0, 3.0, 7.0]), np.array([-5.7, 0.3, 4.3])
    expected = on_ever_finer_grids(walk, sine, positions)
    found = plane_response(np, transfer, positions, nodes, weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    traced = jax.jit(lambda h: plane_response(jnp, h, positions, nodes, weights))(transfer)
    np.testing.assert_allclose(traced, found, rtol=0, atol=1e-14)


def random_light(n):
    return np.exp(2j * np.pi * np.random.default_rng(0).random((n, n)))


@pytest.mark.parametrize("dtype", [jnp.complex64, complex])
@pytest.mark.parametrize("shift", [0.0, 2.5])
def test_free_space_of_a_panel_is_the_convolution_with_fresnel_integrals(shift, dtype):
    # The default geometry, 64 px of 8 um at 12 mm: 6 % of the field where the transfer function of 128 samples wraps.
    shape, _, _, z = (g := Geometry()).shape, g.pixel_pitch, g.wavelength, g.distance
    lags = np.subtract.outer(np.arange(64), np.arange(64))
    walk = GREEN * z / (2 * PITCH**2)
    along = [fresnel_response(lags + s, walk) for s in (shift, 0.0)]
    expected = along[0] @ random_light(64) @ along[1].T
    for method in ("matrix", "fft"):
        space = make_free_space(
            shape, PITCH, GREEN, z, output_shift=(shift * PITCH, 0.0), method=method, dtype=dtype
        )
        found = np.asarray(space(random_light(64).astype(dtype)))
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < (1e-6 if dtype == jnp.complex64 else 1e-12)


def test_exact_propagation_of_pixels_at_random_is_the_sum_over_an_endless_grid():
    n, z = 12, 2e-3
    lags = np.arange(1.0 - n, n)
    response = on_ever_finer_grids(GREEN * z / (2 * PITCH**2), GREEN / (2 * PITCH), (lags, lags))
    light, expected = random_light(n), np.zeros((n, n), complex)
    for i, j in itertools.product(range(n), range(n)):
        expected[i, j] = np.sum(response[i : i + n, j : j + n][::-1, ::-1] * light)
    space = make_free_space((n, n), PITCH, GREEN, z, kernel="exact", dtype=complex)
    field = Field(light, GREEN, PITCH)
    carrier = np.exp(2j * np.pi * z / GREEN)
    for found in (space(light), propagate(field, z).amplitude / carrier):
        error = np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected)
        assert error < 1e-6

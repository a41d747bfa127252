from fractions import Fraction
from math import factorial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.waves.elements import path_mask
from optics.waves.field import Field
from optics.waves.zernike import (
    fit_zernike,
    nm_to_noll,
    nm_to_osa,
    noll_to_nm,
    osa_to_nm,
    path_from_zernike,
    zernike,
    zernike_basis,
    zernike_radial,
)


def disc_quadrature(degree):
    """Points and weights exact for polynomials up to `degree`; weights sum to 1 (area / pi)."""
    # Gauss points in r^2, where the even powers left by the angle are polynomials.
    t, w = np.polynomial.legendre.leggauss(degree // 4 + 1)
    n_angles = degree + 1
    angle = 2 * np.pi * np.arange(n_angles) / n_angles
    r = np.sqrt((t + 1) / 2)[:, None]
    weights = np.repeat(w[:, None] / 2 / n_angles, n_angles, axis=1)
    return jnp.asarray(r * np.sin(angle)), jnp.asarray(r * np.cos(angle)), weights


def test_polynomials_are_orthonormal_on_the_disc():
    n_modes = 105  # all orders up to 13
    y, x, weights = disc_quadrature(26)
    basis = np.stack([zernike(*noll_to_nm(j), y, x) for j in range(1, n_modes + 1)])
    gram = np.einsum("ayx,byx,yx->ab", basis, basis, weights)
    np.testing.assert_allclose(gram, np.eye(n_modes), atol=1e-13)


# Noll (1976), table I, in x and y.
NAMED = {
    "piston": (1, lambda y, x: 1 + 0 * x),
    "tip": (2, lambda y, x: 2 * x),
    "tilt": (3, lambda y, x: 2 * y),
    "defocus": (4, lambda y, x: 3**0.5 * (2 * (x**2 + y**2) - 1)),
    "oblique astigmatism": (5, lambda y, x: 6**0.5 * 2 * x * y),
    "vertical astigmatism": (6, lambda y, x: 6**0.5 * (x**2 - y**2)),
    "vertical coma": (7, lambda y, x: 8**0.5 * (3 * (x**2 + y**2) - 2) * y),
    "horizontal coma": (8, lambda y, x: 8**0.5 * (3 * (x**2 + y**2) - 2) * x),
    "vertical trefoil": (9, lambda y, x: 8**0.5 * (3 * x**2 - y**2) * y),
    "oblique trefoil": (10, lambda y, x: 8**0.5 * (x**2 - 3 * y**2) * x),
    "spherical": (11, lambda y, x: 5**0.5 * (6 * (x**2 + y**2) ** 2 - 6 * (x**2 + y**2) + 1)),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_aberrations_inside_and_outside_the_disc(name):
    j, formula = NAMED[name]
    y, x = np.random.default_rng(j).uniform(-1.5, 1.5, (2, 7, 5))
    value = zernike(*noll_to_nm(j), jnp.asarray(y), jnp.asarray(x))
    np.testing.assert_allclose(value, formula(y, x), atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (4, 2), (7, 1), (9, 9), (12, 0), (21, 5), (40, 4)])
def test_radial_polynomial_equals_the_sum_of_factorials(n, m):
    # The textbook sum in exact rational arithmetic.
    for r in (Fraction(0), Fraction(1, 7), Fraction(1, 2), Fraction(9, 10), Fraction(1)):
        exact = sum(
            Fraction((-1) ** s * factorial(n - s))
            / (factorial(s) * factorial((n + m) // 2 - s) * factorial((n - m) // 2 - s))
            * r ** (n - 2 * s)
            for s in range((n - m) // 2 + 1)
        )
        # Recurrence of up to 20 steps on values of at most 1.
        assert float(zernike_radial(n, m, float(r))) == pytest.approx(float(exact), abs=1e-13)


def test_order_hundred_stays_bounded():
    r = jnp.linspace(0, 1, 501)
    value = zernike_radial(100, 0, r)
    assert float(jnp.abs(value).max()) <= 1 + 1e-11
    assert float(value[-1]) == pytest.approx(1, abs=1e-11)


def test_parity_under_point_reflection():
    y, x = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 40)))
    for j in range(1, 67):
        n, m = noll_to_nm(j)
        np.testing.assert_allclose(
            zernike(n, m, -y, -x), (-1) ** n * zernike(n, m, y, x), atol=1e-12
        )


def test_mirror_symmetry_tells_sines_from_cosines():
    y, x = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (2, 40)))
    for j in range(1, 67):
        n, m = noll_to_nm(j)
        sign = -1 if m < 0 else 1
        np.testing.assert_allclose(zernike(n, m, -y, x), sign * zernike(n, m, y, x), atol=1e-12)


def test_noll_table_of_orders():
    expected = [(0, 0), (1, 1), (1, -1), (2, 0), (2, -2), (2, 2), (3, -1), (3, 1), (3, -3), (3, 3)]
    expected += [(4, 0), (4, 2), (4, -2), (4, 4), (4, -4), (5, 1), (5, -1), (5, 3), (5, -3), (5, 5)]
    assert [noll_to_nm(j) for j in range(1, 21)] == expected


def test_osa_table_of_orders():
    expected = [(0, 0), (1, -1), (1, 1), (2, -2), (2, 0), (2, 2), (3, -3), (3, -1), (3, 1), (3, 3)]
    assert [osa_to_nm(j) for j in range(10)] == expected


def test_index_round_trips():
    assert [nm_to_noll(*noll_to_nm(j)) for j in range(1, 900)] == list(range(1, 900))
    assert [nm_to_osa(*osa_to_nm(j)) for j in range(900)] == list(range(900))
    # Both list the same polynomials order by order: 861 of them up to order 40.
    assert {noll_to_nm(j) for j in range(1, 862)} == {osa_to_nm(j) for j in range(861)}


@pytest.mark.parametrize("shape", [(64, 64), (41, 50)])
def test_fit_recovers_coefficients(shape):
    indices = [2, 4, 5, 6, 7, 11, 22]
    coefficients = jnp.asarray(np.random.default_rng(3).normal(size=(2, 7)) * 80e-9)
    opd = path_from_zernike(coefficients, shape, 8e-6, 150e-6, noll_indices=indices)
    y, x = np.meshgrid(*[(np.arange(n) - n // 2) * 8e-6 for n in shape], indexing="ij")
    # Whatever lies outside the disc must not matter.
    inside = jnp.broadcast_to(jnp.hypot(y, x) <= 150e-6, opd.shape)
    cut = path_from_zernike(coefficients, shape, 8e-6, 150e-6, noll_indices=indices, outside="zero")
    np.testing.assert_array_equal(cut, jnp.where(inside, opd, 0.0))
    opd = jnp.where(inside, opd, 1.0)
    fitted = fit_zernike(opd, 8e-6, 150e-6, indices)
    np.testing.assert_allclose(fitted, coefficients, rtol=0, atol=1e-10 * 80e-9)


def test_fit_separates_modes_that_it_was_not_given():
    # A mode outside the list leaks only through sampling: by at most the pixelation of the disc's
    # area.
    opd = path_from_zernike(jnp.array([1e-7]), (201, 201), 1e-5, 1e-3, noll_indices=[13])
    fitted = fit_zernike(opd, 1e-5, 1e-3, [4, 5, 6, 7, 8, 11])
    assert float(jnp.abs(fitted).max()) < 0.02 * 1e-7


def test_coefficient_is_the_rms_path_over_the_disc():
    opd = path_from_zernike(jnp.array([0.0, 0, 0, 0, 50e-9]), (400, 400), 5e-6, 0.99e-3)
    inside = zernike_basis([1], (400, 400), 5e-6, 0.99e-3, outside="zero")[0] > 0
    rms = float(jnp.sqrt(jnp.mean(opd[inside] ** 2)))
    # Pixelated rim: relative error of order sqrt(perimeter pixels) / area pixels = 35 / 1.2e5.
    assert rms == pytest.approx(50e-9, rel=2e-3)


def test_outside_the_disc_is_zero_or_continued():
    kwargs = {"shape": (9, 9), "pixel_pitch": 1.0, "disc_radius": 3.5}
    cut = zernike_basis([4, 6], **kwargs, outside="zero")
    full = zernike_basis([4, 6], **kwargs)
    y, x = np.meshgrid(np.arange(9) - 4, np.arange(9) - 4, indexing="ij")
    inside = np.hypot(y, x) <= 3.5
    np.testing.assert_array_equal(cut[:, ~inside], 0)
    np.testing.assert_array_equal(cut[:, inside], full[:, inside])
    assert float(full[0, 0, 0]) == pytest.approx(3**0.5 * (2 * 32 / 3.5**2 - 1))


def test_positive_path_adds_phase():
    wavelength = 532e-9
    field = Field(jnp.ones((8, 8), complex), wavelength, 1e-5)
    opd = path_from_zernike(jnp.array([30e-9, 10e-9, -20e-9]), (8, 8), 1e-5, 40e-6)
    out = path_mask(field, opd)
    np.testing.assert_allclose(out.phase, 2 * np.pi * np.asarray(opd) / wavelength, atol=1e-13)
    assert float(out.phase.max()) > 0.5  # below pi, so nothing wraps


def test_gradient_with_respect_to_coefficients_and_jit():
    basis = zernike_basis(range(1, 7), (12, 12), 1.0, 5.0)
    weights = jnp.asarray(np.random.default_rng(5).normal(size=(12, 12)))

    @jax.jit
    def loss(c):
        return jnp.sum(weights * path_from_zernike(c, (12, 12), 1.0, 5.0))

    grad = jax.grad(loss)(jnp.zeros(6))
    np.testing.assert_allclose(grad, np.tensordot(basis, weights, 2), atol=1e-12)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="`j` must be at least 1, but is 0"):
        noll_to_nm(0)
    with pytest.raises(ValueError, match="n is 3 and m is 2"):
        nm_to_osa(3, 2)
    with pytest.raises(ValueError, match="`disc_radius` must be positive and finite, but is -1 m"):
        zernike_basis([1], (4, 4), 1.0, -1.0)
    with pytest.raises(ValueError, match="must name 3 modes, one per coefficient, but names 2"):
        path_from_zernike(jnp.zeros(3), (4, 4), 1.0, 2.0, noll_indices=[1, 2])
    with pytest.raises(ValueError, match="must enclose at least 6 samples, but encloses 5"):
        fit_zernike(jnp.zeros((8, 8)), 1.0, 1.0, [1, 2, 3, 4, 5, 6])

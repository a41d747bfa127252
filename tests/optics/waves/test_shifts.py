"""Displacement and rotation of a band-limited field against the displaced and turned Gaussian."""

import jax.numpy as jnp
import numpy as np

from optics.waves.shifts import displaced, rotate


def test_rotation_follows_the_closed_form_of_a_gaussian():
    y, x = (g - 16.0 for g in np.indices((32, 32)))
    angle = 0.2

    def spot(y, x):
        return np.exp(-((y - 3) ** 2 + (x + 4) ** 2) / 8).astype(complex)

    turned = rotate(jnp.asarray(spot(y, x)), angle)
    c, s = np.cos(angle), np.sin(angle)
    # A point at (x, y) comes from R(-angle) (x, y): x to y is the positive sense.
    expected = spot(-s * x + c * y, c * x + s * y)
    # Aliasing of a Gaussian of 1/e half width 2.8 px stays below exp(-(pi 2.8 / 2)^2) = 4e-9; edges cut less than 1e-6.
    np.testing.assert_allclose(turned, expected, atol=1e-5)


def test_rotation_back_and_forth_is_the_identity_away_from_the_edges():
    y, x = (g - 16.0 for g in np.indices((32, 32)))
    spot = jnp.asarray(np.exp(-((y - 2) ** 2 + x**2) / 8), jnp.complex128)
    np.testing.assert_allclose(rotate(rotate(spot, 0.1), -0.1), spot, atol=1e-6)


def test_displacement_moves_light_towards_larger_index_and_keeps_its_shape():
    field = jnp.zeros((1, 24, 24), complex).at[0, 10, 8].set(1)
    moved = displaced(field, jnp.array([2.0, -1.0]))
    np.testing.assert_allclose(moved, jnp.roll(field, (2, -1), axis=(1, 2)), atol=1e-12)
    # A Gaussian of 3 px, moved by a fraction, is the Gaussian around the new centre.
    y = jnp.arange(24) - 12
    spot = lambda dy, dx: jnp.exp(-((y[:, None] - dy) ** 2 + (y[None] - dx) ** 2) / 9)  # noqa: E731
    moved = displaced(spot(0, 0)[None].astype(complex), jnp.array([0.3, 0.6]))
    np.testing.assert_allclose(moved[0], spot(0.3, 0.6), atol=1e-6)  # exp(-11.4^2 / 9) at the edge

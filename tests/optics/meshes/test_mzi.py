import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.meshes.mzi import (
    amplitude_transmission,
    coupler_matrix,
    mzi_matrix,
    phase_shifter_matrix,
)

THETA, PHI = jnp.linspace(-3.0, 6.0, 5), jnp.linspace(-2.0, 5.0, 5)


def by_parts(theta, phi, left, right, loss_db):
    """Product of the elements in the order in which light meets them."""
    arms = np.diag(10 ** (-np.array(loss_db) / 20)) @ phase_shifter_matrix(theta)
    return (
        coupler_matrix(jnp.pi / 4 + right)
        @ arms
        @ coupler_matrix(jnp.pi / 4 + left)
        @ phase_shifter_matrix(phi)
    )


def test_cell_is_the_closed_form():
    theta, phi = np.asarray(THETA), np.asarray(PHI)
    s, c, turn = np.sin(theta / 2), np.cos(theta / 2), np.exp(1j * phi)
    form = 1j * np.exp(0.5j * theta) * np.array([[turn * s, c], [turn * c, -s]])
    np.testing.assert_allclose(mzi_matrix(THETA, PHI), np.moveaxis(form, -1, 0), atol=1e-15)


def test_cell_with_errors_is_the_product_of_its_elements():
    left, right, loss = 0.1, -0.2, [0.3, 0.7]
    cell = mzi_matrix(
        jnp.array(0.4),
        jnp.array(1.3),
        left_error=jnp.array(left),
        right_error=jnp.array(right),
        arm_loss_db=jnp.array(loss),
    )
    expected = by_parts(jnp.array(0.4), jnp.array(1.3), jnp.array(left), jnp.array(right), loss)
    np.testing.assert_allclose(cell, expected, atol=1e-15)


@pytest.mark.parametrize(("theta", "crossing"), [(0.0, 1.0), (np.pi, 0.0), (np.pi / 2, 0.5)])
def test_theta_zero_crosses_and_pi_is_bar(theta, crossing):
    powers = jnp.abs(mzi_matrix(jnp.array(theta), jnp.array(0.3))) ** 2
    expected = [[1 - crossing, crossing], [crossing, 1 - crossing]]
    np.testing.assert_allclose(powers, expected, atol=1e-15)


def test_coupler_with_an_error_passes_the_power_cos_squared():
    error = jnp.array(0.07)
    passed = jnp.abs(coupler_matrix(jnp.pi / 4 + error)[0, 0]) ** 2
    np.testing.assert_allclose(passed, 0.5 * (1 - jnp.sin(2 * error)), rtol=1e-14)


def test_splitter_errors_leave_light_in_the_dark_port():
    # cos(a + b) cos and sin addition: at theta = 0 the cell is one coupler of angle pi/2 + left + right.
    left, right = 0.05, 0.02
    leak = mzi_matrix(
        jnp.array(0.0), jnp.array(0.0), left_error=jnp.array(left), right_error=jnp.array(right)
    )[0, 0]
    np.testing.assert_allclose(abs(leak), np.sin(left + right), rtol=1e-12)


def test_equal_loss_of_both_arms_scales_the_lossless_cell():
    loss = jnp.full((5, 2), 3.0)
    lossy = mzi_matrix(THETA, PHI, arm_loss_db=loss)
    np.testing.assert_allclose(lossy, 10 ** (-3 / 20) * mzi_matrix(THETA, PHI), atol=1e-15)
    np.testing.assert_allclose(amplitude_transmission(jnp.array(3.0)) ** 2, 0.501187, rtol=1e-6)


def test_positive_phase_delays_the_top_arm():
    # Time factor exp(-i omega t): a longer path multiplies by exp(+i phase).
    shifter = phase_shifter_matrix(jnp.array(0.2))
    np.testing.assert_allclose(shifter, np.diag([np.exp(0.2j), 1]), atol=1e-16)


def test_cell_is_differentiable():
    def crossing(theta):
        return jnp.abs(mzi_matrix(theta, jnp.array(0.0))[1, 0]) ** 2

    np.testing.assert_allclose(jax.grad(crossing)(0.7), -0.5 * np.sin(0.7), rtol=1e-12)

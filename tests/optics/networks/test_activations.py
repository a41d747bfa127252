import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.activations import (
    ACTIVATIONS,
    complex_relu,
    photorefractive,
    saturable,
    square_law,
)

NONLINEAR = {name: f for name, f in ACTIVATIONS.items() if f is not None}


def _field(seed=0):
    draws = jax.random.normal(jax.random.key(seed), (2, 3, 8, 8))
    return jax.lax.complex(draws[0], draws[1])


@pytest.mark.parametrize("name", NONLINEAR)
def test_is_not_linear(name):
    f, a, b = NONLINEAR[name], _field(0), _field(1)
    assert np.abs(f(a + b) - f(a) - f(b)).max() > 0.1


@pytest.mark.parametrize("name", NONLINEAR)
def test_does_not_see_the_brightness_of_a_sample(name):
    f, field = NONLINEAR[name], _field()
    # The 1e-12 that guards a dark field sets the accuracy.
    np.testing.assert_allclose(f(7.0 * field), f(field), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NONLINEAR)
def test_batch_elements_do_not_mix(name):
    f, field = NONLINEAR[name], _field()
    np.testing.assert_allclose(f(field)[1], f(field[1]), rtol=1e-12)


@pytest.mark.parametrize("name", NONLINEAR)
def test_dark_field_stays_finite_with_its_derivative(name):
    dark = jnp.zeros((1, 4, 4), complex)
    value, pull_back = jax.vjp(NONLINEAR[name], dark)
    assert np.isfinite(value).all()
    assert np.isfinite(pull_back(jnp.ones_like(value))[0]).all()


def test_closed_forms_at_known_intensities():
    # Two pixels of intensity 1.6 and 0.4: the mean is 1, so the normalisation is the identity.
    field = jnp.array([[[np.sqrt(1.6) * 1j, np.sqrt(0.4)]]])
    i = np.array([[[1.6, 0.4]]])
    np.testing.assert_allclose(saturable(field, 2.0), field * (i / (i + 2)), rtol=1e-10)
    np.testing.assert_allclose(
        complex_relu(field, 0.5), field * np.array([[[1 - 0.5 / 1.6, 0]]]), rtol=1e-10
    )
    np.testing.assert_allclose(square_law(field), i, rtol=1e-10)
    turned = field * np.exp(0.7j * i / (i + 1))
    np.testing.assert_allclose(photorefractive(field, 1.0, 0.7), turned, rtol=1e-10)

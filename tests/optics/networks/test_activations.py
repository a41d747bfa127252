import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.networks.activations import (
    ACTIVATIONS,
    complex_relu,
    electro_optic,
    photorefractive,
    saturable,
    square_law,
)

NONLINEAR = {name: f for name, f in ACTIVATIONS.items() if f is not None}


def _field(seed=0):
    draws = jax.random.normal(jax.random.key(seed), (2, 3, 8, 8))
    return jax.lax.complex(draws[0], draws[1])


@pytest.mark.parametrize("name", NONLINEAR)
def test_the_gain_of_a_pixel_depends_on_its_light(name):
    # One factor for a whole sample, as a linear element with the common normalisation has, is not enough.
    sample = _field()[:1]
    gain = NONLINEAR[name](sample) / sample
    assert np.abs(gain - gain.mean()).max() > 0.1


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
def test_a_dark_sample_stays_dark_and_leaves_its_neighbour_alone(name):
    f, bright = NONLINEAR[name], _field()[:1]
    value, pull_back = jax.vjp(f, jnp.concatenate([jnp.zeros_like(bright), bright]))
    alone, pull_alone = jax.vjp(f, bright)
    np.testing.assert_array_equal(value[0], 0)
    np.testing.assert_allclose(value[1:], alone, rtol=1e-12)
    slopes = pull_back(jnp.ones_like(value))[0]
    assert np.isfinite(slopes[0]).all()
    np.testing.assert_allclose(slopes[1:], pull_alone(jnp.ones_like(alone))[0], rtol=1e-12)


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
    # psi = (0.3 * 1.6 + 1) / 2 where the intensity is 1.6.
    psi = (0.3 * i + 1) / 2
    np.testing.assert_allclose(
        electro_optic(field, tapped=0.36, modulation=0.3, bias=1.0),
        0.8j * np.exp(-1j * psi) * np.cos(psi) * field,
        rtol=1e-12,
    )

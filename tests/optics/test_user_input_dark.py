"""Light that is not there: dark pixels, flat and equal images give numbers and slopes, never NaN.

Runs twice, as `test_user_input_numbers.py` does.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics import metrics
from optics._dark import argument, quotient, root
from optics.hardware import detectors
from optics.imaging.focusing import LEAST_SHARE, intensity_loss
from optics.imaging.hidden_scene import picture_loss
from optics.imaging.hidden_wavefront import calibrate, diagonal_share
from optics.imaging.weak_light import scale_to_photons
from optics.media.scattering import speckle_correlation
from optics.networks.taichi import remodulate
from optics.resonators.exceptional_points import splitting
from optics.waves.field import Field
from optics.waves.propagation import angular_spectrum
from optics.waves.sources import uniform_disc, with_power

DARK = jnp.zeros((2, 2))
FLAT = jnp.full((11, 11), 0.1)


def test_overlap_has_the_slope_of_its_lit_pixels():
    # (sqrt(v1) sqrt(1) )^2 / (v1 + v2): d/dv1 = v2 / (v1 + v2)^2, d/dv2 = -v1 / (v1 + v2)^2.
    slope = jax.jit(jax.grad(lambda v: metrics.intensity_overlap(v, [[1, 0]])))(jnp.ones((1, 2)))
    np.testing.assert_allclose(slope, [[0.25, -0.25]], rtol=1e-6)


@pytest.mark.parametrize(
    "figure",
    [
        metrics.michelson_contrast,
        metrics.speckle_contrast,
        lambda v: metrics.signal_to_background(v, [[1, 0], [0, 0]]),
        lambda v: metrics.diffraction_efficiency(v, [[1, 0], [0, 0]]),
        lambda v: metrics.field_fidelity(v, DARK),
        lambda v: metrics.intensity_overlap(v, DARK),
        lambda v: metrics.cosine_similarity(v, DARK),
        lambda v: metrics.unitary_fidelity(v, DARK),
        lambda v: metrics.gradient_error(v, DARK),
        lambda v: picture_loss(v, DARK) - 1,
        lambda v: diagonal_share(v),
        lambda v: jnp.sum(calibrate(v, DARK)),
        lambda v: intensity_loss(v, DARK) + np.log(LEAST_SHARE),
        lambda v: jnp.real(splitting(v[0])),
        lambda v: jnp.sum(remodulate(v).real) - 4e-6,
        lambda v: jnp.sum(Field(v, 1.0, 1.0).phase),
    ],
)
def test_darkness_is_zero_with_zero_slope(figure):
    value, slope = jax.jit(jax.value_and_grad(figure))(DARK)
    np.testing.assert_allclose(value, 0, atol=1e-6)
    np.testing.assert_array_equal(slope, 0)


def test_uniform_light_has_no_speckle_and_no_slope():
    value, slope = jax.jit(jax.value_and_grad(metrics.speckle_contrast))(FLAT)
    assert value == 0
    np.testing.assert_array_equal(slope, 0)
    with pytest.raises(ValueError, match="`intensity` must vary"):
        speckle_correlation(FLAT)


def test_equal_images_are_alike():
    value, slope = jax.jit(jax.value_and_grad(metrics.structural_similarity))(FLAT, FLAT)
    assert value == 1
    assert np.isfinite(slope).all()
    value, slope = jax.jit(jax.value_and_grad(metrics.peak_signal_to_noise_ratio))(FLAT, FLAT)
    assert value == np.inf
    np.testing.assert_array_equal(slope, 0)


def test_flat_images_of_two_levels_differ_by_their_luminance():
    # Without a range C1 = C2 = 0: 2 a b / (a^2 + b^2), and nothing to compare in contrast.
    found = metrics.structural_similarity(3 * FLAT, FLAT)
    np.testing.assert_allclose(found, 2 * 3 / (9 + 1), rtol=1e-5)


def test_a_flat_reference_has_no_range_of_its_own():
    with pytest.raises(ValueError, match="`data_range` must be given where the reference is flat"):
        metrics.peak_signal_to_noise_ratio(2 * FLAT, FLAT)
    found = metrics.peak_signal_to_noise_ratio(2 * FLAT, FLAT, data_range=1)
    np.testing.assert_allclose(found, 20, rtol=1e-5)


def test_a_dark_pixel_of_a_camera_has_a_slope():
    camera = detectors.Camera(1.0, 0.0, np.inf, bit_depth=None, shot_noise="gaussian")
    key = jax.random.key(0)
    slope = jax.jit(jax.grad(lambda v: jnp.sum(detectors.expose(v, camera, key=key))))(DARK)
    assert np.isfinite(slope).all()


def test_a_grazing_wave_has_a_slope_in_the_wavelength():
    # At a pitch of half a wavelength the highest frequency grazes: sqrt(0) in its decay.
    light = jnp.ones((4, 4), complex)

    def power(wavelength):
        return angular_spectrum(Field(light, wavelength, 0.5), 1.0).power

    assert np.isfinite(jax.jit(jax.grad(power))(1.0))


def test_a_disc_about_a_sample_has_a_slope_in_its_centre():
    def amount(y):
        return jnp.sum(uniform_disc((3, 3), 1.0, 1.0, 1.2, centre=(y, 0.0)).amplitude.real)

    np.testing.assert_allclose(jax.jit(jax.grad(amount))(0.0), 0, atol=1e-6)


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(ValueError, match="`field` must hold light"):
        with_power(Field(DARK, 1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="`intensity` must hold light"):
        scale_to_photons(DARK[None], 1.0)


def test_the_phase_lies_above_minus_pi():
    # A negative zero, as conjugation leaves it.
    minus = jnp.conj(jnp.asarray([-1 + 0j, 0j, -0.0 + 0j, 1 + 0j]))
    np.testing.assert_allclose(argument(minus), [np.pi, 0, 0, 0], rtol=1e-6)
    slope = jax.jit(jax.grad(lambda t: argument(jnp.exp(1j * t))))(3.0)
    np.testing.assert_allclose(slope, 1, rtol=1e-6)


def test_root_and_quotient_where_there_is_something():
    np.testing.assert_allclose(jax.grad(root)(4.0), 0.25)
    np.testing.assert_allclose(jax.grad(quotient, 1)(1.0, 2.0), -0.25)
    assert quotient(1.0, 0.0) == 0
    assert jax.grad(root)(0.0) == 0
    # Darkness is not a fault; a fault stays one.
    assert np.isnan(root(np.nan))
    assert np.isnan(quotient(1.0, np.nan))

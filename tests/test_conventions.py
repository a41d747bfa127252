"""Signs, axis order, centres and normalisations of the whole package, each fixed by one experiment."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from optics.waves.field import Field, pad_to
from optics.waves.fresnel import focal_plane, fraunhofer, fresnel_single_fft
from optics.waves.propagation import propagate
from optics.waves.sources import gaussian_beam, plane_wave, point_source
from quantum.circuits.gates import Gate, fsim

GREEN = 532e-9  # m
PITCH = 8e-6  # m


def centroid(field):
    y, x = field.coordinates()
    total = jnp.sum(field.intensity)
    return float(jnp.sum(y * field.intensity) / total), float(jnp.sum(x * field.intensity) / total)


def test_shapes_are_checked_at_run_time():
    with pytest.raises(TypeCheckError):
        pad_to(jnp.ones(3), (4, 4))


def test_types_without_shapes_are_checked_too():
    with pytest.raises(TypeCheckError, match="theta"):
        fsim("0.3", 0.2)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeCheckError, match="name"):
        Gate(3)  # pyright: ignore[reportArgumentType]


def test_time_factor_is_exp_minus_i_omega_t():
    # Travelling a tenth of a wavelength adds +36 degrees.
    wave = plane_wave((8, 8), GREEN, PITCH, dtype=jnp.complex128)
    after = propagate(wave, 0.1 * GREEN, method="angular_spectrum", pad=1)
    np.testing.assert_allclose(after.phase, 0.2 * np.pi, rtol=1e-12)


def test_diverging_light_has_phase_growing_outwards():
    wave = point_source((9, 9), GREEN, PITCH, 0.01, dtype=jnp.complex128)
    phase = jnp.angle(wave.amplitude / wave.amplitude[4, 4])
    # k r^2 / 2 z at one pixel from the axis; the next order is (r / z)^2 / 4 = 2e-7 of it.
    expected = np.pi * PITCH**2 / (GREEN * 0.01)
    np.testing.assert_allclose([phase[5, 4], phase[4, 3]], expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_positive_tilt_moves_light_to_larger_coordinates(axis):
    tilt = [0.0, 0.0]
    tilt[axis] = 0.01
    beam = gaussian_beam((128, 128), GREEN, PITCH, 1e-4, dtype=jnp.complex128)
    ramp = plane_wave((128, 128), GREEN, PITCH, tilt=tuple(tilt), dtype=jnp.complex128)
    after = propagate(beam.with_amplitude(beam.amplitude * ramp.amplitude), 0.01)
    expected = [0.0, 0.0]
    expected[axis] = 0.01 * np.tan(0.01)
    # Paraxial spread of the beam moves the mean by (divergence)^2 = 3e-6 of it.
    np.testing.assert_allclose(centroid(after), expected, rtol=1e-4, atol=1e-9)


def test_arrays_are_y_then_x():
    field = gaussian_beam((40, 60), GREEN, PITCH, 3e-5, centre=(4 * PITCH, -10 * PITCH))
    assert field.shape == (40, 60)
    assert np.unravel_index(np.argmax(field.intensity), field.shape) == (24, 20)


@pytest.mark.parametrize("shape", [(8, 8), (9, 9), (8, 9)])
def test_centre_is_sample_n_over_2(shape):
    wave = plane_wave(shape, GREEN, PITCH, dtype=jnp.complex128)
    middle = (shape[0] // 2, shape[1] // 2)
    window = {"shape": shape, "pixel_pitch": 1e-5}
    for field in (
        focal_plane(wave, 0.1, **window),
        fraunhofer(wave, 1.0, **window),
        propagate(gaussian_beam(shape, GREEN, PITCH, 2e-5, dtype=jnp.complex128), 1e-4),
    ):
        assert np.unravel_index(np.argmax(field.intensity), shape) == middle
    if shape[0] == shape[1]:
        far = fresnel_single_fft(wave, 1.0)
        assert np.unravel_index(np.argmax(far.intensity), shape) == middle


def test_power_is_intensity_times_area_in_every_plane():
    beam = gaussian_beam((128, 128), GREEN, PITCH, 1e-4, dtype=jnp.complex128)
    expected = np.pi * 1e-4**2 / 2
    planes = [
        beam,
        propagate(beam, 0.02),
        fresnel_single_fft(beam, 0.1),
        focal_plane(beam, 0.1, shape=(200, 200), pixel_pitch=1e-5),
    ]
    for field in planes:
        np.testing.assert_allclose(field.power, expected, rtol=1e-9)


def test_far_field_points_where_the_light_goes():
    # A ramp towards +y lands at +y in the focus: the transform has exp(-i ...), as exp(+i k z)
    # asks.
    wave = plane_wave((64, 64), GREEN, PITCH, tilt=(GREEN / (8 * PITCH), 0.0), dtype=jnp.complex128)
    focus = focal_plane(wave, 0.1, shape=(63, 63), pixel_pitch=0.1 * GREEN / (64 * PITCH))
    # sin(tilt) = wavelength / (8 pitch) up to tilt^3 / 6: 8 samples of wavelength f / (64 pitch).
    assert np.unravel_index(np.argmax(focus.intensity), focus.shape) == (39, 31)


def test_field_precision_is_kept():
    for dtype in (jnp.complex64, jnp.complex128):
        field = Field(jnp.ones((4, 4), dtype), GREEN, PITCH)
        for step in (propagate, jax.jit(propagate)):
            assert step(field, 1e-4).amplitude.dtype == dtype

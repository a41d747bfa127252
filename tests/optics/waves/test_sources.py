"""Sources: closed forms, symmetries, power, precision, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.waves.field import Field
from optics.waves.propagation import propagate
from optics.waves.sources import (
    fringes,
    gaussian_beam,
    plane_wave,
    point_source,
    uniform_disc,
    uniform_rectangle,
    with_power,
)
from tests.exact.diffraction import gaussian_beam_moments

GREEN = 532e-9  # m
DOUBLE = {"dtype": jnp.complex128}


def test_plane_wave_advances_by_its_sine():
    tilt_y, tilt_x, pitch = 0.02, -0.013, 8e-6
    wave = plane_wave((6, 7), GREEN, pitch, tilt=(tilt_y, tilt_x), **DOUBLE).amplitude
    k = 2 * np.pi / GREEN
    np.testing.assert_allclose(abs(wave), 1, rtol=1e-14)
    np.testing.assert_allclose(wave[3, 3], 1, rtol=1e-14)
    np.testing.assert_allclose(
        jnp.angle(wave[1:] / wave[:-1]), k * np.sin(tilt_y) * pitch, rtol=1e-10
    )
    step = jnp.angle(wave[:, 1:] / wave[:, :-1])
    np.testing.assert_allclose(step, k * np.sin(tilt_x) * pitch, rtol=1e-10)


@pytest.mark.parametrize("position", [0.0, 0.4, -0.7])
def test_gaussian_beam_has_the_textbook_radius_curvature_and_gouy_phase(position):
    waist, centre = 3e-4, (1e-4, -2e-4)
    field = gaussian_beam((41, 50), GREEN, 3e-5, waist, position=position, centre=centre, **DOUBLE)
    y, x = (np.asarray(axis) for axis in field.coordinates())
    r2 = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    width, curvature, gouy = gaussian_beam_moments(position, GREEN, waist)
    k = 2 * np.pi / GREEN
    # k position is 8e6 rad: compare phases after taking out whole turns.
    phase = k * position + k * r2 * curvature / 2 - gouy
    expected = waist / width * np.exp(-r2 / width**2 + 1j * phase)
    np.testing.assert_allclose(field.amplitude, expected, atol=1e-8)


def test_gaussian_beam_power_is_the_same_everywhere():
    for position in (0.0, 0.5):
        field = gaussian_beam((128, 128), GREEN, 3e-5, 3e-4, position=position, **DOUBLE)
        np.testing.assert_allclose(field.power, np.pi * 3e-4**2 / 2, rtol=1e-12)


@pytest.mark.parametrize("distance", [0.02, -0.02])
def test_point_source_solves_the_wave_equation(distance):
    # Distances from the point, taken with a plain square root; 1e-9 of 2e5 rad is what that leaves.
    field = point_source((30, 31), GREEN, 8e-6, distance, centre=(2e-5, -1e-5), **DOUBLE)
    y, x = (np.asarray(axis) for axis in field.coordinates())
    radius = np.sqrt((y - 2e-5) ** 2 + (x + 1e-5) ** 2 + distance**2)
    expected = 0.02 / radius * np.exp(2j * np.pi * np.sign(distance) * radius / GREEN)
    np.testing.assert_allclose(field.amplitude, expected, atol=1e-8)


def test_converging_wave_comes_to_a_focus():
    wave = point_source((200, 200), GREEN, 8e-6, -0.2, centre=(8e-5, -1.6e-4))
    focus = propagate(wave, 0.2)
    peak = np.unravel_index(np.argmax(focus.intensity), focus.shape)
    assert peak == (110, 80)


@pytest.mark.parametrize("visibility", [1.0, 0.3, 0.0])
def test_fringes(visibility):
    period, angle, phase = 64e-6, 0.3, 0.8
    field = fringes(
        (20, 33), GREEN, 8e-6, period, angle=angle, phase=phase, visibility=visibility, **DOUBLE
    )
    y, x = (np.asarray(axis) for axis in field.coordinates())
    argument = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + phase
    np.testing.assert_allclose(field.intensity, (1 + visibility * np.cos(argument)) / 2, atol=1e-14)


def test_fringes_of_two_waves_never_blur_along_the_axis():
    # Both waves make the same angle with the axis, so only the common phase changes.
    field = fringes((64, 64), GREEN, 8e-6, 64e-6, visibility=0.6, **DOUBLE)
    after = propagate(field, 1e-3, method="angular_spectrum", pad=1)
    np.testing.assert_allclose(after.intensity, field.intensity, atol=1e-12)


def test_rectangle_has_its_exact_area_and_centre():
    size, centre, pitch = (37.3e-6, 51.9e-6), (3.1e-6, -7.7e-6), 8e-6
    field = uniform_rectangle((12, 13), GREEN, pitch, size, centre=centre, **DOUBLE)
    amplitude = np.real(field.amplitude)
    np.testing.assert_allclose(amplitude.sum() * pitch**2, size[0] * size[1], rtol=1e-12)
    y, x = (np.asarray(axis) for axis in field.coordinates())
    # Half-lit pixels pull the mean by less than half a pixel; mirrored edges by nothing.
    for axis, middle in ((y, centre[0]), (x, centre[1])):
        assert abs((amplitude * axis).sum() / amplitude.sum() - middle) < pitch / 4
    mirrored = uniform_rectangle((13, 13), GREEN, pitch, size, **DOUBLE).amplitude
    np.testing.assert_allclose(mirrored, mirrored[::-1, ::-1], atol=1e-12)


def test_square_of_whole_pixels_is_sharp():
    field = uniform_rectangle((9, 9), GREEN, 8e-6, (40e-6, 24e-6), **DOUBLE)
    expected = np.zeros((9, 9))
    expected[2:7, 3:6] = 1
    np.testing.assert_allclose(field.amplitude, expected, atol=1e-12)


def test_disc_area_converges():
    radius, errors = 0.3e-3, []
    for n in (50, 100, 200):
        field = uniform_disc((n, n), GREEN, 0.8e-3 / n, radius, **DOUBLE)
        area = float(jnp.sum(field.amplitude.real) * field.pixel_pitch**2)
        errors.append(abs(area / (np.pi * radius**2) - 1))
    assert max(errors) < 1e-3
    assert errors[2] < 1e-4


def test_power_is_set_for_each_batch_entry():
    field = Field(np.array([[[1.0, 2.0]], [[3.0j, 0.5]]]), GREEN, 1e-3)
    np.testing.assert_allclose(with_power(field, 7.0).power, [7.0, 7.0], rtol=1e-14)


def test_sources_are_differentiable_and_jit_changes_nothing():
    def plain(t):
        beam = gaussian_beam(
            (6, 6), GREEN, 8e-6, 3e-5 * t, position=1e-3 + 0.1 * GREEN * t, **DOUBLE
        )
        disc = uniform_disc((6, 6), GREEN, 8e-6, 1.7e-5 * t, **DOUBLE)
        wave = fringes((6, 6), GREEN, 8e-6, 3e-5 * t, angle=t, visibility=0.5 * t, **DOUBLE)
        return sum(
            jnp.sum(abs(f.amplitude + 0.2j) ** 2 * jnp.arange(6.0)[None])
            for f in (beam, disc, wave)
        )

    loss = jax.jit(plain)
    check_grads(loss, (1.0 + 1e-3,), order=1, modes=["fwd", "rev"], rtol=1e-6)
    np.testing.assert_allclose(loss(1.0), plain(1.0), rtol=1e-9)


@pytest.mark.parametrize("make", [plane_wave, lambda *a: gaussian_beam(*a, 1e-4)])
def test_precision_is_single_unless_asked(make):
    assert make((4, 4), GREEN, 8e-6).amplitude.dtype == jnp.complex64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plane_wave((4, 4), -GREEN, 8e-6), "`wavelength` must be positive and finite"),
        (lambda: plane_wave((4, 4), GREEN, -8e-6), "`pixel_pitch` must be positive and finite"),
        (lambda: plane_wave((0, 4), GREEN, 8e-6), r"at least one sample each, but is \(0, 4\)"),
        (lambda: gaussian_beam((4, 4), GREEN, 8e-6, 0.0), "`waist` must be positive .* is 0 m"),
        (lambda: point_source((4, 4), GREEN, 8e-6, 0.0), "distance.* must be positive .* is 0 m"),
        (lambda: fringes((4, 4), GREEN, 8e-6, -1e-5), "`period` must be positive"),
        (
            lambda: fringes((4, 4), GREEN, 8e-6, 1e-5, visibility=1.5),
            "`visibility` must lie between",
        ),
        (lambda: uniform_rectangle((4, 4), GREEN, 8e-6, (1e-5, 0.0)), "`size` must be positive"),
        (lambda: uniform_disc((4, 4), GREEN, 8e-6, np.nan), "`radius` must be positive"),
        (lambda: with_power(plane_wave((4, 4), GREEN, 8e-6), -1.0), "`power` must be positive"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()

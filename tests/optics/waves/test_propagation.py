"""Exact propagation: closed forms, laws, bad input; derivatives are in test_propagation_transforms.py."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.waves.field import Field, pad_to
from optics.waves.propagation import (
    _automatic_kernel,
    angular_spectrum,
    angular_spectrum_kernel,
    propagate,
    rayleigh_sommerfeld,
)
from optics.waves.sampling import SamplingWarning
from optics.waves.sources import gaussian_beam, uniform_disc
from tests.exact.diffraction import (
    average_over_radius,
    blurred_disc,
    complex_source_beam,
    exact_talbot_distance,
    sharp_disc_on_axis,
)

GREEN = 532e-9  # m
METHODS = ["angular_spectrum", "rayleigh_sommerfeld", "auto"]


def relative(a, b):
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(np.asarray(b)))


def quiet(field, distance, method, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        return propagate(field, distance, method=method, **options)


def random_field(shape, pitch=8e-6, seed=0):
    rng = np.random.default_rng(seed)
    return Field(rng.normal(size=shape) + 1j * rng.normal(size=shape), GREEN, pitch)


def beam(shape, z, waist=10e-6, pitch=1e-6):
    field = random_field(shape, pitch)
    y, x = (np.asarray(axis) for axis in field.coordinates())
    return field.with_amplitude(jnp.asarray(complex_source_beam(y, x, z, GREEN, waist)))


# Closed forms


@pytest.mark.parametrize(
    ("method", "distance"),
    [
        ("angular_spectrum", 4e-4),
        ("angular_spectrum", 9.5e-4),
        ("rayleigh_sommerfeld", 9.7e-4),
        ("rayleigh_sommerfeld", 2e-3),
        ("auto", 1e-5),
        ("auto", 2e-3),
        ("auto", -4e-4),
    ],
)
def test_exact_beam(method, distance):
    # Radius at 2 mm is 35 um: the amplitude at the edge of the window, 128 um, is exp(-13) = 2e-6
    # of the peak, and what lies outside the window is lost in a backward step. Nearer by: rounding.
    start = beam((256, 255), 0.0 if distance > 0 else -distance)
    end = beam((256, 255), distance if distance > 0 else 0.0)
    tolerance = 1e-6 if abs(distance) > 1e-3 else 1e-10
    assert relative(propagate(start, distance, method=method).amplitude, end.amplitude) < tolerance


@pytest.mark.parametrize("method", METHODS)
def test_wide_angle_beam_reaches_full_accuracy(method):
    # Waist of two wavelengths, half angle 9 degrees: the paraxial form would be off by per cents.
    pitch, waist, z = 0.4e-6, 2 * GREEN, 10e-6
    start, end = (beam((128, 128), depth, waist, pitch) for depth in (0.0, z))
    # At 10 um the impulse response is too steep at shifts that no light makes: its tails alias.
    tolerance = {"rayleigh_sommerfeld": 1e-3}.get(method, 1e-6)
    assert relative(quiet(start, z, method).amplitude, end.amplitude) < tolerance


@pytest.mark.parametrize("distance", [0.02, 0.09, 0.388])
def test_soft_disc_on_axis(distance):
    field = random_field((400, 400))
    y, x = field.coordinates()
    radius, blur = 0.6e-3, 60e-6
    lit = field.with_amplitude(jnp.asarray(blurred_disc(np.hypot(y, x), radius, blur) + 0j))
    expected = average_over_radius(lambda a: sharp_disc_on_axis(distance, GREEN, a), radius, blur)
    # The spectrum exp(-(pi blur f)^2) is 1e-60 at the end of the band: only rounding is left.
    np.testing.assert_allclose(propagate(lit, distance).amplitude[200, 200], expected, rtol=1e-9)


def test_sharp_disc_on_axis_converges():
    # The edge of a disc cuts pixels at random: the error of n pixels falls about as n^-1.5.
    radius, z, errors = 0.32e-3, 0.4, []
    expected = sharp_disc_on_axis(z, GREEN, radius)
    sizes = [40, 56, 80, 112, 160, 224]
    for n in sizes:
        disc = uniform_disc((n, n), GREEN, 0.8e-3 / n, radius, dtype=jnp.complex128)
        errors.append(abs(complex(propagate(disc, z).amplitude[n // 2, n // 2]) - expected))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope < -1.2
    assert errors[-1] < 1e-3


def test_grating_images_itself():
    # Orders 0 and +-1 of a 16 um period on a periodic grid; exact, not paraxial, Talbot distance.
    field = random_field((256, 256), 2e-6)
    _, x = field.coordinates()
    period = 16e-6
    grating = field.with_amplitude(1 + 0.5 * jnp.cos(2 * jnp.pi * x / period) + 0j)
    z = exact_talbot_distance(GREEN, period)
    image = angular_spectrum(grating, z, pad=1).amplitude * np.exp(-2j * np.pi * z / GREEN)
    np.testing.assert_allclose(image, grating.amplitude, atol=1e-12)
    half = angular_spectrum(grating, z / 2, pad=1).amplitude * np.exp(-1j * np.pi * z / GREEN)
    np.testing.assert_allclose(half, jnp.roll(grating.amplitude, 4, axis=-1), atol=1e-12)


# Laws


@pytest.mark.parametrize(("distance", "method"), [(0.05, "angular_spectrum"), (0.388, "auto")])
def test_power_is_conserved(distance, method):
    field = gaussian_beam((400, 400), GREEN, 8e-6, 3e-4, dtype=jnp.complex128)
    # Radius at 0.388 m is 0.37 mm: exp(-2 (1.6 / 0.37)^2) = 6e-17 of the power leaves the window.
    after = propagate(field, distance, method=method)
    np.testing.assert_allclose(after.power, field.power, rtol=1e-12)


GEOMETRIES = [
    ((16, 16), 8e-6, 1e-3),
    ((16, 16), 8e-6, 0.02),
    ((9, 14), 8e-6, 2.5e-3),
    ((12, 12), 0.2e-6, 1e-6),  # finer than half a wavelength: evanescent waves
]


@pytest.mark.parametrize(("shape", "pitch", "distance"), GEOMETRIES)
@pytest.mark.parametrize("method", METHODS)
def test_reciprocity(shape, pitch, distance, method):
    u, v = random_field(shape, pitch, 1), random_field(shape, pitch, 2)
    forward = jnp.sum(v.amplitude * quiet(u, distance, method).amplitude)
    swapped = jnp.sum(u.amplitude * quiet(v, distance, method).amplitude)
    assert abs(forward - swapped) < 1e-12 * jnp.linalg.norm(u.amplitude) * jnp.linalg.norm(
        v.amplitude
    )


@pytest.mark.parametrize(("shape", "pitch", "distance"), GEOMETRIES)
@pytest.mark.parametrize("method", METHODS)
def test_backwards_is_the_adjoint(shape, pitch, distance, method):
    u, v = random_field(shape, pitch, 1), random_field(shape, pitch, 2)
    forward = jnp.vdot(v.amplitude, quiet(u, distance, method).amplitude)
    back = jnp.vdot(quiet(v, -distance, method).amplitude, u.amplitude)
    assert abs(forward - back) < 1e-12 * jnp.linalg.norm(u.amplitude) * jnp.linalg.norm(v.amplitude)


@pytest.mark.parametrize("method", METHODS)
def test_transpose_by_autodiff_is_the_operator_itself(method):
    u, v = random_field((9, 14), seed=1), random_field((9, 14), seed=2)
    _, pull = jax.vjp(lambda a: quiet(u.with_amplitude(a), 3e-3, method).amplitude, u.amplitude)
    np.testing.assert_allclose(pull(v.amplitude)[0], quiet(v, 3e-3, method).amplitude, atol=1e-13)


@pytest.mark.parametrize("distance", [0.05, 0.388])
def test_there_and_back(distance):
    field = gaussian_beam((400, 400), GREEN, 8e-6, 3e-4, centre=(1e-4, -5e-5), dtype=jnp.complex128)
    back = propagate(propagate(field, distance), -distance)
    # exp(-(1.45 / 0.37)^2) = 2e-7 of the amplitude leaves the window at 0.388 m.
    assert relative(back.amplitude, field.amplitude) < 1e-6


def test_evanescent_waves_never_grow():
    field = random_field((16, 16), 0.1e-6)
    for distance in (-1e-6, 1e-6, -1e-3):
        assert quiet(field, distance, "angular_spectrum").power < field.power


def test_evanescent_wave_decays_at_its_own_rate():
    field = random_field((16, 16), 0.1e-6)
    _, x = field.coordinates()
    wave = field.with_amplitude(jnp.exp(2j * jnp.pi * x / 0.4e-6))  # period below the wavelength
    rate = 2 * np.pi * np.sqrt(1 / 0.4e-6**2 - 1 / GREEN**2)
    after = angular_spectrum(wave, 0.2e-6, pad=1)
    np.testing.assert_allclose(after.amplitude, wave.amplitude * np.exp(-rate * 0.2e-6), rtol=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.03, 0.05), (0.05, 0.338), (0.2, 0.188)])
def test_two_steps_make_one(first, second):
    field = gaussian_beam((400, 400), GREEN, 8e-6, 3e-4, dtype=jnp.complex128)
    steps = propagate(propagate(field, first), second)
    assert relative(steps.amplitude, propagate(field, first + second).amplitude) < 1e-7


def test_convolution_is_the_sum_over_point_sources():
    field, z = random_field((9, 14)), 0.02
    y, x = (np.asarray(axis).ravel() for axis in field.coordinates())
    radius = np.sqrt((y[:, None] - y) ** 2 + (x[:, None] - x) ** 2 + z**2)
    k = 2 * np.pi / GREEN
    waves = z / radius * (1 / radius - 1j * k) * np.exp(1j * k * radius) / radius / (2 * np.pi)
    expected = waves @ np.asarray(field.amplitude).ravel() * (8e-6) ** 2
    # The plain sum works with k R = 2.4e5 rad, good to 3e-11.
    for method in ("rayleigh_sommerfeld", "auto"):
        got = propagate(field, z, method=method).amplitude.ravel()
        assert relative(got, expected) < 1e-9


def test_no_distance_is_no_change():
    field = random_field((7, 10))
    np.testing.assert_allclose(propagate(field, 0.0).amplitude, field.amplitude, atol=1e-14)


def test_methods_agree_where_both_are_sampled():
    # Either side of the threshold 2 N dx^2 / wavelength = 0.09624 m, for any field in the band.
    field = gaussian_beam((400, 400), GREEN, 8e-6, 2e-4, centre=(3e-4, 0.0), dtype=jnp.complex128)
    for distance in (0.0960, 0.0965):
        a, b = (quiet(field, distance, m).amplitude for m in METHODS[:2])
        assert relative(a, b) < 1e-7


@pytest.mark.parametrize(("share", "nearer"), [(0.9, True), (1.1, False)])
def test_auto_changes_method_at_the_threshold(share, nearer):
    field, threshold = random_field((16, 16)), 2 * 16 * (8e-6) ** 2 / GREEN
    amplitude = propagate(field, share * threshold).amplitude
    summed = quiet(field, share * threshold, "rayleigh_sommerfeld").amplitude
    # White light fills the band, so that the sum nearer by shows its aliasing.
    assert relative(amplitude, summed) > 1e-2 if nearer else relative(amplitude, summed) < 1e-13


@pytest.mark.parametrize("pad", [2, 3])
def test_sides_too_long_to_integrate_take_the_padded_transfer_function(pad, monkeypatch):
    monkeypatch.setattr("optics.waves.propagation.LARGEST_BAND", 13)
    monkeypatch.setattr("optics.waves.propagation._automatic_kernel", _automatic_kernel.__wrapped__)
    field, z = random_field((9, 14)), 1e-3
    padded = pad_to(field.amplitude, (14, 14))
    expected = angular_spectrum(field.with_amplitude(padded), z, pad=pad).amplitude[3:12]
    np.testing.assert_allclose(propagate(field, z, pad=pad).amplitude, expected, atol=1e-13)


@pytest.mark.parametrize("z", [20e-6, 60e-6])
def test_band_limit_drops_what_leaves_half_the_padded_window(z):
    # A fine pitch, sines up to 0.67 along an axis, so that tangents are not sines.
    n, pitch = 96, 0.4e-6
    sines = np.fft.fftfreq(n, pitch) * GREEN
    cosine = np.sqrt(1 - sines[:, None] ** 2 - sines**2)
    walk = z * np.maximum(np.abs(sines)[:, None], np.abs(sines)) / cosine
    kept = np.abs(angular_spectrum_kernel((n, n), GREEN, pitch, z)) > 0
    np.testing.assert_array_equal(kept, walk <= n * pitch / 2)
    assert 0.05 < kept.mean() < 0.95


def test_long_distance_of_a_full_aperture_does_not_alias():
    # Half the bench (400 px of 8 um at 0.388 m) in window and distance, so the same sampling: four
    # times the reach of the plain angular spectrum. Reference: the same with 9-fold padding.
    field = random_field((50, 50), seed=3)
    field = Field(jnp.repeat(jnp.repeat(field.amplitude, 4, -2), 4, -1), GREEN, 8e-6)
    reference = angular_spectrum(field, 0.194, pad=9)
    assert relative(propagate(field, 0.194).amplitude, reference.amplitude) < 1e-5
    with pytest.warns(SamplingWarning):
        plain = angular_spectrum(field, 0.194)
    assert relative(plain.amplitude, reference.amplitude) > 0.05


# Bad input and warnings


@pytest.mark.parametrize(
    ("distance", "options", "message"),
    [
        (np.nan, {}, "`distance` must be finite"),
        (np.inf, {}, "`distance` must be finite"),
        (np.ones(3), {}, r"one number in metres, but its shape is \(3,\). Use jax.vmap"),
        (1e-3, {"method": "magic"}, "`method` must be .* but is 'magic'"),
        (1e-3, {"pad": 1}, "`pad` must be at least 2, but is 1"),
        (1e-3, {"pad": 0, "method": "angular_spectrum"}, "`pad` must be at least 1, but is 0"),
        (0.0, {"method": "rayleigh_sommerfeld"}, "`distance` must not be 0 m"),
    ],
)
def test_bad_input_is_named(distance, options, message):
    with pytest.raises(ValueError, match=message):
        propagate(random_field((4, 4)), distance, **options)


def test_angular_spectrum_warns_beyond_its_threshold():
    field = random_field((400, 400))
    message = r"distance 0.388 m exceeds the 0.09624 m up to which 800 padded .* or pad=9"
    with pytest.warns(SamplingWarning, match=message):
        angular_spectrum(field, 0.388)
    angular_spectrum(field, 0.09)  # warnings are errors here


def test_rayleigh_sommerfeld_warns_below_its_threshold():
    field = random_field((400, 400))
    message = (
        r"distance 0.05 m is below the 0.09619 m from which on 400 samples .* impulse response"
    )
    with pytest.warns(SamplingWarning, match=message):
        rayleigh_sommerfeld(field, -0.05)
    rayleigh_sommerfeld(field, 0.388)


@pytest.mark.parametrize("shape", [(40, 80), (80, 40)])
def test_the_side_that_fails_first_decides_on_a_warning(shape):
    # Thresholds are 9.6 mm for 40 samples and 19.2 mm for 80.
    field = random_field(shape)
    with pytest.warns(SamplingWarning, match=r"up to which 80 padded samples"):
        angular_spectrum(field, 0.012)
    with pytest.warns(SamplingWarning, match=r"from which on 80 samples"):
        rayleigh_sommerfeld(field, 0.012)

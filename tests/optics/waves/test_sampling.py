"""Sampling limits: the recommended method is right, and the thresholds lie where the error sets in."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from optics.waves import fresnel, propagation
from optics.waves.field import Field
from optics.waves.sampling import (
    impulse_response_limit,
    padding_needed,
    recommend_propagator,
    transfer_function_limit,
    wrapped_share,
)
from optics.waves.sources import gaussian_beam

GREEN = 532e-9  # m


def test_numbers_of_the_bench():
    # lambda = 532 nm, 8 um: 400 samples reach 48 mm, 800 reach 96 mm; 0.388 m needs 3226 samples.
    np.testing.assert_allclose(transfer_function_limit(400, 8e-6, GREEN), 0.04812, rtol=1e-4)
    np.testing.assert_allclose(transfer_function_limit(800, 8e-6, GREEN), 0.09624, rtol=1e-4)
    assert padding_needed(400, 8e-6, GREEN, 0.388) == 9
    assert padding_needed(400, 8e-6, GREEN, -0.01) == 1


def test_the_two_exact_ranges_meet():
    for pitch in (2e-6, 8e-6, 20e-6):
        sine = GREEN / (2 * pitch)
        transfer = transfer_function_limit(2 * 300, pitch, GREEN)
        impulse = impulse_response_limit(300, pitch, GREEN)
        np.testing.assert_allclose(impulse, transfer * np.sqrt(1 - sine**2), rtol=1e-12)


def test_impulse_response_of_a_fine_pitch_is_resolved_from_four_pitches_on():
    # Below half a wavelength no local frequency is too high; the evanescent part remains.
    assert impulse_response_limit(10, 0.2e-6, GREEN) == pytest.approx(0.8e-6, rel=1e-12)


def advised(distance):
    """Limit in metres and error of every method, on 40 columns and a window of 60 pixels."""
    advice = recommend_propagator((10, 40), 8e-6, GREEN, distance, 480e-6)
    lines = [line.removeprefix("  or ") for line in str(advice).splitlines()]
    number = r"([\d.e+-]+)"
    pattern = rf"(\w+): {number} m \S+ {number} m \(.*\), error about {number}"  # all but propagate, which has no limit
    found = [re.fullmatch(pattern, line) for line in lines]
    return {m[1]: (float(m[3]), float(m[4])) for m in found if m}


def test_limits_are_those_of_the_longer_side_and_the_window():
    unit = (8e-6) ** 2 / GREEN  # the formulas of the module docstring, with N = 40 and W = 60 dx
    expected = {
        "angular_spectrum": 120 * unit,
        "fresnel_transfer": 120 * unit,
        "rayleigh_sommerfeld": 120 * unit * np.sqrt(1 - (GREEN / 16e-6) ** 2),
        "fresnel_single_fft": 40 * unit,
        "fresnel_chirp_z": 100 * unit,
        "fraunhofer": 60 * unit,
    }
    limits = {method: limit for method, (limit, _) in advised(6e-3).items()}
    assert limits == pytest.approx(expected, rel=1e-3)  # four digits are printed


@pytest.mark.parametrize("z", [6e-3, 0.2])
def test_errors_add_the_lost_band_and_the_neglected_phase(z):
    # The farthest corners of squares of 40 and 60 pixels are 50 pixels apart along each axis; at
    # 6 mm the band of the grid, sqrt(2) times the Nyquist angle, is the narrower one.
    angle = min(np.arctan(800e-6 / np.sqrt(2) / z), np.sqrt(2) * GREEN / 16e-6)
    paraxial = 2 * np.pi / GREEN * z * angle**4 / 8
    far = np.pi * (320e-6 / np.sqrt(2)) ** 2 / (GREEN * z)
    wrapped = wrapped_share(120, 8e-6, GREEN, z) if z < 0.01 else 0.0
    neglected = {
        "angular_spectrum": wrapped,
        "rayleigh_sommerfeld": 0.0,
        "fresnel_transfer": wrapped + paraxial,
        "fresnel_single_fft": paraxial,
        "fresnel_chirp_z": paraxial,
        "fraunhofer": far + paraxial,
    }
    found = advised(z)
    assert found.keys() == neglected.keys()
    for method, (limit, error) in found.items():
        reach = limit / z if method in ("angular_spectrum", "fresnel_transfer") else z / limit
        lost = 1 - min(1.0, reach) ** 2
        # Two digits are printed: 5 %; limits of four digits leave 1e-3 in a lost band.
        assert error == pytest.approx(lost + neglected[method], rel=0.05, abs=1e-3 * (lost > 0))


@pytest.mark.parametrize(
    ("distance", "window", "method"),
    [
        (0.0, None, "propagate"),
        (0.05, None, "propagate"),
        (0.388, None, "rayleigh_sommerfeld"),
        (-0.388, None, "rayleigh_sommerfeld"),
        (0.388, 0.1, "propagate"),
        (0.388, 5e-3, "rayleigh_sommerfeld"),
        (5.0, 0.03, "fresnel_chirp_z"),
        (1e5, 10.0, "fraunhofer"),
    ],
)
def test_recommendation(distance, window, method):
    advice = recommend_propagator((400, 300), 8e-6, GREEN, distance, window)
    assert advice.method == method
    assert len(advice.alternatives) == 6
    assert str(advice).startswith(f"{method}: {abs(distance):.4g} m")
    for name in [method, *(text.split(":")[0] for text in advice.alternatives)]:
        assert hasattr(propagation, name) or hasattr(fresnel, name)


def test_recommendation_says_what_an_aliasing_method_loses():
    advice = recommend_propagator((400, 400), 8e-6, GREEN, 0.388)
    assert advice.error == 0
    assert advice.condition == "0.388 m >= 0.09619 m (on 400 samples padded 2x)"
    plain = next(t for t in advice.alternatives if t.startswith("angular_spectrum"))
    # 1 - (0.09624 / 0.388)^2 = 0.938 of the band.
    assert "0.388 m > 0.09624 m" in plain
    assert plain.endswith("error about 0.94")


@pytest.mark.parametrize("share", [1e-3, 0.3, 0.78, 0.99])
def test_wrapped_share_is_the_error_of_light_that_changes_from_pixel_to_pixel(share):
    n, rng = 24, np.random.default_rng(0)
    field = Field(np.exp(2j * np.pi * rng.random((n, n))), GREEN, 8e-6)
    z = share * transfer_function_limit(2 * n, 8e-6, GREEN)
    exact = propagation.propagate(field, z).amplitude
    wrapped = propagation.angular_spectrum(field, z).amplitude - exact
    error = float(jnp.linalg.norm(wrapped) / jnp.linalg.norm(exact))
    # The docstring says a quarter.
    assert error == pytest.approx(wrapped_share(2 * n, 8e-6, GREEN, z), rel=0.25)


def test_recommendation_says_what_wraps_and_takes_what_does_not():
    advice = recommend_propagator((64, 64), 8e-6, GREEN, 0.012)
    assert (advice.method, advice.error) == ("propagate", 0)
    plain = next(t for t in advice.alternatives if t.startswith("angular_spectrum"))
    assert plain.endswith("error about 0.063")  # 0.059 of pixels at random, against 32-fold padding
    # Too long to integrate: it says so.
    assert 0 < recommend_propagator((4000, 4000), 8e-6, GREEN, 0.05).error < 1e-3
    # The grazing waves of a fine grid.
    assert recommend_propagator((48, 48), 0.3e-6, GREEN, 2e-6).error == pytest.approx(5e-3)


def test_lost_band_is_what_the_band_limit_removes():
    shape, pitch, z = (256, 256), 8e-6, 0.1
    kept = np.mean(np.abs(propagation.angular_spectrum_kernel(shape, GREEN, pitch, z)) > 0)
    limit = transfer_function_limit(256, pitch, GREEN)
    np.testing.assert_allclose(kept, (limit / z) ** 2, rtol=0.02)  # one line of 79 is 1.3 %


def test_fraunhofer_error_estimate_is_an_upper_one():
    n, pitch, z = 100, 8e-6, 50.0
    field = gaussian_beam((n, n), GREEN, pitch, 1e-4, dtype=jnp.complex128)
    grid = {"shape": (50, 50), "pixel_pitch": 6e-3}
    far = fresnel.fraunhofer(field, z, **grid).amplitude
    near = fresnel.fresnel_chirp_z(field, z, **grid).amplitude
    error = float(jnp.linalg.norm(far - near) / jnp.linalg.norm(near))
    advice = recommend_propagator((n, n), pitch, GREEN, z, 0.3)
    texts = [
        f"{advice.method}: {advice.condition}, error about {advice.error:.2g}",
        *advice.alternatives,
    ]
    estimate = float(next(t for t in texts if t.startswith("fraunhofer")).split()[-1])
    assert error < estimate < 1


def test_advice_warns_about_nothing_when_followed():
    # Warnings are errors in this suite.
    field = Field(np.ones((40, 40), complex), GREEN, 8e-6)
    for distance in (1e-3, 9e-3, 1e-2, 0.388):
        method = recommend_propagator((40, 40), 8e-6, GREEN, distance).method
        getattr(propagation, method)(field, distance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4), -1e-6, GREEN, 1.0), "`pixel_pitch` must be positive and finite, but is -1e-06 m"),
        (((4, 4), 1e-6, 0.0, 1.0), "`wavelength` must be positive"),
        (((4, 4), 1e-6, GREEN, np.nan), "`distance` must be finite, but is nan m"),
        (((4, 4), 1e-6, GREEN, 1.0, 0.0), "`window` must be positive"),
        (((0, 4), 1e-6, GREEN, 1.0), "`shape` must hold at least one sample"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        recommend_propagator(*arguments)

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.media.scattering import (
    exponential_distance,
    layered_matrix,
    make_medium,
    mirrored,
    phase_screen,
    place_scatterer,
    scattering_angle,
    speckle_correlation,
    speckle_size,
    transmission_matrix,
)
from optics.metrics import speckle_contrast

PITCH = 8e-6


@cache
def screens(count, sd, length, shape=(48, 40)):
    draws = [
        phase_screen(shape, PITCH, sd, length, key=jax.random.key(k), dtype=jnp.float64)
        for k in range(count)
    ]
    return np.stack(draws)


def test_screen_has_the_stated_deviation_and_correlation_along_both_axes():
    phase = screens(400, sd=1.7, length=3 * PITCH)
    cells = 400 * 48 * 40 / (np.pi * 9)  # about one independent value per pi l^2
    tolerance = 4 * 1.7**2 * np.sqrt(2 / cells)  # four standard errors of a variance
    assert abs(phase.mean()) < 4 * 1.7 / np.sqrt(cells)
    for lag in (0, 1, 2, 3, 6):
        expected = 1.7**2 * np.exp(-((lag / 3) ** 2))
        along_y = np.mean(phase[:, : 48 - lag] * phase[:, lag:])
        along_x = np.mean(phase[..., : 40 - lag] * phase[..., lag:])
        diagonal = np.mean(phase[:, : 48 - lag, : 40 - lag] * phase[:, lag:, lag:])
        assert along_y == pytest.approx(expected, abs=tolerance)
        assert along_x == pytest.approx(expected, abs=tolerance)
        assert diagonal == pytest.approx(expected**2 / 1.7**2, abs=tolerance)


def test_opposite_edges_of_a_screen_are_independent():
    phase = screens(400, sd=1.7, length=3 * PITCH) / 1.7
    # 400 draws of 40 / 5 independent pairs: standard error 0.018; four of them.
    assert abs(np.mean(phase[:, 0] * phase[:, -1])) < 0.07


@pytest.mark.parametrize("sd", [0.5, 1.0, 1.5])
def test_ballistic_share_of_power_is_exp_of_minus_the_variance(sd):
    # The same draws for all, for a screen is proportional to its deviation.
    phase = screens(400, sd=1.5, length=2 * PITCH) * (sd / 1.5)
    alone = phase_screen((48, 40), PITCH, sd, 2 * PITCH, key=jax.random.key(7), dtype=jnp.float64)
    np.testing.assert_allclose(alone, phase[7], rtol=1e-12)
    cells = 400 * 48 * 40 / (np.pi * 4)
    amplitude = abs(np.mean(np.exp(1j * phase)))
    assert amplitude**2 == pytest.approx(np.exp(-(sd**2)), abs=2 * amplitude * 4 / np.sqrt(cells))


def test_screen_does_not_depend_on_precision():
    single, double = (
        phase_screen((20, 20), PITCH, 6.0, 3e-5, key=jax.random.key(3), dtype=d)
        for d in (jnp.float32, jnp.float64)
    )
    np.testing.assert_allclose(single, double, rtol=2e-7)
    assert single.dtype == jnp.float32


def test_scattering_angle_is_the_rms_slope_of_the_phase():
    phase = screens(60, sd=1.0, length=12 * PITCH)
    slope = np.diff(phase, axis=-1) / PITCH * 532e-9 / (2 * np.pi)
    # A difference over one pixel misses (p / l)^2 / 4 = 0.2 %; 60 x 4 cells leave 4.6 %; four of them.
    assert slope.std() == pytest.approx(scattering_angle(1.0, 12 * PITCH, 532e-9), rel=0.19)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"correlation_length": -1e-5},
            "`correlation_length` must be positive and finite, but is -1e-05 m",
        ),
        ({"standard_deviation": -1.0}, "`standard_deviation` must lie between 0 and 1e"),
        ({"pixel_pitch": 0.0}, "`pixel_pitch` must be positive and finite, but is 0 m"),
    ],
)
def test_bad_screen_is_named(change, message):
    sizes = {"pixel_pitch": 8e-6, "standard_deviation": 1.0, "correlation_length": 3e-5} | change
    with pytest.raises(ValueError, match=message):
        phase_screen((8, 8), **sizes, key=jax.random.key(0))


DISTANCE, WAVELENGTH = 2e-3, 532e-9


def medium(offset=0.0, n_layers=1, mirror=False, shape=(12, 14), **options):
    keys = jax.random.split(jax.random.key(5), n_layers)
    phase = np.stack(
        [phase_screen(shape, PITCH, 3.0, 2e-5, key=k, dtype=jnp.float64) for k in keys]
    )
    phase = mirrored(jnp.asarray(phase)) if mirror else jnp.asarray(phase)
    placed = place_scatterer(phase, DISTANCE, spacing=2e-4, offset=offset)
    return placed, make_medium(placed, PITCH, WAVELENGTH, DISTANCE, dtype=jnp.complex128, **options)


def probed(operator, **options):
    return np.asarray(transmission_matrix(operator, (12, 14), dtype=jnp.complex128, **options))


# Compiled whole: one by one, each operation compiles anew for every shape.
apply = jax.jit(lambda operator, field: operator(field))


def asymmetry(matrix):
    return np.linalg.norm(matrix - matrix.T) / np.linalg.norm(matrix)


@pytest.mark.parametrize(("n_layers", "mirror", "offset"), [(1, False, 0.0), (3, False, 3e-4)])
def test_probed_matrix_is_the_product_of_dense_matrices(n_layers, mirror, offset):
    placed, operator = medium(offset, n_layers, mirror)
    product = layered_matrix(placed, PITCH, WAVELENGTH, DISTANCE)
    # Sums of 168 terms in double precision; blocks of 40 leave a rest of 8.
    found = probed(operator, block=40)
    assert np.linalg.norm(found - product) < 1e-12 * np.linalg.norm(product)


def test_part_of_the_matrix_is_probed_alone():
    _, operator = medium()
    whole = probed(operator)
    inputs, outputs = np.array([3, 100, 7]), np.array([0, 167])
    part = probed(operator, inputs=jnp.asarray(inputs), outputs=jnp.asarray(outputs))
    np.testing.assert_allclose(part, whole[np.ix_(outputs, inputs)], rtol=1e-13)


@pytest.mark.parametrize(
    ("sizes", "symmetric"),
    [
        ({}, True),
        ({"n_layers": 2, "mirror": True}, True),
        ({"n_layers": 2}, False),
        ({"offset": 5e-4}, False),
        ({"n_layers": 2, "mirror": True, "offset": 1e-4}, False),
        ({"output_shift": (4e-6, 0.0)}, False),
    ],
)
def test_only_a_mirrored_medium_mid_way_is_symmetric(sizes, symmetric):
    _, operator = medium(**sizes)
    matrix = probed(operator)
    assert operator.is_symmetric == symmetric
    assert asymmetry(matrix) < 1e-14 if symmetric else asymmetry(matrix) > 0.05
    backwards = probed(operator.transpose())
    np.testing.assert_allclose(backwards, matrix.T, atol=1e-14)


def test_a_medium_has_no_gain():
    for sizes in ({}, {"n_layers": 3}):
        matrix = probed(medium(**sizes)[1])
        assert 0.3 < np.linalg.norm(matrix, 2) < 1 + 1e-12


def test_power_is_conserved_where_nothing_leaves_the_window():
    # A beam of 12 px waist and a smooth screen: 1e-8 of its light reaches the rim of 96 px over 2 mm.
    screen = phase_screen((96, 96), PITCH, 1.0, 2e-4, key=jax.random.key(1), dtype=jnp.float64)
    operator = make_medium(
        place_scatterer(screen[None], DISTANCE), PITCH, WAVELENGTH, DISTANCE, dtype=jnp.complex128
    )
    y, x = np.indices((96, 96)) - 48.0
    beam = np.exp(-(y**2 + x**2) / 12**2) + 0j
    after = np.linalg.norm(apply(operator, jnp.asarray(beam))) / np.linalg.norm(beam)
    assert after**2 == pytest.approx(1, abs=1e-6)


@pytest.fixture(scope="module")
def speckle():
    """Far field of a square of 64 px of random phase on a grid of 512: sinc^2 speckle of 8 px."""
    phases = np.random.default_rng(2).uniform(0, 2 * np.pi, (6, 64, 64))
    field = np.fft.fftshift(np.fft.fft2(np.exp(1j * phases), s=(512, 512)), axes=(-2, -1))
    return jnp.asarray(np.abs(field) ** 2)


def test_speckle_has_contrast_one_and_exponential_intensities(speckle):
    # 6 x 64^2 independent grains: 1 / sqrt(24576) = 0.0064 for the contrast, 1.63 / sqrt(n) the 1 % point of KS.
    assert np.mean(speckle_contrast(speckle)) == pytest.approx(1, abs=4 * 0.0064)
    assert exponential_distance(speckle) < 1.63 * 0.0064
    assert exponential_distance(jnp.asarray(np.ones((4, 4)))) == pytest.approx(1 - np.exp(-1))


def test_speckle_grain_is_that_of_the_aperture(speckle):
    pitch = 2e-6
    # Grains of 512 / 64 = 8 px; 24576 of them fix the width to about 1 %.
    assert speckle_size(speckle, pitch) == pytest.approx(0.886 * 8 * pitch, rel=0.03)
    correlation = np.asarray(speckle_correlation(speckle))
    assert correlation[256, 256] == pytest.approx(1)
    assert float(correlation[256, 256 + 4]) == pytest.approx(np.sinc(0.5) ** 2, abs=0.03)


def test_light_behind_a_strong_screen_is_developed_speckle():
    shape, pitch = (128, 128), 16e-6
    fields, light = [], jnp.asarray(np.ones(shape, np.complex64))
    for k in range(4):
        screen = phase_screen(shape, pitch, 2 * np.pi, 8e-5, key=jax.random.key(k))
        operator = make_medium(place_scatterer(screen[None], 0.2), pitch, WAVELENGTH, 0.2)
        fields.append(apply(operator, light))
    intensity = np.abs(np.stack(fields)) ** 2
    centre = jnp.asarray(intensity[:, 32:96, 32:96])  # the mean falls off towards the rim
    # lambda (z / 2) / D = 26 um or 1.6 px: about 1000 grains in each picture, 1.6 % each on the contrast.
    assert np.mean(speckle_contrast(centre)) == pytest.approx(1, abs=0.08)
    assert exponential_distance(centre) < 0.04


@pytest.mark.parametrize(
    ("offset", "spacing", "message"),
    [
        (
            2e-3,
            1e-4,
            "`offset` must keep the medium of 0.0001 m between the faces, 0.002 m apart, but is 0.002 m.",
        ),
        (0.0, 0.0, "`spacing` must be positive and finite, but is 0 m"),
    ],
)
def test_bad_place_is_named(offset, spacing, message):
    with pytest.raises(ValueError, match=message):
        place_scatterer(jnp.zeros((2, 4, 4)), DISTANCE, spacing=spacing, offset=offset)


def test_camera_inside_the_medium_and_a_grid_too_large_are_named():
    placed, _ = medium(offset=5e-4)
    with pytest.raises(
        ValueError,
        match=r"`distance` must reach beyond the last screen, at 0\.0015 m, but is 0\.001 m",
    ):
        make_medium(placed, PITCH, WAVELENGTH, 1e-3)
    with pytest.raises(ValueError, match="at most 4096 pixels"):
        layered_matrix(place_scatterer(jnp.zeros((1, 80, 80)), 1e-2), PITCH, WAVELENGTH, 1e-2)

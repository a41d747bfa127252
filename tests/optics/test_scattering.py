import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.scattering import phase_screen, scattering_angle

PITCH = 8e-6


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
    phase = screens(400, sd=1.0, length=3 * PITCH)
    # 400 draws of 40 / 5 independent pairs: standard error 0.018; four of them.
    assert abs(np.mean(phase[:, 0] * phase[:, -1])) < 0.07


@pytest.mark.parametrize("sd", [0.5, 1.0, 1.5])
def test_ballistic_share_of_power_is_exp_of_minus_the_variance(sd):
    phase = screens(400, sd, length=2 * PITCH)
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

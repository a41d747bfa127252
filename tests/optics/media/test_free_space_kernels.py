import numpy as np
import pytest

from optics.media.free_space_kernels import (
    Windows,
    fresnel_spectra,
    shortest_spectrum,
    toeplitz,
)

PITCH, WAVELENGTH = 8e-6, 532e-9


def geometry(shape=(5, 8), distance=1e-3, shift=(0.0, 0.0)):
    return Windows(shape, PITCH, WAVELENGTH, distance, shift)


@pytest.mark.parametrize(
    ("shift", "lengths"),
    [((0.0, 0.0), (10, 16)), ((PITCH, -2.5 * PITCH), (12, 22))],
)
def test_padding_holds_every_lag_between_the_windows(shift, lengths):
    # Lags run from -(n - 1) to n - 1, displaced by the shift.
    assert geometry(shift=shift).padded_lengths() == lengths


def test_transfer_function_is_taken_up_to_the_distance_where_its_phase_turns_by_pi():
    # Between the last two frequencies of P samples, pi w z (f1^2 - f2^2) = pi w z (1 - 1/P) / (P dx^2).
    limit = 10 * PITCH**2 / WAVELENGTH
    for sign in (1, -1):
        assert geometry(distance=sign * 0.999 * limit).samples_transfer_function(10)
        assert not geometry(distance=sign * 1.001 * limit).samples_transfer_function(10)


def test_neighbouring_samples_differ_by_less_than_pi_from_the_switch_to_the_impulse_response_on():
    n = 32
    spectrum, _ = fresnel_spectra(geometry((n, n), 1.001 * 2 * n * PITCH**2 / WAVELENGTH))
    sampled = np.fft.ifft(spectrum)
    steps = np.abs(np.angle(sampled[1 : n + 1] / sampled[:n]))
    # Phases grow as k^2, so the steps grow evenly up to the last one, pi (1 - 1 / 2 n).
    np.testing.assert_allclose(steps, np.pi * (2 * np.arange(n) + 1) / (2 * n), rtol=2e-3)


def test_toeplitz_matrix_is_the_convolution():
    rng = np.random.default_rng(0)
    n, response = 6, rng.normal(size=11) + 1j * rng.normal(size=11)  # lags -5 ... 5
    spectrum = np.fft.fft(np.roll(np.append(response, 0), -5))
    u = rng.normal(size=n)
    expected = np.convolve(response, u)[5 : 5 + n]
    np.testing.assert_allclose(toeplitz(spectrum, n) @ u, expected, atol=1e-14)


def test_shortest_spectrum_keeps_the_lags_inside_the_window_and_no_others():
    rng = np.random.default_rng(1)
    shape, spectrum = (3, 4), rng.normal(size=(10, 12)) + 1j * rng.normal(size=(10, 12))
    before = np.fft.ifft2(spectrum)
    after = np.fft.ifft2(shortest_spectrum(spectrum, shape, (6, 8)))
    inside = np.ix_(np.arange(-2, 3), np.arange(-3, 4))
    np.testing.assert_allclose(after[inside], before[inside], atol=1e-15)
    # One lag of each axis is free: 3 of 6 and 4 of 8.
    assert np.abs(after[3]).max() < 1e-15
    assert np.abs(after[:, 4]).max() < 1e-15

import jax
import numpy as np
import pytest

from quantum.inference.curve_emulator import emulate

TIMES = np.linspace(0, 1, 5)
LOWER, UPPER = (1.0, -2.0), (3.0, 2.0)


def _curve(p):
    return np.cos(p[0] * TIMES + 0.3) * np.exp(-0.2 * p[1] * TIMES)


@pytest.fixture(scope="module")
def emulator():
    return emulate(_curve, ("rate", "decay"), LOWER, UPPER, degree=(9, 6))


def test_the_series_equals_the_curve_inside_the_box_and_at_its_corners(emulator):
    # exp(-0.4 x) and cos(x): next coefficients 0.4^7 / (2^6 7!) = 5e-9 and 1 / (2^9 10!) = 5e-10.
    for point in ([1.3, 0.4], [1.0, -2.0], [3.0, 2.0], [2.9, -1.7]):
        np.testing.assert_allclose(emulator(np.array(point)), _curve(point), atol=5e-8)
    assert emulator.largest_error(_curve, 5, seed=0) < 5e-8


def test_a_polynomial_is_exact():
    found = emulate(lambda p: np.array([p[0] ** 3, 2.0]), ("x",), (-1.0,), (2.0,), degree=3)
    np.testing.assert_allclose(found(np.array([1.7])), [1.7**3, 2], atol=1e-13)


def test_the_error_falls_geometrically():
    worst = [
        emulate(_curve, ("rate", "decay"), LOWER, UPPER, degree=d).largest_error(_curve, 5, seed=1)
        for d in (2, 4, 6)
    ]
    assert worst[1] < worst[0] / 20
    assert worst[2] < worst[1] / 20


def test_derivatives_are_those_of_the_curve(emulator):
    slope = jax.jacfwd(emulator)(np.array([1.0, 0.5]))
    step = 1e-6
    for k in range(2):
        shift = step * np.eye(2)[k]
        point = np.array([1.0, 0.5])
        expected = (_curve(point + shift) - _curve(point - shift)) / (2 * step)
        np.testing.assert_allclose(slope[:, k], expected, atol=1e-6)


def test_the_model_learns(emulator):
    from quantum.inference.fitting import fit
    from quantum.inference.likelihood import Gaussian

    truth = np.array([2.2, 0.7])
    found = fit(emulator.model(), Gaussian(_curve(truth), np.full(5, 1e-3)), 4)
    np.testing.assert_allclose(found.values, truth, atol=1e-6)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="`names` must name 1 to 3"):
        emulate(_curve, (), (), ())
    with pytest.raises(ValueError, match="`lower` must be finite and below `upper`"):
        emulate(_curve, ("a",), (1.0,), (1.0,))
    with pytest.raises(ValueError, match="`degree` must be at least 1"):
        emulate(_curve, ("a",), (0.0,), (1.0,), degree=0)
    with pytest.raises(FloatingPointError, match="`curve` must be finite"):
        emulate(lambda p: np.array([np.nan]), ("a",), (0.0,), (1.0,), degree=1)

import numpy as np
import pytest

from quantum.noise.extrapolation import extrapolate_to_zero, fit_extrapolation


@pytest.mark.parametrize(
    ("law", "signal"),
    [
        ("linear", lambda x: 0.4 - 0.05 * x),
        ("exponential", lambda x: -0.4 * np.exp(-0.7 * x)),
        ("gaussian", lambda x: 0.4 * np.exp(-0.9 * x + 0.1 * x**2)),
    ],
)
def test_extrapolation_is_exact_under_its_own_law(law, signal):
    scales = np.array([1.0, 1.5, 2.0, 3.0])
    found = extrapolate_to_zero(scales, signal(scales), np.full(4, 0.01), law)
    assert found.value == pytest.approx(signal(0.0), rel=1e-9)
    ensemble = np.array([0.3, -0.7, 1.1])[:, None] * signal(scales)
    fit = fit_extrapolation(scales, ensemble, law)
    zero = [fit.apply(row, np.eye(4)).value for row in ensemble]
    np.testing.assert_allclose(zero, np.array([0.3, -0.7, 1.1]) * signal(0.0), rtol=1e-5)


def test_gaussian_law_gives_mean_and_variance_of_the_path_weights():
    scales = np.array([1.0, 1.5, 2.0])
    values = np.outer([1.0, -0.2], np.exp(-0.9 * scales + 0.12 * scales**2 / 2))
    fit = fit_extrapolation(scales, values, "gaussian")
    np.testing.assert_allclose([fit.rate, fit.spread], [0.9, 0.12], rtol=1e-4)


def test_extrapolation_error_is_the_spread_of_repeats():
    scales, errors = np.array([1.0, 2.0, 3.0]), np.array([0.01, 0.02, 0.02])
    rng = np.random.default_rng(1)
    for law in ("linear", "exponential", "gaussian"):
        signal = np.exp(-0.2 * scales)
        found = [
            extrapolate_to_zero(scales, signal + errors * rng.normal(size=3), errors, law)
            for _ in range(400)
        ]
        spread = np.std([f.value for f in found])
        # 1 / sqrt(2 x 400) = 3.5 % from the draw, some percent from the logarithm.
        assert np.mean([f.stderr for f in found]) == pytest.approx(spread, rel=0.15)

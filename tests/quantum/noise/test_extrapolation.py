import numpy as np
import pytest

from quantum.noise.extrapolation import extrapolate_to_zero, fit_extrapolation, richardson


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


def test_an_exponential_towards_an_asymptote_is_continued_exactly():
    scales = np.array([1.0, 1.5, 2.0, 3.0, 5.0])
    signal = 0.5 + 0.45 * np.exp(-0.3 * scales)
    found = extrapolate_to_zero(scales, signal, np.full(5, 1e-3), "asymptotic")
    assert found.value == pytest.approx(0.95, abs=1e-9)
    # Circuits that share the rate have asymptotes of their own.
    other = -0.2 + 0.7 * np.exp(-0.3 * scales)
    fit = fit_extrapolation(scales, np.array([signal, other]), "asymptotic")
    values = [fit.apply(row, np.full(5, 1e-3)).value for row in (signal, other)]
    np.testing.assert_allclose(values, [0.95, 0.5], atol=1e-7)
    rng = np.random.default_rng(0)
    draws = [signal + 1e-3 * rng.normal(size=5) for _ in range(200)]
    repeats = [extrapolate_to_zero(scales, d, np.full(5, 1e-3), "asymptotic").value for d in draws]
    # 1 / sqrt(2 x 200) = 5 % from the draw, some percent from the curvature of the rate.
    assert found.stderr == pytest.approx(np.std(repeats), rel=0.2)


def test_amplified_errors_are_told_with_their_number():
    with pytest.warns(UserWarning, match=r"may grow 3\.2e\+12 times on the way through 20 scales"):
        found = richardson(np.linspace(1, 3, 20))
    assert found.amplification == pytest.approx(3.15e12, rel=0.01)
    few = richardson([1.0, 2.0, 3.0])  # 3, -3, 1, and no warning
    assert few.amplification == pytest.approx(7)
    near, errors = np.array([1.0, 1.001]), np.full(2, 1e-3)
    with pytest.warns(UserWarning, match="errors of the values may grow"):
        extrapolate_to_zero(near, np.exp(-near), errors, "exponential")


def test_errors_are_taken_as_they_are_or_as_a_covariance():
    fit = richardson([1.0, 2.0])  # 2, -1
    assert fit.apply(np.array([0.5, 0.4]), np.array([0.3, 0.4])).stderr == pytest.approx(0.52**0.5)
    assert fit.apply(np.array([0.5, 0.4]), np.diag([0.09, 0.16])).stderr == pytest.approx(0.52**0.5)
    with pytest.raises(ValueError, match=r"`values` must have shape \(2,\)"):
        fit.apply(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match=r"`covariance` must have shape \(2, 2\)"):
        fit.apply(np.ones(2), np.ones((3, 3)))

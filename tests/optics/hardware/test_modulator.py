import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from optics.hardware.modulator import (
    SpatialLightModulator,
    crosstalk_matrix,
    gaussian_crosstalk,
    quantise_phase,
    wrap_phase,
)
from optics.waves.elements import phase_mask
from optics.waves.field import Field


def plane(shape, dtype=complex):
    return Field(jnp.ones(shape, dtype), 532e-9, 8e-6)


def random_phase(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-9, 9, shape))


def test_wrapping_lands_in_the_half_open_circle():
    phase = jnp.array([-1e-20, -7.0, 0.0, 2 * np.pi, 100.0])
    wrapped = np.asarray(wrap_phase(phase))
    assert ((wrapped >= 0) & (wrapped < 2 * np.pi)).all()
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * np.array(phase)), atol=1e-13)


@pytest.mark.parametrize("n_levels", [2, 10, 256])
def test_quantised_phases_sit_on_levels_and_err_by_half_a_step(n_levels):
    phase = random_phase(40, 40)
    got = np.asarray(quantise_phase(phase, n_levels))
    level = got * n_levels / (2 * np.pi)
    np.testing.assert_allclose(level, np.round(level), atol=1e-12)
    assert got.min() >= 0
    assert got.max() < 2 * np.pi
    error = np.abs(np.angle(np.exp(1j * (got - np.array(phase)))))
    assert 0.9 * np.pi / n_levels < error.max() <= np.pi / n_levels * (1 + 1e-9)
    assert n_levels > 100 or len(np.unique(np.round(level))) == n_levels


def test_a_perfect_modulator_is_a_quantised_phase_mask():
    phase = random_phase(2, 16, 16)
    got = SpatialLightModulator()(plane((16, 16)), phase)
    want = phase_mask(plane((16, 16)), quantise_phase(phase, 256))
    np.testing.assert_allclose(got.amplitude, want.amplitude, atol=1e-13)


def test_gamma_and_range_bend_the_response():
    gamma = jnp.asarray(np.random.default_rng(2).uniform(0.8, 1.3, (4, 8)))
    panel = SpatialLightModulator(phase_range=1.9 * np.pi, gamma=gamma, n_levels=16)
    level = np.arange(32).reshape(4, 8) % 16
    shown = panel.response(jnp.asarray(level * 2 * np.pi / 16))
    np.testing.assert_allclose(shown, 1.9 * np.pi * (level / 16) ** np.array(gamma), atol=1e-13)


def test_zero_order_carries_the_unmodulated_fraction():
    board = np.pi * (np.indices((32, 32)).sum(axis=0) % 2)
    out = SpatialLightModulator(modulated_fraction=0.91)(plane((32, 32)), jnp.asarray(board))
    power = np.abs(np.fft.fft2(out.amplitude)) ** 2 / 32**4
    # A checkerboard of 0 and pi has no zero order of its own: 9 % remain there, 91 % go to the
    # corner order.
    assert power[0, 0] == pytest.approx(0.09, abs=1e-14)
    assert power[16, 16] == pytest.approx(0.91, abs=1e-14)


def test_crosstalk_is_a_convolution_with_repeated_rims():
    kernel = np.random.default_rng(4).uniform(size=(3, 5))
    kernel /= kernel.sum()
    phase = jnp.asarray(np.random.default_rng(5).uniform(0.1, 6, (9, 7)))
    shown = SpatialLightModulator(crosstalk=kernel, n_levels=None).response(phase)
    # SciPy's convolve flips the kernel, so that an asymmetric one tells convolution from
    # correlation.
    want = ndimage.convolve(np.asarray(phase), kernel, mode="nearest")
    np.testing.assert_allclose(shown, want, atol=1e-13)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0])
def test_gaussian_crosstalk_has_unit_sum_and_the_variance_of_gaussian_and_pixel(sigma):
    kernel = np.asarray(gaussian_crosstalk(sigma))
    assert kernel.sum() == pytest.approx(1, abs=1e-14)
    x = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    # Gaussian convolved with a pixel, sampled: Poisson summation leaves exp(-2 pi^2 sigma^2) (times
    # a few) and the cut at 4 sigma leaves 6e-5 * 16 sigma^2.
    slack = 1.5 * np.exp(-2 * np.pi**2 * sigma**2) + 1e-3 * sigma**2
    for axis in (0, 1):
        assert (kernel.sum(axis=axis) * x**2).sum() == pytest.approx(sigma**2 + 1 / 12, abs=slack)


def test_crosstalk_of_samples_has_the_variance_of_the_gaussian_alone_and_renormalised_rims():
    sigma, n = 0.8, 15
    matrix = crosstalk_matrix(n, sigma)
    offsets = np.arange(n) - n // 2
    assert matrix[n // 2] @ offsets**2 == pytest.approx(sigma**2, rel=3e-4)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-14)
    # At the rim half of the Gaussian is gone, and what is left keeps its shape.
    np.testing.assert_allclose(matrix[0, 1] / matrix[0, 0], np.exp(-0.5 / sigma**2), rtol=1e-12)
    assert matrix[0, 0] / matrix[7, 7] == pytest.approx(2 / (1 + matrix[7, 7]), rel=1e-6)


def test_a_continuous_modulator_is_differentiable_at_zero_phase():
    panel = SpatialLightModulator(n_levels=None, gamma=0.9)
    grad = jax.grad(lambda p: panel.response(p).sum())(jnp.array([[0.0, 1.0]]))
    # d/dp of 2 pi (p / 2 pi)^0.9 at p = 1.
    assert float(grad[0, 1]) == pytest.approx(0.9 * (1 / (2 * np.pi)) ** -0.1, rel=1e-12)
    assert float(grad[0, 0]) == pytest.approx(1)


@pytest.mark.parametrize("dtype", [jnp.complex64, jnp.complex128])
def test_jit_keeps_values_precision_and_power(dtype):
    # A kernel, and a gamma per pixel, so that every branch runs.
    panel = SpatialLightModulator(gamma=jnp.full((8, 8), 1.1), crosstalk=gaussian_crosstalk(0.3))
    field, phase = plane((8, 8), dtype), random_phase(8, 8)
    out = jax.jit(lambda panel, u: panel(u, phase))(panel, field)
    assert out.amplitude.dtype == dtype
    np.testing.assert_allclose(out.amplitude, panel(field, phase).amplitude, atol=1e-5)
    assert float(out.power) == pytest.approx(float(field.power), rel=1e-5)


def test_bad_values_are_named():
    with pytest.raises(ValueError, match=r"`phase` must have last axes \(8, 9\), .* \(9, 8\)"):
        SpatialLightModulator()(plane((8, 9)), jnp.zeros((9, 8)))
    with pytest.raises(ValueError, match=r"`phase` must have last axes \(4, 4\), .* per pixel"):
        SpatialLightModulator(gamma=jnp.ones((4, 4)))(plane((8, 9)), jnp.zeros((8, 9)))
    with pytest.raises(ValueError, match="`n_levels` must be at least 2 or None, but is 1"):
        SpatialLightModulator(n_levels=1)
    with pytest.raises(ValueError, match="`n_levels` must be at least 2, but is 1"):
        quantise_phase(jnp.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match="`modulated_fraction` must lie between 0 and 1"):
        SpatialLightModulator(modulated_fraction=1.1)
    with pytest.raises(ValueError, match=r"`crosstalk` must have odd sizes, .* \(2, 3\)"):
        SpatialLightModulator(crosstalk=np.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="`gamma` must be positive and finite, but is 0"):
        SpatialLightModulator(gamma=jnp.array([[1.0, 0.0]]))

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from optics.metrics import (
    _check_same_shape,
    _region,
    cosine_similarity,
    diffraction_efficiency,
    field_fidelity,
    full_width_at_half_maximum,
    gradient_error,
    intensity_overlap,
    michelson_contrast,
    peak_signal_to_noise_ratio,
    signal_to_background,
    speckle_contrast,
    structural_similarity,
    unitary_fidelity,
)

RNG = np.random.default_rng(11)


def complex_normal(*shape):
    return jnp.asarray(RNG.normal(size=shape) + 1j * RNG.normal(size=shape))


def slow_ssim(a, b, data_range):
    """Wang's formula window by window, centred moments, weights from SciPy's Gaussian filter."""

    g = np.zeros((11, 11))
    g[5, 5] = 1
    # 11 taps: truncate is in units of sigma.
    g = ndimage.gaussian_filter(g, 1.5, truncate=5 / 1.5)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    total = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            pa, pb = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            ma, mb = (g * pa).sum(), (g * pb).sum()
            va, vb = (g * (pa - ma) ** 2).sum(), (g * (pb - mb) ** 2).sum()
            vab = (g * (pa - ma) * (pb - mb)).sum()
            total.append(
                (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(total)


@pytest.mark.parametrize(("shape", "level"), [((24, 17), 0.0), ((11, 11), 0.0), ((15, 20), 300.0)])
def test_ssim_equals_a_slow_window_by_window_sum(shape, level):
    a = RNG.uniform(0, 1, shape) + level
    b = np.clip(a + RNG.normal(0, 0.2, shape), level, None)
    got = structural_similarity(jnp.asarray(b), jnp.asarray(a), data_range=1.0)
    # Local moments of numbers of size `level` squared, over variances of 0.01: eps 300 / 0.01 at
    # worst.
    assert float(got) == pytest.approx(slow_ssim(b, a, 1.0), abs=1e-11)
    span = a.max() - a.min()
    got = structural_similarity(jnp.asarray(b), jnp.asarray(a))
    assert float(got) == pytest.approx(slow_ssim(b, a, span), abs=1e-11)


def test_ssim_of_known_cases():
    a = jnp.asarray(RNG.uniform(0, 1, (30, 30)))
    assert float(structural_similarity(a, a)) == pytest.approx(1, abs=1e-13)
    # Two constants p, q: only the luminance term, (2 p q + C1) / (p^2 + q^2 + C1).
    p, q, c1 = 0.3, 0.8, 1e-4
    got = structural_similarity(jnp.full((20, 20), p), jnp.full((20, 20), q), data_range=1.0)
    assert float(got) == pytest.approx((2 * p * q + c1) / (p**2 + q**2 + c1), abs=1e-12)
    # A negative about its own mean anticorrelates.
    wave = jnp.asarray(np.sin(np.arange(900.0)).reshape(30, 30))
    assert float(structural_similarity(5 - wave, 5 + wave)) < -0.9


def test_psnr_of_a_known_error():
    reference = jnp.asarray(RNG.uniform(0, 4, (2, 20, 20))).at[:, 0, :2].set(jnp.array([0.0, 4.0]))
    image = reference + jnp.array([0.04, -0.4])[:, None, None]
    np.testing.assert_allclose(peak_signal_to_noise_ratio(image, reference), [40.0, 20.0])
    np.testing.assert_allclose(
        peak_signal_to_noise_ratio(image, reference, data_range=0.4), [20.0, 0.0], atol=1e-12
    )
    assert float(peak_signal_to_noise_ratio(image, image)[0]) == np.inf


def test_contrasts_of_a_fringe_and_of_speckle():
    x = 2 * np.pi * np.arange(64) / 64
    fringe = jnp.asarray(np.tile(5 * (1 + 0.6 * np.cos(x)), (8, 1)))
    assert float(michelson_contrast(fringe)) == pytest.approx(0.6)
    # The rms of a cosine is its amplitude over sqrt 2.
    assert float(speckle_contrast(fringe)) == pytest.approx(0.6 / np.sqrt(2))
    speckle = jnp.asarray(np.random.default_rng(3).exponential(size=(200, 200)))
    # Exponential law: Var(s) = 2/n, Var(m) = 1/n, Cov = 1/n: the contrast s/m has error 1/sqrt(n).
    assert float(speckle_contrast(speckle)) == pytest.approx(1, abs=5 / 200)
    assert float(michelson_contrast(jnp.zeros((3, 3)))) == 0


def test_signal_to_background_and_efficiency():
    region = jnp.zeros((4, 5), bool).at[1, 2:4].set(True)
    intensity = jnp.stack([jnp.where(region, 6.0, 0.5), jnp.where(region, 1.0, 2.0)])
    np.testing.assert_allclose(signal_to_background(intensity, region), [12.0, 0.5])
    np.testing.assert_allclose(diffraction_efficiency(intensity, region), [12 / 21, 2 / 38])
    np.testing.assert_allclose(
        diffraction_efficiency(intensity, region, incident_power=40.0), [0.3, 0.05]
    )


def test_field_fidelity_ignores_a_complex_factor_and_sees_a_conjugate():
    a = complex_normal(3, 16, 16)
    factor = jnp.array([2.0, 1j, -0.1 + 3j])[:, None, None]
    np.testing.assert_allclose(field_fidelity(a, factor * a), 1, atol=1e-14)
    assert float(field_fidelity(a, jnp.conj(a)).max()) < 0.1
    # Orthogonal plane waves, and their half-half superposition.
    y = 2 * np.pi * np.arange(16) / 16
    e1, e2 = (jnp.asarray(np.tile(np.exp(1j * k * y), (16, 1))) for k in (1, 2))
    assert float(field_fidelity(e1, e2)) == pytest.approx(0, abs=1e-30)
    assert float(field_fidelity(e1, e1 + 1j * e2)) == pytest.approx(0.5)
    assert float(field_fidelity(e1, 0 * e1)) == 0


def test_intensity_overlap_bounds_the_fidelity():
    a, b = complex_normal(4, 12, 12), complex_normal(4, 12, 12)
    best = intensity_overlap(jnp.abs(a) ** 2, jnp.abs(b) ** 2)
    assert bool((field_fidelity(a, b) <= best).all())
    # Phases that agree reach the bound.
    np.testing.assert_allclose(
        field_fidelity(a, jnp.abs(b) * jnp.exp(1j * jnp.angle(a))), best, atol=1e-13
    )


def test_cosine_similarity():
    a, b = RNG.normal(size=(2, 3, 4, 5))
    want = np.dot(a.ravel(), b.ravel()) / np.linalg.norm(a) / np.linalg.norm(b)
    a, b = jnp.asarray(a), jnp.asarray(b)
    assert float(cosine_similarity(a, b)) == pytest.approx(want)
    assert float(cosine_similarity(a, -3 * a)) == pytest.approx(-1)
    assert float(cosine_similarity(a, jnp.zeros_like(a))) == 0


def test_unitary_fidelity():
    u = jnp.asarray(stats.unitary_group.rvs(6, random_state=1))
    assert float(unitary_fidelity(u, 0.3j * u)) == pytest.approx(1)
    # Rotating one of n diagonal entries by d: |n - 1 + e^{id}|^2 / n^2.
    turned = u @ jnp.diag(jnp.array([1, 1, 1, 1, 1, jnp.exp(0.7j)]))
    assert float(unitary_fidelity(u, turned)) == pytest.approx(abs(5 + np.exp(0.7j)) ** 2 / 36)
    assert float(unitary_fidelity(u, u.conj().T)) < 0.9


@pytest.mark.parametrize("centre", [0.0, 0.37, -0.5])
def test_width_of_a_smooth_peak_converges_with_order_four(centre):
    # sech^2, half at arccosh(sqrt(2)); a Gaussian is exact (`test_user_input_rows.py`).
    exact, spacings, errors = 2 * np.arccosh(np.sqrt(2)), [0.25, 0.125, 0.0625], []
    for spacing in spacings:
        x = np.arange(-8, 8 + spacing / 2, spacing) - centre * spacing
        errors.append(
            abs(full_width_at_half_maximum(jnp.asarray(np.cosh(x) ** -2), spacing) - exact)
        )
    assert errors[-1] < 2e-4
    # Between 3.3 and 4.7: the leading coefficient depends on where the crossings fall between
    # samples.
    assert 3.3 < np.polyfit(np.log(spacings), np.log(errors), 1)[0] < 4.7


def test_width_of_the_diffraction_limit():
    # sinc^2 of unit first zero: 0.885893 (the sheet's 0.886 lambda z / D), with side lobes and
    # exact zeros.
    x = np.arange(-200, 201) / 50
    width = full_width_at_half_maximum(jnp.asarray(np.sinc(x) ** 2), 1 / 50)
    assert width == pytest.approx(0.8858929, abs=1e-6)


def test_width_of_a_triangle_is_exact_away_from_its_tip():
    # Half maximum of the sampled tip at index 6: crossings at 3 and 9, where the profile is
    # straight.
    profile = jnp.asarray(np.maximum(0, 6.0 - np.abs(np.arange(13) - 6.0)))
    peak = 6.0  # The parabola through 5, 6, 5 has its top there.
    assert full_width_at_half_maximum(profile, 2.0) == pytest.approx(2 * peak)


def test_image_metrics_jit_and_batch_like_a_loop():
    a, b = jnp.asarray(RNG.uniform(0, 1, (2, 3, 2, 16, 14)))
    for metric in (structural_similarity, peak_signal_to_noise_ratio, intensity_overlap):
        together = jax.jit(metric)(a, b)
        assert together.shape == (3, 2)
        assert float(together[2, 1]) == pytest.approx(float(metric(a[2, 1], b[2, 1])))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"must have one shape, but they have \(4, 4\) and"):
        # The run-time shape checks of the test run would answer first.
        _check_same_shape(jnp.ones((4, 4)), jnp.ones((1, 4, 4)))
    with pytest.raises(ValueError, match=r"`image` must be at least 11 x 11, .* \(10, 20\)"):
        structural_similarity(jnp.ones((10, 20)), jnp.ones((10, 20)))
    with pytest.raises(ValueError, match=r"`region` must have last axes \(4, 4\)"):
        _region(jnp.ones((4, 5), bool), jnp.ones((4, 4)))
    with pytest.raises(ValueError, match="`signal` must be true somewhere"):
        signal_to_background(jnp.ones((4, 4)), jnp.ones((4, 4), bool))
    with pytest.raises(ValueError, match="`profile` must fall below half of its maximum"):
        full_width_at_half_maximum(jnp.linspace(0.0, 1.0, 9))
    with pytest.raises(ValueError, match="`data_range` must be positive"):
        peak_signal_to_noise_ratio(jnp.ones((4, 4)), jnp.ones((4, 4)), data_range=0.0)


def test_gradient_error_ignores_scale_and_counts_the_rest():
    true = jnp.asarray([[1.0, 0.0], [0.0, -1.0]]) + 0j
    assert gradient_error(3 * true, true) == pytest.approx(0)
    other = true + jnp.asarray([[0.0, 0.1], [0.0, 0.0]])
    # Best scale 2 / 2.01; then |differences| 0.00498 twice and 0.0995 once, over 4 elements and a largest of 1.
    assert gradient_error(other, true) == pytest.approx(0.02736, abs=1e-4)

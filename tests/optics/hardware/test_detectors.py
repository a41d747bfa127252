import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.detectors import (
    Camera,
    PhotonCounter,
    count_photons,
    expose,
    flir_bfs_u3_89s6m,
    ideal_camera,
    photons_from_counts,
)

KEY = jax.random.key(20240807)
SHAPE = (2, 150, 100)  # 30000 pixels


def camera(qe=1.0, read=0.0, well=1e6, bits=None, shot="none"):
    return Camera(qe, read, well, bit_depth=bits, shot_noise=shot)


# Compiled whole: one by one, each operation compiles anew for every shape.
exposed = jax.jit(expose)
photons_of = jax.jit(photons_from_counts)


def flat(value):
    return jnp.asarray(np.full(SHAPE, value))


def linspace(low, high, n):
    return jnp.asarray(np.linspace(low, high, n))


def assert_moments(samples, mean, variance, fourth_moment):
    """Mean and variance within 4.5 standard errors (1 in 1.5e5 by chance; the seed is fixed)."""
    samples = np.asarray(samples, dtype=float).ravel()
    n = samples.size
    assert abs(samples.mean() - mean) < 4.5 * np.sqrt(variance / n)
    # Var of the sample variance is (m4 - sigma^4) / n to leading order.
    assert abs(samples.var(ddof=1) - variance) < 4.5 * np.sqrt((fourth_moment - variance**2) / n)


def test_ideal_camera_counts_photons():
    photons = linspace(0, 1e9, 12).reshape(3, 4)
    np.testing.assert_array_equal(exposed(photons, ideal_camera(), key=KEY), photons)


@pytest.mark.parametrize("shot", ["poisson", "gaussian"])
@pytest.mark.parametrize("electrons", [40.0, 4000.0])
def test_shot_noise_has_the_variance_of_its_mean(shot, electrons):
    qe = 0.64
    counts = exposed(flat(electrons / qe), camera(qe=qe, shot=shot), key=KEY)
    fourth = 3 * electrons**2 + (electrons if shot == "poisson" else 0)
    assert_moments(counts, electrons, electrons, fourth)


def test_weak_light_is_poisson():
    # P(0) = exp(-n) at 0.5 expected electrons, which no normal law reproduces.
    draws = np.asarray(exposed(flat(0.5), camera(shot="poisson"), key=KEY))
    dark = np.mean(draws == 0)
    p = np.exp(-0.5)
    assert abs(dark - p) < 4.5 * np.sqrt(p * (1 - p) / draws.size)
    np.testing.assert_array_equal(draws, np.round(draws))


def test_read_noise_adds_its_variance_to_shot_noise():
    n, read = 500.0, 20.0
    counts = exposed(flat(n), camera(read=read, shot="gaussian"), key=KEY)
    variance = n + read**2
    assert_moments(counts, n, variance, 3 * variance**2)


def test_pixels_and_frames_have_independent_noise():
    frames = np.asarray(exposed(flat(100.0), camera(read=1.0, shot="gaussian"), key=KEY))
    # Correlation of independent samples has standard error 1 / sqrt(n).
    for a, b in [(frames[0], frames[1]), (frames[:, :, 1:], frames[:, :, :-1])]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / np.sqrt(a.size)


def test_mean_signal_is_linear_below_saturation():
    cam = flir_bfs_u3_89s6m()
    levels = np.array([500.0, 2000.0, 8000.0, 14000.0])
    for level in levels:
        seen = photons_of(exposed(flat(level), cam, key=KEY), cam)
        step = 1e4 / 4095 / 0.6399
        variance = level / 0.6399 + (2.47 / 0.6399) ** 2 + step**2 / 12
        assert abs(np.mean(seen) - level) < 4.5 * np.sqrt(variance / seen.size)


def test_saturation_is_at_the_full_well():
    cam = camera(qe=0.5, well=1000.0, bits=8)
    counts = exposed(jnp.array([[0.0, 1000.0, 1990.0, 2000.0, 2100.0, 1e12]]), cam, key=KEY)
    # 1000 photons are half a well: 127.5 rounds to even; 995 e- are 253.7 steps.
    np.testing.assert_array_equal(counts, [[0, 128, 254, 255, 255, 255]])


@pytest.mark.parametrize("shot", ["poisson", "gaussian"])
def test_saturated_pixels_show_no_noise_above_the_well(shot):
    cam = camera(read=5.0, well=1e4, shot=shot)
    out = np.asarray(exposed(jnp.array([[1e4, 1e5, 1e30]]), cam, key=KEY))
    assert out.max() <= 1e4
    assert out[0, 1:].min() > 1e4 - 6 * 5.0


@pytest.mark.parametrize("shot", ["poisson", "gaussian"])
def test_dark_and_saturated_pixels_keep_the_read_noise(shot):
    # Charge is then certain, so only the readout spreads it; beyond the full well that is cut.
    read, well = 20.0, 1e4
    cam = camera(read=read, well=well, shot=shot)
    out = exposed(
        jnp.asarray(np.stack([np.zeros(SHAPE[1:]), np.full(SHAPE[1:], 1e30)])), cam, key=KEY
    )
    assert_moments(out[0], 0.0, read**2, 3 * read**4)
    below = well - np.asarray(out[1])
    assert abs(np.mean(below == 0) - 0.5) < 4.5 * 0.5 / np.sqrt(below.size)
    standard_error = read * np.sqrt((0.5 - 0.5 / np.pi) / below.size)
    assert abs(below.mean() - read / np.sqrt(2 * np.pi)) < 4.5 * standard_error


def test_gaussian_charge_is_never_negative():
    # Without read noise the law is the normal of mean and variance n cut at zero: P(0) = Phi(-sqrt n).
    out = np.asarray(exposed(flat(1.0), camera(shot="gaussian"), key=KEY))
    p = 0.15865525393145707
    assert out.min() == 0
    assert abs(np.mean(out == 0) - p) < 4.5 * np.sqrt(p * (1 - p) / out.size)


@pytest.mark.parametrize("bits", [1, 8, 12])
def test_quantisation_step_and_error(bits):
    cam = camera(well=5000.0, bits=bits)
    photons = linspace(0.0, 5000.0, 4001).reshape(1, -1)
    counts = np.asarray(exposed(photons, cam, key=KEY))
    np.testing.assert_array_equal(counts, np.round(counts))
    assert counts.min() == 0
    assert counts.max() == 2**bits - 1
    error = np.asarray(photons_of(jnp.asarray(counts), cam) - photons)
    step = 5000.0 / (2**bits - 1)
    assert np.abs(error).max() <= step / 2 * (1 + 1e-12)
    assert np.abs(error).max() > 0.45 * step


def test_dark_pixels_lift_as_documented():
    read, step = 20.0, 1e4 / 4095
    cam = camera(read=read, well=1e4, bits=12)
    seen = np.asarray(photons_of(exposed(flat(0.0), cam, key=KEY), cam))
    # Rectified normal: mean s / sqrt(2 pi), variance s^2 (1/2 - 1/(2 pi)). Rounding acts on half a
    # smooth density, whose edge at zero shifts the mean by at most step^2 / (12 s sqrt(2 pi))
    # (Euler-Maclaurin).
    edge = step**2 / (12 * read * np.sqrt(2 * np.pi))
    standard_error = read * np.sqrt((0.5 - 0.5 / np.pi) / seen.size)
    assert abs(seen.mean() - read / np.sqrt(2 * np.pi)) < 4.5 * standard_error + edge


def test_precision_follows_the_input():
    cam = flir_bfs_u3_89s6m("poisson")
    for dtype in (jnp.float32, jnp.float64):
        counts = exposed(jnp.full((3, 3), 1e3, dtype), cam, key=KEY)
        assert counts.dtype == dtype
        assert photons_from_counts(counts, cam).dtype == dtype


@pytest.mark.parametrize("shot", ["poisson", "gaussian", "none"])
def test_jit_and_vmap_over_images_and_cameras(shot):
    photons = linspace(10.0, 1e4, 24).reshape(2, 3, 4)
    keys = jax.random.split(KEY, 2)

    def run(image, full_well, key):
        cam = Camera(0.6, 3.0, full_well, bit_depth=10, shot_noise=shot)
        return expose(image, cam, key=key)

    wells = jnp.array([2000.0, 1e4])
    together, alone = jax.jit(jax.vmap(run))(photons, wells, keys), jax.jit(run)
    # Noise drawn inside vmap equals the noise of a loop; rounding may flip where compiled code
    # fuses differently.
    for out, image, well, key in zip(together, photons, wells, keys, strict=True):
        np.testing.assert_allclose(out, alone(image, well, key), atol=1)
        assert np.mean(np.asarray(out) == np.asarray(alone(image, well, key))) > 0.9


def test_derivative_of_a_digital_camera_is_zero():
    cam = camera(bits=12, shot="gaussian", well=1e4)
    grad = jax.jit(jax.grad(lambda p: expose(p, cam, key=KEY).sum()))(
        jnp.asarray([[500.0] * 2] * 2)
    )
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize(
    ("photons", "message"),
    [
        (
            jnp.asarray(np.array([[1.0, -2.0]])),
            "`photons` must not be negative, but the lowest is -2 photons",
        ),
        (
            jnp.asarray(np.array([[1.0, np.nan]])),
            r"`photons` must be finite, but has 1 .* index \(0, 1\)",
        ),
    ],
)
def test_bad_photons_are_named(photons, message):
    with pytest.raises(ValueError, match=message):
        expose(photons, ideal_camera(), key=KEY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qe": 0.0}, "`quantum_efficiency` must be positive"),
        ({"qe": 1.2}, "`quantum_efficiency` must lie between 0 and 1, but is 1.2"),
        ({"read": -1.0}, "`read_noise` must lie between 0"),
        ({"well": 0.0}, "`full_well` must be positive and finite, but is 0 e-"),
        ({"well": np.inf, "bits": 8}, "`full_well` must be finite when `bit_depth` is set"),
        ({"bits": 0}, "`bit_depth` must lie between 1 and 24 bits or be None, but is 0"),
    ],
)
def test_bad_cameras_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        camera(**change)


def test_photon_counts_of_light_and_dark_are_poisson():
    counter = PhotonCounter(0.64, 0.02, 1e5)
    counts = np.asarray(count_photons(flat(0.5), counter, key=KEY))
    mean = 0.64 * 0.5 + 0.02
    assert_moments(counts, mean, mean, mean + 3 * mean**2)  # fourth central moment of Poisson
    empty = np.mean(counts == 0)
    p = np.exp(-mean)
    assert abs(empty - p) < 4.5 * np.sqrt(p * (1 - p) / counts.size)
    np.testing.assert_array_equal(counts, np.round(counts))


def test_electron_multiplication_doubles_the_variance_and_keeps_the_mean():
    counter = PhotonCounter(1.0, 0.0, 1e5, multiplication=True)
    counts = np.asarray(count_photons(flat(3.0), counter, key=KEY))
    # Sum of a Poisson number of exponentials: cumulants k! n, so variance 2 n and fourth moment 24 n + 3 (2 n)^2.
    assert_moments(counts, 3.0, 6.0, 24 * 3.0 + 3 * 36.0)
    assert abs(np.mean(counts == 0) - np.exp(-3)) < 4.5 * np.sqrt(np.exp(-3) / counts.size)


def test_more_photons_than_the_full_well_are_an_error_and_not_a_picture():
    counter = PhotonCounter(0.5, 0.0, 100.0)
    bright = jnp.zeros((1, 2, 2)).at[0, 1, 1].set(201.0)
    with pytest.raises(
        ValueError, match=r"`photons` must not give .* 100 e-, .* 100.5 e-; shorten"
    ):
        count_photons(bright, counter, key=KEY)
    with pytest.raises(Exception, match="`photons` must not give any pixel more than the full"):
        jax.jit(count_photons)(bright, counter, key=KEY).block_until_ready()
    assert float(count_photons(jnp.maximum(bright - 1, 0), counter, key=KEY).max()) > 50


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 0.0, 1.0), "`quantum_efficiency` must be positive"),
        ((0.5, -0.1, 1.0), "`dark_counts` must lie between 0 and inf"),
        ((0.5, 0.0, 0.0), "`full_well` must be positive and finite, but is 0 e-"),
    ],
)
def test_bad_photon_counter_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        PhotonCounter(*values)

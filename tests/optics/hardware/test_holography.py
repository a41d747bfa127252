import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.detectors import Camera, flir_bfs_u3_89s6m, ideal_camera
from optics.hardware.holography import (
    four_step_frames,
    measure_four_step,
    off_axis_frame,
    random_walk_phase,
    reconstruct_four_step,
    reconstruct_off_axis,
)

KEY = jax.random.key(7)
# Compiled whole: one by one, each operation compiles anew for every shape.
measure = jax.jit(measure_four_step, static_argnames="draws")
frames_of = jax.jit(four_step_frames)
field_of = jax.jit(reconstruct_four_step)


def random_field(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def band_limited_field(n_y, n_x, radius, seed=0):
    """Random field whose spectrum lies within `radius` cycles per pixel."""
    spectrum = np.array(random_field(n_y, n_x, seed=seed))
    fy, fx = np.meshgrid(np.fft.fftfreq(n_y), np.fft.fftfreq(n_x), indexing="ij")
    return jnp.asarray(np.fft.ifft2(np.where(np.hypot(fy, fx) <= radius, spectrum, 0)) * n_y)


def test_frames_follow_the_fringe_equation():
    field, reference = random_field(2, 5, 4), 1.3 * np.exp(0.4j)
    frames = np.asarray(frames_of(field, reference))
    e, r = np.abs(field), abs(reference)
    for k in range(4):
        fringe = 2 * e * r * np.cos(np.angle(field) - 0.4 + k * np.pi / 2)
        np.testing.assert_allclose(frames[:, k], e**2 + r**2 + fringe, atol=1e-13)


@pytest.mark.parametrize("reference", ["scalar", "image", "batch"])
def test_four_step_recovers_the_field(reference):
    field = random_field(3, 6, 5)
    shape = {"scalar": (), "image": (6, 5), "batch": (3, 6, 5)}[reference]
    reference = jnp.asarray(2.0 + 0.5 * np.asarray(random_field(*shape, seed=1)))
    back = field_of(frames_of(field, reference), reference)
    # Ten operations on intensities of order 20 |R|^2 / |R|: a few hundred eps.
    np.testing.assert_allclose(back, field, atol=1e-13)


def test_step_against_the_object_conjugates_the_fringes():
    field, reference = random_field(4, 4), 1.5
    frames = frames_of(field, reference)
    backwards = jnp.asarray(np.asarray(frames)[[0, 3, 2, 1]])
    np.testing.assert_allclose(field_of(backwards, reference), np.conj(field), atol=1e-13)


def test_unknown_reference_drift_rotates_the_answer():
    field, drift = random_field(3, 4, 4), np.array([0.0, 0.3, -2.0])
    back = field_of(frames_of(field, 2.0, reference_phase=jnp.asarray(drift)), 2.0)
    expected = np.asarray(field) * np.exp(-1j * drift)[:, None, None]
    np.testing.assert_allclose(back, expected, atol=1e-13)


def test_step_error_mixes_in_the_conjugate():
    # Summing the four cosines with step pi/2 + e:
    # E' = cos(e) [E (e^{ie} + e^{2ie}) + conj(E) (e^{-ie} - e^{-2ie})] / 2 for a real reference.
    field, error = random_field(5, 4), 0.07
    back = field_of(frames_of(field, 1.2, step_error=error), 1.2)
    phase = np.exp(1j * error)
    direct = np.asarray(field) * (phase + phase**2) / 2
    twin = np.conj(field) * (np.conj(phase) - np.conj(phase) ** 2) / 2
    np.testing.assert_allclose(back, np.cos(error) * (direct + twin), atol=1e-13)


def test_field_is_unknown_where_the_reference_is_dark():
    reference = jnp.array([[1.0, 0.0], [2.0, 1.0]])
    back = field_of(frames_of(random_field(2, 2), reference), reference)
    assert back[0, 1] == 0
    assert np.isfinite(back).all()


@pytest.mark.parametrize("draws", ["frames", "differences"])
def test_noise_free_measurement_is_exact(draws):
    field = np.asarray(random_field(2, 3, 8, 8)) * np.array([1e-9, 1.0, 1e9])[:, None, None]
    measured = measure(
        jnp.asarray(field), ideal_camera(), key=KEY, reference_ratio=0.7, draws=draws
    )
    peak = np.abs(field).max(axis=(-2, -1), keepdims=True)
    # Intensities reach (1 + 1/0.7)^2 peak^2; a few of their eps remain.
    np.testing.assert_array_less(np.abs(measured - field) / peak, 20 * 2.2e-16)


@pytest.mark.parametrize("draws", ["frames", "differences"])
def test_zero_field_measures_zero_beside_bright_ones(draws):
    field = np.array(random_field(3, 8, 8))
    field[1] = 0
    measured = np.asarray(measure(jnp.asarray(field), flir_bfs_u3_89s6m(), key=KEY, draws=draws))
    np.testing.assert_array_equal(measured[1], 0)
    assert np.isfinite(measured).all()


def test_measurement_scales_with_the_field():
    field = random_field(8, 8)
    bright = jnp.asarray(2.0**40 * np.asarray(field))
    one, other = (np.asarray(measure(f, flir_bfs_u3_89s6m(), key=KEY)) for f in (field, bright))
    # A power of two is exact in floating point, so that even the rounding agrees.
    np.testing.assert_array_equal(other, 2.0**40 * one)


@pytest.mark.parametrize("draws", ["frames", "differences"])
def test_measurement_noise_follows_shot_and_read_noise(draws):
    # One bright pixel fixes the exposure; elsewhere |E| = peak / 10. With gain g = w F / (peak +
    # R)^2 electrons per unit intensity, each quadrature of E conj(R) is a difference of two frames
    # over 4, so Var[E] = (sum of the four frame variances) / (16 g^2 R^2), and the four frames sum
    # to 4 g (|E|^2 + R^2).
    well, ratio, fill, read, n = 1e4, 0.5, 0.8, 6.0, 200
    camera = Camera(0.6, read, well, bit_depth=None, shot_noise="gaussian")
    field = np.full((n, n), 0.1 * np.exp(0.5j))
    field[0, 0] = 1.0
    measured = measure(
        jnp.asarray(field), camera, key=KEY, exposure=fill, reference_ratio=ratio, draws=draws
    )
    gain = fill * well / (1 + ratio) ** 2
    variance = (4 * gain * (0.01 + ratio**2) + 4 * read**2) / (16 * gain**2 * ratio**2)
    error = (np.asarray(measured) - field).ravel()[1:]
    assert abs(error.mean()) < 4.5 * np.sqrt(variance / error.size)
    # |error|^2 sums two quadratures that share the variance: relative standard error 1/sqrt(n^2) at
    # most sqrt(2) more if they differ.
    assert abs(np.mean(np.abs(error) ** 2) / variance - 1) < 4.5 * np.sqrt(2) / n


@pytest.mark.parametrize("shot", ["gaussian", "none"])
def test_differences_have_the_mean_and_variance_of_frames(shot):
    # Coarse steps of 79 e- and a read noise of 40 e-, about half a step, so that rounding is a tenth
    # of the variance and acts as noise. The darkest frame, (1.5 - 1)^2 of (1 + 1.5)^2 at 0.8 wells,
    # has 320 e- and is 7 standard deviations from a cut.
    camera, n = Camera(0.6, 40.0, 1e4, bit_depth=7, shot_noise=shot), 20000
    amplitude = np.array([[1.0, 0.2, 0.6], [0.0, 0.9, 0.4]]) * np.exp(1j * np.arange(6)).reshape(
        2, 3
    )
    fields, drift = np.broadcast_to(amplitude, (n, 2, 3)), np.linspace(0.0, 2 * np.pi, n)
    loaded = jnp.asarray(fields), jnp.asarray(drift)

    def errors(draws, key):
        measured = measure(
            loaded[0], camera, key=key, reference_ratio=1.5, reference_phase=loaded[1], draws=draws
        )
        error = np.asarray(measured) - fields * np.exp(-1j * drift)[:, None, None]
        return np.stack([error.real, error.imag])

    keys = jax.random.split(KEY)
    both = [errors(draws, k) for draws, k in zip(("frames", "differences"), keys, strict=True)]
    variances = [e.var(axis=1, ddof=1) for e in both]
    # Near-normal samples: relative standard error of a variance sqrt(2 / n), of a difference of two
    # sqrt(4 / n), and of its average over 12 independent cases sqrt(12) less.
    relative = variances[1] / variances[0] - 1
    assert np.abs(relative).max() < 4.5 * np.sqrt(4 / n)
    assert abs(relative.mean()) < 4.5 * np.sqrt(4 / n / 12)
    for error, variance in zip(both, variances, strict=True):
        assert np.all(np.abs(error.mean(axis=1)) < 4.5 * np.sqrt(variance / n))
        correlation = np.mean(error[0] * error[1], axis=0) / np.sqrt(variance[0] * variance[1])
        assert np.all(np.abs(correlation) < 4.5 / np.sqrt(n))


def test_quantisation_error_shrinks_with_bit_depth():
    field = random_field(64, 64)
    errors = []
    for bits in (6, 8, 10, 12):
        camera = Camera(1.0, 0.0, 1e4, bit_depth=bits, shot_noise="none")
        error = np.asarray(measure(field, camera, key=KEY)) - np.asarray(field)
        errors.append(np.sqrt(np.mean(np.abs(error) ** 2)))
    slope = np.polyfit([6, 8, 10, 12], np.log2(errors), 1)[0]
    # Uniform rounding: rms error proportional to the step. A slope from 4 points of 4096 samples is
    # good to 0.02.
    assert slope == pytest.approx(-1, abs=0.05)
    # Step q in intensity units (peak + R)^2 / w: each quadrature (I_a - I_b) / (4 R) has variance
    # q^2 / 96 R^2.
    peak = float(jnp.abs(field).max())
    expected = np.sqrt(2 / 96) * (2 * peak) ** 2 / 0.8 / 4095 / peak
    assert errors[-1] == pytest.approx(expected, rel=0.05)


def test_overexposure_destroys_the_field():
    field = jnp.asarray(np.exp(1j * np.linspace(0, 6, 64)).reshape(8, 8))
    camera = Camera(1.0, 0.0, 1e4, bit_depth=None, shot_noise="none")
    good = measure(field, camera, key=KEY, exposure=1.0)
    np.testing.assert_allclose(good, field, atol=1e-14)
    bad = measure(field, camera, key=KEY, exposure=3.0)
    assert np.abs(np.asarray(bad) - np.asarray(field)).max() > 0.1


@pytest.mark.parametrize("dtype", [jnp.complex64, jnp.complex128])
def test_measurement_keeps_precision_under_jit(dtype):
    field, drift = np.asarray(random_field(2, 8, 8)).astype(dtype), np.array([0.0, 0.5])

    @jax.jit
    def run(field, drift):
        camera = Camera(0.64, 2.0, 1e4, bit_depth=12, shot_noise="gaussian")
        return measure_four_step(field, camera, key=KEY, reference_phase=drift)

    measured = run(field, drift)
    assert measured.dtype == dtype
    # Four frames of up to 8000 e-: relative noise of order 1/sqrt(4 * 2000) = 1 % of the peak; 10 %
    # is 10 sigma.
    turned = field * np.exp(-1j * drift)[:, None, None]
    assert np.abs(np.asarray(measured) - turned).max() / np.abs(field).max() < 0.1


@pytest.mark.parametrize(("shape", "bins"), [((64, 48), (20, -14)), ((45, 63), (-12, 19))])
def test_off_axis_recovers_a_band_limited_field(shape, bins):
    carrier = (bins[0] / shape[0], bins[1] / shape[1])
    radius = np.hypot(*carrier) / 3
    field = band_limited_field(*shape, 0.95 * radius)
    reference = 5.0 * np.exp(1.1j)

    @jax.jit
    def there_and_back(field):
        frame = off_axis_frame(field, reference, carrier, reference_phase=0.3)
        return reconstruct_off_axis(frame, reference, carrier)

    # FFT of intensities of order (5 + 20)^2: some hundred eps.
    expected = np.asarray(field) * np.exp(-0.3j)
    np.testing.assert_allclose(there_and_back(field), expected, atol=1e-11)


def test_off_axis_orders_overlap_on_a_slow_carrier():
    carrier = (0.0, 8 / 64)
    field = band_limited_field(64, 64, 0.1)

    @jax.jit
    def there_and_back(field):
        frame = off_axis_frame(field, 1.0, carrier)
        return reconstruct_off_axis(frame, 1.0, carrier, bandwidth=0.1)

    error = np.asarray(there_and_back(field)) - np.asarray(field)
    assert np.abs(error).max() / np.abs(field).max() > 0.05


def test_off_axis_batches_equal_a_loop():
    fields = jnp.asarray(np.stack([band_limited_field(32, 32, 0.1, seed=s) for s in range(3)]))
    carrier = (11 / 32, 9 / 32)
    drift = jnp.asarray([0.1, 0.2, 0.3])

    def run(field, phase):
        frame = off_axis_frame(field, 4.0, carrier, reference_phase=phase)
        return reconstruct_off_axis(frame, 4.0, carrier)

    together, one = jax.jit(run)(fields, drift), jax.jit(run)
    for found, field, phase in zip(together, fields, drift, strict=True):
        np.testing.assert_allclose(found, one(field, phase), atol=1e-12)


def test_random_walk_starts_at_zero_and_spreads_with_the_root_of_time():
    n, step, walks = 50, 0.03, 4000
    walk = jax.vmap(lambda key: random_walk_phase(n, step, key=key))
    phases = np.asarray(jax.jit(lambda: walk(jax.random.split(KEY, walks)))())
    np.testing.assert_array_equal(phases[:, 0], 0)
    for k in (1, 10, 49):
        # Relative standard error of a variance from m normal samples: sqrt(2 / m).
        assert phases[:, k].var() / (k * step**2) == pytest.approx(1, abs=4.5 * np.sqrt(2 / walks))


def test_bad_input_is_named():
    field = random_field(3, 4, 4)
    with pytest.raises(ValueError, match=r"`reference_phase` .* \(3,\), but its shape is \(2,\)"):
        four_step_frames(field, 1.0, reference_phase=jnp.zeros(2))
    with pytest.raises(ValueError, match=r"`reference` .* \(3, 4, 4\), but its shape is \(5, 4\)"):
        four_step_frames(field, jnp.ones((5, 4)))
    with pytest.raises(ValueError, match="`exposure` must be positive and finite, but is 0"):
        measure_four_step(field, ideal_camera(), key=KEY, exposure=0.0)
    with pytest.raises(ValueError, match="`full_well` must be finite for a camera with noise"):
        measure_four_step(field, Camera(1.0, 1.0, np.inf, None, "none"), key=KEY)
    with pytest.raises(ValueError, match=r"`exposure` must lie between 0 and 1, but is 1\.5"):
        measure_four_step(field, ideal_camera(), key=KEY, exposure=1.5, draws="differences")
    with pytest.raises(ValueError, match=r"`shot_noise` must be .* but is poisson\. Use draws="):
        measure_four_step(field, flir_bfs_u3_89s6m("poisson"), key=KEY, draws="differences")
    with pytest.raises(ValueError, match=r"`carrier\[1\]` must lie between -0.5 and 0.5"):
        off_axis_frame(field, 1.0, (0.1, 0.7))
    with pytest.raises(ValueError, match="`bandwidth` must be positive"):
        reconstruct_off_axis(jnp.ones((4, 4)), 1.0, (0.0, 0.0))
    with pytest.raises(ValueError, match="`step` must lie between 0"):
        random_walk_phase(3, -0.1, key=KEY)

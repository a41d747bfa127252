from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.hardware.detectors import Camera, ideal_camera
from tests.exact.small_bench import GEOMETRY, inputs, relative_error, run, twin

FLAT = jnp.asarray(np.zeros(GEOMETRY.shape))
CAMERA = Camera(0.64, 2.5, 1e4, bit_depth=12, shot_noise="gaussian")


@partial(jax.jit, static_argnames="how")
def measured(bench, field, phase, *, how="measure_field", key=1, time=0):
    """Compiled whole: one by one, each operation compiles anew for every shape."""
    return getattr(bench, how)(field, phase, key=jax.random.key(key), time=time)


def test_noiseless_measurement_is_the_field_of_the_twin():
    field, _ = inputs()
    hardware = twin(both_faces_aberration=((6, 1.0),))
    bench = OpticalBench(GEOMETRY, hardware)
    phase = jnp.asarray(np.random.default_rng(0).uniform(size=GEOMETRY.shape))
    expected = run(hardware, field, phase)
    np.testing.assert_allclose(measured(bench, field, phase), expected, rtol=1e-12)


def test_perfect_camera_measures_the_field_through_four_frames():
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, twin(), camera=ideal_camera())
    assert relative_error(measured(bench, field, FLAT), run(twin(), field, FLAT)) < 1e-12


def test_measured_field_turns_against_the_drift_of_the_reference():
    field, _ = inputs()
    hardware = twin(reference_drift=0.3)
    for camera in (None, ideal_camera()):
        bench = OpticalBench(GEOMETRY, hardware, camera=camera)
        early, late = (np.asarray(measured(bench, field, FLAT, time=t)) for t in (3, 7))
        walk = np.asarray(hardware.reference_walk)
        np.testing.assert_allclose(late, early * np.exp(-1j * (walk[7] - walk[3])), atol=1e-12)


def test_laser_drift_scales_the_power():
    field, _ = inputs()
    hardware = twin(laser_drift=0.1)
    bench = OpticalBench(GEOMETRY, hardware)
    powers = [
        np.sum(measured(bench, field, FLAT, how="measure_intensity", time=t)) for t in (0, 3000)
    ]
    walk = np.asarray(hardware.laser_walk)
    ratio = walk[3000] / walk[0]
    assert powers[1] / powers[0] == pytest.approx(ratio, rel=1e-12)
    assert abs(ratio - 1) > 1e-3


def test_noise_of_the_field_scales_with_its_brightness():
    field = np.asarray(inputs()[0])
    bench = OpticalBench(GEOMETRY, twin(), camera=CAMERA)
    truth = np.asarray(run(twin(), jnp.asarray(field), FLAT))
    dim, bright = (
        relative_error(measured(bench, jnp.asarray(s * field), FLAT), s * truth)
        for s in (1e-3, 1e3)
    )
    assert dim == pytest.approx(bright, rel=1e-6)
    assert 1e-3 < dim < 0.1


def test_field_noise_has_the_stated_size():
    field, _ = inputs()
    bench, truth = OpticalBench(GEOMETRY, twin(field_noise=0.3)), run(twin(), field, FLAT)
    errors = [relative_error(measured(bench, field, FLAT, key=k), truth) for k in range(3)]
    # 9 x 576 complex samples: standard error 0.3 / sqrt(2 x 5184) = 0.003; four of them.
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.3, abs=0.012)


def test_intensity_is_the_squared_field_without_noise():
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, twin())
    expected = np.abs(run(twin(), field, FLAT)) ** 2
    found = measured(bench, field, FLAT, how="measure_intensity")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_intensity_through_a_camera_is_unbiased():
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, twin(), camera=CAMERA)
    truth = np.abs(run(twin(), field, FLAT)) ** 2
    frames = [measured(bench, field, FLAT, how="measure_intensity", key=k) for k in range(30)]
    mean, error = np.mean(frames, axis=0), np.std(frames, axis=0) / np.sqrt(30)
    bright = truth > 0.1 * truth.max()  # The dark end is lifted by the cut at zero counts.
    deviation = (mean - truth)[bright] / error[bright]
    assert abs(deviation.mean()) < 5 / np.sqrt(bright.sum())


def test_loading_rounds_amplitude_and_phase_to_levels():
    field, expected = (np.full((3, *GEOMETRY.shape), a + 0j) for a in (0.4, 0.5))
    field[:, 0, 0] = expected[:, 0, 0] = 1.0
    coarse = OpticalBench(GEOMETRY, twin(loading_levels=3))
    found = measured(coarse, jnp.asarray(field), FLAT)
    np.testing.assert_allclose(found, run(twin(), jnp.asarray(expected), FLAT), atol=1e-12)


@pytest.mark.parametrize("measure", ["measure_field", "measure_intensity"])
@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_no_derivative_passes_through_the_hardware(measure, mode):
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, twin())

    def power(phase):
        return jnp.sum(jnp.abs(getattr(bench, measure)(field, phase, key=jax.random.key(0))) ** 2)

    differentiate = jax.grad if mode == "reverse" else jax.jacfwd
    with pytest.raises(TypeError, match="`OpticalBench` is hardware"):
        jax.eval_shape(differentiate(power), FLAT)


def test_what_a_learner_sees_hides_the_drawn_errors():
    bench = OpticalBench(GEOMETRY, twin(slm_gain=0.123), camera=CAMERA)
    public = [name for name in dir(bench) if not name.startswith("_")]
    measurements = ["measure_field", "measure_field_backward", "measure_intensity"]
    # The last two are the experimenter's; test_architecture keeps learners from them.
    assert sorted(public) == ["exposure", "geometry", *measurements, "quiet", "reveal"]
    assert "twin" not in repr(bench).lower()
    assert bench.geometry == GEOMETRY


@pytest.mark.parametrize(
    ("field", "phase", "message"),
    [
        (
            np.ones((2, 24, 20)),
            np.zeros((24, 24)),
            r"`field` must have last axes \(24, 24\), but its",
        ),
        (np.ones((2, 24, 24)), np.zeros((20, 24)), r"`phase` must have last axes \(24, 24\)"),
        (np.full((24, 24), np.nan), np.zeros((24, 24)), r"`field` must be finite, but has 576 NaN"),
        (np.ones((24, 24)), np.diag([0.0, np.inf, *22 * [0.0]]), r"`phase` .* index \(1, 1\)"),
    ],
)
def test_bad_input_is_named(field, phase, message):
    field, phase = jnp.asarray(field + 0j), jnp.asarray(phase)
    # The run-time shape checks of the test suite would speak first; a user does not have them.
    measure = OpticalBench.measure_field.__wrapped__
    with pytest.raises(ValueError, match=message):
        measure(OpticalBench(GEOMETRY, twin()), field, phase, key=jax.random.key(0))


def test_exposure_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"`exposure` must lie in \(0, 1\], but is 1.5"):
        OpticalBench(GEOMETRY, twin(), exposure=1.5)


def test_laser_drift_scales_the_field_by_its_root():
    field, _ = inputs()
    hardware = twin(laser_drift=0.1)
    bench = OpticalBench(GEOMETRY, hardware)
    early, late = (np.asarray(measured(bench, field, FLAT, time=t)) for t in (0, 3000))
    walk = np.asarray(hardware.laser_walk)
    root = np.sqrt(walk[3000] / walk[0])
    np.testing.assert_allclose(late, root * early, atol=1e-12)
    assert abs(root - 1) > 1e-3

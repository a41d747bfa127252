import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.imperfections import Imperfections
from optics.hardware.twin import draw_twin
from optics.media.geometry import Geometry
from optics.media.scattering import phase_screen, place_scatterer
from tests.exact.small_bench import GEOMETRY, inputs, relative_error, run, twin

SYMMETRIC = {
    "nothing": {},
    "same astigmatism at both faces": {"both_faces_aberration": ((6, 1.0),)},
    "coma at both faces": {"both_faces_aberration": ((7, 1.0),)},
    "distance": {"distance_error": 3e-4},
    "even Fourier aberrations": {"fourier_aberration": ((4, 0.5), (5, 0.5), (6, 0.5), (11, 0.3))},
    "zero order": {"slm_zero_order": 0.3},
    "stroke": {"slm_gain": -0.4, "slm_gamma": 0.2},
    "crosstalk": {"slm_crosstalk_px": 0.7},
}
ASYMMETRIC = {
    "astigmatism at the input face": {"input_aberration": ((6, 1.0),)},
    "odd Fourier aberration": {"fourier_aberration": ((7, 0.5),)},
    "camera shift": {"camera_shift_px": 0.5},
    "camera rotation": {"camera_rotation": 0.02},
    "camera tilt": {"camera_tilt": 5e-3},
    "illumination": {"illumination_drop": 0.4},
    "static phase error": {"slm_phase_error": 0.3},
}


FLAT = jnp.asarray(np.zeros(GEOMETRY.shape))
modulation = jax.jit(lambda hardware, phase: hardware.modulation(phase))
transport = jax.jit(lambda hardware, field: hardware.transport(field))


def constant(phase):
    return jnp.asarray(np.full(GEOMETRY.shape, phase))


def _asymmetry(hardware) -> float:
    """|H - H^T| / |H| by two random probes: <a, H b> against <b, H a>, without conjugation."""
    field = np.asarray(inputs()[0])[:2]
    out = np.asarray(run(hardware, jnp.asarray(field), FLAT))
    forward, backward = np.sum(field[0] * out[1]), np.sum(field[1] * out[0])
    return abs(forward - backward) / np.linalg.norm(out[0]) / np.linalg.norm(field[1])


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_errors_keep_the_operator_its_own_transpose(name):
    # Double-precision sums of 576 terms: far below 1e-12.
    assert _asymmetry(twin(**SYMMETRIC[name])) < 1e-12


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_asymmetric_errors_break_the_symmetry(name):
    assert _asymmetry(twin(**ASYMMETRIC[name])) > 1e-3


def test_ideal_twin_is_the_nominal_model():
    field, _ = inputs()
    phase = np.random.default_rng(5).uniform(0, 6, GEOMETRY.shape)
    modulated = jnp.asarray(np.exp(1j * phase) * np.asarray(field))
    nominal = eqx.filter_jit(GEOMETRY.free_space(jnp.complex128))(modulated)
    assert relative_error(run(twin(), field, jnp.asarray(phase)), nominal) < 1e-12


def test_fourier_path_without_pupil_phase_is_the_plain_propagation():
    field, _ = inputs()
    # 1e-9 waves leave the separate FFT path on, but change the field by less than 1e-8.
    filtered = transport(twin(fourier_aberration=((4, 1e-9),)), field)
    assert relative_error(filtered, transport(twin(), field)) < 1e-7


def test_stroke_and_exponent_set_the_phase():
    weights = modulation(twin(slm_gain=-0.2, slm_gamma=0.1), constant(1.3))
    expected = 2 * np.pi * 0.8 * (1.3 / (2 * np.pi)) ** 1.1
    np.testing.assert_allclose(weights, np.exp(1j * expected), rtol=1e-12)


def test_levels_round_the_phase_and_pass_the_gradient():
    hardware = twin(slm_levels=4)
    phase = constant(0.6)
    np.testing.assert_allclose(modulation(hardware, phase), 1.0, atol=1e-10)
    slope = jax.jit(jax.grad(lambda p: jnp.imag(hardware.modulation(p)).sum()))(phase)
    np.testing.assert_allclose(slope, 1.0, atol=1e-9)  # d sin / d phi at the rounded phase 0


def test_zero_order_adds_unmodulated_light():
    weights = modulation(twin(slm_zero_order=0.09), constant(np.pi))
    np.testing.assert_allclose(weights, -np.sqrt(0.91) + np.sqrt(0.09), rtol=1e-12)


def test_crosstalk_blurs_a_step_but_not_a_plateau():
    phase = np.zeros(GEOMETRY.shape)
    phase[:, 12:] = 1.0
    actual = np.angle(modulation(twin(slm_crosstalk_px=0.7), jnp.asarray(phase)))
    assert abs(float(actual[5, 2])) < 1e-6
    assert float(actual[5, 20]) == pytest.approx(1.0, abs=1e-6)
    assert 0.6 < float(actual[5, 12]) < 0.9


def test_camera_shift_moves_the_picture_the_other_way():
    # A camera displaced by a whole pixel sees the same picture one pixel off; which way is drawn per bench.
    y = np.arange(24) - 12
    spot = jnp.asarray(np.exp(-((y[:, None] - 0) ** 2 + y[None, :] ** 2) / 18) + 0j)
    centre = _centroid(transport(twin(), spot))
    moved = _centroid(transport(twin(camera_shift_px=2.0), spot))
    assert np.linalg.norm(moved - centre) == pytest.approx(2.0, abs=0.05)


def _centroid(field):
    power = np.abs(np.asarray(field)) ** 2
    y, x = np.indices(power.shape)
    return np.array([(power * y).sum(), (power * x).sum()]) / power.sum()


def test_same_key_draws_the_same_bench_and_another_key_another():
    field, _ = inputs()
    sizes = {"slm_phase_error": 0.3, "camera_shift_px": 0.5}
    first, again, other = (transport(twin(key=k, **sizes), field) for k in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert relative_error(first, other) > 0.1


def test_drift_starts_small_and_walks_like_a_random_walk():
    walks = np.array([twin(key=k, reference_drift=0.1).reference_walk for k in range(40)])
    steps = np.diff(walks, axis=1)
    # 40 x 8191 normal steps: the standard error of the deviation is 0.1 / sqrt(2 x 3.3e5) = 1.2e-4; five of them.
    assert steps.std() == pytest.approx(0.1, abs=6e-4)
    spread = walks[:, 2499].std()
    # sqrt(2500) steps of 0.1 give 5; 40 samples leave 11 % standard error; four of them.
    assert spread == pytest.approx(5.0, rel=0.45)


def test_compiles_once_for_benches_that_differ_only_in_their_errors():
    traces = []

    @jax.jit
    def traced(hardware, field):
        traces.append(1)
        return field

    field, _ = inputs()
    for key in (1, 2):
        traced(twin(key=key, camera_shift_px=0.5, distance_error=1e-4), field)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_pitch": -3e-6}, r"`pixel_pitch` must be positive and finite, but is -3e-06 m"),
        ({"wavelength": 0.0}, r"`wavelength` must be positive and finite, but is 0 m"),
        ({"distance": float("nan")}, r"`distance` must be positive and finite, but is nan m"),
        ({"shape": (0, 4)}, r"`shape` must be two positive sizes"),
    ],
)
def test_bad_geometry_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Geometry(**change)


def _disc():
    axis = (np.arange(24) - 11.5) / 12
    return np.hypot(axis[:, None], axis[None, :]) <= 1


@pytest.mark.parametrize("noll_index", [4, 5, 6, 7])
def test_aberration_has_the_stated_peak_to_valley(noll_index):
    # 0.3 waves stay within half a turn, so the phase needs no unwrapping. Samples miss the rim by half a pixel of 12:
    # third powers lose up to 1 - (11.5 / 12)^3 = 12 %, and the peak may lie between two samples.
    phase = np.angle(twin(input_aberration=((noll_index, 0.3),)).input_face)[_disc()]
    waves = np.ptp(phase) / (2 * np.pi)
    assert 0.3 * 0.82 < waves <= 0.3 * (1 + 1e-9)


def test_tilt_is_a_phase_ramp_of_k_theta():
    phase = np.unwrap(np.unwrap(np.angle(twin(camera_tilt=2e-3).output_face), axis=0), axis=1)
    slope = np.hypot(np.diff(phase, axis=0).mean(), np.diff(phase, axis=1).mean())
    assert slope == pytest.approx(2 * np.pi / 532e-9 * 2e-3 * 8e-6, rel=1e-9)


def test_illumination_falls_by_the_stated_part_at_the_edge():
    amplitude = np.abs(twin(illumination_drop=0.3).input_face)
    # Nearest samples: half a pixel off centre, and half a pixel inside the edge of 12.
    assert amplitude[12, 12] == pytest.approx(1 - 0.3 * 2 * (0.5 / 12) ** 2)
    assert amplitude[12, 23] == pytest.approx(1 - 0.3 * ((11.5**2 + 0.5**2) / 12**2))
    assert amplitude[0, 0] == pytest.approx(0.7)


def test_distance_error_moves_the_camera_by_its_size():
    moved = {
        round(float(twin(key, distance_error=1e-4).free_space.distance) - 2e-3, 9)
        for key in range(8)
    }
    assert moved == {1e-4, -1e-4}


def test_stroke_varies_across_the_panel_by_the_stated_rms():
    stroke = np.asarray(twin(slm_spatial_variation=0.1).stroke)
    assert np.sqrt(np.mean((stroke - 1) ** 2)) == pytest.approx(0.1)


def test_static_phase_error_has_the_stated_rms():
    phase = np.angle(twin(slm_phase_error=0.3).input_face)
    # 576 samples: standard error 0.3 / sqrt(1152) = 0.009; four of them.
    assert phase.std() == pytest.approx(0.3, abs=0.036)


def test_laser_drift_is_slow_and_of_the_stated_size():
    walks = np.array([twin(key=k, laser_drift=0.05).laser_walk for k in range(60)])
    # 60 benches: 9 % standard error of a deviation; four of them.
    assert (walks - 1)[:, 0].std() == pytest.approx(0.05, rel=0.37)
    assert (walks - 1)[:, -1].std() == pytest.approx(0.05, rel=0.37)
    assert (
        np.abs(np.diff(walks, axis=1)).max() < 0.05 * 0.25
    )  # steps of sqrt(2 / 1000) = 4.5 %, five of them


def test_drift_is_walked_back_after_the_record_ends():
    hardware = twin(reference_drift=0.1)
    n = hardware.reference_walk.shape[0]
    at = jax.jit(jax.vmap(lambda t: hardware.drift(t)[0]))
    phases = at(jnp.asarray([0, n - 1, n, n + 5, 2 * n - 1, 2 * n]))
    walk = np.asarray(hardware.reference_walk)
    np.testing.assert_allclose(phases, walk[[0, n - 1, n - 1, n - 6, 0, 0]])


def _scatterer(offset=0.0, shape=GEOMETRY.shape):
    screen = phase_screen(shape, 8e-6, 3.0, 3e-5, key=jax.random.key(8), dtype=jnp.float64)
    return place_scatterer(screen[None], GEOMETRY.distance, offset=offset)


def _twin_with(scatterer, **sizes):
    return draw_twin(
        GEOMETRY,
        Imperfections(**sizes),
        key=jax.random.key(0),
        dtype=jnp.complex128,
        scatterer=scatterer,
    )


def test_a_scatterer_mid_way_keeps_the_symmetry_and_elsewhere_breaks_it():
    assert _asymmetry(_twin_with(_scatterer())) < 1e-12
    assert _asymmetry(_twin_with(_scatterer(), both_faces_aberration=((6, 1.0),))) < 1e-12
    assert _asymmetry(_twin_with(_scatterer(offset=5e-4))) > 1e-3
    # The medium stays where it is when the camera stands wrong, so it is no longer mid-way.
    assert _asymmetry(_twin_with(_scatterer(), distance_error=3e-4)) > 1e-3


def test_scatterer_that_does_not_fit_the_bench_is_named():
    with pytest.raises(ValueError, match=r"`scatterer` must have last axes \(24, 24\)"):
        _twin_with(_scatterer(shape=(20, 20)))
    with pytest.raises(ValueError, match="`fourier_aberration` must be empty with a scatterer"):
        _twin_with(_scatterer(), fourier_aberration=((6, 0.1),))

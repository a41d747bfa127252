"""Valid input that users of such packages have brought to others, each with the right value and how it is known.

Runs twice, as `test_user_input_numbers.py` does.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics import metrics
from optics.hardware import detectors
from optics.hardware.imperfections import Imperfections
from optics.hardware.modulator import SpatialLightModulator
from optics.hardware.twin import draw_twin
from optics.media.free_space import make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import phase_screen
from optics.meshes.columns import apply_columns
from optics.meshes.decomposition import decompose_unitary
from optics.meshes.mesh import make_mesh
from optics.meshes.s_matrix import coupler, from_s_dict, phase_shifter, to_s_dict
from optics.meshes.takagi import symmetric_unitary_factor, unitarity_tolerance
from optics.networks.output_codes import make_output_code
from optics.networks.readout import make_readout
from optics.resonators.coupled_modes import (
    CoupledModes,
    ModeImperfections,
    ModeSheet,
    draw_mode_twin,
)
from optics.resonators.rational_fit import fit_rational
from optics.waves import elements, fresnel, sources
from optics.waves.field import Field
from optics.waves.propagation import angular_spectrum, propagate
from optics.waves.sampling import SamplingWarning, recommend_propagator
from tests.strategies import fields

KEY = jax.random.key(0)
# In the suite shapes and literals are checked before the function is asked.
PLAIN = not jax.config.read("jax_enable_x64")


def refused(message):
    """A ValueError with that message, or what the run-time checks of the suite say in its place."""
    return pytest.raises(
        ValueError if PLAIN else (ValueError, TypeError), match=message if PLAIN else None
    )


def single(n, seed=0):
    """Haar unitary that was computed in single precision, deviation as of a mesh of N ports."""
    rng = np.random.default_rng(seed)
    q, r = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    q = q * (np.diag(r) / np.abs(np.diag(r)))
    return (q * (1 + 6e-8 * n)).astype(np.complex64)


@pytest.mark.parametrize("n", [9, 64])
def test_a_unitary_of_single_precision_is_one(n):
    matrix = single(n)
    assert np.abs(matrix.conj().T @ matrix - np.eye(n)).max() > 1e-6
    mesh = decompose_unitary(matrix)
    assert mesh.theta.dtype == np.float32
    symmetric = matrix @ matrix.T
    factor = np.asarray(symmetric_unitary_factor(symmetric))
    np.testing.assert_allclose(factor @ factor.T, symmetric, atol=unitarity_tolerance(n))


def test_a_mesh_realises_the_matrix_of_another():
    matrix = make_mesh(9, key=KEY).matrix()
    np.testing.assert_allclose(decompose_unitary(matrix).matrix(), matrix, atol=3e-6)


def test_a_unitary_of_six_decimals_is_one_and_of_three_is_none():
    decompose_unitary(np.round(single(6).astype(complex), 6))
    with pytest.raises(ValueError, match="`unitary` must be unitary, but U\\^H U differs"):
        decompose_unitary(np.round(single(6).astype(complex), 3))


@pytest.mark.parametrize("n", [0, 1])
def test_one_port_is_refused_by_its_own_name(n):
    with pytest.raises(ValueError, match="`unitary` must be at least 2 x 2"):
        decompose_unitary(np.eye(n))


def test_the_identity_drives_no_phase():
    mesh = decompose_unitary(np.eye(4))
    for phases in (mesh.phi, mesh.output_phase):
        np.testing.assert_allclose(phases, 0, atol=1e-6)
    # A sign is half a turn, and of the two the positive one.
    for n in (2, 3, 5):
        mesh = decompose_unitary(-np.eye(n))
        assert min(np.min(mesh.phi), np.min(mesh.output_phase)) > -3.1


def test_a_source_and_its_propagated_light_have_one_phase():
    grid = ((32, 32), 633e-9, 20e-6)
    start = sources.gaussian_beam(*grid, 100e-6)
    far = sources.gaussian_beam(*grid, 100e-6, position=0.05)
    found = np.asarray(propagate(start, 0.05).amplitude)[16, 16]
    # The paraxial form differs by (divergence / 2)^2 = 1e-6; what is left of the window is 1e-4.
    assert abs(np.angle(found / np.asarray(far.amplitude)[16, 16])) < 2e-3
    long = propagate(sources.plane_wave((2, 2), 633e-9, 1.0, dtype=jnp.complex64), 1.0)
    stored = float(long.wavelength)  # what single precision holds of 633 nm
    expected = 2 * np.pi * np.fmod(1.0, stored) / stored
    assert abs(np.angle(np.asarray(long.amplitude)[1, 1] * np.exp(-1j * expected))) < 1e-5


WINDOW = {"shape": (3, 3), "pixel_pitch": 20e-6}
KNOWN = {
    "propagate": lambda f: propagate(f, 0.388),
    "nearer": lambda f: propagate(f, 1.7e-3),  # than the impulse response is sampled
    "fresnel_transfer": lambda f: fresnel.fresnel_transfer(f, 1.7e-3),
    "fresnel_single_fft": lambda f: fresnel.fresnel_single_fft(f, -0.1),
    "fresnel_chirp_z": lambda f: fresnel.fresnel_chirp_z(f, 0.388, **WINDOW),
    "fraunhofer": lambda f: fresnel.fraunhofer(f, 0.388, **WINDOW),
    "focal_plane": lambda f: fresnel.focal_plane(f, 0.388, **WINDOW),
    "point_source": lambda f: sources.point_source((3, 3), f.wavelength, 20e-6, -0.1),
    "gaussian_beam": lambda f: sources.gaussian_beam(
        (3, 3), f.wavelength, 20e-6, 1e-4, position=0.388
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_distance_keeps_its_phase_under_jit(name):
    start = sources.plane_wave((3, 3), 633e-9, 20e-6)
    expected, found = KNOWN[name](start).amplitude, jax.jit(KNOWN[name])(start).amplitude
    # A distance rounded to single precision is off by 1e-8, 1.5e-9 or 3e-11 m, 3e-4 rad for the last; the chirps of
    # single precision leave 2e-5.
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("element", [elements.thin_lens, elements.spherical_lens])
def test_a_lens_has_the_phase_of_its_wavelength_at_the_rim(element):
    n, pitch, wavelength, f = 64, 200e-6, 633e-9, 3.0
    light = sources.plane_wave((1, n), wavelength, pitch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.asarray(element(light, f).amplitude)[0]
    x = (np.arange(n) - n // 2) * pitch
    path = x**2 / (2 * f) if element is elements.thin_lens else np.hypot(x, f) - f
    stored = float(light.wavelength), float(light.pixel_pitch)
    path = path * (stored[1] / pitch) ** 2
    np.testing.assert_allclose(found, np.exp(-2j * np.pi * path / stored[0]), atol=2e-6)


def test_an_optical_path_of_many_wavelengths_keeps_its_phase():
    path = np.array([[1e-3, 1.0000001e-3]])
    light = sources.plane_wave((1, 2), 633e-9, 1e-5)
    expected = np.exp(2j * np.pi * path / float(light.wavelength))
    np.testing.assert_allclose(elements.path_mask(light, path).amplitude, expected, atol=1e-6)


@pytest.mark.parametrize("cycles", [5, 10])
def test_the_slope_in_the_wavelength_counts_every_cycle(cycles):
    wavelength = 1e-6

    def phase(w):
        out = angular_spectrum(Field(jnp.ones((2, 2)), w, 1.0), cycles * 1e-6, pad=1)
        return jnp.angle(out.amplitude[1, 1])

    slope = jax.jit(jax.grad(phase))(wavelength)
    np.testing.assert_allclose(slope, -2 * np.pi * cycles / wavelength, rtol=1e-4)


def test_a_sweep_stays_with_each_value_of_an_s_matrix():
    angles = np.array([0.1, 0.2, 0.3])
    pairs = coupler(angles)
    assert set(pairs) == {(a, b) for i, o in np.ndindex(2, 2) for a, b in
                          ((f"in{i}", f"out{o}"), (f"out{o}", f"in{i}"))}  # fmt: skip
    np.testing.assert_allclose(pairs["in0", "out1"], 1j * np.sin(angles), rtol=1e-6)
    np.testing.assert_allclose(phase_shifter(angles)["in0", "out0"], np.exp(1j * angles), rtol=1e-6)
    matrix = from_s_dict(pairs)
    assert matrix.shape == (3, 2, 2)
    np.testing.assert_allclose(to_s_dict(matrix)["in1", "out0"], pairs["in1", "out0"], rtol=1e-6)


def test_ports_of_other_names_are_told():
    pairs = {("o1", "o2"): 0.5, ("o2", "o1"): 0.5, ("o1", "o1"): 0}
    np.testing.assert_allclose(from_s_dict(pairs, inputs=["o1"], outputs=["o2"]), [[0.5]])
    with pytest.raises(ValueError, match="`s_matrix` must have ports in0"):
        from_s_dict(pairs)


def test_a_reflection_is_refused():
    with pytest.raises(ValueError, match=r"`s_matrix` must be free of reflections, but .* is 0.6"):
        from_s_dict({("in0", "out0"): 0.8, ("in0", "in0"): 0.6})


def test_the_slowest_decay_of_many_modes_is_theirs():
    # All modes decay at rate 1, whatever real symmetric matrix couples them: H - i has poles E - i.
    rng = np.random.default_rng(1)
    couplings = rng.standard_normal((16, 16))
    modes = CoupledModes(couplings + couplings.T - 2j * np.eye(16) / 2, np.zeros((16, 1)))
    poles = np.asarray(modes.poles())
    np.testing.assert_allclose(poles.imag, -1, atol=2e-4)
    expected = np.linalg.eigvalsh(couplings + couplings.T)
    np.testing.assert_allclose(np.sort(poles.real), expected, atol=2e-4)


def test_poles_far_from_zero_and_of_nothing():
    coupling, light = 2 * np.pi * 5e9, 2 * np.pi * 193e12
    hamiltonian = np.array([[light, coupling], [coupling, light]])
    poles = np.sort(np.asarray(CoupledModes(hamiltonian, np.zeros((2, 1))).poles()).real)
    # Single precision holds 193 THz to 11 MHz.
    np.testing.assert_allclose(np.diff(poles), 2 * coupling, rtol=5e-3)
    np.testing.assert_array_equal(CoupledModes(np.zeros((2, 2)), np.zeros((2, 1))).poles(), 0)


def test_more_poles_than_a_polynomial_holds_are_refused():
    with pytest.raises(ValueError, match="`n_poles` must lie between 1 and 8 for complex64"):
        fit_rational(np.arange(50.0), np.ones((50, 1), np.complex64), 9)


def test_a_ring_without_a_hole_is_a_disc():
    light = sources.plane_wave((9, 9), 1e-6, 1e-6)
    ring = elements.annular_aperture(light, 0.0, 3e-6).amplitude
    np.testing.assert_allclose(ring, elements.circular_aperture(light, 3e-6).amplitude, atol=1e-6)
    traced = jax.jit(lambda r: elements.annular_aperture(light, r, 3e-6).amplitude)(0.0)
    np.testing.assert_allclose(traced, ring, atol=1e-6)


def test_whole_numbers_are_scaled_like_fractions():
    half = Imperfections(camera_shift_px=2, slm_levels=256, input_aberration=((6, 1),)).scaled(0.5)
    assert half.camera_shift_px == 1.0
    assert half.slm_levels == 256
    assert half.input_aberration == ((6, 0.5),)
    assert Imperfections.preset("bench").scaled(1) == Imperfections.preset("bench")


@pytest.mark.parametrize("axis", [-1, "X", 0])
def test_an_unknown_axis_is_refused(axis):
    light = sources.plane_wave((2, 4), 1e-6, 1e-6)
    with refused("`axis` must be one of y, x, but is"):
        elements.ronchi_grating(light, 4e-6, axis=axis)


@pytest.mark.parametrize("option", ["direction", "method"])
def test_an_unknown_way_through_columns_is_refused(option):
    with refused(f"`{option}` must be one of"):
        apply_columns(np.ones((4, 2, 1), complex), np.ones(2, complex), **{option: "up"})


@pytest.mark.parametrize("n", [2, 5, 20])
def test_a_top_hat_is_as_wide_as_it_is(n):
    profile = np.r_[np.zeros(6), np.ones(n), np.zeros(6)]
    assert metrics.full_width_at_half_maximum(profile) == pytest.approx(n, rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5])
def test_a_narrow_gaussian_is_exact(offset):
    x = np.arange(-20, 21) - offset
    expected = 2 * np.sqrt(2 * np.log(2))
    assert metrics.full_width_at_half_maximum(np.exp(-(x**2) / 2)) == pytest.approx(expected)


def test_a_saturated_peak_is_measured_at_half_of_its_plateau():
    x = np.arange(-20, 21)
    found = metrics.full_width_at_half_maximum(np.minimum(np.exp(-(x**2) / 18), 0.8))
    assert found == pytest.approx(2 * 3 * np.sqrt(2 * np.log(1 / 0.4)), rel=1e-6)


def test_large_poisson_means_do_not_stop_at_an_integer():
    counter = detectors.PhotonCounter(1.0, 0.0, 1e12)
    counts = np.asarray(detectors.count_photons(np.full((20, 20), 3e9), counter, key=KEY))
    # Standard error of the mean of 400 pixels is sqrt(3e9 / 400) = 2.7e3; single precision steps by 256.
    assert abs(counts.mean(dtype=float) - 3e9) < 5 * 2.7e3
    assert counts.std(dtype=float) == pytest.approx(np.sqrt(3e9), rel=0.2)


@pytest.mark.parametrize(
    "draw",
    [
        lambda key: phase_screen((4, 4), 1e-6, 1.0, 1e-6, key=key),
        lambda key: draw_twin(Geometry(shape=(4, 4)), Imperfections(), key=key).stroke,
        lambda key: draw_mode_twin(ModeSheet(), ModeImperfections(), key=key).offset,
        lambda key: make_output_code(4, 3, key=key),
    ],
)
def test_a_draw_on_the_host_says_so_inside_vmap(draw):
    with pytest.raises(TypeError, match="`key` must be known now, for the draw is made on the ho"):
        jax.vmap(draw)(jax.random.split(KEY))


def test_a_lens_and_a_chirp_that_cancel_do_not_warn_of_the_chirp():
    light = sources.point_source((64, 64), 1e-6, 1.6e-3, 100.0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        behind = elements.thin_lens(light, 1.0)
        fresnel.fresnel_chirp_z(behind, 1 / (1 - 1 / 100), shape=(8, 8), pixel_pitch=2e-6)
        told_of = [str(w.message) for w in told]
        fresnel.fresnel_chirp_z(behind, 0.9, shape=(8, 8), pixel_pitch=2e-6)
    assert len(told_of) == 1
    assert "unless what follows cancels it" in told_of[0]
    assert len(told) == 2


def test_no_camera_stands_in_front_of_the_modulator():
    geometry, sizes = Geometry(shape=(4, 4), distance=1e-4), Imperfections(distance_error=2e-3)
    for key in jax.random.split(KEY, 4):
        assert draw_twin(geometry, sizes, key=key).free_space.distance == pytest.approx(2.1e-3)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="`crosstalk` must have the sum 1"):
        SpatialLightModulator(crosstalk=np.ones((3, 3)))
    light = Field(np.ones((3, 2, 2)), 1e-6, 1e-6)
    with pytest.raises(ValueError, match="`phase` must be one image or one per field of the batch"):
        elements.phase_mask(light, np.ones((2, 2, 2)))
    with refused("`transmission` must have last axes"):
        elements.amplitude_mask(light, 0.5)


def test_a_pitch_in_the_place_of_the_wavelength_is_told():
    with pytest.warns(SamplingWarning, match="if they are swapped, give them by name"):
        make_free_space((2, 2), 532e-9, 8e-6, 1e-3)
    with pytest.warns(SamplingWarning, match="if they are swapped, give them by name"):
        sources.plane_wave((2, 2), 8e-6, 532e-9)
    with pytest.warns(SamplingWarning, match="if they are swapped, give them by name"):
        propagate(Field(jnp.ones((2, 2)), 8e-6, 532e-9), 1e-3)


def test_opposite_regions_are_mirror_images():
    for n in (48, 50, 64):
        regions = np.asarray(make_readout((n, n), 10).regions)  # rows of 3, 4 and 3
        for first, second in ((3, 6), (4, 5), (0, 2), (7, 9)):
            np.testing.assert_array_equal(regions[first], regions[second][:, ::-1])
        for first, second in ((0, 7), (1, 8), (2, 9)):
            np.testing.assert_array_equal(regions[first], regions[second][::-1])


def direct_sum(light, z):
    """First Rayleigh-Sommerfeld sum over all samples, on the grid of the field."""
    geometry = fields.Geometries(
        *(np.array([float(v)]) for v in (light.wavelength, light.pixel_pitch, z))
    )
    return fields.rayleigh_sommerfeld_sum(np.asarray(light.amplitude, complex)[None], geometry)[0]


@pytest.mark.parametrize(
    ("pitch", "wavelength", "z"), [(0.5, 1.0, 4.0), (0.3, 1.064, 3.0), (0.1, 0.5, 1.0)]
)
def test_fine_pixels_and_wide_angles_are_the_direct_sum(pitch, wavelength, z):
    slit = np.zeros((16, 16))
    slit[2:14, 7:9] = 1
    light = Field(slit, wavelength, pitch)
    expected = direct_sum(light, z)
    found = propagate(light, z).amplitude
    assert fields.relative_errors(found[None], expected[None])[0] < 1e-5
    advice = recommend_propagator((16, 16), pitch, wavelength, z)
    assert (advice.method, advice.error) == ("rayleigh_sommerfeld", 0)
    assert any(
        t.startswith("angular_spectrum") and not t.endswith("about 0") for t in advice.alternatives
    )
    space = make_free_space((16, 16), pitch, wavelength, z, kernel="exact")
    carrier = np.exp(2j * np.pi * z / wavelength)
    assert fields.relative_errors(space(slit.astype(int))[None] * carrier, expected[None])[0] < 1e-5

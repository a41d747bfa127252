"""Numbers as users have them: frames of unsigned integers, whole numbers, lists, NumPy's defaults.

Runs twice: in the suite, and in `tests/test_plain_user.py` in a process as a user has it. So tolerances are those of
single precision.
"""

import importlib
import inspect
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optics
from optics import metrics
from optics._numbers import _converter, as_integers, as_mask, as_real, takes_numbers
from optics.hardware import detectors, holography, modulator
from optics.imaging.focusing import intensity_loss, square_target
from optics.imaging.hidden_scene import read_regions
from optics.imaging.weak_light import scale_to_photons
from optics.media.free_space import make_free_space
from optics.meshes import mzi
from optics.meshes.mesh import Mesh, cells
from optics.networks.encoders import encode_images, load_amplitudes
from optics.networks.readout import Readout
from optics.resonators.coupled_modes import CoupledModes
from optics.waves import elements, sources, zernike

RNG = np.random.default_rng(0)
FRAME = RNG.integers(1, 250, (2, 3)).astype(np.float64)
FLIR = detectors.flir_bfs_u3_89s6m()
FIELD = sources.plane_wave((2, 3), 1e-6, 1e-6)
SPACE = make_free_space((2, 3), 1e-5, 1e-6, 1e-3, dtype=jnp.result_type(complex))
SINGLE = make_free_space((2, 3), 1e-5, 1e-6, 1e-3)
PANEL = modulator.SpatialLightModulator(
    n_levels=None, gamma=1.5, crosstalk=modulator.gaussian_crosstalk(0.5)
)
KEY = jax.random.key(0)

# What takes an image of whole numbers, by name.
TAKES = {
    "michelson_contrast": metrics.michelson_contrast,
    "speckle_contrast": metrics.speckle_contrast,
    "psnr": lambda a: metrics.peak_signal_to_noise_ratio(a, FRAME[::-1], data_range=255),
    "intensity_overlap": lambda a: metrics.intensity_overlap(a, FRAME[::-1]),
    "cosine_similarity": lambda a: metrics.cosine_similarity(a, FRAME[::-1]),
    "diffraction_efficiency": lambda a: metrics.diffraction_efficiency(
        a, [[1, 0, 1], [0, 1, 1]], incident_power=3e5
    ),
    "photons_from_counts": lambda a: detectors.photons_from_counts(a, FLIR),
    "expose": lambda a: detectors.expose(a, FLIR, key=KEY),
    "reconstruct_four_step": lambda a: holography.reconstruct_four_step([a] * 4, 1),
    "wrap_phase": modulator.wrap_phase,
    "response": PANEL.response,
    "mzi_matrix": lambda a: mzi.mzi_matrix(a, a),
    "amplitude_transmission": mzi.amplitude_transmission,
    "amplitude_mask": lambda a: elements.amplitude_mask(FIELD, a).amplitude,
    "phase_mask": lambda a: elements.phase_mask(FIELD, a).amplitude,
    "path_mask": lambda a: elements.path_mask(FIELD, a).amplitude,
    "modulation": elements.modulation,
    "path_from_zernike": lambda a: zernike.path_from_zernike(a, (1, 5), 0.5, 1.0),
    "encode_images": lambda a: encode_images(a, (4, 4)),
    "load_amplitudes": lambda a: load_amplitudes(a, 5),
    "intensity_loss": lambda a: intensity_loss(a, square_target((2, 3), (1, 1))),
    "read_regions": lambda a: read_regions(a, [[[1, 0, 0], [0, 1, 0]]]),
    "scale_to_photons": lambda a: scale_to_photons([a], 3),
    "free_space": SPACE,
    "readout": lambda a: Readout([a], 1).powers(np.ones((2, 3), complex)),
    "modes": lambda a: CoupledModes([[a[0][0], 1], [1, 0]], [[1], [1]]).effective(),
}
KINDS = {
    "uint8": lambda a: a.astype(np.uint8),
    "int64": lambda a: a.astype(int),
    "jax int32": lambda a: jnp.asarray(a, jnp.int32),
    "list": lambda a: a.astype(int).tolist(),
    "float16": lambda a: a.astype(np.float16),
}


@pytest.mark.parametrize("name", TAKES)
def test_whole_numbers_give_what_the_same_fractions_give(name):
    expected = np.asarray(TAKES[name](jnp.asarray(FRAME, float)))
    assert np.isfinite(expected).all()
    for kind, convert in KINDS.items():
        if (name, kind) == ("expose", "float16"):
            continue  # noise is drawn in the precision of the frame
        found = np.asarray(TAKES[name](convert(FRAME)))
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=kind)


def test_a_cell_at_whole_angles_is_the_closed_form():
    np.testing.assert_allclose(mzi.mzi_matrix(0, 0), [[0, 1j], [1j, 0]], atol=2e-7)
    s, c = np.sin(0.5), np.cos(0.5)
    turn = np.exp(2j)
    expected = 1j * np.exp(0.5j) * np.array([[turn * s, c], [turn * c, -s]])
    np.testing.assert_allclose(mzi.mzi_matrix(1, 2), expected, atol=1e-6)


def test_a_mesh_takes_whole_phases():
    there = cells(2)
    mesh = Mesh(np.ones(there.shape, int), [[0]] * len(there), [0, 0])
    found = np.abs(mesh.matrix()[0, 0]) ** 2
    np.testing.assert_allclose(found, np.sin(0.5) ** 2, atol=1e-6)


def test_counts_of_a_camera_become_the_photons_that_the_chain_says():
    counts = np.full((1, 1), 262, np.uint16)
    expected = 262 * (1e4 / 4095) / detectors.FIELD_CAMERA_EFFICIENCY
    np.testing.assert_allclose(detectors.photons_from_counts(counts, FLIR), expected, rtol=1e-6)
    assert expected == pytest.approx(999.85, abs=0.01)


def test_whole_numbers_of_photons_are_counted_with_their_efficiency():
    counter = detectors.PhotonCounter(0.9, 0.0, 1e5)
    counts = np.asarray(detectors.count_photons(np.full((40, 40), 30), counter, key=KEY))
    # 1600 pixels of mean 27: four standard errors of the mean.
    assert abs(counts.mean() - 27) < 4 * np.sqrt(27 / 1600)


def test_whole_coefficients_of_modes_are_the_polynomial():
    # Z_4 = sqrt(3) (2 r^2 - 1) at r = 1, 1/2, 0.
    expected = np.sqrt(3) * np.array([[1, -0.5, -1, -0.5, 1]])
    found = zernike.path_from_zernike([0, 0, 0, 1], (1, 5), 0.5, 1.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3.0),
        ({"gamma": 1.5}, 2 * np.pi * (3 / (2 * np.pi)) ** 1.5),
        ({"crosstalk": modulator.gaussian_crosstalk(0.5)}, 3.0),
    ],
)
def test_a_panel_shows_a_whole_phase_by_its_own_response(options, expected):
    panel = modulator.SpatialLightModulator(n_levels=None, **options)
    np.testing.assert_allclose(panel.response(np.full((3, 3), 3)), expected, rtol=1e-6)


def test_metrics_of_frames_do_not_overflow():
    frame = np.array([[200, 100]], np.uint8)
    assert float(metrics.michelson_contrast(frame)) == pytest.approx(1 / 3)
    assert float(metrics.intensity_overlap(frame, frame)) == pytest.approx(1)
    assert float(metrics.cosine_similarity(frame, frame)) == pytest.approx(1)
    share = metrics.diffraction_efficiency(frame, [[True, False]], incident_power=3e5)
    assert float(share) == pytest.approx(200 / 3e5)


def test_free_space_takes_what_a_field_takes():
    light = np.ones((2, 3))
    expected = np.asarray(SINGLE(light.astype(np.complex64)))
    for given in (light.astype(int), light.astype(int).tolist(), light.astype(np.float32)):
        np.testing.assert_allclose(SINGLE(given), expected, atol=1e-6)
    # A field of lower precision, inside a program too.
    lower = jax.jit(lambda u: SPACE(u))(light.astype(np.complex64))
    assert lower.dtype == SPACE.dtype
    np.testing.assert_allclose(lower, expected, atol=1e-6)
    double = light.astype(complex)
    if jax.config.read("jax_enable_x64"):
        with pytest.raises(TypeError, match="`amplitude` is complex128"):
            SINGLE(double)
    else:
        np.testing.assert_allclose(SINGLE(double), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1j, 2]], "`intensity` must be real, but is complex"),
        ("abc", "`intensity` must be made of numbers, but is of type <U3"),
        ([[1, 2], [3]], "`intensity` must be made of numbers, an array or nested lists of equal"),
        (None, "`intensity` must be made of numbers"),
        (jax.random.key(0), "`intensity` must be made of numbers, but is of type key"),
    ],
)
def test_what_is_no_real_number_is_refused_by_name(value, message):
    with pytest.raises(TypeError, match=message):
        metrics.michelson_contrast(value)


def test_masks_and_labels_are_held_to_their_kind():
    np.testing.assert_array_equal(as_mask([0, 1]), [False, True])
    with pytest.raises(ValueError, match="`signal` must hold true and false"):
        as_mask([0, 2], "signal")
    assert as_integers(np.array([250, 3], np.uint8)).tolist() == [250, 3]
    with pytest.raises(TypeError, match="`labels` must be whole numbers, but is float64"):
        as_integers(np.array([0.5]), "labels")


def test_precision_is_kept_where_it_is_declared():
    default = jnp.zeros(()).dtype
    assert as_real(np.float32([1, 2])).dtype == np.float32
    assert as_real(np.float16([1, 2])).dtype == np.float32
    assert as_real([1.0, 2]).dtype == as_real(np.arange(2)).dtype == default
    assert as_real(2**70) == 2.0**70
    assert as_real(np.longdouble(3)) == 3
    traced = jax.jit(lambda x: as_real([x, 1]))(2)
    assert traced.dtype == default
    assert traced.tolist() == [2, 1]


def test_a_known_number_stays_known_inside_jit():
    def checked(x):
        assert not isinstance(as_real(np.arange(2)), jax.core.Tracer)
        return x

    jax.jit(checked)(1.0)


# Public names with arrays that `takes_numbers` cannot wrap, each with the reason.
WITHOUT = {
    "optics.learning.relocations": "works on matrices that a bench has measured",
    "optics.learning.reciprocity": "takes what a bench has measured, complex fields by nature",
    "optics.resonators.small_matrices.polynomial_roots": "has a derivative of its own; `poles` bring complex numbers",
    "optics.media.free_space.FreeSpace.__call__": "takes the operator's precision for what declares none",
}


def public(module):
    """Functions, and methods of classes, that a module defines for others, by their full name."""
    own = [
        v
        for n, v in vars(module).items()
        if n[0] != "_" and getattr(v, "__module__", "") == module.__name__
    ]
    for value in own:
        if inspect.isclass(value):
            if getattr(value, "_is_protocol", False):
                continue
            for name, method in vars(value).items():
                if inspect.isfunction(method) and (name[0] != "_" or name == "__call__"):
                    yield f"{module.__name__}.{value.__name__}.{name}", method
        elif callable(value):
            yield f"{module.__name__}.{getattr(value, '__name__', '')}", value


def test_every_public_function_with_arrays_takes_numbers():
    missing = []
    for info in pkgutil.walk_packages(optics.__path__, "optics."):
        if info.name.rpartition(".")[2].startswith("_") or info.name in WITHOUT:
            continue
        for name, function in public(importlib.import_module(info.name)):
            bare = inspect.unwrap(function)
            if not inspect.isfunction(bare) or getattr(function, "__isabstractmethod__", False):
                continue
            arrays = [
                p.annotation
                for p in inspect.signature(bare).parameters.values()
                if _converter(p.annotation)
            ]
            if arrays and not vars(function).get("takes_numbers") and name not in WITHOUT:
                missing.append(name)
    assert not missing


def test_the_signature_of_what_takes_numbers_stays():
    assert list(inspect.signature(mzi.mzi_matrix).parameters)[:2] == ["theta", "phi"]
    assert takes_numbers(lambda x: x)(3) == 3


def test_what_is_computed_on_the_host_stays_there_whatever_its_kind():
    from jaxtyping import Complex, Int

    from optics._numbers import takes_numbers

    @takes_numbers
    def kinds(poles: Complex[np.ndarray, " n"], code: Int[np.ndarray, " n"]):
        return type(poles), poles.dtype, type(code), code.dtype.kind

    assert kinds(np.array([1 + 2j]), np.array([1], np.uint8)) == (
        np.ndarray, np.dtype(complex), np.ndarray, "i",
    )  # fmt: skip
    assert kinds([1, 2], [3, 4])[:2] == (np.ndarray, np.dtype(complex))

"""Paraxial propagation and other output grids: closed forms, laws, derivatives, bad input."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.waves.field import Field
from optics.waves.fresnel import (
    focal_plane,
    fraunhofer,
    fresnel_chirp_z,
    fresnel_single_fft,
    fresnel_transfer,
)
from optics.waves.propagation import propagate
from optics.waves.sampling import SamplingWarning, recommend_propagator
from optics.waves.sources import gaussian_beam, plane_wave
from tests.exact.diffraction import (
    airy_amplitude,
    average_over_radius,
    blurred_disc,
    fresnel_slit,
    talbot_distance,
)

GREEN = 532e-9  # m
WAIST = 3e-4  # m
beam = partial(gaussian_beam, wavelength=GREEN, waist=WAIST, dtype=jnp.complex128)
ANY_GRID = {"chirp_z": fresnel_chirp_z, "fraunhofer": fraunhofer, "focal_plane": focal_plane}
WINDOW = {"shape": (6, 11), "pixel_pitch": 5e-6, "centre": (2e-5, -3e-5)}
# One object each, so that what `jit` compiled for one case serves the next.
FUNCTIONS = {name: partial(function, **WINDOW) for name, function in ANY_GRID.items()}
FUNCTIONS |= {"transfer": fresnel_transfer, "single_fft": fresnel_single_fft}


def relative(a, b):
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(np.asarray(b)))


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        return function(*args, **kwargs)


def random_field(shape, pitch=8e-6, seed=0):
    rng = np.random.default_rng(seed)
    return Field(rng.normal(size=shape) + 1j * rng.normal(size=shape), GREEN, pitch)


# Closed forms


@pytest.mark.parametrize("distance", [0.09, -0.05])
def test_transfer_function_carries_a_gaussian_beam(distance):
    # The beam solves the paraxial equation; at the edge of the window it is exp(-28) of its peak.
    start = beam((400, 398), pixel_pitch=8e-6, centre=(1e-5, -2e-5))
    end = beam((400, 398), pixel_pitch=8e-6, centre=(1e-5, -2e-5), position=distance)
    assert relative(fresnel_transfer(start, distance).amplitude, end.amplitude) < 1e-9


@pytest.mark.parametrize("distance", [0.388, -0.388])
def test_single_fft_carries_a_gaussian_beam(distance):
    after = fresnel_single_fft(beam((400, 400), pixel_pitch=8e-6, centre=(1e-4, -2e-4)), distance)
    np.testing.assert_allclose(after.pixel_pitch, GREEN * 0.388 / 3.2e-3, rtol=1e-14)
    expected = beam(
        (400, 400), pixel_pitch=after.pixel_pitch, centre=(1e-4, -2e-4), position=distance
    )
    # The start is cut at 1.4 mm, where it is exp(-21.8) = 3e-10.
    assert relative(after.amplitude, expected.amplitude) < 1e-9


@pytest.mark.parametrize("distance", [0.388, -0.388])
@pytest.mark.parametrize(
    ("shape", "pitch", "centre"),
    [((300, 255), 3.45e-6, (2e-4, 1e-4)), ((31, 500), 1e-5, (0.0, -5e-4))],
)
def test_chirp_z_carries_a_gaussian_beam_to_camera_pixels(distance, shape, pitch, centre):
    start = beam((400, 399), pixel_pitch=8e-6, centre=(1e-4, -2e-4))
    after = fresnel_chirp_z(start, distance, shape=shape, pixel_pitch=pitch, centre=centre)
    offset = (1e-4 - centre[0], -2e-4 - centre[1])
    expected = beam(shape, pixel_pitch=pitch, centre=offset, position=distance)
    assert relative(after.amplitude, expected.amplitude) < 1e-9


def test_square_aperture_gives_fresnel_integrals():
    # Midpoint rule: the error is a series in dx^2 (Euler-Maclaurin), so each step of threefold
    # finer pixels falls by 9, and two extrapolations leave a relative error of order dx^6.
    side, z, sums = 1e-3, 0.2, []
    window = {"shape": (9, 12), "pixel_pitch": 0.11e-3, "centre": (0.1e-3, -0.05e-3)}
    for n in (63, 189, 567):
        lit = plane_wave((n, n), GREEN, side / n, dtype=jnp.complex128)
        sums.append(np.asarray(quiet(fresnel_chirp_z, lit, z, **window).amplitude))
    y = 0.1e-3 + (np.arange(9) - 4) * 0.11e-3
    x = -0.05e-3 + (np.arange(12) - 6) * 0.11e-3
    axes = (fresnel_slit(points, z, GREEN, side) for points in (y, x))
    expected = np.multiply.outer(*axes) * np.exp(2j * np.pi * z / GREEN)
    errors = [relative(s, expected) for s in sums]
    np.testing.assert_allclose(errors[1] / errors[2], 9, rtol=0.05)
    first = [(9 * sums[i + 1] - sums[i]) / 8 for i in (0, 1)]
    assert relative((81 * first[1] - first[0]) / 80, expected) < 1e-6


@pytest.mark.parametrize("method", ["fraunhofer", "focal_plane"])
def test_disc_gives_the_airy_pattern(method):
    # Blurred edge: spectrum exp(-(pi blur / 2 dx)^2) = 1e-38 at the end of the band. Sums are then
    # exact integrals. See tests/exact/diffraction.py.
    radius, blur, f, pitch = 0.6e-3, 60e-6, 0.2, 10e-6
    field = random_field((256, 256))
    y, x = field.coordinates()
    disc = field.with_amplitude(jnp.asarray(blurred_disc(np.hypot(y, x), radius, blur) + 0j))
    after = quiet(ANY_GRID[method], disc, f, shape=(41, 40), pixel_pitch=pitch)
    rows, columns = (np.asarray(axis) for axis in after.coordinates())
    q = np.hypot(rows, columns) / (GREEN * f)
    expected = average_over_radius(lambda a: airy_amplitude(q, a), radius, blur) / (1j * GREEN * f)
    phase = {
        "fraunhofer": f + (rows**2 + columns**2) / (2 * f),
        "focal_plane": 2 * f + 0 * rows,
    }[method]
    assert relative(after.amplitude, expected * np.exp(2j * np.pi * phase / GREEN)) < 1e-8
    first_zero = np.argmin(after.intensity[20, 20:]) * pitch
    assert abs(first_zero - 0.61 * GREEN * f / radius) <= pitch


def test_grating_images_itself():
    field = random_field((256, 256), 4e-6)
    period = 32e-6  # 8 samples
    lines = jnp.where(jnp.arange(256) % 8 < 4, 1.0, 0.2) + 0j
    bars = field.with_amplitude(jnp.broadcast_to(lines, (256, 256)))
    z = talbot_distance(GREEN, period)
    for share, shift in ((1.0, 0), (0.5, 4)):
        image = fresnel_transfer(bars, share * z, pad=1).amplitude
        image = image * np.exp(-2j * np.pi * share * z / GREEN)
        np.testing.assert_allclose(image, jnp.roll(bars.amplitude, shift, axis=-1), atol=1e-11)


# Agreement and laws


def test_exact_and_paraxial_agree_to_the_estimate():
    start = beam((400, 400), pixel_pitch=8e-6)
    window = {"shape": (400, 400), "pixel_pitch": 8e-6}
    exact = propagate(start, 0.388)
    paraxial = fresnel_chirp_z(start, 0.388, **window)
    advice = recommend_propagator((400, 400), 8e-6, GREEN, 0.388)
    estimate = next(float(t.split()[-1]) for t in advice.alternatives if "chirp" in t)
    assert 0 < relative(paraxial.amplitude, exact.amplitude) < estimate


def test_paraxial_forms_agree_with_each_other():
    start = beam((400, 400), pixel_pitch=8e-6, centre=(1e-4, 0.0))
    window = {"shape": (400, 400), "pixel_pitch": 8e-6}
    short, long = 0.0962, 0.388  # m, either side of what 2x padding and the chirp allow
    transfer = fresnel_transfer(start, short)
    chirp = quiet(fresnel_chirp_z, start, short, **window)
    assert relative(chirp.amplitude, transfer.amplitude) < 1e-9
    single = fresnel_single_fft(start, long)
    window["pixel_pitch"] = single.pixel_pitch
    chirp = quiet(fresnel_chirp_z, start, long, **window)
    assert relative(chirp.amplitude, single.amplitude) < 1e-10  # one and the same sum


def test_fraunhofer_is_the_far_limit_of_fresnel():
    start, errors = beam((200, 200), pixel_pitch=8e-6), []
    for z in (200.0, 400.0, 800.0):
        window = {"shape": (50, 50), "pixel_pitch": 2e-5 * z}
        far, near = fraunhofer(start, z, **window), fresnel_chirp_z(start, z, **window)
        errors.append(relative(far.amplitude, near.amplitude))
    # The neglected phase falls as 1 / z.
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.02)


def test_focal_plane_keeps_power():
    start = beam((400, 400), pixel_pitch=8e-6)
    # Waist in the focus: wavelength f / (pi waist) = 0.11 mm, sampled to 9 radii.
    after = focal_plane(start, 0.2, shape=(200, 200), pixel_pitch=10e-6)
    np.testing.assert_allclose(after.power, start.power, rtol=1e-10)


@pytest.mark.parametrize("function", [fresnel_transfer, fresnel_single_fft])
def test_reciprocity_and_backwards_is_the_adjoint(function):
    # Inner products carry the pixel areas, since the pitch of the two planes may differ.
    u = random_field((12, 12), seed=1)
    there = quiet(function, u, 2e-3)
    v = random_field((12, 12), float(there.pixel_pitch), seed=2)
    areas = there.pixel_pitch**2, u.pixel_pitch**2
    again, back = quiet(function, v, 2e-3), quiet(function, v, -2e-3)
    scale = 1e-12 * jnp.sqrt(u.power * v.power)
    product = jnp.sum(v.amplitude * there.amplitude) * areas[0]
    assert abs(product - jnp.sum(u.amplitude * again.amplitude) * areas[1]) < scale
    product = jnp.vdot(v.amplitude, there.amplitude) * areas[0]
    assert abs(product - jnp.vdot(back.amplitude, u.amplitude) * areas[1]) < scale


@pytest.mark.parametrize("name", list(ANY_GRID))
def test_transpose_swaps_the_grids(name):
    # <v, T u> over the output area = <u, T' v> over the input area, T' from that grid to this one.
    u, v = random_field((12, 9), 8e-6, 1), random_field((6, 11), 5e-6, 2)
    there = quiet(ANY_GRID[name], u, 2e-3, shape=(6, 11), pixel_pitch=5e-6)
    back = quiet(ANY_GRID[name], v, 2e-3, shape=(12, 9), pixel_pitch=8e-6)
    if name == "fraunhofer":  # its chirp sits on the output side only
        y, x = there.coordinates()
        there = there.with_amplitude(
            there.amplitude * jnp.exp(-1j * jnp.pi * (y**2 + x**2) / GREEN / 2e-3)
        )
        y, x = back.coordinates()
        back = back.with_amplitude(
            back.amplitude * jnp.exp(-1j * jnp.pi * (y**2 + x**2) / GREEN / 2e-3)
        )
    left = jnp.sum(v.amplitude * there.amplitude) * 25e-12
    right = jnp.sum(u.amplitude * back.amplitude) * 64e-12
    np.testing.assert_allclose(left, right, rtol=1e-11)


def test_single_fft_there_and_back():
    start = random_field((16, 16))
    there = fresnel_single_fft(start, 0.01)
    back = quiet(fresnel_single_fft, there, -0.01)
    np.testing.assert_allclose(back.pixel_pitch, start.pixel_pitch, rtol=1e-14)
    np.testing.assert_allclose(back.amplitude, start.amplitude, atol=1e-12)


@pytest.mark.parametrize("name", list(ANY_GRID))
def test_centre_moves_the_window(name):
    start = random_field((9, 12), seed=4)
    wide = quiet(ANY_GRID[name], start, 2e-3, shape=(20, 20), pixel_pitch=5e-6)
    part = quiet(
        ANY_GRID[name], start, 2e-3, shape=(4, 5), pixel_pitch=5e-6, centre=(15e-6, -20e-6)
    )
    # Sample 2 of 4 sits at +3 pitches from sample 10 of 20, sample 2 of 5 at -4.
    np.testing.assert_allclose(part.amplitude, wide.amplitude[11:15, 4:9], rtol=1e-9, atol=1e-12)


# Derivatives, transformations, precision


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_in_distance_and_wavelength(name):
    field, z, function = random_field((6, 6)), 2e-3, FUNCTIONS[name]

    def loss(t):  # steps small against a wavelength of path, so that the carrier is smooth
        bent = Field(field.amplitude, GREEN * (1 + t[1] * GREEN / z), 8e-6 * (1 + t[2] * 1e-2))
        out = quiet(function, bent, z + 0.1 * GREEN * t[0])
        return jnp.sum(jnp.abs(out.amplitude + 0.3) ** 2) * out.pixel_pitch / 8e-6

    # Reverse mode alone: there is no derivative rule here but JAX's own.
    check_grads(jax.jit(loss), (np.full(3, 0.3),), order=1, modes=["rev"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distance", [2e-3, -2e-3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jit_and_batches_change_nothing(name, distance):
    function = FUNCTIONS[name]
    distance = abs(distance) if name == "focal_plane" else distance
    fields = random_field((3, 6, 6))
    eager = quiet(function, fields, distance)
    compiled = jax.jit(function)(fields, distance)
    np.testing.assert_allclose(compiled.amplitude, eager.amplitude, rtol=1e-11, atol=1e-12)
    for field, expected in zip(fields.amplitude, eager.amplitude, strict=True):
        one = quiet(function, fields.with_amplitude(field), distance)
        np.testing.assert_allclose(one.amplitude, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("traced", [False, True])
def test_single_precision_at_a_million_wavelengths(traced):
    wide = random_field((400, 400))
    camera = {"shape": (300, 256), "pixel_pitch": 3.45e-6, "centre": (2e-4, 1e-4)}
    single = {**camera, "pixel_pitch": np.float32(3.45e-6), "centre": np.float32((2e-4, 1e-4))}
    single["centre"] = tuple(single["centre"])
    with jax.enable_x64(False):
        field = Field(np.asarray(wide.amplitude, np.complex64), GREEN, 8e-6)
        z = jnp.float32(0.388)
        step = partial(fresnel_chirp_z, **single)
        got = np.asarray((jax.jit(step) if traced else step)(field, z).amplitude)
        numbers = float(field.wavelength), float(field.pixel_pitch)
    assert got.dtype == np.complex64
    expected = fresnel_chirp_z(Field(wide.amplitude, *numbers), float(z), **single).amplitude
    # A few FFT roundings of 6e-8; phases of 5e6 rad in float32 would be wrong by 0.3.
    assert relative(got, expected) < 2e-6


# Bad input and warnings


@pytest.mark.parametrize("function", [fresnel_chirp_z, fraunhofer, focal_plane])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (0, 4)}, r"`shape` must be .* at least one sample each, but is \(0, 4\)"),
        ({"pixel_pitch": -1e-6}, "`pixel_pitch` must be positive and finite, but is -1e-06 m"),
    ],
)
def test_bad_window_is_named(function, change, message):
    with pytest.raises(ValueError, match=message):
        function(random_field((4, 4)), 1.0, **{**WINDOW, **change})


@pytest.mark.parametrize("function", [fresnel_single_fft, partial(fresnel_chirp_z, **WINDOW)])
def test_bad_distance_is_named(function):
    with pytest.raises(ValueError, match="must not be 0 m"):
        function(random_field((4, 4)), 0.0)
    with pytest.raises(ValueError, match="`distance` must be finite"):
        function(random_field((4, 4)), np.nan)


def test_other_bad_input_is_named():
    with pytest.raises(
        ValueError, match=r"square grid, but its shape is .4, 5.. Use fresnel_chirp_z"
    ):
        fresnel_single_fft(random_field((4, 5)), 1.0)
    with pytest.raises(
        ValueError, match=r"`focal_length` must be positive and finite, but is -0.2 m"
    ):
        focal_plane(random_field((4, 4)), -0.2, **WINDOW)
    with pytest.raises(ValueError, match="`pad` must be at least 1, but is 0"):
        fresnel_transfer(random_field((4, 4)), 1e-4, pad=0)


@pytest.mark.parametrize(
    ("function", "distance", "message"),
    [
        (fresnel_transfer, 0.388, "exceeds the 0.09624 m up to which 800 padded samples"),
        (fresnel_single_fft, 0.04, "is below the 0.04812 m from which on"),
        (
            partial(fresnel_chirp_z, shape=(400, 400), pixel_pitch=8e-6),
            0.09,
            "is below the 0.09624 m from which on .* output window",
        ),
        (
            partial(fraunhofer, shape=(400, 400), pixel_pitch=8e-6),
            0.04,
            "is below the 0.04812 m from which on .* output window",
        ),
    ],
)
def test_aliasing_warns_with_the_threshold(function, distance, message):
    with pytest.warns(SamplingWarning, match=message):
        function(random_field((400, 400)), distance)


@pytest.mark.parametrize("shape", [(40, 4), (4, 40)])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (-160e-6, 0.0), (0.0, -160e-6)])
def test_the_farthest_corner_of_the_window_decides_on_a_warning(shape, centre):
    # 2 dx / wavelength times half a side, 160 um or 16 um, plus what the window is off the axis.
    reach = max(n * 4e-6 + abs(c) for n, c in zip(shape, centre, strict=True))
    message = f"is below the {16e-6 * reach / GREEN:.4g} m"
    with pytest.warns(SamplingWarning, match=message):
        fraunhofer(random_field((6, 6)), 1e-3, shape=shape, pixel_pitch=8e-6, centre=centre)

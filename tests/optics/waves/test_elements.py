import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import special

from optics.waves.elements import (
    amplitude_mask,
    annular_aperture,
    circular_aperture,
    disc_coverage,
    path_mask,
    phase_mask,
    rectangle_coverage,
    rectangular_aperture,
    ronchi_grating,
    sinusoidal_amplitude_grating,
    sinusoidal_phase_grating,
    spherical_lens,
    square_aperture,
    thin_lens,
    tilt,
)
from optics.waves.field import Field
from optics.waves.sampling import SamplingWarning

WAVELENGTH, PITCH = 532e-9, 8e-6


def plane(shape=(64, 64), dtype=complex, pitch=PITCH):
    return Field(np.ones(shape, dtype), WAVELENGTH, pitch)


def random_phase(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-9, 9, shape))


# Apertures; compiled whole, for one by one each operation compiles anew for every shape.
coverage = jax.jit(disc_coverage, static_argnums=0)


@pytest.mark.parametrize("radius", [0.3, 0.5, 2.0, 6.3, 9.99])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.31, -0.77), (-1.5, 0.5)])
def test_disc_coverage_has_the_exact_area(radius, centre):
    cover = np.asarray(coverage((25, 26), 1.0, radius, centre=centre))
    assert cover.min() >= 0
    assert cover.max() <= 1
    # Sum of 650 rounded pixels.
    assert float(cover.sum()) == pytest.approx(np.pi * radius**2, rel=1e-13)
    y, x = np.meshgrid(np.arange(25) - 12, np.arange(26) - 13, indexing="ij")
    centroid = [float((cover * axis).sum() / cover.sum()) for axis in (y, x)]
    # The pixelated centroid is exact only where every pixel of the rim is split evenly.
    assert centroid == pytest.approx(centre, abs=0.2 / max(radius, 0.5))


def test_disc_coverage_equals_counting_subpixels():
    n, sub, radius, centre = 12, 100, 4.37, (0.4, -0.9)
    fine = (np.arange(n * sub) + 0.5) / sub - 0.5 - n // 2
    y, x = np.meshgrid(fine - centre[0], fine - centre[1], indexing="ij")
    counted = (np.hypot(y, x) < radius).reshape(n, sub, n, sub).mean(axis=(1, 3))
    # A cut pixel has about 100 rim cells, each off by up to half a cell of 1e-4: 5e-3 at worst,
    # less at random.
    np.testing.assert_allclose(coverage((n, n), 1.0, radius, centre=centre), counted, atol=2e-3)


def test_disc_coverage_is_symmetric_and_accurate_in_single_precision():
    cover = np.asarray(coverage((401, 401), 1.0, 180.0))
    for turned in (cover.T, cover[::-1], cover[:, ::-1]):
        np.testing.assert_allclose(turned, cover, atol=1e-10)
    single = coverage((401, 401), np.float32(1), jnp.float32(180))
    # eps32 * radius per pixel: 6e-8 * 180, with a few operations.
    np.testing.assert_allclose(single, cover, atol=1e-4)


def test_area_grows_by_the_circumference():
    def area(radius):
        return disc_coverage((32, 32), 1.0, radius).sum()

    assert float(jax.jit(jax.grad(area))(7.3)) == pytest.approx(2 * np.pi * 7.3, rel=1e-12)


def test_rectangle_coverage_is_exact():
    cover = np.asarray(rectangle_coverage((6, 8), 2.0, 5.0, 6.6, centre=(1.0, -2.0)))
    assert cover.sum() * 4 == pytest.approx(5.0 * 6.6)
    # y: pixels of 2 m at -6, -4, ... 4, lit from -1.5 to 3.5, that is over -1.5..-1, ..., 3..3.5.
    np.testing.assert_allclose(cover.max(axis=1), [0, 0, 0.25, 1, 1, 0.25])


def test_aperture_transform_converges_to_the_airy_pattern_with_order_two():
    radius, errors, pitches = 1.0, [], [0.2, 0.1, 0.05, 0.025]
    q = np.array([0.5, 2.0, 3.8, 6.0])
    exact = np.pi * radius**2 * 2 * special.j1(q * radius) / (q * radius)
    for pitch in pitches:
        n = 2 * int(1.2 / pitch) + 1
        cover = np.asarray(coverage((n, n), pitch, radius))
        x = (np.arange(n) - n // 2) * pitch
        got = [(cover * np.exp(-1j * k * x)).sum() * pitch**2 for k in q]
        errors.append(np.abs(got - exact).max())
    # Averaging over pixels multiplies the transform by 1 - (q pitch)^2 / 24.
    assert np.polyfit(np.log(pitches), np.log(errors), 1)[0] == pytest.approx(2, abs=0.1)
    assert errors[-1] < 2e-3


def test_apertures_pass_the_power_of_their_amplitude():
    field = plane((100, 100))
    lit = np.asarray(circular_aperture(field, 200e-6).amplitude).real.sum() * PITCH**2
    assert float(lit) == pytest.approx(np.pi * 200e-6**2, rel=1e-12)
    ring = np.asarray(annular_aperture(field, 100e-6, 200e-6, centre=(30e-6, 0.0)).amplitude).real
    assert float(ring.sum()) * PITCH**2 == pytest.approx(np.pi * 3e-8, rel=1e-12)
    assert float(ring[53, 50]) == 0
    moved = (2 * PITCH, -3 * PITCH)
    for aperture in (circular_aperture, square_aperture):
        there = aperture(field, 200e-6, centre=moved).amplitude
        here = np.asarray(aperture(field, 200e-6).amplitude)
        np.testing.assert_allclose(there, np.roll(here, (2, -3), axis=(0, 1)), atol=1e-9)
    square = np.asarray(square_aperture(field, 320e-6).amplitude)
    np.testing.assert_array_equal(square, rectangular_aperture(field, 320e-6, 320e-6).amplitude)
    assert float(square.real.sum()) * PITCH**2 == pytest.approx(320e-6**2, rel=1e-12)


def test_rectangle_is_height_by_width_and_centre_is_y_x():
    out = rectangular_aperture(plane((50, 50)), 4 * PITCH, 20 * PITCH, centre=(10 * PITCH, 0.0))
    lit = np.abs(np.asarray(out.amplitude)) > 0
    assert (lit.any(axis=1).sum(), lit.any(axis=0).sum()) == (5, 21)
    assert lit[35, 25]
    assert not lit[25, 35]


# Lenses and tilts


@pytest.mark.parametrize("lens", [thin_lens, spherical_lens])
def test_lens_brings_all_paths_into_phase_at_its_focus(lens):
    focal_length = 0.02
    out = lens(circular_aperture(plane(), 200e-6), focal_length)
    light = np.asarray(out.amplitude)
    y, x = (np.asarray(axis) for axis in out.coordinates())
    square = y**2 + x**2
    path = (
        square / (2 * focal_length)
        if lens is thin_lens
        else np.hypot(np.sqrt(square), focal_length)
    )
    # exp(+ikr) from every point to the focus: the sum reaches the sum of the moduli only if all
    # agree.
    arrived = np.abs(np.sum(light * np.exp(1j * float(out.wavenumber) * path)))
    # k f = 2e5 rad times eps.
    assert arrived / np.abs(light).sum() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("lens", [thin_lens, spherical_lens])
def test_a_diverging_lens_undoes_a_converging_one(lens):
    field = Field(np.exp(1j * np.asarray(random_phase(2, 32, 40))), WAVELENGTH, PITCH)
    back = lens(lens(field, 0.05), -0.05)
    np.testing.assert_allclose(back.amplitude, field.amplitude, atol=1e-12)


def test_lenses_differ_by_the_spherical_term():
    field, f = plane((65, 65), pitch=2e-5), 0.08
    ratio = np.asarray(spherical_lens(field, f).amplitude) / np.asarray(
        thin_lens(field, f).amplitude
    )
    y, x = (np.asarray(axis) for axis in field.coordinates())
    # sqrt(r^2 + f^2) - f = r^2 / 2f - r^4 / 8f^3 + r^6 / 16f^5.
    term = float(field.wavenumber) * (y**2 + x**2) ** 2 / (8 * f**3)
    assert term.max() > 1e-3
    # The next term is smaller by r^2 / 2f^2 = 6.4e-5.
    np.testing.assert_allclose(np.angle(ratio), term, atol=1e-4 * term.max())


def test_tilt_sends_light_towards_positive_axes():
    field = plane((32, 48))
    bins = (3, 5)  # fringes across the grid along y and x
    angles = [np.arcsin(b * WAVELENGTH / (n * PITCH)) for b, n in zip(bins, (32, 48), strict=True)]
    # A wave exp(+2 pi i f x) fills the bin of positive f.
    spectrum = np.abs(np.fft.fft2(tilt(field, *angles).amplitude)) / (32 * 48)
    assert spectrum[3, 5] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (lambda u: thin_lens(u, 1e-3), r"`focal_length` of 0.001 m bends light by sin"),
        (lambda u: spherical_lens(u, 1e-3), r"beyond wavelength / \(2 pitch\) = 0.0333"),
        (lambda u: tilt(u, 0.0, 0.04), r"`angle_x` of 0.04 rad"),
        (lambda u: ronchi_grating(u, 1e-5), r"`period` 1e-05 m is below two pixels, 1.6e-05 m"),
    ],
)
def test_aliasing_is_announced(element, text):
    with pytest.warns(SamplingWarning, match=text):
        element(plane())


def test_no_warning_where_the_grid_is_dark():
    thin_lens(circular_aperture(plane(), 25e-6), 1e-3)


# Gratings: orders from the transform of whole periods


def orders(field, period_pixels, axis=-1):
    """Power in orders 0, 1, 2, ... of a grating with whole periods along an axis."""
    amplitude = np.moveaxis(np.asarray(field.amplitude), axis, -1)
    spectrum = np.fft.fft(amplitude, axis=-1)[0] / amplitude.shape[-1]
    return np.abs(spectrum[:: amplitude.shape[-1] // period_pixels]) ** 2


@pytest.mark.parametrize("axis", ["x", "y"])
def test_sinusoidal_gratings_have_textbook_orders(axis):
    field, number = plane((64, 64)), {"y": -2, "x": -1}[axis]
    period = 32 * PITCH
    out = sinusoidal_amplitude_grating(field, period, modulation=0.6, axis=axis)
    got = orders(out, 32, number)
    np.testing.assert_allclose(got[:4], [0.25, 0.36 / 16, 0, 0], atol=1e-15)
    out = sinusoidal_phase_grating(field, period, amplitude=1.7, axis=axis)
    got = orders(out, 32, number)
    np.testing.assert_allclose(got[:8], special.jv(np.arange(8), 1.7) ** 2, atol=1e-14)


@pytest.mark.parametrize(("duty", "samples"), [(0.5, 16), (0.3, 10), (0.5, 7)])
def test_ronchi_orders(duty, samples):
    field = plane((4, 4 * samples))
    got = orders(ronchi_grating(field, samples * PITCH, duty=duty), samples)
    assert got[0] == pytest.approx(duty**2, rel=1e-12)
    for q in range(1, 4):
        # Averaging over pixels multiplies order p by sinc(p / samples); sampling folds p = q + k
        # samples onto q.
        p = q + samples * np.arange(-20000, 20001)
        folded = np.sum(duty * np.sinc(p * duty) * np.sinc(p / samples)) ** 2
        assert got[q] == pytest.approx(folded, abs=1e-6)
        assert got[q] == pytest.approx(np.sin(np.pi * q * duty) ** 2 / (np.pi * q) ** 2, abs=0.02)


# Masks


def test_masks_multiply_with_the_right_sign():
    field = plane((3, 4))
    phase = random_phase(3, 4)
    np.testing.assert_allclose(phase_mask(field, phase).amplitude, np.exp(1j * np.array(phase)))
    np.testing.assert_array_equal(amplitude_mask(field, phase).amplitude, phase)
    quarter = path_mask(field, jnp.asarray(np.full((3, 4), WAVELENGTH / 4)))
    np.testing.assert_allclose(quarter.amplitude, np.full((3, 4), 1j), atol=1e-15)


def test_batches_of_fields_and_of_masks():
    light = np.exp(1j * np.asarray(random_phase(2, 3, 4)))
    phase = random_phase(3, 4, seed=1)
    out = np.asarray(phase_mask(Field(light, WAVELENGTH, PITCH), phase).amplitude)
    np.testing.assert_allclose(out[1], light[1] * np.exp(1j * np.array(phase)))
    many = phase_mask(plane((3, 4)), random_phase(5, 3, 4))
    assert many.amplitude.shape == (5, 3, 4)


ELEMENTS = {
    "thin_lens": lambda u: thin_lens(u, 0.1),
    "spherical_lens": lambda u: spherical_lens(u, 0.1),
    "tilt": lambda u: tilt(u, 1e-3, -2e-3),
    "circular": lambda u: circular_aperture(u, 1e-4),
    "ronchi": lambda u: ronchi_grating(u, 1e-4),
    "phase_grating": lambda u: sinusoidal_phase_grating(u, 1e-4, amplitude=1.0),
    "amplitude_grating": lambda u: sinusoidal_amplitude_grating(u, 1e-4),
    "phase_mask": lambda u: phase_mask(u, jnp.ones(u.shape)),
}


@pytest.mark.parametrize("name", ELEMENTS)
def test_elements_keep_precision_and_pass_no_more_power(name):
    for dtype in (np.complex64, np.complex128):
        field = plane((32, 32), dtype)
        out = jax.jit(ELEMENTS[name])(field)
        assert out.amplitude.dtype == dtype
        assert np.sum(np.abs(out.amplitude) ** 2) <= 32 * 32 * (1 + 1e-5)
    # As it is called, once: the double-precision one.
    np.testing.assert_allclose(out.amplitude, ELEMENTS[name](field).amplitude, atol=1e-5)


def test_focal_length_is_differentiable():
    x = np.asarray(plane((16, 16)).coordinates()[1])

    @jax.jit
    def real_part(f):
        return jnp.sum(jnp.real(thin_lens(plane((16, 16)), f).amplitude) * (1 + x / 1e-5))

    check_grads(real_part, (0.01,), 1, modes=["rev"], eps=1e-7, rtol=1e-5)


def test_a_mask_of_another_size_names_both_shapes():
    message = r"`phase` must have last axes \(64, 64\), but its shape is \(32, 64\)"
    with pytest.raises(ValueError, match=message):
        phase_mask(plane(), jnp.zeros((32, 64)))
    with pytest.raises(ValueError, match=r"\(64, 64\), but its shape is \(64, 65\)"):
        amplitude_mask(plane(), jnp.ones((64, 65)))


def test_bad_values_are_named():
    field = plane()
    with pytest.raises(ValueError, match="`focal_length` must be finite and not zero, but is 0 m"):
        thin_lens(field, 0.0)
    with pytest.raises(ValueError, match="`radius` must be positive and finite, but is -1 m"):
        circular_aperture(field, -1.0)
    with pytest.raises(ValueError, match=r"`inner_radius` must lie between 0 and 0\.0001"):
        annular_aperture(field, 2e-4, 1e-4)
    with pytest.raises(ValueError, match=r"`duty` must lie between 0 and 1, but is 1\.5"):
        ronchi_grating(field, 1e-4, duty=1.5)

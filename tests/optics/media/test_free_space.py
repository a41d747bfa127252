import itertools
from fractions import Fraction
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.media.free_space import make_free_space
from optics.waves.field import Field, centred_axis, pad_to
from optics.waves.fresnel import fresnel_chirp_z, fresnel_transfer
from optics.waves.propagation import angular_spectrum, propagate, rayleigh_sommerfeld

PITCH, WAVELENGTH = 8e-6, 532e-9
SHAPES = [(1, 1), (1, 6), (9, 14)]
# The transfer function is sampled up to 2 N pitch^2 / lambda = N 0.24 mm: the last two shapes are
# below that at 1 mm, none at -50 mm, and (9, 14) has one axis on each side at 2.8 mm.
DISTANCES = [0.0, 1e-3, 2.8e-3, -50e-3]
VARIANTS = [("fresnel", "matrix"), ("fresnel", "fft"), ("exact", "fft")]


# One compilation for each shape and method, in place of one for each operation.
apply = eqx.filter_jit(lambda op, u: op(u))


def random_field(shape, seed=0, dtype=complex):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), dtype)


def operator(shape, distance, **options):
    return make_free_space(shape, PITCH, WAVELENGTH, distance, **{"dtype": complex} | options)


def dense(op):
    """Matrix of the operator in the pixel basis."""
    size = op.shape[0] * op.shape[1]
    basis = jnp.asarray(np.eye(size, dtype=op.dtype).reshape(size, *op.shape))
    return np.asarray(apply(op, basis)).reshape(size, size).T


def relative(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return float(np.linalg.norm(np.ravel(a - b)) / np.linalg.norm(np.ravel(b)))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3e-6, -20e-6)], ids=["centred", "shifted"])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_methods_agree_with_the_plain_padded_fft(kernel, method, distance, shift):
    for shape in SHAPES:
        u = random_field((2, *shape))
        options = {"kernel": kernel, "output_shift": shift}
        plain = operator(shape, distance, method="reference", **options)
        fast = operator(shape, distance, method=method, **options)
        # About log2(64) roundings of 1e-16 on values of order one.
        np.testing.assert_allclose(
            apply(fast, u), apply(plain, u), rtol=0, atol=1e-12, err_msg=str(shape)
        )


@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_single_precision_stays_within_its_rounding(kernel, method):
    for shape, distance in itertools.product([(9, 14), (32, 32)], [1e-3, 50e-3]):
        u = random_field((2, *shape))
        single = operator(shape, distance, kernel=kernel, method=method, dtype=jnp.complex64)
        exact = apply(operator(shape, distance, kernel=kernel, method="reference"), u)
        out = apply(single, u.astype(jnp.complex64))
        assert out.dtype == jnp.complex64
        # 6e-8 for each rounding, about ten on the way.
        assert relative(out, exact) < 1e-6


@pytest.mark.parametrize(("kernel", "method"), [*VARIANTS, ("exact", "reference")])
@pytest.mark.parametrize("distance", [1e-3, 50e-3])
def test_centred_operator_is_symmetric(kernel, method, distance):
    op = operator((5, 6), distance, kernel=kernel, method=method)
    assert op.is_symmetric
    matrix = dense(op)
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-14)
    assert np.abs(matrix - matrix.conj().T).max() > 1e-3  # symmetric, not Hermitian


@pytest.mark.parametrize(("kernel", "method"), [*VARIANTS, ("fresnel", "reference")])
@pytest.mark.parametrize("distance", [1e-3, 50e-3])
def test_transpose_passes_the_dot_product_test_with_shift(kernel, method, distance):
    shape = (9, 14)
    op = operator(shape, distance, kernel=kernel, method=method, output_shift=(3e-6, -20e-6))
    u, v = random_field(shape, 1), random_field(shape, 2)
    there, back, turned = (
        np.sum(np.asarray(b) * apply(o, a))
        for o, a, b in ((op, u, v), (op.transpose(), v, u), (op, v, u))
    )
    assert abs(there - back) < 1e-13 * u.size
    assert not op.is_symmetric
    assert abs(there - turned) > 1e-3 * abs(there)
    # Also what was made with the opposite shift, and back again.
    opposite = operator(shape, distance, kernel=kernel, method=method, output_shift=(-3e-6, 20e-6))
    np.testing.assert_allclose(apply(op.transpose(), v), apply(opposite, v), atol=1e-13)
    again = apply(op.transpose().transpose(), u)
    np.testing.assert_allclose(again, apply(op, u), atol=1e-14)


class Dense(eqx.Module):
    """The same map as a plain matrix, which JAX differentiates without us."""

    matrix: jax.Array

    def __call__(self, u):
        return (u.reshape(-1, self.matrix.shape[0]) @ self.matrix.T).reshape(u.shape)


def loss(phase, propagate, fields, target):
    modulated = fields * jnp.exp(1j * phase)[None]
    first = propagate(modulated)
    second = propagate(first * (1 + jnp.abs(first) ** 2))
    return jnp.sum(jnp.abs(second - target[None]) ** 2)


@eqx.filter_jit
def derivatives(propagate, phase, fields, target):
    """Gradient, slope along a direction, and Hessian-vector product, forward over reverse."""
    of_phase = lambda p: loss(p, propagate, fields, target)  # noqa: E731
    gradient, tangent = jax.grad(of_phase), (jnp.cos(phase),)
    slope = jax.jvp(of_phase, (phase,), tangent)[1]
    return gradient(phase), slope, jax.jvp(gradient, (phase,), tangent)[1]


@eqx.filter_jit
def mapped_gradients(op, phase, fields, target):
    every = (jax.vmap(op), lambda u: jax.lax.map(op, u))
    return [jax.grad(loss)(phase, propagate, fields, target) for propagate in every]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3e-6, -20e-6)], ids=["centred", "shifted"])
@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_gradient_equals_plain_autodiff_of_the_dense_matrix(kernel, method, shift):
    shape = (5, 6)
    op = operator(shape, 3e-3, kernel=kernel, method=method, output_shift=shift)
    plain = operator(shape, 3e-3, kernel=kernel, method="reference", output_shift=shift)
    phase = jnp.asarray(np.random.default_rng(7).uniform(0, 6, shape))
    inputs = phase, random_field((3, *shape)), random_field(shape, 5)
    expected, slope, curved = derivatives(Dense(jnp.asarray(dense(plain))), *inputs)
    found = derivatives(op, *inputs)
    assert relative(found[0], expected) < 1e-12
    np.testing.assert_allclose(found[1], slope, rtol=1e-11)
    assert relative(found[2], curved) < 1e-11
    if shift != (0.0, 0.0):  # once for each method
        for gradient in mapped_gradients(op, *inputs):
            assert relative(gradient, expected) < 1e-12


def test_pullback_is_the_transpose_without_conjugate():
    op = operator((6, 5), 3e-3, output_shift=(2e-6, 0.0))
    u, c = random_field((6, 5), 1), random_field((6, 5), 2)
    (pulled,) = jax.jit(lambda u, c: jax.vjp(op, u)[1](c))(u, c)
    np.testing.assert_allclose(pulled, apply(op.transpose(), c), atol=1e-14)
    conjugate = apply(op.transpose(), jnp.asarray(np.conj(c)))
    assert relative(np.conj(conjugate), pulled) > 0.1


@pytest.mark.parametrize("method", ["matrix", "fft"])
def test_works_inside_scan_with_the_operator_as_an_argument(method):
    op = operator((8, 7), 1e-3, method=method)
    u = random_field((3, 8, 7))
    phases = jnp.asarray(np.random.default_rng(3).uniform(0, 6, (4, 8, 7)))

    @eqx.filter_jit
    def value_and_gradient(op, phases):
        def loss(phases):
            def layer(field, phase):
                return op(field * jnp.exp(1j * phase)[None]), None

            return jnp.sum(jnp.abs(jax.lax.scan(layer, u, phases)[0][:, :3]) ** 2)

        return jax.value_and_grad(loss)(phases)

    def unrolled(phases):
        field = u
        for phase in phases:
            field = op(field * jnp.exp(1j * phase)[None])
        return jnp.sum(jnp.abs(field[:, :3]) ** 2)

    value, gradient = value_and_gradient(op, phases)
    expected, slope = jax.jit(jax.value_and_grad(unrolled))(phases)
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(gradient, slope, atol=1e-12)


def without_carrier(field, distance):
    """Amplitude over exp(i k z), whole cycles taken out exactly: k z is up to 1e5 rad here."""
    cycles = Fraction(distance) / Fraction(WAVELENGTH) % 1
    return np.asarray(field.amplitude) * np.exp(-2j * np.pi * float(cycles))


# On 9 x 14 samples the switch lies at 2.2 mm and 3.4 mm; the shorter distances keep the whole band. Kernels are
# sampled alike, so only rounding differs: 60 rad of kernel phase and log2(28 * 18) butterflies, times eps. A transfer
# function on P = 64 * 9 samples wraps pi X / (3 P^2) = 1.3e-5 at each lag with X = 4.2 samples of walk-off:
# 2e-4 of 126 samples.
OTHERS = [
    ("fresnel", 1e-3, partial(fresnel_transfer, pad=64), 3e-4),
    ("fresnel", 5e-3, None, 1e-12),
    ("exact", 1e-3, partial(angular_spectrum, pad=64), 3e-4),
    ("exact", 1e-3, propagate, 1e-12),
    ("exact", 5e-3, rayleigh_sommerfeld, 1e-12),
]


@pytest.mark.parametrize("sign", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize(("kernel", "distance", "other", "tolerance"), OTHERS)
def test_other_modules_propagate_alike_but_for_the_carrier(
    kernel, distance, other, tolerance, sign
):
    shape, distance = (9, 14), sign * distance
    field = Field(random_field((2, *shape)), WAVELENGTH, PITCH)
    if other is None:
        expected = fresnel_chirp_z(field, distance, shape=shape, pixel_pitch=PITCH)
    else:
        expected = other(field, distance)
    for method in ("fft", "matrix") if kernel == "fresnel" else ("fft",):
        got = apply(operator(shape, distance, kernel=kernel, method=method), field.amplitude)
        np.testing.assert_allclose(got, without_carrier(expected, distance), rtol=0, atol=tolerance)


def test_displaced_window_is_the_one_that_the_chirp_z_transform_is_centred_on():
    shape, distance, shift = (9, 14), 9e-3, (3e-6, -20e-6)
    field = Field(random_field(shape), WAVELENGTH, PITCH)
    other = fresnel_chirp_z(field, distance, shape=shape, pixel_pitch=PITCH, centre=shift)
    got = apply(operator(shape, distance, output_shift=shift), field.amplitude)
    np.testing.assert_allclose(got, without_carrier(other, distance), atol=1e-12)


def gaussian(x, z, waist, wavelength=WAVELENGTH):
    """One axis of a paraxial Gaussian beam without its carrier, Saleh and Teich eq. 3.1-7."""
    rayleigh = np.pi * waist**2 / wavelength
    return np.sqrt(-1j * rayleigh / (z - 1j * rayleigh)) * np.exp(
        1j * np.pi * x**2 / (wavelength * (z - 1j * rayleigh))
    )


@pytest.mark.parametrize("distance", [10e-3, -10e-3, 60e-3])
@pytest.mark.parametrize("method", ["matrix", "fft", "reference"])
def test_gaussian_beam_spreads_as_in_closed_form(method, distance):
    # Waist 60 um, Rayleigh range 21 mm. At 60 mm the width is 180 um; exp(-(N/2 pitch / w)^2) on
    # the rim of 2.0 mm is below 1e-13, and so is the spectrum at the Nyquist frequency. The switch
    # to the impulse response is at 2 N pitch^2 / lambda = 61.6 mm for 256, and 30.8 mm for 128.
    n, shift = 256, (5e-6, -11e-6)
    x = np.asarray(centred_axis(n, PITCH))
    u = jnp.asarray(np.outer(gaussian(x, 0, 60e-6), gaussian(x, 0, 40e-6)))
    op = operator((n, n), distance, method=method, output_shift=shift)
    expected = np.outer(
        gaussian(x + shift[0], distance, 60e-6), gaussian(x + shift[1], distance, 40e-6)
    )
    # 40 um widens to 257 um at 60 mm: exp(-(1024/257)^2) = 1.3e-7 is cut off at the rim.
    found = apply(op, u)
    np.testing.assert_allclose(found, expected, atol=1e-10 if abs(distance) < 20e-3 else 3e-7)


def test_gaussian_beam_beyond_the_switch_to_the_impulse_response():
    # 63 mm is beyond 61.6 mm. The chirp is then sampled with less than pi between neighbours over
    # all lags, and the sum over a smooth beam converges as the trapezoidal rule of a Gaussian does.
    n = 256
    x = np.asarray(centred_axis(n, PITCH))
    u = jnp.asarray(np.outer(gaussian(x, 0, 60e-6), gaussian(x, 0, 60e-6)))
    expected = np.outer(gaussian(x, 63e-3, 60e-6), gaussian(x, 63e-3, 60e-6))
    np.testing.assert_allclose(apply(operator((n, n), 63e-3), u), expected, atol=1e-12)


@pytest.mark.parametrize("distance", [20e-3, 80e-3])
def test_exact_kernel_approaches_fresnel_for_a_paraxial_beam(distance):
    # Leading phase error k z theta^4 / 8 with theta = lambda / (pi w0) = 2.8e-3: 7e-6 rad at 80 mm.
    x = np.asarray(centred_axis(160, PITCH))
    u = jnp.asarray(np.outer(gaussian(x, 0, 60e-6), gaussian(x, 0, 60e-6)))
    fresnel = apply(operator((160, 160), distance), u)
    exact = apply(operator((160, 160), distance, kernel="exact"), u)
    bound = 2 * 2 * np.pi / WAVELENGTH * distance * (WAVELENGTH / np.pi / 60e-6) ** 4 / 8
    # 2: the mean of theta^4 over the spectrum is twice its value at the 1/e angle.
    assert 0.1 * bound < relative(exact, fresnel) < bound


@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_shift_by_whole_pixels_looks_at_a_displaced_part_of_a_larger_window(kernel, method):
    # Beyond the switch the impulse response does not depend on the window, so the two are equal.
    shape, distance, moved = (9, 14), 50e-3, (2, -3)
    options = {"kernel": kernel, "method": method}
    u = random_field(shape)
    shift = tuple(m * PITCH for m in moved)
    seen = apply(operator(shape, distance, output_shift=shift, **options), u)
    wide = np.asarray(apply(operator((19, 24), distance, **options), pad_to(u, (19, 24))))
    y, x = 19 // 2 - 9 // 2 + moved[0], 24 // 2 - 14 // 2 + moved[1]
    np.testing.assert_allclose(seen, wide[y : y + 9, x : x + 14], atol=1e-13)


@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_zero_distance_returns_the_field_and_shift_moves_it(kernel, method):
    u, options = random_field((7, 8)), {"kernel": kernel, "method": method}
    np.testing.assert_allclose(apply(operator((7, 8), 0.0, **options), u), u, atol=1e-14)
    moved = apply(operator((7, 8), 0.0, output_shift=(PITCH, -2 * PITCH), **options), u)
    expected = np.zeros((7, 8), complex)
    expected[:-1, 2:] = np.asarray(u)[1:, :-2]
    np.testing.assert_allclose(moved, expected, atol=1e-13)


@pytest.mark.parametrize(("kernel", "method"), VARIANTS)
def test_window_displaced_beyond_the_padding_sees_no_periodic_copy(kernel, method):
    # 12 pixels from a window of 7: on a padded grid of 16 the input would come round again.
    op = operator((7, 8), 0.0, kernel=kernel, method=method, output_shift=(12 * PITCH, 0.0))
    np.testing.assert_allclose(apply(op, random_field((7, 8))), 0, atol=1e-13)


def test_evanescent_waves_decay_both_ways():
    # A pitch of a fifth of a wavelength carries frequencies up to 2.5 / lambda.
    for z in (2e-6, -2e-6):
        op = make_free_space((5, 6), 100e-9, 500e-9, z, kernel="exact", dtype=complex)
        assert np.linalg.norm(dense(op), 2) < 1 + 1e-12


def test_auto_takes_matrices_for_fresnel_and_ffts_otherwise():
    assert operator((64, 64), 1e-3).method == "matrix"
    assert operator((2, 2000), 1e-3).method == "fft"
    assert operator((64, 64), 1e-3, kernel="exact").method == "fft"


def test_second_call_does_not_compile_again():
    traces = []

    @jax.jit
    def step(op, u):
        traces.append(1)
        return op(u)

    u = random_field((8, 8))
    for distance in (1e-3, 1e-3):
        step(operator((8, 8), distance), u)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_pitch": -8e-6}, "`pixel_pitch` must be positive and finite, but is -8e-06 m"),
        ({"wavelength": 0.0}, "`wavelength` must be positive and finite, but is 0 m"),
        ({"distance": np.nan}, "`distance` must be finite, but is nan m"),
        ({"distance": np.inf}, "`distance` must be finite, but is inf m"),
        ({"output_shift": (0.0, np.inf)}, "`output_shift` must be finite, but is inf m"),
        ({"shape": (0, 4)}, r"`shape` must be two positive sizes \(ny, nx\), but is \(0, 4\)"),
        ({"method": "magic"}, "`method` must be .* but is 'magic'"),
        ({"kernel": "magic"}, "`kernel` must be .* but is 'magic'"),
        ({"kernel": "exact", "method": "matrix"}, "not separable"),
    ],
)
def test_bad_geometry_is_named(change, message):
    good = {"shape": (4, 4), "pixel_pitch": PITCH, "wavelength": WAVELENGTH, "distance": 1e-3}
    with pytest.raises(ValueError, match=message):
        make_free_space(**good | change)


def test_wrong_fields_and_types_are_named():
    op = operator((4, 4), 1e-3, dtype=jnp.complex64)
    with pytest.raises(ValueError, match=r"`amplitude` must have last axes \(4, 4\)"):
        op(random_field((4, 5), dtype=jnp.complex64))
    with pytest.raises(TypeError, match="complex128, but the operator was made for complex64"):
        op(random_field((4, 4)))
    with pytest.raises(TypeError, match="`dtype` must be complex64 or complex128, but is float32"):
        operator((4, 4), 1e-3, dtype=jnp.float32)


def test_asking_for_a_derivative_in_the_geometry_is_an_error_not_zero():
    u = random_field((4, 4))
    op = operator((4, 4), 1e-3)

    def power(op, u):
        return jnp.sum(jnp.abs(op(u)) ** 2)

    with pytest.raises(TypeError, match="no derivative in its geometry"):
        eqx.filter_eval_shape(eqx.filter_grad(power), op, u)
    with pytest.raises(TypeError, match="`distance` must be a number, but is traced"):
        jax.eval_shape(jax.grad(lambda z: power(operator((4, 4), z), u)), 1e-3)

    @eqx.filter_jit
    def allowed(op, u):
        frozen = jax.tree.map(jax.lax.stop_gradient, op)
        return jax.grad(lambda v: power(frozen, v))(u)

    assert np.isfinite(allowed(op, u)).all()

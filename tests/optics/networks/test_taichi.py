import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.integrate import quad
from scipy.special import hankel1

from optics.networks import taichi
from optics.networks.encoders import load_amplitudes
from optics.networks.taichi import SlabGeometry
from optics.waves.field import Field
from optics.waves.propagation import angular_spectrum
from optics.waves.sampling import SamplingWarning

SMALL = SlabGeometry(length=40e-6)

row = jax.jit(taichi.side_by_side)
series = jax.jit(taichi.in_series, static_argnums=3)


@jax.jit
def through(diffractor, chiplet, x):
    """Behind the encoder, the core and the whole chiplet."""
    inside = diffractor.encode(chiplet.encoder_phase, x)
    return inside, chiplet.core(inside), chiplet(diffractor, x)


encode = jax.jit(taichi.Diffractor.encode)


def complex_normal(shape, seed=0):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.normal(size=shape) + 1j * random.normal(size=shape))


@pytest.fixture(scope="module")
def diffractor():
    return taichi.make_diffractor(12, 6, SMALL, jnp.complex128)


@pytest.fixture(scope="module")
def chiplets(diffractor):
    draw = jax.jit(lambda key: taichi.make_chiplets(3, diffractor, key=key, n_masks=2))
    return draw(jax.random.key(1))


def one(chiplets, index=0):
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a)[index]), chiplets)


def mode(x, width):
    return np.where(np.abs(x) < width / 2, np.sqrt(2 / width) * np.cos(np.pi * x / width), 0.0)


def test_the_spectrum_is_that_of_a_half_cosine():
    width = 1.6e-6
    for f in (0.0, 2e5, 0.5 / width, 1.1e6):
        value, _ = quad(
            lambda x, f=f: float(mode(x * 1e-6, width)) * np.cos(2e-6 * np.pi * f * x), -0.8, 0.8
        )
        # quad is good to 1e-8 of a value near 1; micrometres keep it well scaled.
        assert taichi.half_cosine_spectrum(np.array(f), width) == pytest.approx(
            1e-6 * value, rel=1e-7
        )


def test_modes_carry_unit_power():
    f = np.linspace(-4e7, 4e7, 400_001)
    power = np.sum(taichi.half_cosine_spectrum(f, 1.6e-6) ** 2) * (f[1] - f[0])
    # The tail beyond |f w| = 64 falls as f^-4 and holds below 1e-5.
    assert power == pytest.approx(1, abs=1e-5)


def test_the_index_shortens_the_wavelength_in_the_slab():
    denser = SlabGeometry(length=40e-6, wavelength=2 * SMALL.wavelength, effective_index=5.6)
    wide = dataclasses.replace(SMALL, pitch=4e-6)
    distances = np.array([0.0, 4e-6])
    np.testing.assert_array_equal(
        taichi.slab_matrix(2, 2, wide)[0], taichi.slab_coupling(distances, SMALL)
    )
    np.testing.assert_allclose(
        taichi.slab_coupling(distances, denser), taichi.slab_coupling(distances, SMALL), rtol=1e-12
    )


def test_a_slab_is_the_rayleigh_sommerfeld_convolution():
    z, width, wavelength = SMALL.length, SMALL.mode_width, SMALL.slab_wavelength
    k = 2 * np.pi / wavelength
    x = (np.arange(64) + 0.5) / 64 * width - width / 2
    step = x[1] - x[0]
    for distance in (0.0, 4e-6, 14e-6):
        lateral = distance + x[:, None] - x[None, :]
        radius = np.hypot(lateral, z)
        kernel = 0.5j * k * z / radius * hankel1(1, k * radius) * np.exp(-1j * k * z)
        expected = mode(x, width) @ kernel @ mode(x, width) * step**2
        got = taichi.slab_coupling(np.array(distance), SMALL)
        # The midpoint rule on 64 points of half a cosine: (pi / 64)^2 / 12 = 2e-4, of |t| near 0.2.
        assert abs(got - expected) < 1e-4


def test_a_slab_is_the_angular_spectrum_of_the_library():
    # One row of samples: no frequency along y, so the two-dimensional propagator becomes the slab.
    n, pitch = 32768, 25e-9
    x = (np.arange(n) - n // 2) * pitch
    width = SMALL.mode_width
    field = Field(jnp.asarray(mode(x, width) + 0j)[None], SMALL.slab_wavelength, pitch)
    # What the sampling limit cuts are waves that leave the 0.8 mm window; over 40 um those are within 0.5 % of grazing.
    with pytest.warns(SamplingWarning):
        out = np.asarray(angular_spectrum(field, SMALL.length, pad=1).amplitude[0])
    out = out * np.exp(-2j * np.pi * SMALL.length / SMALL.slab_wavelength)
    for distance in (0.0, 2e-6, 10e-6):
        overlap = np.sum(mode(x - distance, width) * out) * pitch
        # 64 samples over each mode: 2 (pi / 64)^2 / 12 = 4e-4, of |t| below 0.3.
        assert abs(overlap - taichi.slab_coupling(np.array(distance), SMALL)) < 3e-4


def test_no_light_is_gained_and_a_wide_output_catches_all_that_fits_a_mode():
    matrix = taichi.slab_matrix(40, 40, SMALL)
    assert np.linalg.norm(matrix, 2) <= 1 + 1e-9
    np.testing.assert_array_equal(matrix, matrix.T)
    # Full fill has loss only to the front that does not fit half cosines; gaps of 0.4 pitch lose more.
    full = dataclasses.replace(SMALL, mode_width=SMALL.pitch)
    half = dataclasses.replace(SMALL, mode_width=SMALL.pitch / 2)
    caught = [np.sum(abs(taichi.slab_matrix(61, 1, g)) ** 2) for g in (full, half)]
    assert 1 > caught[0] > caught[1] > 0.2


def test_a_touching_slab_joins_each_waveguide_to_its_opposite():
    near = dataclasses.replace(SMALL, length=1e-9)
    # Evanescent waves are left out: beyond |f| w = 2.9 they hold about (2 / pi^2) 2.9^-3 / 12 = 7e-4 of the power.
    np.testing.assert_allclose(taichi.slab_matrix(5, 5, near), np.eye(5), atol=2e-3)


def test_compression_loses_at_least_the_share_of_missing_ports(diffractor, chiplets):
    # The mean over inputs is |E|_F^2 / M, and E has N singular values of at most 1.
    masks, lit = one(chiplets).encoder_phase, jnp.asarray(np.eye(12, dtype=complex))
    assert np.sum(np.abs(encode(diffractor, masks, lit)) ** 2) / 12 <= 6 / 12


def test_masks_and_core_keep_power_and_slabs_only_lose_it(diffractor, chiplets):
    x = complex_normal((4, 12))
    for chiplet in (one(chiplets), one(chiplets, 1)):
        inside, behind, out = (
            np.linalg.norm(light, axis=-1) for light in through(diffractor, chiplet, x)
        )
        # Unitary to rounding over 12 columns of doubles.
        np.testing.assert_allclose(behind, inside, rtol=1e-13)
        assert np.all(out < np.linalg.norm(x, axis=-1))


def test_the_decoder_is_the_transposed_encoder(diffractor, chiplets):
    masks = one(chiplets).encoder_phase
    x, y = complex_normal((4, 12), 1), complex_normal((4, 6), 2)
    decoded = jax.jit(taichi.Diffractor.decode)(diffractor, masks, y)
    left = np.sum(y * np.asarray(encode(diffractor, masks, x)))
    right = np.sum(np.asarray(decoded) * x)
    assert abs(left - right) < 1e-12  # a few dozen terms near 1


def test_the_encoder_is_slab_mask_slab_mask_slab(diffractor, chiplets):
    masks = one(chiplets).encoder_phase
    first, second = (np.diag(np.exp(1j * m)) for m in np.asarray(masks))
    narrow, wide = np.asarray(diffractor.narrow), np.asarray(diffractor.wide)
    x, matrix = complex_normal((4, 12)), narrow @ second @ wide @ first @ wide
    found = encode(diffractor, masks, x)
    np.testing.assert_allclose(found, np.asarray(x) @ matrix.T, atol=1e-13)


def test_side_by_side_is_a_loop_over_chiplets(diffractor, chiplets):
    x = complex_normal((4, 12))
    expected = np.stack([through(diffractor, one(chiplets, i), x)[2] for i in range(3)])
    np.testing.assert_allclose(row(chiplets, diffractor, x), expected, atol=1e-13)


def test_in_series_is_a_loop_over_chiplets(diffractor, chiplets):
    x = complex_normal((4, 12))
    for relay in ("coherent", "detected"):
        u = x
        for i in range(3):
            u = through(diffractor, one(chiplets, i), u)[2]
            if relay == "detected" and i < 2:
                u = taichi.remodulate(u)
        got = series(chiplets, diffractor, x, relay)
        np.testing.assert_allclose(got, u, atol=1e-13)


def test_a_coherent_series_is_linear_and_a_detected_one_is_not(diffractor, chiplets):
    x, y = (np.asarray(complex_normal((4, 12), seed)) for seed in (3, 4))
    for relay, linear in (("coherent", True), ("detected", False)):
        both, a, b = (
            np.asarray(series(chiplets, diffractor, jnp.asarray(u), relay)) for u in (x + y, x, y)
        )
        assert np.allclose(both, a + b, atol=1e-12) is linear


def test_remodulated_light_has_unit_power_and_no_phase():
    y = np.asarray(taichi.remodulate(jnp.asarray(3 * np.asarray(complex_normal((4, 12))))))
    # The floor adds 9e-12.
    np.testing.assert_allclose(np.sum(np.abs(y) ** 2, axis=-1), 1, atol=1e-11)
    assert np.max(np.abs(y.imag)) == 0
    slope = jax.jit(jax.grad(lambda p: taichi.remodulate(p + 0j).real.sum()))
    assert np.all(np.isfinite(slope(np.zeros(4))))


def test_regions_are_equal_neighbouring_groups():
    fields = jnp.asarray(np.sqrt(np.arange(8.0)) + 0j)
    # rtol: a root squared.
    np.testing.assert_allclose(taichi.region_powers(fields, 3), [0 + 1, 2 + 3, 4 + 5], rtol=1e-14)


def test_probabilities_do_not_see_the_brightness():
    powers = np.array([[0.1, 0.3, 0.2]])
    a, b = (np.asarray(taichi.log_probabilities(jnp.asarray(s * powers))) for s in (1, 1e-9))
    np.testing.assert_allclose(a, b, rtol=1e-9)
    assert np.sum(np.exp(a)) == pytest.approx(1)
    assert np.argmax(a) == 1


def test_errors_have_their_size_and_none_leaves_the_chip_as_it_is(diffractor, chiplets):
    many = jax.tree.map(lambda a: jnp.asarray(np.concatenate([np.asarray(a)] * 12)), chiplets)
    x = complex_normal((4, 12))
    draw = jax.jit(
        lambda s, p: taichi.draw_chiplets(
            many, key=jax.random.key(4), splitter_error=s, phase_error=p
        )
    )
    exact = draw(0.0, 0.0)
    np.testing.assert_allclose(
        row(exact, diffractor, x),
        row(many, diffractor, x),
        atol=1e-13,
    )
    rough = draw(0.02, 0.1)
    rough, many = (jax.tree.map(np.asarray, c) for c in (rough, many))
    for got, size in (
        (rough.core.left_error, 0.02),
        (rough.core.right_error, 0.02),
        (rough.encoder_phase - many.encoder_phase, 0.1),
        (rough.decoder_phase - many.decoder_phase, 0.1),
        (rough.core.theta - many.core.theta, 0.1),
        (rough.core.output_phase - many.core.output_phase, 0.1),
    ):
        # A standard deviation of n samples is known to 1 / sqrt(2 n); four of those.
        assert np.std(got) == pytest.approx(size, rel=4 / np.sqrt(2 * got.size))
    assert not np.allclose(rough.core.left_error, rough.core.right_error)


def test_errors_of_couplers_keep_power_inside_the_core(diffractor, chiplets):
    x = complex_normal((3, 6))

    @jax.jit
    def behind_rough_core(chiplet, key):
        rough = taichi.draw_chiplets(chiplet, key=key, splitter_error=0.1, phase_error=0.1)
        return rough.core(x)

    out = behind_rough_core(one(chiplets), jax.random.key(5))
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-13)


def test_parameters_are_counted_and_all_of_them_act(diffractor, chiplets):
    assert taichi.n_parameters(chiplets) == 3 * (2 * 12 + 2 * 12 + 36)
    moving, fixed = eqx.partition(chiplets, taichi.trainable(chiplets))
    x = complex_normal((4, 12))
    weight = jnp.asarray(np.random.default_rng(6).normal(size=(3, 4, 12)))

    @jax.jit
    def loss(moving):
        y = row(eqx.combine(moving, fixed), diffractor, x)
        return jnp.sum(weight * jnp.abs(y) ** 2)

    gradient = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(moving))
    n_active = sum(int(np.sum(np.abs(g) > 1e-9)) for g in jax.tree.leaves(gradient))
    # Random masks, no symmetry: every phase has an effect, slots without a cell have none.
    assert n_active == taichi.n_parameters(chiplets)
    step = 1e-6
    direction = jax.tree.map(lambda g: np.asarray(complex_normal(g.shape, 7)).real, gradient)
    up, down = (
        loss(jax.tree.map(lambda a, d, s=s: np.asarray(a) + s * step * d, moving, direction))
        for s in (1, -1)
    )
    slope = sum(
        float(np.sum(g * d))
        for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    )
    # Central difference in double precision: step^2 against rounding / step, about 1e-9 of the loss.
    assert float(up - down) / (2 * step) == pytest.approx(slope, rel=1e-6)


def test_training_separates_two_patterns(diffractor, chiplets):
    moving, fixed = eqx.partition(chiplets, taichi.trainable(chiplets))
    x = load_amplitudes(jnp.asarray(np.random.default_rng(8).uniform(size=(16, 11))), 12)
    labels = jnp.arange(16) % 2

    def loss(moving):
        y = row(eqx.combine(moving, fixed), diffractor, x)
        found = taichi.log_probabilities(taichi.region_powers(y, 2))
        return -jnp.mean(found[:, jnp.arange(16), labels])

    optimiser = optax.adam(0.05)

    @jax.jit
    def train(moving):
        def step(state, _):
            value, gradient = jax.value_and_grad(loss)(state[0])
            updates, memory = optimiser.update(gradient, state[1])
            return (optax.apply_updates(state[0], updates), memory), value

        return jax.lax.scan(step, (moving, optimiser.init(moving)), length=150)[1]

    losses = train(moving)
    assert float(losses[-1]) < 0.5 * float(losses[0])


def test_single_precision_stays_single(diffractor):
    single = taichi.make_diffractor(6, 4, SMALL)
    chiplets = taichi.make_chiplets(2, single, key=jax.random.key(0))
    out = row(chiplets, single, jnp.ones((3, 6), jnp.complex64))
    assert out.dtype == jnp.complex64
    assert series(chiplets, single, jnp.ones((3, 6), jnp.complex64)).dtype == out.dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d, c: SlabGeometry(length=-1e-6), "`length` must be positive and finite"),
        (
            lambda d, c: SlabGeometry(pitch=1e-6, mode_width=2e-6),
            "`mode_width` must not exceed the pitch of 1e-06 m",
        ),
        (lambda d, c: taichi.slab_matrix(0, 3, SMALL), "`n_outputs` must be at least 1, but is 0"),
        (
            lambda d, c: taichi.make_diffractor(4, 6, SMALL),
            "`n_ports` must lie between 2 and the 4 inputs, but is 6",
        ),
        (
            lambda d, c: taichi.make_chiplets(0, d, key=jax.random.key(0)),
            "`n_chiplets` must be at least 1, but is 0",
        ),
        (
            lambda d, c: one(c)(d, complex_normal((2, 5))),
            r"`fields` must have last axes \(12,\), but its shape is \(2, 5\)",
        ),
        (
            lambda d, c: taichi.region_powers(complex_normal((4,)), 5),
            "`n_regions` must not exceed the 4 detectors, but is 5",
        ),
        (
            lambda d, c: taichi.draw_chiplets(
                c, key=jax.random.key(0), splitter_error=-0.1, phase_error=0.0
            ),
            "`splitter_error` must lie between 0 and 3.14159, but is -0.1 rad",
        ),
    ],
)
def test_bad_input_is_named(diffractor, chiplets, call, message):
    with pytest.raises(ValueError, match=message):
        call(diffractor, chiplets)

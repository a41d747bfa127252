"""Exact propagation under JAX: derivatives, compilation, batches, single precision."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from optics.waves.field import Field
from optics.waves.propagation import propagate
from optics.waves.sampling import SamplingWarning

GREEN = 532e-9  # m
METHODS = ["angular_spectrum", "rayleigh_sommerfeld", "auto"]


def relative(a, b):
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)) / np.linalg.norm(np.asarray(b)))


def random_field(shape, pitch=8e-6, seed=0):
    rng = np.random.default_rng(seed)
    return Field(rng.normal(size=shape) + 1j * rng.normal(size=shape), GREEN, pitch)


def quiet(field, distance, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        return propagate(field, distance, method=method)


@jax.jit  # once for all geometries
def loss_of_bent_geometry(t, pitch, distance):
    amplitude, weights = (random_field((8, 8), seed=seed).amplitude for seed in (0, 5))
    # Relative changes, so that all three are of order one; k z is 1e4 ... 1e6 rad: shrink the step
    # instead of losing the derivative.
    scale = 1 + t * jnp.stack([GREEN / abs(distance), 1e-2, 1.0])
    bent = Field(amplitude, GREEN * scale[0], pitch * scale[1])
    # A tenth of a wavelength per unit keeps the carrier smooth for finite differences.
    out = propagate(bent, distance + 0.1 * GREEN * scale[2]).amplitude
    return jnp.sum(jnp.abs(out + weights) ** 2)


@pytest.mark.parametrize(
    ("pitch", "distance"), [(8e-6, 1e-3), (8e-6, 0.02), (8e-6, -0.02), (0.3e-6, 2e-6)]
)
def test_gradients_in_distance_wavelength_and_pitch(pitch, distance):
    def loss(t):
        return loss_of_bent_geometry(t, pitch, distance)

    check_grads(loss, (jnp.full(3, 0.3),), order=1, modes=["fwd", "rev"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("distance", [0.0, 1e-3, 0.02, -0.02])
def test_jit_changes_nothing(distance):
    field = random_field((9, 14))
    expected = propagate(field, distance).amplitude
    np.testing.assert_allclose(jax.jit(propagate)(field, distance).amplitude, expected, atol=1e-13)


def test_jit_changes_nothing_of_grazing_waves():
    # Pitch below the wavelength, nearer than the impulse response is sampled: a root at the end of what travels.
    field = random_field((9, 14), 0.3e-6)
    for distance in (0.5e-6, -1.1e-6):
        expected = propagate(field, distance).amplitude
        found = jax.jit(propagate)(field, distance).amplitude
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_traced_distances_do_not_recompile():
    traces = []

    @jax.jit
    def step(field, distance):
        traces.append(1)
        return propagate(field, distance)

    for distance in (1e-3, 0.02):
        step(random_field((4, 4)), distance)
    assert len(traces) == 1


def test_gradient_is_finite_at_contact_even_under_vmap():
    field = random_field((8, 8))

    def loss(distance):
        return jnp.sum(abs(propagate(field, distance).amplitude + 0.3) ** 2)

    # vmap works out both kernels; the one not taken must not put NaN into the sum.
    distances = jnp.array([0.0, 0.02])
    together = jax.jit(jax.grad(lambda z: jnp.sum(jax.vmap(loss)(z))))(distances)
    one_by_one = jax.jit(jax.grad(loss))
    np.testing.assert_allclose(together, [one_by_one(z) for z in distances], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_batch_equals_loop(method):
    fields = random_field((2, 3, 9, 14))
    together = quiet(fields, 3e-3, method).amplitude
    for index in np.ndindex(2, 3):
        one = quiet(fields.with_amplitude(fields.amplitude[index]), 3e-3, method).amplitude
        np.testing.assert_allclose(together[index], one, atol=1e-14)


def test_distances_can_be_mapped_over():
    field, distances = random_field((8, 8)), jnp.array([1e-3, -0.02, 0.02])
    together = jax.jit(jax.vmap(lambda z: propagate(field, z).amplitude))(distances)
    for z, amplitude in zip(distances, together, strict=True):
        np.testing.assert_allclose(amplitude, propagate(field, float(z)).amplitude, atol=1e-13)


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("distance", [0.05, 0.388])
def test_single_precision_at_a_million_wavelengths(distance, traced):
    wide = random_field((400, 400))
    with jax.enable_x64(False):
        field = Field(np.asarray(wide.amplitude, np.complex64), GREEN, 8e-6)
        z = jnp.float32(distance)
        step = jax.jit(propagate) if traced else propagate
        got = np.asarray(step(field, z).amplitude)
        numbers = float(field.wavelength), float(field.pixel_pitch)
    assert got.dtype == np.complex64
    # Same numbers, rounded to float32 where float32 had to store them.
    expected = propagate(Field(wide.amplitude, *numbers), float(z)).amplitude
    # A few FFT roundings of 6e-8; k z = 5e6 rad in float32 would be wrong by 0.3.
    assert relative(got, expected) < 2e-6

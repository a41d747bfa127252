"""Random valid fields and elements against direct sums and closed forms in double precision.

100 cases of each of six kinds; `LIGHTECHO_RANDOM_CASES=4000` runs more. Cases of one kind run as one batch.
"""

import math
import os
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from optics.meshes.decomposition import decompose_unitary
from optics.waves import elements, fresnel
from optics.waves.field import Field
from optics.waves.propagation import propagate, rayleigh_sommerfeld
from optics.waves.zernike import zernike
from tests.strategies import fields

N = int(os.environ.get("LIGHTECHO_RANDOM_CASES", "100"))
SEED = int(os.environ.get("LIGHTECHO_RANDOM_SEED", "0"))


def batched(function):
    return jax.jit(jax.vmap(function))


def told(errors, *inputs):
    worst = int(np.argmax(errors))
    return f"case {worst} of seed {SEED}: {errors[worst]:.3g}, {[np.asarray(a)[worst] for a in inputs]}"


def test_rayleigh_sommerfeld_is_the_direct_sum():
    rng = np.random.default_rng([SEED, 1])
    amplitude, geometry = fields.light(rng, N), fields.geometries(rng, N)
    run = batched(lambda u, w, p, z: rayleigh_sommerfeld(Field(u, w, p), z).amplitude)
    errors = fields.relative_errors(
        run(amplitude, *geometry), fields.rayleigh_sommerfeld_sum(amplitude, geometry)
    )
    # Cycles are exact to 1e-16 of z / wavelength, at most 2e6 of them, and of their sum.
    assert errors.max() < 1e-8, told(errors, *geometry)


def test_propagate_is_the_direct_sum_from_where_the_response_is_sampled():
    rng = np.random.default_rng([SEED, 2])
    amplitude, geometry = fields.light(rng, N), fields.geometries(rng, N)
    w, pitch, z = geometry
    reach = max(fields.SHAPE) * np.sqrt(np.maximum((2 * pitch / w) ** 2 - 1, 0))
    z = np.sign(z) * np.maximum(np.abs(z), pitch * np.maximum(reach, 4) * 1.001)
    geometry = fields.Geometries(w, pitch, z)
    run = batched(lambda u, w, p, z: propagate(Field(u, w, p), z).amplitude)
    errors = fields.relative_errors(
        run(amplitude, *geometry), fields.rayleigh_sommerfeld_sum(amplitude, geometry)
    )
    assert errors.max() < 1e-8, told(errors, *geometry)


def test_chirp_z_is_the_fresnel_sum_on_any_window():
    rng = np.random.default_rng([SEED, 3])
    amplitude, geometry = fields.light(rng, N), fields.geometries(rng, N, nearest=100.0)
    shape = (3, 6)
    out = geometry.pitch * 10.0 ** rng.uniform(-1, 1, N)
    centre = rng.uniform(-20, 20, (2, N)) * out

    def run(u, w, p, z, pitch, y, x):
        window = {"shape": shape, "pixel_pitch": pitch, "centre": (y, x)}
        return fresnel.fresnel_chirp_z(Field(u, w, p), z, **window).amplitude

    found = batched(run)(amplitude, *geometry, out, *centre)
    errors = fields.relative_errors(
        found, fields.fresnel_sum(amplitude, geometry, out, centre, shape)
    )
    assert errors.max() < 1e-8, told(errors, *geometry, out, *centre)


def test_elements_are_their_phases():
    rng = np.random.default_rng([SEED, 4])
    amplitude, geometry = fields.light(rng, N), fields.geometries(rng, N)
    w, pitch, _ = geometry
    f = pitch * 10.0 ** rng.uniform(0.5, 4, N) * rng.choice([-1, 1], N)
    angles = rng.uniform(-1, 1, (2, N))
    path = w[:, None, None] * 10.0 ** rng.uniform(-3, 4, (N, *fields.SHAPE))
    period = pitch * rng.uniform(2, 20, N)

    def run(u, w, p, f, a, b, path, period):
        light = elements.tilt(elements.thin_lens(Field(u, w, p), f), a, b)
        light = elements.spherical_lens(elements.path_mask(light, path), 2 * f)
        return elements.sinusoidal_phase_grating(light, period, amplitude=1.5, axis="y").amplitude

    y, x = (fields.positions(n, pitch) for n in fields.SHAPE)
    square = y[:, :, None] ** 2 + x[:, None, :] ** 2
    wide = (2 * f)[:, None, None]
    length = path - square / wide
    length = length - np.sign(wide) * square / (np.sqrt(square + wide**2) + np.abs(wide))
    length = length + y[:, :, None] * np.sin(angles[0])[:, None, None]
    length = length + x[:, None, :] * np.sin(angles[1])[:, None, None]
    phase = 2 * np.pi * length / w[:, None, None]
    phase = phase + 1.5 * np.sin(2 * np.pi * y / period[:, None])[:, :, None]
    found = batched(run)(amplitude, w, pitch, f, *angles, path, period)
    errors = fields.relative_errors(found, amplitude * np.exp(1j * phase))
    assert errors.max() < 1e-8, told(errors, w, pitch, f)


def test_zernikes_are_sums_of_factorials():
    rng = np.random.default_rng([SEED, 5])
    orders = [(0, 0), (5, -3), (12, 4), (24, -24), (33, 1), (40, -8)]
    points = rng.uniform(-1, 1, (2, -(-N // len(orders))))
    for n, m in orders:
        found = np.asarray(zernike(n, m, *points))
        expected = [exact_zernike(n, m, *map(Fraction, point)) for point in points.T]
        # The recurrence loses a digit or two where the polynomial has grown, outside the disc.
        scale = np.maximum(np.abs(expected), 1)
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-11, err_msg=f"{n, m}")


def exact_zernike(n: int, m: int, y: Fraction, x: Fraction) -> float:
    """Z_n^m by its definition in whole numbers: sum over k of r^(n - 2 k), and r^m exp(i m t) = (x + i y)^m."""
    a, square, f = abs(m), x * x + y * y, math.factorial
    radial = sum(
        Fraction((-1) ** k * f(n - k), f(k) * f((n + a) // 2 - k) * f((n - a) // 2 - k))
        * square ** ((n - a) // 2 - k)
        for k in range((n - a) // 2 + 1)
    )
    cosine, sine = Fraction(1), Fraction(0)
    for _ in range(a):
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
    norm = math.sqrt(n + 1) if m == 0 else math.sqrt(2 * (n + 1))
    return norm * float(radial * (sine if m < 0 else cosine))


def test_meshes_realise_unitaries_with_zeros_and_equal_elements():
    rng = np.random.default_rng([SEED, 6])
    matrix = jax.jit(jax.vmap(lambda mesh: mesh.matrix()))
    wanted = []
    for case in range(N):
        if case % 4 == 0:  # a permutation with phases
            phases = np.exp(1j * np.round(rng.uniform(0, 2 * np.pi, 4), case % 3))
            wanted.append(np.eye(4)[rng.permutation(4)] * phases)
            continue
        drawn = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
        u, _, v = np.linalg.svd(np.round(drawn) if case % 4 == 1 else drawn)
        wanted.append(u @ v)
    meshes = [decompose_unitary(u) for u in wanted]
    found = matrix(jax.tree.map(lambda *leaves: jnp.stack(leaves), *meshes))
    errors = fields.relative_errors(found, np.array(wanted))
    assert errors.max() < 1e-12, told(errors, wanted)

"""One law for everything that light crosses: <backward(u), v> = <u, forward(v)>, bilinear, without a conjugate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.hardware.detectors import flir_bfs_u3_89s6m
from optics.hardware.imperfections import Imperfections
from optics.hardware.mesh_bench import draw_mesh_bench
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.hardware.twin import draw_twin
from optics.imaging.hidden_scene import SceneGeometry, make_round_trip
from optics.media.free_space import make_free_space
from optics.media.geometry import Geometry
from optics.media.scattering import make_medium, phase_screen, place_scatterer
from optics.meshes.mesh import make_mesh
from optics.meshes.symmetric import make_symmetric_core

GEOMETRY = Geometry((12, 14), 8e-6, 532e-9, 1e-3)
KEY = jax.random.key(0)
PRECISE = jnp.complex128
LENGTHS = (GEOMETRY.pixel_pitch, GEOMETRY.wavelength, GEOMETRY.distance)
SHIFTED = {"output_shift": (5e-6, -9e-6), "dtype": PRECISE}


def scattering_medium():
    screens = [phase_screen(GEOMETRY.shape, 8e-6, 2.0, 2e-5, key=k) for k in jax.random.split(KEY)]
    placed = place_scatterer(jnp.stack(screens), 1e-3, spacing=2e-4, offset=1e-4)
    return make_medium(placed, *LENGTHS, **SHIFTED)


def hidden_scene():
    scene = SceneGeometry(GEOMETRY.shape, to_wall=1e-3, to_object=7e-4)
    trip = make_round_trip(scene, wall_key=KEY, dtype=PRECISE)
    objects = jax.random.uniform(KEY, GEOMETRY.shape)
    displaced = make_free_space(GEOMETRY.shape, *LENGTHS, **SHIFTED)
    return dataclasses.replace(trip, objects=objects, to_camera=displaced)


def optical_twin():
    twin = draw_twin(GEOMETRY, Imperfections.preset("rough"), key=KEY, dtype=PRECISE)
    phase = jax.random.uniform(KEY, GEOMETRY.shape, maxval=6.0)
    return (lambda v: twin.run(v, phase)), (lambda u: twin.run_backward(u, phase))


def optical_bench():
    # No levels and no drift of the laser: loading rounds, which is not linear.
    errors = dataclasses.replace(
        Imperfections.preset("rough"), loading_levels=None, laser_drift=0.0, reference_drift=0.0
    )
    twin = draw_twin(GEOMETRY, errors, key=KEY, dtype=PRECISE)
    bench = OpticalBench(GEOMETRY, twin, camera=flir_bfs_u3_89s6m()).quiet()
    phase = jax.random.uniform(KEY, GEOMETRY.shape, maxval=6.0)
    return (
        lambda v: bench.measure_field(v, phase, key=KEY),
        lambda u: bench.measure_field_backward(u, phase, key=KEY),
    )


def mesh_bench():
    mesh = make_mesh(5, key=KEY, dtype=PRECISE)
    bench, phase = (
        draw_mesh_bench(mesh, MeshImperfections.preset("rough"), key=KEY).quiet(),
        mesh.pack(),
    )
    return (
        lambda v: bench.measure_field(v, phase, key=KEY),
        lambda u: bench.measure_field_backward(u, phase, key=KEY),
    )


def both(element):
    # Modules of arrays have no hash, which `jax.jit` asks of a function.
    return (lambda v: element(v)), (lambda u: element.backward(u))


CASES = {
    "free space, displaced window": lambda: both(
        make_free_space(GEOMETRY.shape, *LENGTHS, **SHIFTED)
    ),
    "free space, exact": lambda: both(
        make_free_space(GEOMETRY.shape, *LENGTHS, kernel="exact", **SHIFTED)
    ),
    "scattering medium": lambda: both(scattering_medium()),
    "round trip behind a wall": lambda: both(hidden_scene()),
    "twin of a bench": optical_twin,
    "bench": optical_bench,
    "mesh": lambda: both(make_mesh(5, key=KEY, dtype=PRECISE)),
    "symmetric core": lambda: both(make_symmetric_core(5, key=KEY, dtype=PRECISE)),
    "bench of a mesh": mesh_bench,
}


@pytest.mark.parametrize("name", CASES)
def test_both_directions_are_one_reciprocal_pair(name):
    forward, backward = CASES[name]()
    shape = (3, 5) if "mesh" in name or "core" in name else (3, *GEOMETRY.shape)
    u, v = (jax.random.normal(key, shape, PRECISE) for key in jax.random.split(KEY))
    there, back = jax.jit(forward)(v), jax.jit(backward)(u)
    axes = tuple(range(1, len(shape)))
    ahead, behind = jnp.sum(u * there, axis=axes), jnp.sum(back * v, axis=axes)
    size = np.linalg.norm(u) * np.linalg.norm(there)
    # Rounding of a few hundred products.
    np.testing.assert_allclose(behind, ahead, atol=1e-11 * size)
    assert np.linalg.norm(ahead) > 1e-4 * size

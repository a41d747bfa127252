import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import Imperfections, OpticalBench
from optics.imaging import SceneGeometry, draw_hidden_bench, make_wavefront, square_cells
from optics.imaging.hidden_scene import (
    CellReadout,
    RoundTrip,
    make_round_trip,
    move_pattern,
    picture_loss,
    place,
    power_on_object,
    read_regions,
    reflectivity_of_cells,
)
from optics.learning.protocols import weights_of, with_weights
from optics.learning.rules import ForwardMode, InSilico
from optics.metrics import cosine_similarity
from tests.exact.small_bench import estimate, relative_error

GEOMETRY = SceneGeometry(shape=(16, 16), to_wall=1e-3, to_object=0.7e-3, wall_correlation=20e-6)
CELLS = square_cells(GEOMETRY.shape, (2, 2))
REGIONS = square_cells(GEOMETRY.shape, (2, 2), side=2)
TRIP = make_round_trip(GEOMETRY, wall_key=jax.random.key(3), dtype=jnp.complex128)
LIGHT = jnp.asarray(np.ones((3, *GEOMETRY.shape), complex))
# Compiled whole: one by one, each operation compiles anew for every shape.
cross = jax.jit(RoundTrip.__call__)
illuminate = jax.jit(RoundTrip.illuminate)


def random_field(key, batch=3):
    draws = np.random.default_rng(key).normal(size=(2, batch, *GEOMETRY.shape))
    return jnp.asarray(draws[0] + 1j * draws[1])


def random_objects(key, batch=3):
    return jnp.asarray(np.random.default_rng(key).uniform(size=(batch, *GEOMETRY.shape)))


def showing(things, trip=TRIP):
    return eqx.tree_at(lambda t: t.objects, trip, jnp.asarray(things))


def bench(**errors):
    return draw_hidden_bench(
        GEOMETRY,
        Imperfections(**errors),
        wall_key=jax.random.key(3),
        key=jax.random.key(4),
        dtype=jnp.complex128,
    )


@pytest.mark.parametrize("wall", [3, 11, None])
def test_round_trip_is_symmetric_for_any_object_and_wall(wall):
    key = None if wall is None else jax.random.key(wall)
    trip = make_round_trip(GEOMETRY, wall_key=key, dtype=jnp.complex128)
    trip = showing(np.asarray(random_objects(5)) + 1j * np.asarray(random_objects(6)), trip)
    a, b = random_field(0), random_field(1)
    there, back = (np.asarray(cross(trip, light)) for light in (a, b))
    forward, back, size = np.sum(b * there), np.sum(a * back), np.linalg.norm(back)
    # Sums of 768 products: rounding 768 x 2e-16 of their size at worst.
    scale = np.linalg.norm(a) * size
    assert abs(forward - back) < 1e-13 * scale
    assert abs(forward) > 1e-3 * scale


def test_round_trip_is_the_matrix_of_one_way_with_its_transpose_around_the_object():
    n = GEOMETRY.shape[0] * GEOMETRY.shape[1]
    units = jnp.asarray(np.eye(n, dtype=complex).reshape(n, *GEOMETRY.shape))
    one_way = np.asarray(illuminate(TRIP, units)).reshape(n, n).T
    thing = np.asarray(random_objects(5))[0]
    whole = np.asarray(cross(showing(thing), units)).reshape(n, n).T
    expected = one_way.T @ np.diag(np.asarray(thing).ravel()) @ one_way
    assert relative_error(whole, expected) < 1e-12


def test_light_of_several_cells_is_the_sum_of_their_fields():
    field, cells = random_field(0, 1), np.asarray(CELLS)
    parts = [np.asarray(cross(showing(c), field)) for c in cells]
    np.testing.assert_allclose(sum(parts), cross(showing(cells.sum(axis=0)), field), atol=1e-12)


def test_the_way_through_the_wall_loses_light_and_never_gains_any():
    field = random_field(0)
    trip = showing(np.ones(GEOMETRY.shape))
    fields = (field, illuminate(trip, field), cross(trip, field))
    powers = [np.sum(np.abs(f) ** 2) for f in fields]
    assert powers[0] > powers[1] > powers[2] > 0


def test_each_field_meets_its_own_object():
    things = np.asarray(random_objects(5))
    several = np.asarray(cross(showing(things), LIGHT))
    third = cross(showing(things[2]), jnp.asarray(np.ones((1, *GEOMETRY.shape), complex)))
    np.testing.assert_allclose(several[2:], third, atol=1e-12)


WISHES = jnp.asarray(np.random.default_rng(8).uniform(size=(3, 4)))


def gradients(system, shown_in_data, shown_in_error):
    network = make_wavefront(
        GEOMETRY, CellReadout(REGIONS), key=jax.random.key(7), dtype=jnp.complex128
    )
    both = place(system, shown_in_data), place(system, shown_in_error)
    return _gradients(network, *both, WISHES)


@eqx.filter_jit
def _gradients(network, bench, other, wanted):
    def loss(weights):
        trial = with_weights(network, weights)
        return trial.readout.loss(bench.reveal().run(LIGHT, trial.phase[0]), wanted)

    true = jax.grad(loss)(weights_of(network)).phase
    hardware, key = Exchanging(bench, other), jax.random.key(0)
    estimate = ForwardMode().gradient(network, hardware, LIGHT, wanted, key=key)
    return true[0], estimate.gradient.phase[0]


class Exchanging(NamedTuple):
    """Shows one set of objects to the data, at time 0, and another to the error."""

    data: OpticalBench
    error: OpticalBench

    def measure_field(self, field, phase, amplitude=None, *, key, time=0):
        first = self.data.measure_field(field, phase, amplitude, key=key)
        second = self.error.measure_field(field, phase, amplitude, key=key)
        return jnp.where(jnp.asarray(time) < 1, first, second)

    measure_intensity = measure_field


@pytest.mark.parametrize(
    "errors", [{}, {"both_faces_aberration": ((6, 1.0),), "distance_error": 2e-4}]
)
def test_forward_mode_finds_the_true_gradient_through_wall_and_object(errors):
    things = random_objects(5)
    true, estimate = gradients(bench(**errors), things, things)
    assert relative_error(estimate, true) < 1e-10


def test_an_object_exchanged_before_the_error_passes_spoils_the_gradient():
    things = random_objects(5)
    true, estimate = gradients(bench(), things, jnp.asarray(1 - np.asarray(things)))
    assert float(cosine_similarity(true, estimate)) < 0.95


def test_a_displaced_camera_breaks_the_symmetry():
    things = random_objects(5)
    true, estimate = gradients(bench(camera_shift_px=1.0), things, things)
    assert 0.1 < float(cosine_similarity(true, estimate)) < 0.999


def test_model_without_wall_has_another_gradient():
    things = random_objects(5)
    true, _ = gradients(bench(), things, things)
    network = make_wavefront(
        GEOMETRY, CellReadout(REGIONS), key=jax.random.key(7), dtype=jnp.complex128
    )
    network = eqx.tree_at(lambda n: n.free_space.objects, network, things)
    guess = estimate(InSilico(), network, None, LIGHT, WISHES)
    assert abs(float(cosine_similarity(true, guess.gradient.phase[0]))) < 0.5


def test_loss_is_the_residual_of_the_best_common_gain():
    powers, wanted = np.random.default_rng(1).uniform(size=(2, 5, 4))
    gain = np.linalg.lstsq(np.ravel(powers)[:, None], np.ravel(wanted), rcond=None)[0][0]
    residual = np.sum((gain * powers - wanted) ** 2) / np.sum(wanted**2)
    assert float(picture_loss(jnp.asarray(powers), jnp.asarray(wanted))) == pytest.approx(
        residual, rel=1e-10
    )
    assert float(picture_loss(jnp.asarray(3 * wanted), jnp.asarray(wanted))) == pytest.approx(
        0, abs=1e-12
    )


def test_cells_tile_the_grid_and_regions_sit_in_their_middles():
    masks = square_cells((16, 20), (3, 2), extent=0.75)
    assert masks.shape == (6, 16, 20)
    assert float(masks.sum(axis=0).max()) == 1
    regions = square_cells((16, 20), (3, 2), extent=0.75, side=2)
    np.testing.assert_array_equal(read_regions(masks, regions), 4 * np.eye(6))
    # Row by row: the second cell lies to the right of the first, the third below it.
    middles = [np.argwhere(np.asarray(m)).mean(axis=0) for m in masks]
    assert middles[1][1] > middles[0][1]
    assert middles[2][0] > middles[0][0]


def test_half_covered_cell_has_a_quarter_of_the_power():
    # Upper half of the first 6 x 6 cell; a second object without any light.
    thing = np.zeros((2, *GEOMETRY.shape))
    thing[0, 2:5, 2:8] = 1
    found = reflectivity_of_cells(jnp.asarray(thing), CELLS)
    np.testing.assert_allclose(found, [[0.25, 0, 0, 0], [0] * 4])


def test_pattern_moves_and_turns_from_x_to_y():
    pattern = jnp.asarray([[1.0, 0.5]])
    move = jax.jit(move_pattern, static_argnames=("shape", "side"))
    moved = np.asarray(move(pattern, (16, 16), side=4, centre=(2.0, -3.0), angle=0.0))
    expected = np.zeros((16, 16))
    expected[8:12, 1:5], expected[8:12, 5:9] = 1, 0.5
    np.testing.assert_array_equal(moved, expected)
    # A quarter turn takes the dim square from +x to +y.
    turned = np.asarray(move(pattern, (16, 16), side=4, centre=(0.0, 0.0), angle=np.pi / 2))
    expected = np.zeros((16, 16))
    expected[4:8, 6:10], expected[8:12, 6:10] = 1, 0.5
    np.testing.assert_array_equal(turned, expected)


def test_power_on_object_follows_the_light():
    system, phase = bench(), jnp.asarray(np.zeros(GEOMETRY.shape))
    light = np.ones(GEOMETRY.shape, complex)
    one, twice = (power_on_object(system, jnp.asarray(s * light), phase) for s in (1, 2))
    assert float(twice) == pytest.approx(4 * float(one))
    expected = np.sum(np.abs(illuminate(TRIP, jnp.asarray(light))) ** 2)
    assert float(one) == pytest.approx(float(expected), rel=1e-9)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`fourier_aberration` must be empty"):
        bench(fourier_aberration=((7, 0.25),))
    with pytest.raises(ValueError, match=r"`cells` \(9, 9\) of side"):
        square_cells((16, 16), (9, 9), side=2)
    with pytest.raises(ValueError, match=r"`to_wall` must be positive"):
        dataclasses.replace(GEOMETRY, to_wall=-1.0)
    with pytest.raises(ValueError, match=r"`objects` must be one `\(y, x\)` or one for each"):
        eqx.tree_at(lambda t: t.objects, TRIP, random_objects(1, 2))(LIGHT)
    with pytest.raises(ValueError, match=r"`objects` must have last axes \(16, 16\)"):
        place(bench(), jnp.ones((3, 8, 8)))

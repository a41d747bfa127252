import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import Imperfections
from optics.imaging import SceneGeometry, make_hidden_bench, make_wavefront, square_cells
from optics.imaging.hidden_scene import (
    CellReadout,
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
from tests.exact.small_bench import relative_error

GEOMETRY = SceneGeometry(shape=(16, 16), to_wall=1e-3, to_object=0.7e-3, wall_correlation=20e-6)
CELLS = square_cells(GEOMETRY.shape, (2, 2))
REGIONS = square_cells(GEOMETRY.shape, (2, 2), side=2)
TRIP = make_round_trip(GEOMETRY, wall_key=jax.random.key(3), dtype=jnp.complex128)
LIGHT = jnp.ones((3, *GEOMETRY.shape), complex)


def random_field(key, batch=3):
    draws = jax.random.normal(jax.random.key(key), (2, batch, *GEOMETRY.shape))
    return jax.lax.complex(draws[0], draws[1])


def random_objects(key, batch=3):
    return jax.random.uniform(jax.random.key(key), (batch, *GEOMETRY.shape))


def bench(**errors):
    return make_hidden_bench(
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
    trip = eqx.tree_at(lambda t: t.objects, trip, random_objects(5) + 1j * random_objects(6))
    a, b = random_field(0), random_field(1)
    forward, back = jnp.sum(b * trip(a)), jnp.sum(a * trip(b))
    # Sums of 768 products: rounding 768 x 2e-16 of their size at worst.
    scale = np.linalg.norm(a) * np.linalg.norm(trip(b))
    assert abs(forward - back) < 1e-13 * scale
    assert abs(forward) > 1e-3 * scale


def test_round_trip_is_the_matrix_of_one_way_with_its_transpose_around_the_object():
    n = GEOMETRY.shape[0] * GEOMETRY.shape[1]
    units = jnp.eye(n, dtype=complex).reshape(n, *GEOMETRY.shape)
    one_way = np.asarray(TRIP.illuminate(units)).reshape(n, n).T
    thing = random_objects(5)[0]
    trip = eqx.tree_at(lambda t: t.objects, TRIP, thing)
    whole = np.asarray(trip(units)).reshape(n, n).T
    expected = one_way.T @ np.diag(np.asarray(thing).ravel()) @ one_way
    assert relative_error(whole, expected) < 1e-12


def test_light_of_several_cells_is_the_sum_of_their_fields():
    field = random_field(0, 1)
    parts = [eqx.tree_at(lambda t: t.objects, TRIP, c)(field) for c in CELLS]
    whole = eqx.tree_at(lambda t: t.objects, TRIP, CELLS.sum(axis=0))(field)
    np.testing.assert_allclose(sum(parts), whole, atol=1e-12)


def test_the_way_through_the_wall_loses_light_and_never_gains_any():
    field = random_field(0)
    trip = eqx.tree_at(lambda t: t.objects, TRIP, jnp.ones(GEOMETRY.shape))
    powers = [float(jnp.sum(jnp.abs(f) ** 2)) for f in (field, trip.illuminate(field), trip(field))]
    assert powers[0] > powers[1] > powers[2] > 0


def test_each_field_meets_its_own_object():
    things = random_objects(5)
    several = eqx.tree_at(lambda t: t.objects, TRIP, things)(LIGHT)
    third = eqx.tree_at(lambda t: t.objects, TRIP, things[2])(LIGHT[:1])
    np.testing.assert_allclose(several[2:], third, atol=1e-12)


def gradients(system, shown_in_data, shown_in_error):
    network = make_wavefront(
        GEOMETRY, CellReadout(REGIONS), key=jax.random.key(7), dtype=jnp.complex128
    )
    wanted = jax.random.uniform(jax.random.key(8), (3, 4))
    twin = place(system, shown_in_data)._twin

    def loss(weights):
        trial = with_weights(network, weights)
        return trial.readout.loss(twin.run(LIGHT, trial.phase[0]), wanted)

    true = jax.grad(loss)(weights_of(network)).phase

    hardware = Exchanging(place(system, shown_in_data), place(system, shown_in_error))
    estimate = jax.jit(
        lambda: ForwardMode().gradient(network, hardware, LIGHT, wanted, key=jax.random.key(0))
    )()
    return true[0], estimate.gradient.phase[0]


class Exchanging:
    """Shows one set of objects to the data, at time 0, and another to the error."""

    def __init__(self, data, error):
        self.data, self.error = data, error

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
    true, estimate = gradients(bench(), random_objects(5), 1 - random_objects(5))
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
    wanted = jax.random.uniform(jax.random.key(8), (3, 4))
    guess = InSilico().gradient(network, None, LIGHT, wanted, key=jax.random.key(0))
    assert abs(float(cosine_similarity(true, guess.gradient.phase[0]))) < 0.5


def test_loss_is_the_residual_of_the_best_common_gain():
    powers, wanted = (np.asarray(jax.random.uniform(jax.random.key(k), (5, 4))) for k in (1, 2))
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
    thing = jnp.zeros((2, *GEOMETRY.shape)).at[0, 2:5, 2:8].set(1)
    np.testing.assert_allclose(reflectivity_of_cells(thing, CELLS), [[0.25, 0, 0, 0], [0] * 4])


def test_pattern_moves_and_turns_from_x_to_y():
    pattern = jnp.asarray([[1.0, 0.5]])
    moved = np.asarray(move_pattern(pattern, (16, 16), side=4, centre=(2, -3)))
    expected = np.zeros((16, 16))
    expected[8:12, 1:5], expected[8:12, 5:9] = 1, 0.5
    np.testing.assert_array_equal(moved, expected)
    # A quarter turn takes the dim square from +x to +y.
    turned = np.asarray(move_pattern(pattern, (16, 16), side=4, angle=np.pi / 2))
    expected = np.zeros((16, 16))
    expected[4:8, 6:10], expected[8:12, 6:10] = 1, 0.5
    np.testing.assert_array_equal(turned, expected)


def test_power_on_object_follows_the_light():
    system, phase = bench(), jnp.zeros(GEOMETRY.shape)
    one = power_on_object(system, LIGHT[0], phase)
    assert float(power_on_object(system, 2 * LIGHT[0], phase)) == pytest.approx(4 * float(one))
    expected = jnp.sum(jnp.abs(TRIP.illuminate(LIGHT[0])) ** 2)
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

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import Imperfections, OpticalBench
from optics.hardware.holography import FRAMES_PER_FIELD
from optics.imaging import (
    SceneGeometry,
    draw_hidden_bench,
    make_wavefront,
    picture_frames,
    square_cells,
    train_wavefront,
)
from optics.imaging.hidden_scene import CellReadout, place
from optics.imaging.hidden_wavefront import (
    calibrate,
    cell_to_region_matrix,
    conjugate_wavefront,
    diagonal_share,
    matrix_wavefront,
)
from optics.learning.rules import ForwardMode

GEOMETRY = SceneGeometry(
    shape=(24, 24), to_wall=1.9e-3, to_object=1.9e-3, wall_correlation=24e-6, wall_phase=2.0
)
# By numpy: what compiles here compiles in every process that only collects.
CELLS, REGIONS = (
    jnp.asarray(np.asarray(square_cells(GEOMETRY.shape, (2, 2), side=side), np.float32))
    for side in (None, 2)
)
WANTED = jnp.asarray(np.array([[i >> k & 1 for k in range(4)] for i in range(1, 16)], np.float32))
OBJECTS = jnp.asarray(np.einsum("sc,cyx->syx", WANTED, CELLS))
KEY = jax.random.key(1)
BENCH = draw_hidden_bench(
    GEOMETRY, Imperfections(), wall_key=jax.random.key(3), key=jax.random.key(4)
)
START = make_wavefront(GEOMETRY, CellReadout(REGIONS), key=jax.random.key(5))


def share(phase):
    matrix = cell_to_region_matrix(BENCH, phase, CELLS, REGIONS, key=KEY)
    return float(diagonal_share(matrix))


@pytest.fixture(scope="module")
def trained():
    return train_wavefront(
        START,
        ForwardMode(),
        OBJECTS,
        WANTED,
        key=KEY,
        bench=BENCH,
        n_steps=60,
        batch_size=8,
        learning_rate=0.15,
    )


def test_training_separates_the_cells(trained):
    assert share(trained.phase) > share(START.phase[0]) + 0.3
    assert trained.losses[-10:].mean() < 0.3 * trained.losses[0]


def test_every_frame_of_training_is_counted(trained):
    # A data and an error field for each of 8 objects in each of 60 steps.
    assert trained.frames == 2 * FRAMES_PER_FIELD * 8 * 60
    assert trained.time == 2 * 60


def test_phase_conjugation_needs_one_field_a_cell_and_beats_chance():
    found = conjugate_wavefront(BENCH, CELLS, REGIONS, key=KEY)
    assert found.frames == FRAMES_PER_FIELD * 4
    assert share(found.phase) > 0.5
    # All light of a row meets in phase in its region; with the opposite sign it would be speckle.
    own = [
        np.trace(cell_to_region_matrix(BENCH, jnp.asarray(phase), CELLS, REGIONS, key=KEY))
        for phase in (found.phase, -np.asarray(found.phase))
    ]
    assert own[0] / own[1] > 4


def test_phase_conjugation_gives_every_row_the_same_weight():
    # A cell that reflects eight times the amplitude returns a row eight times as bright.
    brighter = jnp.asarray(np.array([8, 1, 1, 1], np.float32)[:, None, None] * np.asarray(CELLS))
    plain, found = (
        np.asarray(conjugate_wavefront(BENCH, cells, REGIONS, key=KEY).phase)
        for cells in (CELLS, brighter)
    )
    # Single precision, as an angle, where the sum of four unit rows is not dark.
    np.testing.assert_allclose(np.exp(1j * (found - plain)), 1, atol=1e-2)


def test_measured_rows_are_the_rows_of_the_scene():
    start = START.phase[0]
    found = matrix_wavefront(
        BENCH, CELLS, REGIONS, WANTED, start, key=KEY, n_steps=1, learning_rate=1e-9
    )
    assert found.frames == FRAMES_PER_FIELD * 4 * 16
    # What the matrix predicts for the start is what forward mode measures there: same loss, no model in common.
    frames, wanted = np.asarray(picture_frames(BENCH, start, OBJECTS, key=KEY)), np.asarray(WANTED)
    powers = np.einsum("syx,cyx->sc", frames, REGIONS)
    gain = np.sum(powers * wanted) / np.sum(powers**2)
    measured = np.sum((gain * powers - wanted) ** 2) / np.sum(wanted**2)
    assert found.losses[0] == pytest.approx(float(measured), rel=1e-4)  # single precision


def test_transmission_matrix_separates_the_cells():
    found = matrix_wavefront(BENCH, CELLS, REGIONS, WANTED, START.phase[0], key=KEY, n_steps=60)
    assert share(found.phase) > share(START.phase[0]) + 0.3


def test_frames_do_not_depend_on_how_they_are_grouped():
    phase = START.phase[0]
    many = jnp.asarray(np.tile(OBJECTS, (3, 1, 1)))  # 45: one full call and one filled up
    frames = np.asarray(picture_frames(BENCH, phase, many, key=KEY))
    assert frames.shape == (45, 24, 24)
    np.testing.assert_allclose(frames[30:], frames[:15], rtol=1e-5)
    light = jnp.asarray(np.ones((1, 24, 24), np.complex64))
    shown = place(BENCH, jnp.asarray(np.asarray(OBJECTS)[3:4]))
    alone = jax.jit(OpticalBench.measure_intensity)(shown, light, phase, key=KEY)
    np.testing.assert_allclose(frames[3], alone[0], rtol=1e-4, atol=1e-6)


def test_diagonal_share_of_known_matrices():
    assert float(diagonal_share(jnp.eye(3))) == 1
    assert float(diagonal_share(jnp.ones((4, 4)))) == pytest.approx(0.25)
    assert float(diagonal_share(jnp.asarray([[3.0, 1.0], [0.0, 5.0]]))) == pytest.approx(0.875)


def test_calibration_undoes_the_gain_of_each_region():
    gains = jnp.asarray([2.0, 0.5, 1.0, 4.0], WANTED.dtype)
    np.testing.assert_allclose(calibrate(WANTED / gains[None], WANTED), gains, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "`n_steps` must be at least 1, but is 0"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, but is 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be positive"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        train_wavefront(START, ForwardMode(), OBJECTS, WANTED, key=KEY, bench=BENCH, **options)


def test_a_loss_that_is_not_finite_is_named():
    targets = jnp.asarray(np.full(WANTED.shape, np.nan, np.float32))
    with pytest.raises(
        FloatingPointError, match=r"`loss` of ForwardMode must be finite, .* step 0"
    ):
        train_wavefront(
            START, ForwardMode(), OBJECTS, targets, key=KEY, bench=BENCH, n_steps=60, batch_size=8
        )

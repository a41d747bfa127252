import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.scattering import ffm_hidden_object, ffm_hidden_object_scene
from optics.hardware.imperfections import Imperfections
from optics.imaging.hidden_scene import draw_hidden_bench, read_regions, square_cells
from optics.imaging.hidden_wavefront import calibrate, conjugate_wavefront, picture_frames

TINY = ffm_hidden_object.Config(
    pixels=24,
    distance=1.9e-3,
    wall_phase=2.0,
    wall_correlation=24e-6,
    cells=2,
    methods=("untrained", "phase_conjugation", "ffm"),
    walls=1,
    n_objects=32,
    n_test=16,
    n_frames=8,
    n_steps=60,
    learning_rate=0.15,
    hardware=Imperfections(),
    photon_counts=(10.0, 1e6),
)


@pytest.fixture(scope="module")
def outcome():
    return ffm_hidden_object.run(TINY)


def test_training_maps_every_cell_to_its_region(outcome):
    share = {m: outcome.metrics[f"diagonal_share.{m}"].value for m in TINY.methods}
    assert share["ffm"] > share["untrained"] + 0.2
    error = {m: outcome.metrics[f"cell_error.grid.{m}"].value for m in TINY.methods}
    assert error["ffm"] < 10 < error["untrained"]


def test_frames_are_counted(outcome):
    assert outcome.metrics["frames.ffm"].value == 8 * 8 * 60
    assert outcome.metrics["frames.phase_conjugation"].value == 4 * 4


def test_gradient_needs_the_object_to_stand_still(outcome):
    # Single precision and the camera's noise is left out: rounding alone separates the first from 1.
    assert outcome.metrics["gradient_cosine.still"].value > 0.999
    assert outcome.metrics["gradient_cosine.moved"].value < 0.97


def test_more_light_makes_a_better_picture_and_the_rate_keeps_below_the_camera(outcome):
    dim, bright = outcome.arrays["sweep.psnr"][0]
    assert bright > dim + 5
    assert 0 < outcome.metrics["frame_rate"].value <= TINY.camera_rate


def test_bright_light_gives_the_picture_without_noise():
    shape, key = TINY.geometry.shape, jax.random.key(1)
    bench = draw_hidden_bench(TINY.geometry, Imperfections(), wall_key=key, key=key)
    cells = square_cells(shape, (2, 2)).astype(jnp.float32)
    regions = square_cells(shape, (2, 2), side=2).astype(jnp.float32)
    objects = ffm_hidden_object_scene.moving_letter(cells, (2, 2), 8)
    phase = conjugate_wavefront(bench, cells, regions, key=key).phase
    powers = read_regions(picture_frames(bench, phase, objects.amplitude, key=key), regions)
    gain = calibrate(powers, objects.wanted)
    quiet = ffm_hidden_object_scene.judge(powers * gain[None], objects.wanted)["psnr"]
    quality, needed, _ = ffm_hidden_object_scene.photon_sweep(
        bench, phase, regions, gain, objects, (1e9,), key
    )
    # A region of 4 pixels holds over 1e6 counts, so 1e-3 of shot noise: below 0.01 dB at such a quality.
    assert quality[0] == pytest.approx(float(quiet), abs=0.01)
    assert needed == 1e9


def test_figure_shows_matrices_and_the_letter(outcome):
    figure = outcome.figure()
    titles = [axes.get_title() for axes in figure.axes]
    assert any(title.startswith("phase conjugation") for title in titles)


def test_a_perfect_picture_has_no_error_and_a_mirrored_one_has():
    cells = square_cells((40, 40), (5, 5)).astype(jnp.float32)
    letter = ffm_hidden_object_scene.moving_letter(cells, (5, 5), 8)
    assert letter.wanted.shape == (8, 25)
    right = ffm_hidden_object_scene.judge(letter.wanted, letter.wanted)
    assert right["cell_error"] == 0
    assert right["ssim"] == pytest.approx(1, abs=1e-5)
    mirrored = letter.wanted.reshape(8, 5, 5)[:, :, ::-1].reshape(8, 25)
    assert ffm_hidden_object_scene.judge(mirrored, letter.wanted)["ssim"] < 0.7


def test_training_and_test_objects_differ_and_hold_what_they_say():
    cells = square_cells((24, 24), (2, 2)).astype(jnp.float32)
    train, test = ffm_hidden_object_scene.draw_objects(
        cells, (2, 2), 32, 16, 0.5, jax.random.key(0)
    )
    assert train.n_on_grid == 16
    on_grid, off_grid = np.asarray(train.wanted[:16]), np.asarray(train.wanted[16:])
    assert set(np.unique(on_grid).tolist()) <= {0.0, 1.0}
    assert np.any((off_grid > 0.01) & (off_grid < 0.99))
    assert not np.array_equal(on_grid, test.wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"off_grid": 1.5}, "`off_grid` must lie between 0 and 1, but is 1.5"),
        ({"walls": 0}, "`walls` must be at least 1, but is 0"),
        ({"methods": ("untrained",)}, "`methods` must be some of"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_the_paper_s_rate_is_a_bound_that_our_assumptions_do_not_test():
    rate = next(r for r in ffm_hidden_object.REFERENCES if r.name == "frame_rate")
    assert (rate.value, rate.comparable) == (1000, False)

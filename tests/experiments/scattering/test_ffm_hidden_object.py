import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.scattering import ffm_hidden_object, ffm_hidden_object_scene
from optics.hardware.imperfections import Imperfections
from optics.imaging.hidden_scene import (
    CellReadout,
    draw_hidden_bench,
    make_wavefront,
    read_regions,
    square_cells,
)
from optics.imaging.hidden_wavefront import calibrate, conjugate_wavefront, picture_frames
from tests.exact.given_pieces import Given, rng

TINY = ffm_hidden_object.Config(
    pixels=24,
    distance=1.9e-3,
    wall_phase=2.0,
    wall_correlation=24e-6,
    cells=2,
    methods=("untrained", "phase_conjugation", "ffm"),
    walls=2,
    n_objects=32,
    n_test=16,
    n_frames=8,
    hardware=Imperfections(),
    photon_counts=(10.0, 1e6),
)


def piece(label, *_):
    draw = rng(label).uniform
    found = {"frame_rate": draw(1e3, 1e4), "photons_needed": draw(1e3, 1e4)}
    for method in TINY.methods:
        for name in (
            "diagonal_share",
            "efficiency",
            "cell_error.grid",
            "cell_error.moving",
            "frames",
        ):
            found[f"{name}.{method}"] = draw()
        found[f"picture.matrix.{method}"] = draw(size=(4, 4))
        found[f"picture.frames.{method}"] = draw(size=(8, 4))
    found |= {"picture.truth": draw(size=(8, 4)), "picture.phase": draw(size=(24, 24))}
    return found | {"curve.ffm": draw(size=60), "sweep.psnr": draw(10, 30, 2)}


@pytest.fixture(scope="module")
def outcome():
    return ffm_hidden_object.run(TINY, Given(piece))


def test_every_number_is_the_mean_of_its_walls(outcome):
    walls = [piece(f"wall{w}") for w in range(2)]
    names = [name for name, value in walls[0].items() if np.ndim(value) == 0]
    assert set(outcome.metrics) == set(names)
    for name in names:
        found = outcome.metrics[name]
        assert (found.value, found.n) == (pytest.approx(np.mean([w[name] for w in walls])), 2)
    units = [outcome.metrics[n].unit for n in ("cell_error.grid.ffm", "frame_rate", "frames.ffm")]
    assert units == ["%", "Hz", "frames"]
    np.testing.assert_array_equal(outcome.arrays["sweep.psnr"], [w["sweep.psnr"] for w in walls])


def test_gradient_needs_the_object_to_stand_still():
    shape, keys = TINY.geometry.shape, jax.random.split(jax.random.key(2), 4)
    bench = draw_hidden_bench(TINY.geometry, TINY.hardware, wall_key=keys[0], key=keys[1])
    cells, regions = (
        square_cells(shape, (2, 2), side=side).astype(jnp.float32) for side in (None, 2)
    )
    known, _ = ffm_hidden_object_scene.draw_objects(cells, (2, 2), 16, 2, 0.5, keys[2])
    network = make_wavefront(TINY.geometry, CellReadout(regions), key=keys[3])
    found = ffm_hidden_object_scene.gradient_cosines(bench, network, known, keys[3])
    # Single precision and the camera's noise is left out: rounding alone separates the first from 1.
    assert found["gradient_cosine.still"] > 0.999
    assert found["gradient_cosine.moved"] < 0.97


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

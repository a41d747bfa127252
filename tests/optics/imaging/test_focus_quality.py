import jax.numpy as jnp
import numpy as np
import pytest

from optics.imaging.focus_quality import (
    diffraction_limit,
    enhancement,
    focus_psnr,
    focus_width,
    ideal_enhancement,
    iterations_to_converge,
)
from optics.imaging.focusing import square_target
from tests.exact.scattering_bench import GEOMETRY, ILLUMINATION

SHAPE = GEOMETRY.shape
SQUARE = square_target(SHAPE, (5, 9), 3)
LIMIT, PITCH = 64e-6, 16e-6


def spot(centre_y, centre_x, wide=1.0):
    y, x = (np.arange(64) - c for c in (centre_y, centre_x))
    return np.sinc(y * PITCH / LIMIT)[:, None] * np.sinc(x * PITCH / LIMIT / wide)[None, :]


def test_width_of_the_focus_of_a_square_aperture_is_0_886_of_the_limit():
    target = square_target((64, 64), (30, 33), 2)
    for field in (spot(29.5, 32.5), spot(29.8, 32.1)):
        # sinc^2 falls to half at 0.44295; ringing cut at the window's edge leaves 1e-3.
        width = focus_width(jnp.asarray(field, jnp.complex128), target, PITCH, search=LIMIT)
        assert width == pytest.approx(2 * 0.442946 * LIMIT, rel=2e-3)
    wider = focus_width(
        jnp.asarray(spot(29.5, 32.5, 1.5), jnp.complex128), target, PITCH, search=LIMIT
    )
    assert wider == pytest.approx(1.25 * 2 * 0.442946 * LIMIT, rel=2e-3)


def test_width_is_that_of_the_focus_and_not_of_a_brighter_speckle_elsewhere():
    target = square_target((64, 64), (30, 33), 2)
    field = jnp.asarray(spot(29.5, 32.5) + 2 * spot(29.5, 44.0, 2.0), jnp.complex128)
    alone = focus_width(jnp.asarray(spot(29.5, 32.5), jnp.complex128), target, PITCH, search=LIMIT)
    assert focus_width(field, target, PITCH, search=LIMIT / 2) == pytest.approx(alone, rel=0.3)


def test_psnr_counts_the_background():
    target = square_target((64, 64), (30, 33))
    ideal = spot(30, 33) ** 2
    background = 0.1
    # (ideal + b) / (1 + b) - ideal = b (1 - ideal) / (1 + b).
    expected = -20 * np.log10(background / 1.1) - 10 * np.log10(np.mean((1 - ideal) ** 2))
    found = focus_psnr(jnp.asarray(ideal + background), target, PITCH, LIMIT)
    assert found == pytest.approx(expected, rel=1e-9)
    moved = focus_psnr(jnp.asarray(spot(30, 40) ** 2), target, PITCH, LIMIT)
    assert moved < 30 < focus_psnr(jnp.asarray(ideal * 7 + 1e-4), target, PITCH, LIMIT)


def test_numbers_of_a_focus():
    before, square = np.full(SHAPE, 2.0), np.asarray(SQUARE)
    after = jnp.asarray(3 * before + 4 * square)
    assert enhancement(after, SQUARE, jnp.asarray(before)) == pytest.approx(5)
    assert ideal_enhancement(1) == 1
    assert ideal_enhancement(401) == pytest.approx(100 * np.pi + 1)
    assert diffraction_limit(532e-9, 0.388, 3.2e-3) == pytest.approx(64.5e-6, rel=1e-4)
    assert (
        iterations_to_converge(jnp.array([5.0, 3.0, 1.05, 1.005, 1.04, 1.0])) == 3
    )  # limit 1.04, met at once
    assert iterations_to_converge(jnp.array([5.0, 3.0, 1.05, 1.0]), tolerance=0.5) == 1
    assert iterations_to_converge(jnp.array([1.0])) == 0


def test_enhancement_counts_the_whole_camera_before_and_the_target_after():
    # 0 to 255 before: mean 127.5 over the camera, 89 over the target.
    before, after = np.arange(256.0).reshape(SHAPE), 3.0 * np.asarray(SQUARE)
    assert enhancement(jnp.asarray(after), SQUARE, jnp.asarray(before)) == pytest.approx(3 / 127.5)


@pytest.mark.parametrize(
    ("search", "message"),
    [(-1.0, "`search` must be positive and finite"), (8e-6, "`profile` must fall below half")],
)
def test_bad_input_is_named(search, message):
    with pytest.raises(ValueError, match=message):
        focus_width(ILLUMINATION, square_target(SHAPE, (5, 9)), 8e-6, search=search)

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.imaging.focus_quality import ideal_enhancement, iterations_to_converge
from optics.imaging.focusing import (
    expand_blocks,
    focus_loss,
    forward_mode_focus,
    intensity_loss,
    matrix_focus,
    measure_focus_gradient,
    measure_transmission_matrix,
    phase_conjugation,
    square_target,
    transmission_matrix_focus,
)
from optics.media.scattering import transmission_matrix
from optics.metrics import cosine_similarity
from tests.exact.scattering_bench import (
    GEOMETRY,
    ILLUMINATION,
    CountingBench,
    counted,
    scattering_twin,
)
from tests.exact.small_bench import relative_error

SHAPE = GEOMETRY.shape
POINT = square_target(SHAPE, (5, 9))
SQUARE = square_target(SHAPE, (5, 9), 3)
KEY = jax.random.key(0)


def bench(**sizes):
    return OpticalBench(GEOMETRY, scattering_twin(**sizes))


@jax.jit
def true_gradient(twin, phase, target, illumination=ILLUMINATION):
    return jax.grad(lambda p: focus_loss(twin.run(illumination, p), target))(phase)


@jax.jit
def light_of(twin, phase):
    """Field at the camera."""
    return twin.run(ILLUMINATION, phase)


def loss_of(twin, phase):
    return float(focus_loss(light_of(twin, phase), POINT))


@pytest.fixture(scope="module")
def phase():
    return jnp.asarray(np.random.default_rng(4).uniform(0, 2 * np.pi, SHAPE))


def test_forward_mode_gradient_is_the_true_one_through_a_symmetric_medium_only(phase):
    for offset, symmetric in ((0.0, True), (3e-4, False)):
        twin = scattering_twin(offset)
        hardware = OpticalBench(GEOMETRY, twin)
        _, found = measure_focus_gradient(hardware, ILLUMINATION, SQUARE, phase, key=KEY)
        true = true_gradient(twin, phase, SQUARE)
        if symmetric:
            assert (
                relative_error(found, true) < 1e-10
            )  # Sums of 256 terms in double precision: 1e-13.
        else:
            assert float(cosine_similarity(found, true)) < 0.9


def test_illumination_enters_the_gradient(phase):
    twin = scattering_twin()
    beam = jnp.asarray(np.exp(1j * np.arange(16.0)) * np.linspace(0.2, 1, 16)[:, None])
    _, found = measure_focus_gradient(OpticalBench(GEOMETRY, twin), beam, SQUARE, phase, key=KEY)
    true = true_gradient(twin, phase, SQUARE, beam)
    assert relative_error(found, true) < 1e-10


def test_loss_is_the_share_of_light_and_its_error_a_real_map_times_the_conjugate(phase):
    field = jnp.asarray(np.exp(1j * np.asarray(phase)) * (1 + np.asarray(phase)))
    power = np.abs(field) ** 2
    inside = power[4:7, 8:11].sum()
    assert float(focus_loss(field, SQUARE)) == pytest.approx(-np.log(inside / power.sum()))
    error = jax.jit(jax.grad(focus_loss))(field, SQUARE)
    expected = 2 * (1 / power.sum() - np.asarray(SQUARE) / inside) * np.conj(field)
    np.testing.assert_allclose(error, expected, rtol=1e-10)
    dark = jnp.asarray(1 - np.asarray(SQUARE))
    assert float(intensity_loss(dark, SQUARE)) == pytest.approx(-np.log(1e-9))


def test_forward_mode_focuses_through_a_medium(phase):
    result = forward_mode_focus(bench(), ILLUMINATION, POINT, key=KEY, n_iterations=30)
    twin = scattering_twin()
    flat, last = loss_of(twin, jnp.zeros_like(phase)), loss_of(twin, result.phase)
    losses = np.asarray(result.losses)
    assert losses[0] == pytest.approx(flat)
    assert losses[-1] == pytest.approx(last)
    conjugated = phase_conjugation(bench(), ILLUMINATION, POINT, key=KEY).phase
    # The loss also counts what goes elsewhere, so it may beat the brightest focus; at least it must come close.
    assert last < loss_of(twin, conjugated) + 0.1
    assert iterations_to_converge(result.losses) <= 30


def test_phase_conjugation_makes_the_brightest_point_that_phases_can():
    twin = scattering_twin()
    result = phase_conjugation(bench(), ILLUMINATION, POINT, key=KEY)
    row = transmission_matrix(
        twin.transport, SHAPE, outputs=jnp.array([5 * 16 + 9]), dtype=jnp.complex128
    )
    peak = np.abs(np.asarray(light_of(twin, result.phase))[5, 9])
    assert peak == pytest.approx(np.sum(np.abs(row)), rel=1e-12)


def test_phase_conjugation_needs_the_source_in_the_focus_where_the_medium_is_asymmetric():
    twin = scattering_twin(3e-4)
    result = phase_conjugation(OpticalBench(GEOMETRY, twin), ILLUMINATION, POINT, key=KEY)
    row = transmission_matrix(
        twin.transport, SHAPE, outputs=jnp.array([5 * 16 + 9]), dtype=jnp.complex128
    )
    peak = np.abs(np.asarray(light_of(twin, result.phase))[5, 9])
    assert peak < 0.9 * np.sum(np.abs(row))


def test_phase_conjugation_of_a_gaussian_medium_reaches_the_law():
    n, draws = 64, 500
    parts = np.random.default_rng(0).normal(size=(2, draws, 1, n)) / np.sqrt(2)
    matrices = parts[0] + 1j * parts[1]  # mean |t|^2 = 1, so the mean speckle is n
    focus = jax.jit(jax.vmap(lambda m: matrix_focus(m, (8, 8))))
    phases = np.asarray(focus(jnp.asarray(matrices))).reshape(draws, n)
    after = np.abs(np.sum(matrices[:, 0] * np.exp(1j * phases), axis=1)) ** 2 / n
    standard_error = float(after.std()) / np.sqrt(draws)
    assert float(after.mean()) == pytest.approx(ideal_enhancement(n), abs=4 * standard_error)
    assert standard_error < 0.01 * ideal_enhancement(n)


def test_measured_matrix_is_that_of_the_twin_summed_over_super_pixels():
    outputs = jnp.array([3, 89, 200])
    found = measure_transmission_matrix(bench(), ILLUMINATION, outputs, 4, key=KEY)
    pixels = np.asarray(
        transmission_matrix(
            scattering_twin().transport, SHAPE, outputs=outputs, dtype=jnp.complex128
        )
    )
    blocks = pixels.reshape(3, 4, 4, 4, 4).sum(axis=(2, 4)).reshape(3, 16)
    assert relative_error(found, blocks) < 1e-12


def test_transmission_matrix_focusing_is_phase_conjugation():
    hardware = CountingBench(GEOMETRY, scattering_twin())
    result = transmission_matrix_focus(hardware, ILLUMINATION, POINT, key=KEY)
    assert (result.evaluations, result.frames, result.losses.size) == (256, 4 * 256, 0)
    by_matrix = result.phase
    by_source = phase_conjugation(bench(), ILLUMINATION, POINT, key=KEY).phase
    piston = np.exp(1j * (np.asarray(by_matrix) - np.asarray(by_source)))
    np.testing.assert_allclose(piston, piston[0, 0], atol=1e-9)


def test_matrix_focus_lights_several_outputs_better_than_one_of_them():
    outputs = jnp.asarray(np.flatnonzero(SQUARE))
    matrix = measure_transmission_matrix(bench(), ILLUMINATION, outputs, 8, key=KEY)
    light = []
    for rows in (matrix, matrix[4:5]):
        field = light_of(scattering_twin(), matrix_focus(rows, SHAPE))
        light.append(np.sum(np.abs(field) ** 2 * np.asarray(SQUARE)))
    assert light[0] > light[1]


def test_frames_are_those_that_the_camera_takes():
    hardware = CountingBench(GEOMETRY, scattering_twin())
    again = partial(
        forward_mode_focus, hardware, ILLUMINATION, POINT, key=KEY, n_iterations=3, time=5
    )
    result = again()
    # A shared function compiled for this bench: run again and counted.
    assert counted(again) == (28, list(range(5, 12)))
    assert result.frames == 4 * result.evaluations == 28
    again = partial(phase_conjugation, hardware, ILLUMINATION, POINT, key=KEY, time=5)
    result = again()
    assert result.frames == 4 * result.evaluations == 4
    assert counted(again) == (4, [5])
    again = partial(measure_transmission_matrix, hardware, ILLUMINATION, jnp.array([89]), 2)
    assert counted(lambda: again(key=KEY, time=5)) == (16, [5, 6, 7, 8])
    again = partial(measure_focus_gradient, hardware, ILLUMINATION, POINT, ILLUMINATION.real)
    assert counted(lambda: again(key=KEY, time=5)) == (8, [5, 6])


def test_super_pixels_fill_the_modulator_row_by_row():
    phase = expand_blocks(jnp.arange(9.0), (7, 9))
    assert phase.shape == (7, 9)
    assert set(np.unique(phase)) == set(range(9))
    assert phase[0, 8] == 2
    assert phase[6, 0] == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: square_target(SHAPE, (0, 5), 3),
            r"`centre` must leave a square of 3 px inside the grid",
        ),
        (
            lambda: expand_blocks(jnp.zeros(8), SHAPE),
            "`phase` must hold a square number of super-pixels",
        ),
        (
            lambda: measure_transmission_matrix(bench(), ILLUMINATION, jnp.array([0]), 3, key=KEY),
            "`n_blocks` must be a power of 2, but is 3",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Forward mode on a chip: automatic differentiation where the chip is symmetric, and what it costs elsewhere."""

import dataclasses
from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.chip import draw_chip, make_settings, nominal_matrices
from optics.hardware.mesh_imperfections import MeshImperfections
from optics.learning.rules.chip_forward_mode import (
    BlockTask,
    fit_blocks,
    measure_chip_gradient,
    model_gradient,
)
from optics.networks.readout import PortReadout

N, BLOCKS, SAMPLES = 4, 3, 12
KEY = jax.random.key(0)
READOUT = PortReadout(5.0, 3)
# A chip without errors: they are arrays of the chip only where they are not zero, and so all chips compile as one.
NONE = MeshImperfections(
    splitter_error=1e-30, loss_db=1e-30, crosstalk=1e-30, detector_noise=1e-30, tap_noise=1e-30
)
HALVES_ALIKE = dataclasses.replace(NONE, loss_db=0.3, crosstalk=0.02)  # Equal in both halves.
OWN_ERRORS = dataclasses.replace(NONE, splitter_error=0.05, phase_error=0.05, loss_db=0.3)


@pytest.fixture(scope="module")
def task():
    random = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 3
    x = 0.2 * random.normal(size=(SAMPLES, N)) + np.eye(N)[labels] + 0j
    fields, classes = jnp.asarray(x), jnp.asarray(labels)
    return BlockTask(fields, classes, fields, classes)


@pytest.fixture(scope="module")
def settings():
    draw = partial(make_settings, N, BLOCKS, symmetric=False, dtype=jnp.complex128)
    return jax.jit(lambda key: draw(key=key))(KEY)


@cache
def chip(errors):
    draw = partial(draw_chip, N, BLOCKS, errors, symmetric=False, dtype=jnp.complex128)
    return jax.jit(lambda key: draw(key=key))(KEY)


@eqx.filter_jit
def gradients(twin, bench, settings, task, ratio):
    """As measured by forward mode, and as it is."""
    batch = (settings, task.x_train, task.y_train, READOUT)
    measured = measure_chip_gradient(bench.program(settings, ratio), *batch, ratio=ratio, key=KEY)
    return measured, model_gradient(partial(twin.transfer_matrices, ratio=ratio), *batch)


def cosine(a, b):
    return np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)


def in_numpy(tree):
    return jax.tree.map(np.asarray, tree)


@pytest.fixture(scope="module")
def without_errors(task, settings):
    return in_numpy(gradients(*chip(NONE), settings, task, jnp.asarray(1.0)))


def test_forward_mode_is_automatic_differentiation_on_symmetric_blocks(without_errors):
    measured, true = without_errors
    for name in ("matrix", "output", "loss"):
        assert np.allclose(getattr(measured, name), getattr(true, name), atol=1e-12)
    for found, expected in zip(measured.settings, true.settings, strict=True):
        # Rounding through 2 N columns and three blocks; the issue asks for 1e-6.
        assert np.abs(found - expected).max() < 1e-11 * max(1, np.abs(expected).max())
    assert np.abs(true.settings.tied).max() > 1e-3


def test_errors_common_to_both_halves_cost_nothing_at_the_ports(task, settings):
    found = gradients(*chip(HALVES_ALIKE), settings, task, jnp.asarray(1.0))
    measured, true = in_numpy(found)
    assert np.abs(measured.matrix - true.matrix).max() < 1e-11 * np.abs(true.matrix).max()
    # Phases are read where they act; that a command also warms its neighbours is what taps miss.
    assert cosine(measured.settings.tied, true.settings.tied) > 0.9


def test_errors_of_the_halves_cost_something_but_not_in_the_last_block(task, settings):
    measured, true = in_numpy(gradients(*chip(OWN_ERRORS), settings, task, jnp.asarray(1.0)))
    error = np.linalg.norm(measured.matrix - true.matrix, axis=(1, 2))
    error /= np.linalg.norm(true.matrix, axis=(1, 2))
    assert error[-1] < 1e-12
    assert np.all(error[:-1] > 0.01)
    assert cosine(measured.settings.tied, true.settings.tied) > 0.8


def test_a_remainder_costs_its_asymmetry_on_the_way_back(task, settings):
    measured, true = in_numpy(gradients(*chip(NONE), settings, task, jnp.asarray(0.7)))
    a = np.asarray(jax.jit(nominal_matrices)(settings, 0.7))
    c = np.asarray(jax.jit(jax.grad(READOUT.loss))(jnp.asarray(true.output), task.y_train))
    # c of the block before the last, by hand: A c where A^T c is due.
    loaded = np.asarray(task.x_train) @ a[0].T
    expected = (c @ (a[2] - a[2].T).T).T @ loaded
    assert np.allclose(measured.matrix[1] - true.matrix[1], expected, atol=1e-12)
    assert np.abs(expected).max() > 1e-3
    assert np.allclose(measured.matrix[2], true.matrix[2], atol=1e-12)


def test_phases_of_general_cores_are_left_alone(task, settings):
    _, true = gradients(*chip(OWN_ERRORS), settings, task, jnp.asarray(0.7))
    assert not np.any(true.settings.free)


@eqx.filter_jit
def fitted(settings, task, bench, ratio, n_epochs):
    return fit_blocks(
        settings, task, READOUT, ratio=ratio, bench=bench, n_epochs=n_epochs, learning_rate=0.1, key=KEY
    )  # fmt: skip


def test_without_errors_both_trainings_are_one(task, settings):
    ideal = in_numpy(fitted(settings, task, None, 1.0, 30))
    on_chip = in_numpy(fitted(settings, task, chip(NONE)[1], 1.0, 30))
    # Adam amplifies rounding where a gradient is near zero.
    assert np.abs(ideal.settings.tied - on_chip.settings.tied).max() < 1e-6
    assert ideal.loss[-1] < 0.7 * ideal.loss[0]
    assert ideal.correct.shape == (31, SAMPLES)
    assert np.all((ideal.settings.attenuation >= 0) & (ideal.settings.attenuation <= 1))


def test_a_chip_with_errors_trains_itself(task, settings):
    sizes = dataclasses.replace(OWN_ERRORS, detector_noise=0.01, tap_noise=0.03)
    found = in_numpy(fitted(settings, task, chip(sizes)[1], 1.0, 30))
    assert found.loss[-1] < 0.6 * found.loss[0]
    assert np.mean(found.correct[-1]) > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_epochs": 0}, "`n_epochs` must be at least 1, but is 0"),
        ({"learning_rate": -1.0}, "`learning_rate` must be positive and finite, but is -1"),
        ({"ratio": 2.0}, "`ratio` must lie between 0 and 1, but is 2"),
    ],
)
def test_bad_input_is_named(task, settings, change, message):
    options = {"ratio": 1.0, "key": KEY} | change
    with pytest.raises(ValueError, match=message):
        fit_blocks(settings, task, READOUT, **options)


def test_samples_must_fit_the_ports(task, settings):
    wide = task._replace(x_test=jnp.asarray(np.ones((3, N + 1), complex)))
    with pytest.raises(ValueError, match=r"`x_test` must have last axes \(4,\).* amplitude a port"):
        fit_blocks(settings, wide, READOUT, ratio=1.0, key=KEY)

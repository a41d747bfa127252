"""FFM on symmetric cores against automatic differentiation of the same hardware."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.learning.rules.mesh_forward_mode import MeshForwardMode
from tests.exact import small_bench, small_mesh
from tests.exact.small_bench import relative_error
from tests.exact.small_mesh import core_bench, estimate, true_loss


@pytest.fixture(scope="module")
def scene():
    field, labels = small_mesh.inputs()
    # Folded chips stand behind a network with activations, mirrored ones behind a linear one.
    networks = {
        "folded": small_mesh.network(symmetric=True),
        "mirrored": small_mesh.network(symmetric=True, activation=None),
    }
    return SimpleNamespace(networks=networks, field=field, labels=labels)


RULE = MeshForwardMode()


def both(scene, construction, **sizes):
    """FFM's estimate and the truth of the same hardware."""
    network = scene.networks[construction]
    bench, twin = core_bench(network, construction, **sizes)
    return (
        estimate(RULE, network, bench, scene.field, scene.labels),
        true_loss(twin, network, scene.field, scene.labels),
    )


@pytest.mark.parametrize(
    ("construction", "sizes"),
    [
        ("folded", {}),
        ("folded", {"splitter_error": 0.5, "phase_error": 1.0}),
        ("mirrored", {}),
    ],
)
def test_gradient_equals_autodiff_of_symmetric_hardware_of_any_error(scene, construction, sizes):
    found, (loss, truth) = both(scene, construction, **sizes)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-12)
    # Rounding of 2 x 2 x 9 columns and three layers; the bar is 1e-9.
    assert relative_error(found.gradient.phase, truth.phase) < 1e-11


def test_errors_of_the_two_halves_degrade_it_more_the_larger_they_are(scene):
    """The error run sees A c where A^T c is meant: first order in the difference of the halves."""
    errors = []
    for size in (0.001, 0.01, 0.1):
        found, (_, truth) = both(scene, "mirrored", splitter_error=size)
        errors.append(relative_error(found.gradient.phase, truth.phase))
    assert errors[0] < 0.05 < errors[2]
    assert errors[1] / errors[0] == pytest.approx(10, rel=0.2)


def test_noise_of_the_taps_changes_the_gradient_but_not_its_mean(scene):
    """Taps are linear detectors: over repeats the mean error falls as one over the root of their number."""
    network = scene.networks["folded"]
    bench, twin = core_bench(network, "folded", tap_noise=0.1)
    _, truth = true_loss(twin, network, scene.field, scene.labels)
    found = np.stack(
        [
            estimate(RULE, network, bench, scene.field, scene.labels, key).gradient.phase
            for key in jax.random.split(jax.random.key(3), 40)
        ]
    )
    standard_error = found.std(axis=0, ddof=1) / np.sqrt(40)
    deviations = (found.mean(axis=0) - truth.phase) / standard_error
    # 243 values of Student's t with 39 degrees: the mean square is 1.05, its own deviation 0.1.
    assert 0.8 < np.sqrt(np.mean(deviations**2)) < 1.2
    assert relative_error(found[0], truth.phase) > 0.02


def test_frames_are_counted():
    assert RULE.measurements_per_sample(3) == 6
    assert RULE.frames_per_sample(3) == 24


def test_a_core_that_is_not_symmetric_and_a_missing_bench_are_named(scene):
    network = small_mesh.network()
    bench, _ = small_mesh.mesh_bench(network)
    with pytest.raises(TypeError, match=r"`network\.core` must be a SymmetricCore"):
        RULE.gradient(network, bench, scene.field, scene.labels, key=jax.random.key(0))
    diffractive = OpticalBench(small_bench.GEOMETRY, small_bench.twin())
    with pytest.raises(TypeError, match="`bench` must be a MeshBench"):
        RULE.gradient(
            scene.networks["folded"], diffractive, scene.field, scene.labels, key=jax.random.key(0)
        )
    with pytest.raises(ValueError, match="`bench` must be"):
        RULE.gradient(
            scene.networks["folded"], None, scene.field, scene.labels, key=jax.random.key(0)
        )

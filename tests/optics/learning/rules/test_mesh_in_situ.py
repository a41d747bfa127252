"""In-situ back-propagation on meshes against automatic differentiation of the same hardware."""

from types import SimpleNamespace

import jax
import pytest

from optics.hardware.bench import OpticalBench
from optics.learning.rules.mesh_in_situ import MeshInSitu
from tests.exact import small_bench, small_mesh
from tests.exact.small_bench import relative_error
from tests.exact.small_mesh import estimate, mesh_bench, true_loss


@pytest.fixture(scope="module")
def scene():
    field, labels = small_mesh.inputs()
    return SimpleNamespace(network=small_mesh.network(), field=field, labels=labels)


RULE = MeshInSitu()


@pytest.mark.parametrize("sizes", [{}, {"splitter_error": 0.5, "phase_error": 1.0}])
def test_gradient_equals_autodiff_of_the_hardware_of_any_error(scene, sizes):
    bench, twin = mesh_bench(scene.network, **sizes)
    found = estimate(RULE, scene.network, bench, scene.field, scene.labels)
    loss, truth = true_loss(twin, scene.network, scene.field, scene.labels)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-12)
    # Differences of intensities: rounding 1e-16 times brightness over gradient, a few thousand at most.
    assert relative_error(found.gradient.phase, truth.phase) < 1e-10


def test_loss_in_the_mesh_spoils_the_time_reversal(scene):
    """First order in the loss: nine columns of 0.01 dB dim retraced light by at most 2 %, of 0.5 dB beyond use."""
    errors = []
    for loss_db in (0.01, 0.5):
        bench, twin = mesh_bench(scene.network, loss_db=loss_db)
        found = estimate(RULE, scene.network, bench, scene.field, scene.labels)
        _, truth = true_loss(twin, scene.network, scene.field, scene.labels)
        errors.append(relative_error(found.gradient.phase, truth.phase))
    assert 1e-3 < errors[0] < 0.1
    assert errors[1] > 0.5


def test_frames_are_counted():
    """Four frames for the light at the ports of data and error runs, one for the taps of both together."""
    assert RULE.measurements_per_sample(3) == 9
    assert RULE.frames_per_sample(3) == 27


def test_another_core_and_a_missing_bench_are_named(scene):
    network = small_mesh.network(symmetric=True)
    bench, _ = small_mesh.core_bench(network, "folded")
    with pytest.raises(TypeError, match=r"`network\.core` must be a Mesh"):
        RULE.gradient(network, bench, scene.field, scene.labels, key=jax.random.key(0))
    diffractive = OpticalBench(small_bench.GEOMETRY, small_bench.twin())
    with pytest.raises(TypeError, match="`bench` must be a MeshBench"):
        RULE.gradient(scene.network, diffractive, scene.field, scene.labels, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`bench` must be"):
        RULE.gradient(scene.network, None, scene.field, scene.labels, key=jax.random.key(0))

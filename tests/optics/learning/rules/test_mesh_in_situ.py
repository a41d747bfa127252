"""In-situ back-propagation on meshes against automatic differentiation of the same hardware."""

import jax
import pytest

from optics.hardware.bench import OpticalBench
from optics.learning.rules.mesh_in_situ import MeshInSitu
from tests.exact import small_bench, small_mesh
from tests.exact.small_bench import relative_error
from tests.exact.small_mesh import estimate, mesh_bench, true_loss

NETWORK = small_mesh.network()
FIELD, LABELS = small_mesh.inputs()
RULE = MeshInSitu()


@pytest.mark.parametrize("sizes", [{}, {"splitter_error": 0.5, "phase_error": 1.0}])
def test_gradient_equals_autodiff_of_the_hardware_of_any_error(sizes):
    bench, twin = mesh_bench(NETWORK, **sizes)
    found = estimate(RULE, NETWORK, bench, FIELD, LABELS)
    loss, truth = true_loss(twin, NETWORK, FIELD, LABELS)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-12)
    # Differences of intensities: rounding 1e-16 times brightness over gradient, a few thousand at most.
    assert relative_error(found.gradient.phase, truth.phase) < 1e-10


def test_loss_in_the_mesh_spoils_the_time_reversal():
    """First order in the loss: nine columns of 0.01 dB dim retraced light by at most 2 %, of 0.5 dB beyond use."""
    errors = []
    for loss_db in (0.01, 0.5):
        bench, twin = mesh_bench(NETWORK, loss_db=loss_db)
        found = estimate(RULE, NETWORK, bench, FIELD, LABELS)
        _, truth = true_loss(twin, NETWORK, FIELD, LABELS)
        errors.append(relative_error(found.gradient.phase, truth.phase))
    assert 1e-3 < errors[0] < 0.1
    assert errors[1] > 0.5


def test_frames_are_counted():
    """Four frames for the light at the ports of data and error runs, one for the taps of both together."""
    assert RULE.measurements_per_sample(3) == 9
    assert RULE.frames_per_sample(3) == 27


def test_another_core_and_a_missing_bench_are_named():
    network = small_mesh.network(symmetric=True)
    bench, _ = small_mesh.core_bench(network, "folded")
    with pytest.raises(TypeError, match=r"`network\.core` must be a Mesh"):
        RULE.gradient(network, bench, FIELD, LABELS, key=jax.random.key(0))
    diffractive = OpticalBench(small_bench.GEOMETRY, small_bench.twin())
    with pytest.raises(TypeError, match="`bench` must be a MeshBench"):
        RULE.gradient(NETWORK, diffractive, FIELD, LABELS, key=jax.random.key(0))
    with pytest.raises(ValueError, match="`bench` must be"):
        RULE.gradient(NETWORK, None, FIELD, LABELS, key=jax.random.key(0))

import jax
import pytest

from optics.activations import saturable
from optics.bench import OpticalBench
from optics.learning import InSilico, PhysicsAware
from optics.learning.rule import measure_data_pass
from tests.exact.small_bench import (
    GEOMETRY,
    cosines,
    inputs,
    network,
    relative_error,
    true_gradient,
    twin,
)


def test_equals_autodiff_on_an_ideal_bench():
    net = network(3, activation=saturable, train_amplitude=True)
    field, labels = inputs()
    bench = OpticalBench(GEOMETRY, twin())
    estimate = PhysicsAware().gradient(net, bench, field, labels, key=jax.random.key(0))
    truth = true_gradient(twin(), net, field, labels)
    assert relative_error(estimate.gradient.phase, truth.phase) < 1e-10
    assert relative_error(estimate.gradient.amplitude, truth.amplitude) < 1e-10


def test_last_layer_sees_the_measured_error_through_the_model():
    # One layer by hand: -Im[u T c] with the measured output and the ideal T.
    net, (field, labels) = network(1), inputs()
    bench = OpticalBench(GEOMETRY, twin(both_faces_aberration=((6, 1.0),)))
    data = measure_data_pass(net, bench, field, key=jax.random.key(0))
    error = jax.grad(net.readout.loss)(data.measured[-1], labels)
    u = jax.numpy.exp(1j * net.phase) * field
    expected = -jax.numpy.imag(u * net.free_space(error)).sum(axis=0)
    estimate = PhysicsAware().gradient(net, bench, field, labels, key=jax.random.key(0))
    assert relative_error(estimate.gradient.phase[0], expected) < 1e-10


def test_stands_between_in_silico_and_truth_under_aberration():
    net, (field, labels) = network(), inputs()
    hardware = twin(both_faces_aberration=((6, 0.5),))
    bench, key = OpticalBench(GEOMETRY, hardware), jax.random.key(0)
    truth = true_gradient(hardware, net, field, labels).phase
    aware = PhysicsAware().gradient(net, bench, field, labels, key=key).gradient.phase
    simulated = InSilico().gradient(net, None, field, labels, key=key).gradient.phase
    assert cosines(simulated, truth).mean() < cosines(aware, truth).mean() < 0.999


def test_one_measurement_a_layer():
    assert PhysicsAware().measurements_per_sample(8) == 8


def test_needs_a_bench():
    net, (field, labels) = network(), inputs()
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        PhysicsAware().gradient(net, None, field, labels, key=jax.random.key(0))

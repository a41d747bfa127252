import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from optics.hardware import OpticalBench
from optics.learning.passes import measure_data_pass
from optics.learning.rules import InSilico, PhysicsAware
from optics.networks.activations import saturable
from tests.exact.small_bench import (
    GEOMETRY,
    cosines,
    estimate,
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
    found = estimate(PhysicsAware(), net, bench, field, labels).gradient
    truth = true_gradient(twin(), net, field, labels)
    assert relative_error(found.phase, truth.phase) < 1e-10
    assert relative_error(found.amplitude, truth.amplitude) < 1e-10


def test_last_layer_sees_the_measured_error_through_the_model():
    # One layer by hand: -Im[u T c e^(i alpha)] with the measured output, the ideal T, and alpha between the two.
    net, (field, labels) = network(1), inputs()
    bench = OpticalBench(GEOMETRY, twin(both_faces_aberration=((6, 1.0),)))

    @eqx.filter_jit
    def by_hand(net, bench):
        data = measure_data_pass(net, bench, field, key=jax.random.key(0))
        error = jax.grad(net.readout.loss)(data.measured[-1], labels)
        u = jnp.exp(1j * net.phase) * field
        alpha = jnp.angle(jnp.vdot(net.free_space(u), data.measured[-1]))
        return -jnp.imag(jnp.exp(1j * alpha) * u * net.free_space(error)).sum(axis=0)

    found = estimate(PhysicsAware(), net, bench, field, labels).gradient.phase
    assert relative_error(found[0], by_hand(net, bench)) < 1e-10


def test_a_common_phase_of_the_reference_wave_does_not_matter():
    # Without a correction every layer would turn its gradient by the phase of all later ones.
    net, (field, labels) = network(3), inputs()
    gradients = []
    for phase in (0.0, 1.0):
        hardware = twin()
        walk = jnp.full_like(hardware.reference_walk, phase)
        hardware = eqx.tree_at(lambda t: t.reference_walk, hardware, walk)
        bench = OpticalBench(GEOMETRY, hardware)
        gradients.append(estimate(PhysicsAware(), net, bench, field, labels).gradient.phase)
    assert relative_error(gradients[1], gradients[0]) < 1e-10


def test_stands_between_in_silico_and_truth_under_aberration():
    net, (field, labels) = network(), inputs()
    hardware = twin(both_faces_aberration=((6, 0.5),))
    bench = OpticalBench(GEOMETRY, hardware)
    truth = true_gradient(hardware, net, field, labels).phase
    aware = estimate(PhysicsAware(), net, bench, field, labels).gradient.phase
    simulated = estimate(InSilico(), net, None, field, labels).gradient.phase
    assert cosines(simulated, truth).mean() < cosines(aware, truth).mean() < 0.999


def test_one_measurement_a_layer():
    assert PhysicsAware().measurements_per_sample(8) == 8


def test_needs_a_bench():
    net, (field, labels) = network(), inputs()
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        PhysicsAware().gradient(net, None, field, labels, key=jax.random.key(0))

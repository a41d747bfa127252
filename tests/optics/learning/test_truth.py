"""The true gradient against finite differences of the very hardware, and what benches show to the experimenter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware.bench import OpticalBench
from optics.hardware.detectors import flir_bfs_u3_89s6m
from optics.learning.truth import true_gradient, true_phase_gradient
from optics.networks.activations import saturable
from tests.exact.small_bench import GEOMETRY, inputs, network, twin

KEY = jax.random.key(0)
HARDWARE = twin(camera_shift_px=0.7, input_aberration=((6, 0.5),), field_noise=0.3)


@pytest.mark.parametrize("activation", [None, saturable])
def test_the_true_gradient_is_the_slope_of_what_noise_free_hardware_measures(activation):
    net = network(2, activation=activation)
    field, labels = inputs()
    bench = OpticalBench(GEOMETRY, HARDWARE, camera=flir_bfs_u3_89s6m()).quiet()
    found = jax.jit(lambda: true_gradient(net, HARDWARE.run, field, labels))()
    direction = jax.random.normal(jax.random.key(4), net.phase.shape)

    @jax.jit
    def measured_loss(step):
        phase = net.phase + step * direction
        x = field
        for layer in range(2):
            x = bench.measure_field(x if layer == 0 else net.activate(x), phase[layer], key=KEY)
        return net.readout.loss(x, labels)

    step = 1e-5
    slope = (measured_loss(step) - measured_loss(-step)) / (2 * step)
    np.testing.assert_allclose(jnp.sum(found.gradient.phase * direction), slope, rtol=1e-6)
    np.testing.assert_allclose(found.loss, measured_loss(0.0), rtol=1e-9)
    assert found.gradient.amplitude is None
    np.testing.assert_allclose(net.readout.loss(found.output, labels), found.loss, rtol=1e-12)


def test_the_gradient_of_a_single_modulator_is_that_of_a_network_of_one_layer():
    net = network(1)
    field, labels = inputs()
    loss = lambda y: net.readout.loss(y, labels)  # noqa: E731
    one = jax.jit(lambda p: true_phase_gradient(HARDWARE.run, loss, field, p))(net.phase[0])
    whole = jax.jit(lambda: true_gradient(net, HARDWARE.run, field, labels))().gradient.phase[0]
    np.testing.assert_allclose(one, whole, atol=1e-14)


def test_a_quiet_bench_measures_the_truth_that_it_reveals():
    field, _ = inputs()
    bench = OpticalBench(GEOMETRY, HARDWARE, camera=flir_bfs_u3_89s6m())
    phase = network(1).phase[0]
    # Compiled whole: one by one, each operation is a program.
    truth, quiet, noisy = jax.jit(
        lambda: (
            bench.reveal().run(field, phase),
            bench.quiet().measure_field(field, phase, key=KEY),
            bench.measure_field(field, phase, key=KEY),
        )
    )()
    np.testing.assert_allclose(quiet, truth, atol=1e-12)
    assert np.linalg.norm(noisy - truth) > 0.2 * np.linalg.norm(truth)

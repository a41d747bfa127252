import jax
import numpy as np

from optics.hardware.bench import OpticalBench
from optics.learning.passes import measure_data_pass
from optics.learning.protocols import Weights, weights_of, with_weights
from optics.networks.activations import saturable
from tests.exact.small_bench import GEOMETRY, inputs, network, relative_error, twin


def test_data_pass_stores_what_each_layer_got_and_gave():
    net = network(3, activation=saturable)
    field, _ = inputs()
    hardware = twin(both_faces_aberration=((6, 1.0),))
    data = measure_data_pass(net, OpticalBench(GEOMETRY, hardware), field, key=jax.random.key(0))
    np.testing.assert_array_equal(data.loaded[0], field)
    for layer in range(3):
        given = hardware.run(data.loaded[layer], net.phase[layer])
        assert relative_error(data.measured[layer], given) < 1e-12
    for layer in range(2):
        loaded = saturable(data.measured[layer])
        assert relative_error(data.loaded[layer + 1], loaded) < 1e-12


def test_data_pass_of_an_ideal_bench_is_the_model():
    net = network(3, activation=saturable, train_amplitude=True)
    field, _ = inputs()
    data = measure_data_pass(net, OpticalBench(GEOMETRY, twin()), field, key=jax.random.key(0))
    assert relative_error(data.measured[-1], net(field)) < 1e-12


def test_time_runs_on_from_layer_to_layer():
    net, (field, _) = network(2), inputs()
    hardware = twin(reference_drift=0.5)
    bench = OpticalBench(GEOMETRY, hardware)
    still = OpticalBench(GEOMETRY, twin())
    moving = measure_data_pass(net, bench, field, key=jax.random.key(0), time=10)
    fixed = measure_data_pass(net, still, field, key=jax.random.key(0))
    turn = hardware.reference_walk[10] + hardware.reference_walk[11]
    np.testing.assert_allclose(
        moving.measured[1], fixed.measured[1] * np.exp(-1j * turn), atol=1e-12
    )


def test_weights_go_out_and_in_again():
    net = network(2, train_amplitude=True)
    weights = weights_of(net)
    changed = with_weights(net, Weights(weights.phase + 1, weights.amplitude / 2))
    np.testing.assert_array_equal(changed.phase, net.phase + 1)
    np.testing.assert_array_equal(changed.amplitude, net.amplitude / 2)
    assert with_weights(network(2), weights_of(network(2))).amplitude is None

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.learning import evaluate, fit
from optics.learning.methods import Layerwise
from optics.learning.methods.layerwise import _measure_frozen
from optics.learning.passes import measure_data_pass
from optics.learning.rules import InSilico
from optics.networks.activations import saturable
from tests.exact.bars import bars, encode
from tests.exact.small_bench import GEOMETRY, estimate, inputs, network, twin

KEY = jax.random.key(0)


@eqx.filter_jit
def take(method, state, bench, field, labels):
    """One step; compiled once for all methods that differ in numbers alone."""
    return method.step(state, bench, field, labels, key=KEY)


def _run(method, net, bench, n_steps):
    """Phases before and after every step."""
    state, (field, labels) = method.init(net, key=KEY, n_steps=n_steps), inputs()
    phases = [net.phase]
    reports = []
    for _ in range(n_steps):
        state, report = take(method, state, bench, field, labels)
        phases.append(method.network(state).phase)
        reports.append(report)
    return np.array(phases), reports


def test_first_stage_is_in_silico_training_and_later_ones_freeze_from_the_front():
    net = network(3)
    bench = OpticalBench(GEOMETRY, twin(slm_gain=-0.4))
    phases, reports = _run(Layerwise(0.05, first_share=0.5), net, bench, 8)
    field, labels = inputs()
    loss = estimate(InSilico(), net, None, field, labels).loss
    assert float(reports[0].loss) == pytest.approx(float(loss), rel=1e-12)
    assert float(reports[0].correct) == np.mean(net.readout.correct(net(field), labels))
    sizes = np.abs(np.angle(np.exp(1j * np.diff(phases, axis=0)))).max(axis=(2, 3))
    moves = sizes > 0
    # 8 steps: 4 for all layers, 2 without the first, 2 for the last.
    expected = [[True, True, True]] * 4 + [[False, True, True]] * 2 + [[False, False, True]] * 2
    np.testing.assert_array_equal(moves, expected)
    # Adam begins anew in every stage: its first step is the rate itself, the second of two 0.1 + 0.9 / 2 of it at most.
    np.testing.assert_allclose(sizes[[0, 4, 6], 2], 0.05, rtol=1e-3)
    assert np.all((sizes[[5, 7], 2] > 0.4 * 0.05) & (sizes[[5, 7], 2] < 0.551 * 0.05))


def test_last_stage_starts_from_the_field_measured_behind_the_frozen_layers():
    net = network(2, activation=saturable)
    hardware = twin(slm_gain=-0.4, camera_shift_px=0.5)
    bench = OpticalBench(GEOMETRY, hardware)
    _, reports = _run(Layerwise(0.05, first_share=0.0), net, bench, 1)
    field, labels = inputs()

    @eqx.filter_jit
    def by_hand(net, bench):
        data = measure_data_pass(net, bench, field, key=jax.random.key(3))
        return net.readout.loss(net.layer(data.loaded[1], net.phase[1]), labels)

    assert float(reports[0].loss) == pytest.approx(float(by_hand(net, bench)), rel=1e-12)


def test_frozen_layers_are_measured_as_in_a_data_pass_each_at_its_own_time():
    net = network(3, activation=saturable)
    bench = OpticalBench(GEOMETRY, twin(reference_drift=0.5, field_noise=0.05))
    field = inputs()[0]
    found, data = eqx.filter_jit(
        lambda: (
            _measure_frozen(net, bench, field, 2, key=KEY, time=5),
            measure_data_pass(net, bench, field, key=KEY, time=5),
        )
    )()
    np.testing.assert_allclose(found, data.loaded[2], rtol=1e-10)


def test_a_deep_network_without_errors_follows_the_model():
    # On an ideal bench the measured field is the model's: the loss seen is that of the model.
    net, bench = network(3), OpticalBench(GEOMETRY, twin())
    field, labels = inputs()
    method = Layerwise(0.05, first_share=0.0)
    state = method.init(net, key=KEY, n_steps=4)
    loss_of = jax.jit(lambda n: n.readout.loss(n(field), labels))
    for _ in range(4):
        loss = loss_of(method.network(state))
        state, report = take(method, state, bench, field, labels)
        assert float(report.loss) == pytest.approx(float(loss), rel=1e-10)


def test_repairs_the_errors_of_the_first_layer():
    images, labels = bars()
    bench = OpticalBench(GEOMETRY, twin(slm_gain=-0.5, both_faces_aberration=((6, 2.0),)))
    accuracy = []
    for method in (Layerwise(0.1, first_share=0.5), Layerwise(0.1, first_share=1.0)):
        result = fit(
            network(2), method, images, labels, encode=encode, key=KEY, bench=bench, n_steps=40,
            batch_size=16,
        )  # fmt: skip
        good = evaluate(result.network, images, labels, encode=encode, bench=bench, key=KEY)
        accuracy.append(good.mean())
    assert accuracy[0] > accuracy[1] + 0.1


def test_frames_grow_with_the_stage():
    net = network(3)
    costs = [Layerwise(first_share=0.5).cost(net, 5, step=i, n_steps=8).frames for i in range(8)]
    assert costs == [0] * 4 + [4 * 5] * 2 + [2 * 4 * 5] * 2
    assert Layerwise().cost(network(1), 5, step=3, n_steps=4).frames == 0


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="`first_share` must lie between 0 and 1"):
        Layerwise(first_share=1.5)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        Layerwise(-1.0)
    net = network(2)
    method = Layerwise()
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        method.step(method.init(net, key=KEY, n_steps=2), None, *inputs(), key=KEY)


def test_learning_rate_is_an_array_so_that_another_one_does_not_recompile():
    assert isinstance(Layerwise(0.3).learning_rate, jnp.ndarray)

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.hardware.detectors import ideal_camera
from optics.learning.rules import ForwardMode, InSituBackprop
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

KEY = jax.random.key(0)
FLAT = jnp.zeros(GEOMETRY.shape)
ASYMMETRIC = {
    "input_aberration": ((7, 1.0),),
    "camera_shift_px": 0.7,
    "camera_tilt": 1e-3,
    "camera_rotation": 0.01,
    "illumination_drop": 0.3,
}


def _gradient(rule, hardware, net, **bench_options):
    field, labels = inputs()
    bench = OpticalBench(GEOMETRY, hardware, **bench_options)
    return estimate(rule, net, bench, field, labels).gradient


def test_exact_on_any_hardware_where_forward_mode_is_not():
    hardware = twin(**ASYMMETRIC)
    net = network(3, activation=saturable, train_amplitude=True)
    truth = true_gradient(hardware, net, *inputs())
    for camera in (None, ideal_camera()):
        found = _gradient(InSituBackprop(), hardware, net, camera=camera)
        assert relative_error(found.phase, truth.phase) < 1e-9
        assert relative_error(found.amplitude, truth.amplitude) < 1e-9
    forward = _gradient(ForwardMode(), hardware, net)
    assert cosines(forward.phase, truth.phase).min() < 0.9


def test_wrong_stroke_scales_the_gradient_and_a_static_phase_error_does_not_matter():
    hardware, net = twin(slm_gain=-0.4, slm_phase_error=0.5), network(3)
    truth = true_gradient(hardware, net, *inputs()).phase
    found = _gradient(InSituBackprop(), hardware, net).phase
    # d(actual phase) / d(commanded phase) = 0.6, which the learner cannot know.
    assert relative_error(0.6 * found, truth) < 1e-9


def test_backward_light_is_the_transpose_of_forward_light():
    # <H M a, b> = <a, M H^T b> without conjugates: reciprocity, modulator errors included.
    bench = OpticalBench(GEOMETRY, twin(slm_gain=-0.3, slm_zero_order=0.1, **ASYMMETRIC))
    a, b = inputs()[0][:1], inputs(key=7)[0][:1]
    weights = jax.random.uniform(KEY, (2, *GEOMETRY.shape))

    @eqx.filter_jit
    def both_ways(bench):
        forward = bench.measure_field(a, *weights, key=KEY)
        backward = bench.measure_field_backward(b, *weights, key=KEY)
        return jnp.sum(forward * b), jnp.sum(a * backward)

    np.testing.assert_allclose(*both_ways(bench), rtol=1e-11)


def test_displaced_backward_beam_costs_alignment():
    hardware, net = twin(), network(3)
    truth = true_gradient(hardware, net, *inputs()).phase
    found = [
        cosines(_gradient(InSituBackprop(), hardware, net, backward_shift_px=(s, 0)).phase, truth)
        for s in (0, 0.3, 1)
    ]
    assert found[0].min() > 1 - 1e-12
    assert found[0].mean() > found[1].mean() > found[2].mean()


def test_costs_what_forward_mode_costs():
    assert InSituBackprop().frames_per_sample(3) == ForwardMode().frames_per_sample(3)


def test_bench_without_a_backward_path_is_refused():
    class OneWay:
        def measure_field(self, field, phase, amplitude=None, *, key, time=0):
            return field

        def measure_intensity(self, field, phase, amplitude=None, *, key, time=0):
            return field

    net, (field, labels) = network(), inputs()
    with pytest.raises(TypeError, match="`bench` must have `measure_field_backward`"):
        InSituBackprop().gradient(net, OneWay(), field, labels, key=KEY)
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        InSituBackprop().gradient(net, None, field, labels, key=KEY)


def test_bad_backward_input_is_named():
    bench = OpticalBench(GEOMETRY, twin())
    with pytest.raises(ValueError, match="`field` must have last axes"):
        bench.measure_field_backward(jnp.ones((8, 8), complex), FLAT[:8, :8], key=KEY)
    with pytest.raises(ValueError, match="`backward_shift_px` must be finite"):
        OpticalBench(GEOMETRY, twin(), backward_shift_px=(np.nan, 0.0))

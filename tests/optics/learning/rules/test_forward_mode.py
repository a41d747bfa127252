"""The sharpest test of the gradient engine: FFM against automatic differentiation of the same hardware."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import OpticalBench
from optics.hardware.detectors import ideal_camera
from optics.learning.protocols import weights_of
from optics.learning.rules import ForwardMode, InSilico
from optics.networks import ACTIVATIONS
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

# Errors that keep H = H^T and leave the commanded weights as they are: FFM is exact on all of them.
SYMMETRIC = {
    "none": {},
    "astigmatism at both faces": {"both_faces_aberration": ((6, 1.0),)},
    "coma at both faces": {"both_faces_aberration": ((7, 0.7),)},
    "distance": {"distance_error": 3e-4},
    "even Fourier aberrations": {"fourier_aberration": ((4, 0.4), (6, 0.4), (11, 0.3))},
    "all of them": {
        "both_faces_aberration": ((6, 1.0), (8, 0.3)),
        "distance_error": 3e-4,
        "fourier_aberration": ((5, 0.4),),
    },
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_gradient_equals_autodiff_of_the_hardware_on_symmetric_benches(name):
    hardware, net, (field, labels) = twin(**SYMMETRIC[name]), network(), inputs()
    found = estimate(ForwardMode(), net, OpticalBench(GEOMETRY, hardware), field, labels).gradient
    truth = true_gradient(hardware, net, field, labels)
    assert relative_error(found.phase, truth.phase) < 1e-10  # the bar is 1e-6


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "linear"])
def test_nonlinear_layers_and_amplitude_weights_are_exact_too(activation):
    hardware = twin(both_faces_aberration=((6, 1.0),))
    net = network(3, activation=ACTIVATIONS[activation], train_amplitude=True)
    field, labels = inputs()
    found = estimate(ForwardMode(), net, OpticalBench(GEOMETRY, hardware), field, labels).gradient
    truth = true_gradient(hardware, net, field, labels)
    assert relative_error(found.phase, truth.phase) < 1e-10
    assert relative_error(found.amplitude, truth.amplitude) < 1e-10


def test_pattern_loss_is_exact_too():
    hardware, net = twin(both_faces_aberration=((6, 1.0),)), network(classes=None)
    field, _ = inputs()
    targets = jax.random.uniform(jax.random.key(9), field.shape)
    found = estimate(ForwardMode(), net, OpticalBench(GEOMETRY, hardware), field, targets).gradient
    truth = true_gradient(hardware, net, field, targets)
    assert relative_error(found.phase, truth.phase) < 1e-10


def test_holography_with_a_perfect_camera_changes_nothing():
    hardware, net, (field, labels) = twin(), network(), inputs()
    bench = OpticalBench(GEOMETRY, hardware, camera=ideal_camera())
    found = estimate(ForwardMode(), net, bench, field, labels).gradient
    truth = true_gradient(hardware, net, field, labels)
    assert relative_error(found.phase, truth.phase) < 1e-10


def test_gradient_equals_finite_differences_of_the_measured_loss():
    hardware, net, (field, labels) = twin(both_faces_aberration=((6, 1.0),)), network(), inputs()
    bench = OpticalBench(GEOMETRY, hardware)
    found = estimate(ForwardMode(), net, bench, field, labels).gradient

    def measured_loss(phase):
        trial = eqx.tree_at(lambda n: n.phase, net, phase)
        return float(estimate(ForwardMode(), trial, bench, field, labels).loss)

    # Central differences at h = 1e-4: error h^2 / 6 of the third derivative, rounding 1e-12; six digits remain.
    h = 1e-4
    direction = jax.random.normal(jax.random.key(3), net.phase.shape)
    slope = (
        measured_loss(net.phase + h * direction) - measured_loss(net.phase - h * direction)
    ) / (2 * h)
    assert slope == pytest.approx(float(jnp.sum(found.phase * direction)), rel=1e-6)


def test_flat_phase_does_not_matter_on_a_calibrated_modulator():
    hardware, net, (field, labels) = twin(), network(), inputs()
    bench = OpticalBench(GEOMETRY, hardware)
    a, b = (
        estimate(ForwardMode(flat), net, bench, field, labels).gradient.phase
        for flat in (0.0, np.pi)
    )
    assert relative_error(a, b) < 1e-10


def test_mid_range_flat_phase_survives_a_wrong_stroke_that_turns_zero_flat_away():
    hardware, net, (field, labels) = twin(slm_gain=-0.5), network(), inputs()
    bench = OpticalBench(GEOMETRY, hardware)
    truth = true_gradient(hardware, net, field, labels).phase
    middle, zero = (
        cosines(estimate(ForwardMode(flat), net, bench, field, labels).gradient.phase, truth)[-1]
        for flat in (np.pi, 0.0)
    )
    # Uniform phases on [0, 2 pi): the pixel error (s - 1)(phi - pi) averages to sin(pi / 2) / (pi / 2) = 0.64; with
    # flat at 0 the same is turned by pi / 2 more, which leaves nothing of the true gradient.
    assert middle == pytest.approx(0.64, abs=0.15)
    assert abs(zero) < 0.2


@pytest.mark.parametrize(("drift", "layers"), [(0.1, 3), (0.3, 3), (0.6, 3)])
def test_reference_drift_turns_the_gradient_by_the_passes_it_has_taken(drift, layers):
    # A drift d between data and error pass gives cos(m d) g + sin(m d) q after m error passes (sheet 3.5).
    hardware, net, (field, labels) = twin(), network(layers), inputs()

    def gradient(offset):
        walk = hardware.reference_walk.at[layers:].set(offset)
        drifting = eqx.tree_at(lambda t: t.reference_walk, hardware, walk)
        bench = OpticalBench(GEOMETRY, drifting)
        return estimate(ForwardMode(), net, bench, field, labels).gradient.phase

    truth = true_gradient(hardware, net, field, labels).phase
    for layer in range(layers):
        passes = layers - layer
        quadrature = gradient(np.pi / 2 / passes)[layer]
        expected = np.cos(passes * drift) * truth[layer] + np.sin(passes * drift) * quadrature
        np.testing.assert_allclose(gradient(drift)[layer], expected, atol=1e-12)


def test_ideal_bench_gives_the_in_silico_gradient():
    net, (field, labels) = network(), inputs()
    measured = estimate(ForwardMode(), net, OpticalBench(GEOMETRY, twin()), field, labels)
    simulated = estimate(InSilico(), net, None, field, labels)
    assert relative_error(measured.gradient.phase, simulated.gradient.phase) < 1e-10
    assert float(measured.loss) == pytest.approx(float(simulated.loss), rel=1e-12)


def test_one_data_and_one_error_measurement_a_layer():
    assert ForwardMode().measurements_per_sample(8) == 16
    assert ForwardMode().frames_per_sample(8) == 64  # 8 layers, 2 passes, 4 steps: sheet section 4


def test_needs_a_bench():
    net, (field, labels) = network(), inputs()
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        ForwardMode().gradient(net, None, field, labels, key=jax.random.key(0))


def test_does_not_look_at_the_model():
    # A network whose model is wrong trains alike, for only its commanded weights are used.
    hardware, net, (field, labels) = twin(), network(), inputs()
    wrong = eqx.tree_at(
        lambda n: n.free_space.factors, net, jax.tree.map(lambda f: f * 0.1, net.free_space.factors)
    )
    bench = OpticalBench(GEOMETRY, hardware)
    a, b = (estimate(ForwardMode(), n, bench, field, labels).gradient.phase for n in (net, wrong))
    np.testing.assert_array_equal(a, b)
    assert weights_of(wrong).amplitude is None

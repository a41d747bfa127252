import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.learning.protocols import weights_of
from optics.learning.rules import InSilico, NoiseAware
from optics.waves import modulation
from optics.waves.shifts import displaced
from tests.exact.small_bench import inputs, network, relative_error

KEY = jax.random.key(0)


def _gradient(rule, net):
    field, labels = inputs()
    return rule.gradient(net, None, field, labels, key=KEY).gradient


def test_without_errors_it_is_in_silico_training():
    net = network(2, train_amplitude=True)
    found, expected = (_gradient(r, net) for r in (NoiseAware(0.0, 0.0), InSilico()))
    assert relative_error(found.phase, expected.phase) < 1e-12
    assert relative_error(found.amplitude, expected.amplitude) < 1e-12


def test_mean_light_falls_as_random_phases_say():
    # <exp(i e)> = exp(-s^2 / 2) for one layer: the mean output over draws is the clean one times that.
    net, (field, _) = network(1), inputs()
    rule, sigma, n = NoiseAware(0.8, 0.0), 0.8, 300
    keys = jax.random.split(KEY, n)
    outputs = jax.lax.map(lambda k: rule.simulate(net, weights_of(net), field, key=k), keys)
    factor = jnp.vdot(net(field), outputs.mean(axis=0)) / jnp.vdot(net(field), net(field))
    # One draw has 576 pixels of variance 1 - exp(-s^2) = 0.47: sd sqrt(0.47 / 576 / 300) = 0.0017; 5 of them.
    assert abs(factor - np.exp(-(sigma**2) / 2)) < 0.0085


def test_known_stroke_scales_the_wrapped_phase():
    net, (field, _) = network(1), inputs()
    shifted = net.phase + 2 * jnp.pi  # one turn more is the same command
    rule = NoiseAware(0.0, 0.0, stroke_offset=-0.4)
    for phase in (net.phase, shifted):
        found = rule.simulate(net, weights_of(net)._replace(phase=phase), field, key=KEY)
        expected = net.free_space(modulation(0.6 * net.phase[0])[None] * field)
        assert relative_error(found, expected) < 1e-10


def test_shift_moves_the_output_of_every_layer_alike():
    net, (field, _) = network(2), inputs()
    rule = NoiseAware(0.0, 0.0, shift_px=1.0)
    shift = jax.random.normal(jax.random.split(KEY, 3)[2], (2,))
    y = displaced(net.layer(field, net.phase[0]), shift)
    expected = displaced(net.layer(y, net.phase[1]), shift)
    assert relative_error(rule.simulate(net, weights_of(net), field, key=KEY), expected) < 1e-12


def test_draws_are_averaged():
    net = network(1)
    field, labels = inputs()
    keys = jax.random.split(KEY, 3)

    def loss(phase, key):
        weights = weights_of(net)._replace(phase=phase)
        output = NoiseAware(0.5).simulate(net, weights, field, key=key)
        return net.readout.loss(output, labels)

    expected = sum(jax.grad(loss)(net.phase, k) for k in keys) / 3
    assert relative_error(_gradient(NoiseAware(0.5, n_draws=3), net).phase, expected) < 1e-12


def test_measures_nothing_and_names_bad_settings():
    assert NoiseAware().frames_per_sample(3) == 0
    with pytest.raises(ValueError, match="`phase_error` must lie between 0 and 100"):
        NoiseAware(-1.0)
    with pytest.raises(ValueError, match="`n_draws` must be at least 1"):
        NoiseAware(n_draws=0)

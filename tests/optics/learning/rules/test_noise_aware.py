import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.learning.protocols import weights_of
from optics.learning.rules import InSilico, NoiseAware
from optics.waves import modulation
from optics.waves.shifts import displaced
from tests.exact.small_bench import estimate, inputs, network, relative_error

KEY = jax.random.key(0)


@eqx.filter_jit
def _simulate(rule, net, weights, field):
    return rule.simulate(net, weights, field, key=KEY)


def _gradient(rule, net):
    field, labels = inputs()
    return estimate(rule, net, None, field, labels, KEY).gradient


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

    @jax.jit
    def clean_and_mean(keys):
        draw = lambda k: rule.simulate(net, weights_of(net), field, key=k)  # noqa: E731
        return net(field), jax.lax.map(draw, keys).mean(axis=0)

    clean, mean = (np.asarray(light) for light in clean_and_mean(keys))
    factor = np.vdot(clean, mean) / np.vdot(clean, clean)
    # One draw has 576 pixels of variance 1 - exp(-s^2) = 0.47: sd sqrt(0.47 / 576 / 300) = 0.0017; 5 of them.
    assert abs(factor - np.exp(-(sigma**2) / 2)) < 0.0085


def test_known_stroke_scales_the_wrapped_phase():
    net, (field, _) = network(1), inputs()
    shifted = net.phase + 2 * jnp.pi  # one turn more is the same command
    rule = NoiseAware(0.0, 0.0, stroke_offset=-0.4)
    by_hand = jax.jit(lambda n: n.free_space(modulation(0.6 * n.phase[0])[None] * field))
    for phase in (net.phase, shifted):
        found = _simulate(rule, net, weights_of(net)._replace(phase=phase), field)
        assert relative_error(found, by_hand(net)) < 1e-10


def test_shift_moves_the_output_of_every_layer_alike():
    net, (field, _) = network(2), inputs()
    rule = NoiseAware(0.0, 0.0, shift_px=1.0)

    @jax.jit
    def by_hand(shift):
        y = displaced(net.layer(field, net.phase[0]), shift)
        return displaced(net.layer(y, net.phase[1]), shift)

    expected = by_hand(jax.random.normal(jax.random.split(KEY, 3)[2], (2,)))
    assert relative_error(_simulate(rule, net, weights_of(net), field), expected) < 1e-12


def test_draws_are_averaged():
    net = network(1)
    field, labels = inputs()
    keys = jax.random.split(KEY, 3)

    def loss(phase, key):
        weights = weights_of(net)._replace(phase=phase)
        output = NoiseAware(0.5).simulate(net, weights, field, key=key)
        return net.readout.loss(output, labels)

    gradient = jax.jit(jax.grad(loss))
    expected = sum(np.asarray(gradient(net.phase, k)) for k in keys) / 3
    assert relative_error(_gradient(NoiseAware(0.5, n_draws=3), net).phase, expected) < 1e-12


def test_measures_nothing_and_names_bad_settings():
    assert NoiseAware().frames_per_sample(3) == 0
    with pytest.raises(ValueError, match="`phase_error` must lie between 0 and 100"):
        NoiseAware(-1.0)
    with pytest.raises(ValueError, match="`n_draws` must be at least 1"):
        NoiseAware(n_draws=0)

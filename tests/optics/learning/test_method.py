"""What all methods have in common: costs are what is really measured, a second training compiles nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.hardware import Imperfections, OpticalBench, draw_twin
from optics.learning import GradientMethod, fit
from optics.learning.loop import cosine_decay
from optics.learning.method import adam_init, adam_step, cost_of
from optics.learning.methods import (
    CmaEs,
    ForwardForward,
    Layerwise,
    OutputPhysicsAware,
    ParticleSwarm,
    checkerboard,
    make_label_light,
)
from optics.learning.protocols import Weights
from optics.learning.rules import (
    FeedbackAlignment,
    FiniteDifference,
    ForwardMode,
    InSilico,
    InSituBackprop,
    NoiseAware,
    PhysicsAware,
    ScoreFunction,
    Spsa,
    make_random_feedback,
)
from optics.media import Geometry
from optics.networks import encode_images, make_network, make_readout
from tests.exact.small_bench import GEOMETRY, network, twin

KEY = jax.random.key(0)
# 8 x 8 px: costs and traces do not depend on the size.
TINY = Geometry(shape=(8, 8), pixel_pitch=8e-6, wavelength=532e-9, distance=2e-3)
NET = make_network(TINY, 2, make_readout((8, 8), 2), key=KEY, dtype=jnp.complex128)
IMAGES = jnp.asarray(np.random.default_rng(1).uniform(size=(6, 4, 4)))
LABELS = jnp.asarray(np.arange(6) % 2)


def encode(images):
    return encode_images(images, (8, 8), dtype=jnp.complex128)


METHODS = {
    "in_silico": GradientMethod(InSilico()),
    "noise_aware": GradientMethod(NoiseAware()),
    "layerwise": Layerwise(first_share=0.5),
    "physics_aware": GradientMethod(PhysicsAware()),
    "in_situ": GradientMethod(InSituBackprop()),
    "forward_mode": GradientMethod(ForwardMode()),
    "feedback_alignment": GradientMethod(
        FeedbackAlignment(make_random_feedback(NET, (8, 8), key=KEY))
    ),
    "spsa": GradientMethod(Spsa(n_pairs=2)),
    "finite_difference": GradientMethod(FiniteDifference(3)),
    "score_function": GradientMethod(ScoreFunction(n_masks=3)),
    "forward_forward": ForwardForward(make_label_light((8, 8), 2), checkerboard((8, 8), 2)),
    "swarm": ParticleSwarm(n_particles=3, superpixel=4),
    "swarm_re_measured": ParticleSwarm(n_particles=3, superpixel=4, re_measure=True),
    "cma_es": CmaEs(superpixel=4, population_size=4),
    "physics_aware_output": GradientMethod(OutputPhysicsAware()),
}


class CountingBench:
    """Hardware that counts what it is asked for, each time that a program runs."""

    def __init__(self):
        self.inner = OpticalBench(TINY, _tiny_twin(slm_gain=-0.2), exposure=0.8)
        self.measurements = self.evaluations = self.frames = 0
        self.times = []

    def _count(self, field, frames, time):
        def count(time):
            self.measurements += 1
            self.evaluations += field.shape[0]
            self.frames += frames * field.shape[0]
            self.times.append(int(time))

        jax.debug.callback(count, time)

    def measure_field(self, field, phase, amplitude=None, *, key, time=0):
        self._count(field, 4, time)
        return self.inner.measure_field(field, phase, amplitude, key=key, time=time)

    def measure_field_backward(self, field, phase, amplitude=None, *, key, time=0):
        self._count(field, 4, time)
        return self.inner.measure_field_backward(field, phase, amplitude, key=key, time=time)

    def measure_intensity(self, field, phase, amplitude=None, *, key, time=0):
        self._count(field, 1, time)
        return self.inner.measure_intensity(field, phase, amplitude, key=key, time=time)


def _tiny_twin(**errors):
    return draw_twin(TINY, Imperfections(**errors), key=KEY, dtype=jnp.complex128)


# Nothing to count where nothing is measured; these are checked against zero.
UNMEASURED = ("in_silico", "noise_aware")


@pytest.mark.parametrize("name", [name for name in METHODS if name not in UNMEASURED])
def test_cost_is_what_the_bench_is_really_asked_for(name):
    method, bench = METHODS[name], CountingBench()
    field, labels = encode(IMAGES[:2]), LABELS[:2]
    n_steps = 2 if name == "layerwise" else 1
    time = 0

    def take(state, time):
        return method.step(state, bench, field, labels, key=KEY, time=time)

    take = take if method.host else jax.jit(take)
    state = method.init(NET, key=KEY, n_steps=n_steps)
    for step in range(n_steps):
        cost = method.cost(NET, 2, step=step, n_steps=n_steps)
        before = (bench.measurements, bench.evaluations, bench.frames)
        state, report = take(state, time)
        jax.block_until_ready(report)
        jax.effects_barrier()
        after = (bench.measurements, bench.evaluations, bench.frames)
        assert tuple(b - a for a, b in zip(before, after, strict=True)) == tuple(cost)
        time += cost.measurements
    # Every measurement has its own moment: laboratory time neither stands still nor skips.
    assert sorted(bench.times) == list(range(time))


@pytest.mark.parametrize("name", UNMEASURED)
def test_simulated_training_costs_nothing(name):
    assert tuple(METHODS[name].cost(NET, 5)) == (0, 0, 0)


# One rule stands for all that share `GradientMethod`.
@pytest.mark.parametrize(
    "name", ["score_function", "layerwise", "forward_forward", "swarm", "cma_es"]
)
def test_second_training_on_another_bench_compiles_nothing(name):
    method = METHODS[name]
    traced = []

    def counted(images):
        traced.append(images.shape)
        return encode(images)

    for seed in (0, 1):
        bench = OpticalBench(TINY, _tiny_twin(slm_gain=-0.1 * seed - 0.1))
        result = fit(
            NET, method, IMAGES, LABELS, encode=counted if not method.host else encode,
            key=jax.random.key(seed), bench=bench, n_steps=3, batch_size=2, steps_per_call=1,
        )  # fmt: skip
        assert result.losses.shape == (3,)
        assert np.isfinite(result.network.phase).all()
        assert result.frames == result.frames_by_step[-1]
    assert len(traced) == (0 if method.host else 1)


def test_a_field_costs_four_frames_and_an_intensity_one():
    # 2 fields and 3 intensities of 5 samples.
    assert tuple(cost_of(5, fields=2, intensities=3)) == (5, 25, 5 * (2 * 4 + 3))


def test_a_method_brings_its_own_learning_rate():
    with pytest.raises(ValueError, match="`learning_rate` must be left out beside a method"):
        fit(
            NET, METHODS["in_silico"], IMAGES, LABELS, encode=encode, key=KEY, n_steps=1,
            learning_rate=0.1,
        )  # fmt: skip


def test_a_rule_and_its_method_train_alike():
    runs = [
        fit(NET, method, IMAGES, LABELS, encode=encode, key=KEY, n_steps=3, batch_size=2, **options)
        for method, options in (
            (InSilico(), {"learning_rate": 0.2}),
            (GradientMethod(InSilico(), learning_rate=0.2), {}),
        )
    ]
    np.testing.assert_array_equal(runs[0].network.phase, runs[1].network.phase)


def test_adam_takes_its_first_steps_as_published():
    # Kingma and Ba, algorithm 1: the first step is rate * g / (|g| + eps), the second of an equal g the same.
    weights = Weights(jnp.array([[1.0, 2.0]]), None)
    gradient = Weights(jnp.array([[0.3, -5.0]]), None)
    state = adam_init(weights, 1000)
    for step in range(2):
        weights, state = adam_step(weights, gradient, state, jnp.asarray(0.1))
        factor = cosine_decay(1, 1000) if step else 1.0
        expected = [1.0 - 0.1 * (1 + step * factor), 2.0 + 0.1 * (1 + step * factor)]
        np.testing.assert_allclose(weights.phase[0], expected, rtol=1e-6)


def test_bad_learning_rate_is_named():
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        GradientMethod(InSilico(), learning_rate=0.0)


def test_first_weights_survive():
    net = network(1)
    before = np.array(net.phase)
    bench = OpticalBench(GEOMETRY, twin())
    fit(
        net, ParticleSwarm(n_particles=2, superpixel=12), IMAGES, LABELS % 2,
        encode=lambda x: encode_images(x, GEOMETRY.shape, dtype=jnp.complex128), key=KEY,
        bench=bench, n_steps=1, batch_size=2,
    )  # fmt: skip
    np.testing.assert_array_equal(net.phase, before)

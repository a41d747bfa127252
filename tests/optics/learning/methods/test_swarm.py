import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from optics.hardware import OpticalBench
from optics.learning import fit
from optics.learning.methods import CmaEs, ParticleSwarm
from optics.learning.methods.swarm import Swarm, fly, remember
from optics.learning.superpixels import from_vector, moved, n_offsets, population_losses
from tests.exact.bars import bars, encode
from tests.exact.small_bench import GEOMETRY, inputs, network, twin

KEY = jax.random.key(0)


def _sphere_losses(position, target):
    return jnp.sum((position - target[None]) ** 2, axis=1)


def test_swarm_finds_the_bottom_of_a_sphere():
    rng = np.random.default_rng(1)
    target, position = (jnp.asarray(rng.uniform(-1, 1, shape)) for shape in ((8,), (20, 8)))
    never = jnp.asarray(np.full(20, np.inf))

    def step(swarm, key):
        swarm = remember(swarm, _sphere_losses(swarm.position, target))
        return fly(swarm, inertia=0.7298, attraction=1.49618, key=key, top_speed=1.0), None

    @jax.jit
    def best(swarm):
        return jnp.min(jax.lax.scan(step, swarm, jax.random.split(KEY, 150))[0].best_loss)

    swarm = Swarm(position, jnp.zeros_like(position), position, never)
    start = np.min(np.sum((np.asarray(position) - np.asarray(target)) ** 2, axis=1))
    # Constriction contracts: after 150 moves the leader is at the target to better than 1e-3 of the start.
    assert best(swarm) < 1e-6 * start


def test_a_particle_on_both_bests_only_coasts():
    place, dark = np.ones((2, 3)), jnp.asarray(np.zeros(2))
    swarm = Swarm(jnp.asarray(place), jnp.asarray(0.1 * place), jnp.asarray(place), dark)
    move = jax.jit(lambda v: fly(swarm, inertia=0.5, attraction=2.0, key=KEY, top_speed=v).position)
    np.testing.assert_allclose(move(1.0), 1.05 * place)
    np.testing.assert_allclose(move(0.01), place + 0.01)


def test_pulls_lead_towards_the_bests():
    still = jnp.asarray(np.zeros((2, 1)))
    swarm = Swarm(still, still, jnp.asarray([[1.0], [3.0]]), jnp.asarray([1.0, 2.0]))
    move = jax.vmap(
        lambda k: fly(swarm, inertia=0.5, attraction=2.0, key=k, top_speed=10.0).velocity
    )
    draws = np.asarray(jax.jit(lambda: move(jax.random.split(KEY, 2000)))())
    # Means of r are 1/2: 2 (0.5 * 1 + 0.5 * 1) and 2 (0.5 * 3 + 0.5 * 1); sd below 2 / sqrt(2000) = 0.045.
    np.testing.assert_allclose(draws.mean(axis=0).ravel(), [2.0, 4.0], atol=0.2)


@pytest.mark.parametrize("superpixel", [4, 1])  # 72 offsets: full covariance; 1152: separable
def test_cma_es_starts_at_the_first_weights_and_takes_the_form_that_fits(superpixel):
    net = network(2)
    method = CmaEs(superpixel=superpixel)
    state = method.init(net, key=KEY, n_steps=1)
    assert type(state.optimiser).__name__ == ("CMA" if superpixel == 4 else "SepCMA")
    np.testing.assert_allclose(method.network(state).phase, net.phase)


class _Distance(eqx.Module):
    """Readout whose loss is the summed intensity."""

    def loss(self, field, labels):
        return jnp.sum(jnp.abs(field) ** 2)

    def correct(self, field, labels):
        return labels == 0


class _SphereBench(eqx.Module):
    """Hardware whose picture is the squared distance of the phases from a target."""

    target: Array

    def measure_field(self, field, phase, amplitude=None, *, key, time=0):
        return field

    def measure_intensity(self, field, phase, amplitude=None, *, key, time=0):
        return jnp.broadcast_to((phase - self.target) ** 2, field.shape)


def test_a_swarm_is_drawn_as_strongly_as_its_attraction_says():
    net = eqx.tree_at(lambda n: n.readout, network(1), _Distance())
    bench = _SphereBench(jnp.asarray(np.asarray(net.phase[0]) + 0.3))
    step = eqx.filter_jit(lambda method, state: method.step(state, bench, *inputs(1), key=KEY)[0])
    moves = []
    for attraction in (0.1, 0.2):
        method = ParticleSwarm(n_particles=3, superpixel=12, inertia=0.0, attraction=attraction)
        start = method.init(net, key=KEY, n_steps=1)
        moves.append(np.asarray(step(method, start).swarm.velocity))
    assert np.abs(moves[1]).max() > 0.01
    np.testing.assert_allclose(moves[1], 2 * moves[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("method", "n_steps", "bar"),
    [(CmaEs(sigma=0.5, superpixel=6), 120, 1e-4), (ParticleSwarm(superpixel=6), 150, 1e-2)],
)
def test_methods_find_the_bottom_of_a_sphere(method, n_steps, bar):
    net = eqx.tree_at(lambda n: n.readout, network(1), _Distance())
    coarse = np.random.default_rng(1).uniform(-1, 1, (4, 4))
    bench = _SphereBench(jnp.asarray(np.asarray(net.phase[0]) + np.kron(coarse, np.ones((6, 6)))))
    field, labels = inputs(1)
    state = method.init(net, key=KEY, n_steps=n_steps)
    # Linear convergence: about 16 * 10 / 12 generations a decade are allowed for 16 offsets.
    step = method.step if method.host else eqx.filter_jit(method.step)
    for i in range(n_steps):
        state, _ = step(state, bench, field, labels, key=jax.random.key(i))
    before, after = (
        np.sum((np.asarray(n.phase[0]) - bench.target) ** 2) for n in (net, method.network(state))
    )
    assert after < bar * before


@pytest.mark.parametrize(
    "method",
    [ParticleSwarm(n_particles=8, superpixel=6, re_measure=True), CmaEs(superpixel=6)],
)
def test_improves_the_measured_loss(method):
    images, labels = bars()
    bench = OpticalBench(GEOMETRY, twin(slm_gain=-0.3))
    net = network(1)
    result = fit(
        net, method, images, labels, encode=encode, key=KEY, bench=bench, n_steps=20, batch_size=8
    )
    field, zero = encode(images), jnp.zeros((1, n_offsets(net, 6)))
    before, after = (
        float(
            population_losses(n, bench, field, labels, zero, 6, key=jax.random.key(9), time=0)[0][0]
        )
        for n in (net, result.network)
    )
    assert after < 0.9 * before


def test_all_trials_of_a_step_are_measured_on_their_own_weights():
    net, bench = network(2), OpticalBench(GEOMETRY, twin())
    field, labels = inputs(2)
    vectors = jax.random.normal(KEY, (3, n_offsets(net, 6)))
    losses, correct = population_losses(net, bench, field, labels, vectors, 6, key=KEY, time=0)

    @jax.jit
    def alone(vector):
        output = moved(net, from_vector(net, 6, vector), 6)(field)
        return net.readout.loss(output, labels), net.readout.correct(output, labels).mean()

    for vector, loss, share in zip(vectors, losses, correct, strict=True):
        expected, right = alone(vector)
        assert float(loss) == pytest.approx(float(expected), rel=1e-10)
        assert float(share) == float(right)


def test_deployed_is_the_best_place_seen_not_where_the_swarm_flew():
    net, bench = network(1), OpticalBench(GEOMETRY, twin())
    method = ParticleSwarm(n_particles=6, superpixel=6)
    state = method.init(net, key=KEY, n_steps=3)
    field, labels = inputs(2)
    lowest, step = np.inf, eqx.filter_jit(method.step)
    for i in range(3):
        state, report = step(state, bench, field, labels, key=jax.random.key(i))
        lowest = min(lowest, float(report.loss))
    deployed = float(jax.jit(lambda n: n.readout.loss(n(field), labels))(method.network(state)))
    assert deployed == pytest.approx(lowest, rel=1e-10)  # a noiseless bench and one batch


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ParticleSwarm(n_particles=1), "`n_particles` must be at least 2, but is 1"),
        (lambda: ParticleSwarm(spread=0.0), "`spread` must be positive"),
        (lambda: ParticleSwarm(inertia=1.5), "`inertia` must lie between 0 and 1"),
        (lambda: CmaEs(sigma=-1.0), "`sigma` must be positive"),
        (lambda: CmaEs(population_size=2), "`population_size` must be at least 4, but is 2"),
        (lambda: CmaEs(superpixel=0), "`superpixel` must be at least 1"),
    ],
)
def test_bad_settings_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("method", [ParticleSwarm(superpixel=8), CmaEs(superpixel=8)])
def test_needs_a_bench(method):
    state = method.init(network(), key=KEY, n_steps=1)
    with pytest.raises(ValueError, match="`bench` must be an OpticalBench"):
        method.step(state, None, *inputs(), key=KEY)

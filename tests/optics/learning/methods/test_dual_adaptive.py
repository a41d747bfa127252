"""Dual adaptive training: exact without errors, learns the errors with them, and counts what it measures."""

from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optics.learning import GradientMethod
from optics.learning.methods import DualAdaptive, OutputPhysicsAware
from optics.learning.methods.dual_adaptive import Seen, _fused_output, mismatch, replaced
from optics.learning.passes import measure_data_pass
from optics.learning.protocols import Weights, with_weights
from optics.learning.rules import PhysicsAware
from tests.exact import small_mesh
from tests.exact.small_mesh import estimate, mesh_bench, true_loss

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def scene():
    """A network, inputs, and benches without and with errors."""
    network = small_mesh.network()
    (field, labels), (perfect, perfect_twin) = small_mesh.inputs(), mesh_bench(network)
    flawed, flawed_twin = mesh_bench(network, splitter_error=0.1)
    init = jax.jit(lambda method: method.init(network, key=KEY, n_steps=10))
    look = jax.jit(lambda bench: Seen(*measure_data_pass(network, bench, field, key=KEY)))
    return SimpleNamespace(
        network=network, field=field, labels=labels, perfect=perfect, flawed=flawed,
        perfect_twin=perfect_twin, flawed_twin=flawed_twin, init=init, look=look,
        predictors=init(DualAdaptive()).predictors,
    )  # fmt: skip


@pytest.mark.parametrize("rule", [PhysicsAware(), OutputPhysicsAware()])
def test_physics_aware_is_exact_without_errors(scene, rule):
    loss, truth = true_loss(scene.perfect_twin, scene.network, scene.field, scene.labels)
    found = estimate(rule, scene.network, scene.perfect, scene.field, scene.labels)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-12)
    np.testing.assert_allclose(found.gradient.phase, truth.phase, atol=1e-12)


def test_output_physics_aware_takes_the_measured_loss_and_the_modelled_states(scene):
    """Its gradient is J^T (softmax(measured) - onehot) with J that of the ideal model's logits."""
    loss, _ = true_loss(scene.flawed_twin, scene.network, scene.field, scene.labels)
    found = estimate(OutputPhysicsAware(), scene.network, scene.flawed, scene.field, scene.labels)
    assert float(found.loss) == pytest.approx(float(loss), rel=1e-12)

    @jax.jit
    def expected(phase, output):
        shares = jax.nn.softmax(scene.network.readout.logits(output))
        error = (shares - jax.nn.one_hot(scene.labels, 4)) / len(scene.labels)

        def logits(phase):
            return scene.network.readout.logits(
                with_weights(scene.network, Weights(phase, None))(scene.field)
            )

        return jax.vjp(logits, phase)[1](error)[0]

    wanted = expected(scene.network.phase, found.output)
    np.testing.assert_allclose(found.gradient.phase, wanted, atol=1e-12)


@pytest.fixture(scope="module")
def step(scene):
    """One compiled step for all settings that are numbers."""
    return jax.jit(lambda m, s, b: m.step(s, b, scene.field, scene.labels, key=KEY))


def one_step(scene, step, method, bench):
    return np.asarray(method.network(step(method, scene.init(method), bench)[0]).phase)


def test_first_step_without_errors_is_that_of_back_propagation(scene, step):
    """An untrained predictor predicts nothing and has nothing to learn, so Adam moves along the sign of the truth."""
    _, truth = true_loss(scene.perfect_twin, scene.network, scene.field, scene.labels)
    method = DualAdaptive(learning_rate=0.01, warm_up=0.0)
    moved = one_step(scene, step, method, scene.perfect) - np.asarray(scene.network.phase)
    moved = (moved + np.pi) % (2 * np.pi) - np.pi
    matters = np.abs(truth.phase) > 1e-5  # below, Adam's own 1e-8 shows
    assert matters.mean() > 0.5
    np.testing.assert_allclose(moved[matters], -0.01 * np.sign(truth.phase)[matters], rtol=1.5e-3)


def test_predictor_is_used_only_after_the_warm_up(scene, step):
    """During the warm-up the step of the weights does not depend on how fast the predictors learn."""
    for warm_up, largest in ((0.5, 0.0), (0.0, np.inf)):
        methods = (DualAdaptive(warm_up=warm_up, predictor_rate=rate) for rate in (1e-6, 0.5))
        slow, fast = (one_step(scene, step, method, scene.flawed) for method in methods)
        difference = float(np.max(np.abs(slow - fast)))
        assert difference <= largest
    assert difference > 1e-3


@pytest.fixture(scope="module")
def unlike(scene):
    """Mismatch of predictors with what was seen, by what is measured inside."""
    return jax.jit(
        lambda predictors, seen, internal: mismatch(
            predictors, scene.network, scene.field, seen, internal
        ),
        static_argnums=2,
    )


def test_predictor_learns_the_errors_of_the_hardware(scene, step, unlike):
    """Steps that hardly move the weights take out most of the mismatch, behind the last layer alone that is seen."""
    method = DualAdaptive(learning_rate=1e-12, predictor_rate=1e-2, warm_up=1.0)
    state = scene.init(method)
    n_steps = jnp.full_like(state.adam.n_steps, 100)
    state = eqx.tree_at(lambda s: s.adam.n_steps, state, n_steps)
    for _ in range(100):
        state, _ = step(method, state, scene.flawed)
    seen = scene.look(scene.flawed)
    before, after = (unlike(p, seen, "none") for p in (scene.predictors, state.predictors))
    assert after < 0.2 * before


def test_mismatch_is_zero_on_perfect_hardware_and_counts_the_layers_that_are_measured(
    scene, unlike
):
    perfect, flawed = scene.look(scene.perfect), scene.look(scene.flawed)
    of = {n: float(unlike(scene.predictors, flawed, n)) for n in ("none", "chained", "separate")}
    assert unlike(scene.predictors, perfect, "chained") < 1e-28
    assert 0 < of["none"] < of["chained"]
    # Errors add up along the chain, but not where each layer starts from measured light.
    assert of["separate"] < of["chained"]


def test_fused_states_have_measured_amplitude_and_modelled_phase(scene):
    """Without internal measurement only the output is fused; with it every layer, and the next starts there."""
    seen, predictors = scene.look(scene.flawed), scene.predictors
    fused = eqx.filter_jit(_fused_output)
    pass_layer = jax.jit(lambda x, layer: scene.network.layer(x, scene.network.phase[layer]))
    activate = eqx.filter_jit(scene.network.activate)
    for internal in (False, True):
        x = scene.field
        for layer in range(3):
            y = np.asarray(pass_layer(x, layer))
            if internal or layer == 2:
                y = np.abs(seen.measured[layer]) * np.exp(1j * np.angle(y))
            x = activate(jnp.asarray(y))
        found = fused(scene.network, predictors, scene.field, seen, 0.0, internal)
        np.testing.assert_allclose(found, y, atol=1e-10)  # 1e-12 beside the modulus in the phase


def test_replaced_has_the_value_of_one_and_the_derivative_of_the_other():
    value, slope = jax.value_and_grad(lambda x: replaced(3 * x, x**2))(5.0)
    assert value == 25
    assert slope == 3


@pytest.mark.parametrize(("internal", "frames"), [("none", 9), ("chained", 12), ("separate", 12)])
def test_frames_are_counted(scene, internal, frames):
    """Four for each complex field that is loaded again, one behind the last layer if only intensity is asked for."""
    cost = DualAdaptive(internal=internal).cost(scene.network, 10)
    assert cost == (3, 30, 10 * frames)
    assert OutputPhysicsAware().frames_per_sample(3) == 9
    assert OutputPhysicsAware().measurements_per_sample(3) == 3


def test_bad_settings_and_a_missing_bench_are_named(scene):
    with pytest.raises(ValueError, match="`warm_up` must lie between 0 and 1, but is 2"):
        DualAdaptive(warm_up=2.0)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        DualAdaptive(learning_rate=0.0)
    with pytest.raises(ValueError, match="`internal` must be none, chained or separate"):
        DualAdaptive(internal="all")
    for method in (DualAdaptive(), GradientMethod(OutputPhysicsAware())):
        state = method.init(scene.network, key=KEY, n_steps=1)
        with pytest.raises(ValueError, match="`bench` must be"):
            method.step(state, None, scene.field, scene.labels, key=KEY)

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.learning_systems import mixture_models as models
from nn.layers.expert_balance import balance_loss
from tests.exact import language_model_laws as laws

SIZES = models.Sizes(width=8, heads=2, n_experts=4, hidden=4, n_steps=10, bias_rate=0.25)
TOKENS = jnp.asarray(np.random.default_rng(1).integers(0, 256, (2, 6)))


@pytest.fixture(scope="module")
def model():
    """Drawn by NumPy; its coefficients are those of a balance by bias."""
    drawn = laws.drawn(lambda: models.make_model(SIZES, "bias", jax.random.key(0)))
    return eqx.tree_at(lambda m: m.coefficients, drawn, jnp.array([0.0, 0, 1]))


@pytest.fixture(scope="module")
def found(model):
    return eqx.filter_jit(models.routed)(model.decoder, TOKENS)


def test_the_logits_are_those_of_the_decoder(model, found):
    np.testing.assert_allclose(found[0], eqx.filter_jit(model.decoder)(TOKENS), rtol=1e-9)


def test_inputs_and_choices_are_those_of_each_layer(model, found):
    _, routed = found
    assert routed.experts.shape == (2, 12, 2)
    for layer in range(2):
        mixture = jax.tree.map(lambda a, layer=layer: a[layer], model.decoder.body.blocks.feed)
        routing = mixture.route(routed.inputs[layer])
        np.testing.assert_array_equal(routing.experts, routed.experts[layer])
        np.testing.assert_allclose(routed.penalties[layer, 0], balance_loss(routing))
    np.testing.assert_array_equal(routed.penalties[:, 2], 0)


def test_the_bias_follows_the_sign_of_its_load_and_nothing_else(model, found):
    decoder = jax.tree.map(lambda a: a.astype(jnp.float64), model.decoder)
    start = eqx.tree_at(lambda m: m.decoder, model, decoder)

    @eqx.filter_jit
    def stepped(model):
        trains, rest = eqx.partition(model, eqx.is_inexact_array)
        loss = lambda trains: models.penalised_loss(eqx.combine(trains, rest), TOKENS)  # noqa: E731
        slope = jax.grad(loss)(trains)
        _, optimiser = models._rules(SIZES)
        return eqx.apply_updates(trains, optimiser.update(slope, optimiser.init(trains), trains)[0])

    counts = np.zeros((2, 4))
    # The last byte of a window is a target only.
    _, routed = eqx.filter_jit(models.routed)(start.decoder, TOKENS[:, :-1])
    for layer in range(2):
        np.add.at(counts[layer], np.asarray(routed.experts[layer]).ravel(), 1)
    moved = stepped(start).decoder.body.blocks.feed.bias - start.decoder.body.blocks.feed.bias
    np.testing.assert_allclose(moved, -0.25 * np.sign(counts - 5), atol=1e-12)
    assert np.abs(moved).max() > 0


def test_a_layer_can_be_exchanged_for_another(model):
    double = lambda i, mixture: eqx.tree_at(  # noqa: E731
        lambda m: m.experts.down.weight, mixture, mixture.experts.down.weight * (i + 2.0)
    )
    changed = models.with_feeds(model.decoder, double).body.blocks.feed.experts.down.weight
    before = model.decoder.body.blocks.feed.experts.down.weight
    np.testing.assert_allclose(
        changed, np.asarray(before) * np.array([2.0, 3])[:, None, None, None]
    )

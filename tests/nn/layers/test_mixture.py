import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.mixture import MixtureConfig, make_mixture, mix_by_gathering, mix_by_loop

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)))
SOFTMAX = MixtureConfig(6, 2, 5)
GROUPED = MixtureConfig(
    6, 2, 5, scores="sigmoid", renormalise=False, scale=2.5, selection_bias=True, n_groups=3,
    n_groups_chosen=1, shared_hidden=3, shared_gated=True,
)  # fmt: skip


def _make(config):
    return make_mixture(4, config, key=KEY, dtype=jnp.float64)


def _expert(experts, index, x):
    gate, up, down = (np.asarray(m.weight)[index] for m in (experts.gate, experts.up, experts.down))
    return (x @ gate / (1 + np.exp(-x @ gate)) * (x @ up)) @ down


def test_the_chosen_experts_are_mixed_by_their_renormalised_probabilities():
    layer = _make(SOFTMAX)
    y = np.asarray(layer(X)).reshape(6, 4)
    for token, found in zip(np.asarray(X).reshape(6, 4), y, strict=True):
        logits = token @ np.asarray(layer.router.weight)
        best = np.argsort(-logits)[:2]
        weights = np.exp(logits[best]) / np.exp(logits[best]).sum()
        expected = sum(
            w * _expert(layer.experts, e, token) for e, w in zip(best, weights, strict=True)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_bias_chooses_among_the_best_groups_but_does_not_weigh():
    layer = eqx.tree_at(lambda m: m.bias, _make(GROUPED), jnp.array([0.0, 0, 0, 0, 9, -5]))
    token = np.asarray(X)[0, 0]
    scores = 1 / (1 + np.exp(-token @ np.asarray(layer.router.weight)))
    # Group (4, 5) is worth 9 - 5 and both scores, more than any other; its experts are the only ones left.
    mixed = sum(scores[e] * _expert(layer.experts, e, token) for e in (4, 5))
    single = jax.tree.map(lambda a: a[None], layer.shared)
    gate = 1 / (1 + np.exp(-token @ np.asarray(layer.shared_gate.weight)))
    expected = 2.5 * mixed + gate * _expert(single, 0, token)
    np.testing.assert_allclose(layer(X)[0, 0], expected, rtol=1e-10)


def test_both_forms_agree_with_all_gradients():
    layer = _make(GROUPED)
    tokens = X.reshape(6, 4)

    @eqx.filter_jit
    def slope(mix):
        def loss(layer):
            return jnp.sin(mix(layer.experts, tokens, layer.route(tokens))).sum()

        return eqx.filter_value_and_grad(loss)(layer)

    loop, gathered = slope(mix_by_loop), slope(mix_by_gathering)
    for one, other in zip(jax.tree.leaves(loop), jax.tree.leaves(gathered), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert np.abs(loop[1].router.weight).max() > 1e-3


def test_one_token_alone_is_served_as_among_others():
    layer = _make(SOFTMAX)  # one token gathers, six loop
    np.testing.assert_allclose(layer(X[1, 2]), layer(X)[1, 2], rtol=1e-12)


def test_of_equal_scores_the_earlier_expert_wins():
    routing = _make(SOFTMAX).route(jnp.zeros((1, 4)))
    np.testing.assert_array_equal(routing.experts, [[0, 1]])
    np.testing.assert_allclose(routing.weights, 0.5)
    np.testing.assert_allclose(routing.scores, 1 / 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_chosen": 7}, "`n_chosen` must lie between 1 and 6, but is 7"),
        ({"n_groups": 4}, "`n_groups` must divide `n_experts`, but is 4"),
        ({"n_groups": 3, "n_groups_chosen": 4}, "`n_groups_chosen` must lie between 1 and 3"),
        ({"n_groups": 3, "n_chosen": 3}, "`n_chosen` must lie between 1 and 2"),
        ({"shared_hidden": -1}, "`shared_hidden` must be at least 0"),
    ],
)
def test_choices_that_cannot_be_made_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        MixtureConfig(**({"n_experts": 6, "n_chosen": 2, "hidden": 5} | change))

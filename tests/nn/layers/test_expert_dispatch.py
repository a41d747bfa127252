import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import expert_dispatch as dispatch
from nn.layers.linear import AbstractLinear
from nn.layers.mixture import MixtureConfig, Routing, make_mixture, mix_by_loop

TOKENS = jnp.asarray(np.random.default_rng(0).normal(size=(10, 4)))
LAYER = make_mixture(4, MixtureConfig(6, 2, 5), key=jax.random.key(0), dtype=jnp.float64)


def _loss(layer, mix):
    return jnp.sin(mix(layer.experts, TOKENS, layer.route(TOKENS))).sum()


@pytest.fixture(scope="module")
def loop():
    return eqx.filter_jit(eqx.filter_value_and_grad(lambda layer: _loss(layer, mix_by_loop)))(LAYER)


def _by_capacity(experts, tokens, routing):
    return dispatch.mix_by_capacity(experts, tokens, routing, 10, priority="score").mixed


@pytest.mark.parametrize("mix", [dispatch.mix_by_groups, _by_capacity])
def test_without_drops_it_is_the_loop_with_all_gradients(mix, loop):
    found = eqx.filter_jit(eqx.filter_value_and_grad(lambda layer: _loss(layer, mix)))(LAYER)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(loop), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


# Four tokens, three experts; expert 0 is chosen four times, 1 twice, 2 twice.
CHOICES = np.array([[1, 0], [0, 2], [0, 1], [2, 0]])
WEIGHTS = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.5, 0.5]])
SMALL = make_mixture(4, MixtureConfig(3, 2, 5), key=jax.random.key(1), dtype=jnp.float64)
# Who keeps expert 0 and its two rows, and of 1 and 2, chosen twice, nobody is dropped.
WINNERS = {"order": (0, 1), "choice": (1, 2), "score": (1, 2)}


@pytest.mark.parametrize("rule", WINNERS)
def test_what_finds_no_row_is_dropped_by_the_rule_and_counted(rule):
    routing = Routing(jnp.asarray(CHOICES), jnp.asarray(WEIGHTS), jnp.ones((4, 3)) / 3)
    found = dispatch.mix_by_capacity(SMALL.experts, TOKENS[:4], routing, 2, priority=rule)
    kept = WEIGHTS.copy()
    for token in set(range(4)) - set(WINNERS[rule]):
        kept[token, CHOICES[token] == 0] = 0
    expected = mix_by_loop(SMALL.experts, TOKENS[:4], routing._replace(weights=jnp.asarray(kept)))
    np.testing.assert_allclose(found.mixed, expected, rtol=1e-12)
    assert int(found.n_dropped) == 2
    np.testing.assert_array_equal(found.counts, [4, 2, 2])


def test_first_choices_come_before_second_ones_and_scores_before_both():
    # Expert 0: second choice of token 0 by 0.4, first of 1 by 0.3, first of 2 by 0.6.
    choices, weights = (
        np.array([[1, 0], [0, 2], [0, 1]]),
        np.array([[0.5, 0.4], [0.3, 0.1], [0.6, 0.1]]),
    )
    routing = Routing(jnp.asarray(choices), jnp.asarray(weights), jnp.ones((3, 3)) / 3)
    for rule, winner in {"order": 0, "choice": 1, "score": 2}.items():
        found = dispatch.mix_by_capacity(SMALL.experts, TOKENS[:3], routing, 1, priority=rule)
        slope = jax.grad(
            lambda w, rule=rule: dispatch.mix_by_capacity(
                SMALL.experts, TOKENS[:3], routing._replace(weights=w), 1, priority=rule
            ).mixed.sum()
        )(routing.weights)
        served = np.asarray(slope)[choices == 0] != 0
        assert served.tolist() == [token == winner for token in range(3)]
        assert int(found.n_dropped) == int((np.asarray(found.counts) - 1).sum())


def test_capacity_is_rounded_up_between_one_and_all_tokens():
    assert dispatch.expert_capacity(10, 2, 6, 1.0) == 4
    assert dispatch.expert_capacity(100, 1, 10, 1.1) == 11
    assert dispatch.expert_capacity(3, 1, 64, 1) == 1
    assert dispatch.expert_capacity(10, 2, 6, 5) == 10


def test_counts_that_do_not_cover_the_rows_are_refused_and_give_nan_under_jit():
    x, weight = jnp.ones((4, 2)), jnp.ones((2, 2, 3))
    for counts in ([1, 2], [4, 1], [5, -1]):
        counts = np.array(counts)
        with pytest.raises(ValueError, match="`counts` must be at least 0 and sum to the 4 rows"):
            dispatch.grouped_product(x, weight, counts)
        assert np.isnan(jax.jit(dispatch.grouped_product)(x, weight, counts)).all()
    np.testing.assert_array_equal(dispatch.grouped_product(x, weight, np.array([0, 4])), 2)
    with pytest.raises(ValueError, match="one entry for each of the 2 matrices, but has 1"):
        dispatch.grouped_product(x, weight, np.array([4]))


class _Other(AbstractLinear):
    inner: AbstractLinear
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        return self.inner(x, key=key)


def test_other_carriers_are_dispatched_by_capacity_and_refused_in_groups():
    up = SMALL.experts.up
    experts = eqx.tree_at(lambda e: e.up, SMALL.experts, _Other(up, up.n_in, up.n_out))
    routing = SMALL.route(TOKENS[:4])
    found = dispatch.mix_by_capacity(experts, TOKENS[:4], routing, 4)
    np.testing.assert_allclose(
        found.mixed, mix_by_loop(SMALL.experts, TOKENS[:4], routing), rtol=1e-12
    )
    with pytest.raises(TypeError, match=r"`experts` must have Dense maps .* but have _Other"):
        dispatch.mix_by_groups(experts, TOKENS[:4], routing)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dispatch.expert_capacity(4, 3, 2, 1), "`n_experts` must be at least 3, but is 2"),
        (lambda: dispatch.expert_capacity(4, 1, 2, 0.0), "`factor` must be positive"),
        (
            lambda: dispatch.mix_by_capacity(LAYER.experts, TOKENS, LAYER.route(TOKENS), 0),
            "`capacity` must be at least 1, but is 0",
        ),
        (
            lambda: dispatch.mix_by_capacity(
                LAYER.experts, TOKENS, LAYER.route(TOKENS), 1, priority="loud"
            ),
            "`priority` must be one of order, choice, score, but is 'loud'",
        ),
    ],
)
def test_bad_dispatches_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

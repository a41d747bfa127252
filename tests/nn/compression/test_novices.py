import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.compression import novices
from nn.layers.mixture import MixtureConfig, make_mixture

TOKENS = jnp.asarray(np.random.default_rng(0).normal(size=(60, 4)))


def _make(**change):
    config = MixtureConfig(**({"n_experts": 5, "n_chosen": 1, "hidden": 3} | change))
    return make_mixture(4, config, key=jax.random.key(0), dtype=jnp.float64)


@pytest.fixture(scope="module")
def single():
    """A layer whose tokens choose one expert with weight one, and what its experts did."""
    layer = _make()
    return layer, novices.measure_experts(layer, TOKENS)


def test_uses_are_counts_means_and_unbiased_spreads(single):
    layer, use = single
    chosen = np.asarray(layer.route(TOKENS).experts)[:, 0]
    y = np.asarray(layer(TOKENS))
    for expert in range(5):
        mine = y[chosen == expert]
        assert int(use.counts[expert]) == len(mine) > 1
        np.testing.assert_allclose(use.mean[expert], mine.mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(use.spread[expert] ** 2, mine.var(axis=0, ddof=1).sum())


def test_the_error_of_novices_is_the_variance_of_what_they_stand_for(single):
    layer, use = single
    small = novices.replace_by_novices(layer, use, np.array([3, 1]))
    gone = [0, 2, 4]
    expected = ((np.asarray(use.counts) - 1) * np.asarray(use.spread) ** 2)[gone].sum()
    error = lambda layer: float(((layer(TOKENS) - single[0](TOKENS)) ** 2).sum())  # noqa: E731
    assert error(small) == pytest.approx(expected, rel=1e-10)
    # The mean is the best constant; tokens of kept experts are served as before.
    other = eqx.tree_at(lambda m: m.novices, small, small.novices + 0.01)
    assert error(other) > error(small)
    chosen = np.asarray(layer.route(TOKENS).experts)[:, 0]
    stay = np.isin(chosen, [1, 3])
    np.testing.assert_allclose(small(TOKENS)[stay], layer(TOKENS)[stay], rtol=1e-12)
    assert small.mixture.experts.gate.weight.shape[0] == 2


def test_with_all_kept_nothing_changes_and_the_shared_expert_stays():
    layer = _make(n_chosen=2, scale=1.5, shared_hidden=2, shared_gated=True, selection_bias=True)
    use = novices.measure_experts(layer, TOKENS)
    whole = novices.replace_by_novices(layer, use, np.arange(5))
    np.testing.assert_allclose(whole(TOKENS), layer(TOKENS), rtol=1e-12)
    np.testing.assert_allclose(novices.drop_experts(layer, np.arange(5))(TOKENS), layer(TOKENS))


def test_a_novice_adds_its_mean_by_the_routers_weight():
    layer = _make(n_chosen=2)
    use = novices.measure_experts(layer, TOKENS)
    small = novices.replace_by_novices(layer, use, np.array([0, 1, 2]))
    routing = layer.route(TOKENS)
    rows = np.flatnonzero((np.asarray(routing.experts) >= 3).all(axis=-1))
    assert rows.size
    expected = sum(
        routing.weights[rows, j, None] * use.mean[routing.experts[rows, j]] for j in range(2)
    )
    np.testing.assert_allclose(small(TOKENS)[rows], expected, rtol=1e-10)


def test_dropped_experts_are_as_if_the_router_never_chose_them():
    layer = _make(n_chosen=2, selection_bias=True)
    small = novices.drop_experts(layer, np.array([0, 2, 4]))
    closed = eqx.tree_at(lambda m: m.bias, layer, jnp.array([0.0, -9, 0, -9, 0]))
    np.testing.assert_allclose(small(TOKENS), closed(TOKENS), rtol=1e-10)


def test_worth_is_frequency_times_spread_and_ties_go_to_the_earlier():
    use = novices.ExpertUse(jnp.array([6, 2, 0, 2]), jnp.zeros((4, 1)), jnp.array([1.0, 3, 0, 2]))
    np.testing.assert_allclose(novices.expert_worth(use), [0.6, 0.6, 0, 0.4])
    np.testing.assert_allclose(novices.expert_worth(use, "frequency"), [0.6, 0.2, 0, 0.2])
    np.testing.assert_allclose(novices.expert_worth(use, "spread"), [1, 3, 0, 2])
    assert novices.best_experts(np.array([0.2, 0.6, 0.2]), 2).tolist() == [0, 1]
    assert novices.best_experts(np.array([0.1, 0.6, 0.2]), 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, u: novices.best_experts(np.ones(3), 0), "`n_kept` must lie between 1 and 3"),
        (lambda m, u: novices.expert_worth(u, "luck"), "`by` must be one of both, frequency"),
        (
            lambda m, u: novices.expert_worth(u._replace(counts=0 * u.counts)),
            "`use` must count at least one token",
        ),
        (
            lambda m, u: novices.replace_by_novices(m, u, np.array([1, 1])),
            r"`kept` must be different experts, 0 to 4, .* but is \[1, 1\]",
        ),
        (
            lambda m, u: novices.replace_by_novices(m, u, np.array([5])),
            r"`kept` must be .* but is \[5\]",
        ),
        (
            lambda m, u: novices.drop_experts(_make(n_chosen=3), np.array([0, 1])),
            "`n_chosen` must lie between 1 and 2, but is 3",
        ),
        (
            lambda m, u: novices.drop_experts(_make(n_experts=6, n_groups=2), np.array([0, 1])),
            "`mixture` must have one group",
        ),
    ],
)
def test_what_cannot_be_pruned_is_named(single, call, message):
    with pytest.raises(ValueError, match=message):
        call(*single)

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nn.kernels.indexed_attention import index_scores, select_keys
from nn.kernels.selection import selected_mask
from nn.layers.attention import make_attention
from nn.layers.indexed_attention import IndexedAttention, attention_weights, make_indexed_attention
from nn.layers.rotary import Rotary
from nn.training import train

N, WIDTH, KEY = 12, 8, jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, N, WIDTH)))


def _attention(**options):
    return make_attention(
        WIDTH, heads=2, head_dim=4, rotary=Rotary(4), key=KEY, dtype=jnp.float64, **options
    )


def _make(k=3, **options):
    more = {"index_heads": 4, "index_dim": 4, "rotary": Rotary(2)} | options
    return make_indexed_attention(_attention(), k=k, key=jax.random.key(1), **more)


@eqx.filter_jit
def _report(layer, x, k=None):
    return layer.report(x, k)


def test_weights_are_those_of_dense_attention():
    q, k, v, _ = _attention().project(X, jnp.arange(N))
    weights = np.asarray(jax.jit(attention_weights)(q, k))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-14)
    mixed = np.einsum("bqhk,bkhd->bqhd", weights, np.asarray(v)).reshape(3, N, -1)
    expected = np.asarray(_attention()(X)[0])
    np.testing.assert_allclose(mixed @ np.asarray(_attention().output.weight), expected, atol=1e-13)


def test_the_loss_moves_the_index_alone_in_both_stages():
    for layer in (_make(None), _make(3)):
        slopes = eqx.filter_jit(eqx.filter_grad(lambda layer: layer.report(X).loss))(layer)
        assert not any(np.any(slope) for slope in jax.tree.leaves(slopes.attention))
        maps = (slopes.indexer.query, slopes.indexer.key, slopes.indexer.weights)
        assert all(np.abs(np.asarray(one.weight)).max() > 1e-6 for one in maps)
        assert np.isfinite(np.asarray(slopes.indexer.query.weight)).all()


def test_with_few_keys_the_loss_is_that_on_the_chosen_ones():
    layer, positions = _make(3), jnp.arange(N)
    q, weights = layer.indexer.queries(X, X, positions)
    scores = np.asarray(index_scores(q, layer.indexer.keys(X, positions), weights))
    queries, keys, _, _ = layer.attention.project(X, positions)
    dense = np.asarray(attention_weights(queries, keys))
    expected = 0.0
    for b, t in np.ndindex(3, N):
        kept = np.argsort(-scores[b, t, : t + 1], kind="stable")[:3]
        p = (dense[b, t][:, kept] / dense[b, t][:, kept].sum(axis=-1, keepdims=True)).mean(axis=0)
        i = np.exp(scores[b, t, kept])
        expected += (p * np.log(p / (i / i.sum()))).sum() / (3 * N)
    assert float(_report(layer, X).loss) == pytest.approx(expected, rel=1e-10)


def test_an_index_learns_what_attention_reads():
    """Trained on its loss beside dense attention it catches more weight with 3 keys than the last 3 of 12 hold."""
    layer = _make(None, index_heads=8, index_dim=8)
    before = _report(layer, X, 3)
    chosen = jax.tree.map(lambda _: False, layer)
    chosen = eqx.tree_at(
        lambda one: one.indexer, chosen, jax.tree.map(lambda _: True, layer.indexer)
    )
    trained = train(
        layer, lambda layer, x, key: layer.report(x).loss, X, lambda x, key: x,
        optax.adam(0.02), 120, key=KEY, trainable=chosen, steps_per_call=60,
    )  # fmt: skip
    after = _report(trained.model, X, 3)
    assert trained.losses[-1] < 0.5 * trained.losses[0]
    best, last = _recalls_by_hand(layer, 3)
    np.testing.assert_allclose(after.best.mean(), best, atol=1e-12)
    np.testing.assert_allclose(after.last.mean(), last, atol=1e-12)
    assert float(before.recall.mean()) < 0.85 * best
    assert max(0.95 * best, last) < float(after.recall.mean()) < best
    # A stage with few keys begins from there: what is trained is the same, only k is another.
    sparse = IndexedAttention(trained.model.attention, trained.model.indexer, 3)
    np.testing.assert_allclose(_report(sparse, X).recall, after.recall)


def _recalls_by_hand(layer, k):
    q, keys, _, _ = layer.attention.project(X, jnp.arange(N))
    summed = np.asarray(attention_weights(q, keys)).sum(axis=2) / 2
    last = np.tri(N) - np.tri(N, k=-k)
    return np.sort(summed, axis=-1)[..., -k:].sum(axis=-1).mean(), (summed * last).sum(-1).mean()


def test_the_layer_attends_to_the_keys_of_its_index():
    """A token is changed: queries behind it move where it is among their keys before or after, and only there."""
    layer, positions = _make(3), jnp.arange(N)

    @jax.jit
    def run(x):
        q, weights = layer.indexer.queries(x, x, positions)
        choice = select_keys(index_scores(q, layer.indexer.keys(x, positions), weights), 3)
        return layer(x)[0], selected_mask(choice, N)[0, :, 0]

    (y, mask), (moved_y, moved_mask) = run(X), run(X.at[0, 5].multiply(5.0))
    moved = np.abs(np.asarray(moved_y - y)).max(axis=-1)[0, 6:] > 1e-9
    reads = np.asarray(mask | moved_mask)[6:, 5]
    np.testing.assert_array_equal(moved, reads)
    assert 0 < reads.sum() < N - 6


def test_recall_of_all_keys_is_one_and_bad_counts_are_named():
    np.testing.assert_allclose(_report(_make(None), X).recall, 1, atol=1e-13)
    with pytest.raises(ValueError, match="`k` must be at least 1, but is 0"):
        _make(0)
    with pytest.raises(ValueError, match="`attention` must be causal and without a window"):
        make_indexed_attention(_attention(causal=False), k=2, index_heads=1, index_dim=4, key=KEY)

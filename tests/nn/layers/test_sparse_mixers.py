"""Laws that all sparse layers keep: of an index, of a mixture of blocks, of native sparse attention."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.block_attention import BranchSizes
from nn.layers.attention import make_attention
from nn.layers.block_mixture_attention import BlockMixtureAttention
from nn.layers.indexed_attention import make_indexed_attention
from nn.layers.native_sparse_attention import make_native_sparse_attention
from nn.layers.rotary import Rotary

N, WIDTH, KEY = 11, 8, jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, N, WIDTH)))
SIZES = BranchSizes(length=4, stride=2, block_size=2, n_chosen=2, n_first=0, n_local=1, window=2)


def _attention(**options):
    more = {"heads": 4, "kv_heads": 2, "head_dim": 4, "rotary": Rotary(4)} | options
    return make_attention(WIDTH, key=KEY, dtype=jnp.float64, **more)


def _make(kind, attention):
    if kind.startswith("index"):
        return make_indexed_attention(
            attention, k=3, index_heads=int(kind[-1]), index_dim=4, rotary=Rotary(2), key=KEY
        )
    if kind == "blocks":
        return BlockMixtureAttention(attention, 2, 2)
    layer = make_native_sparse_attention(
        WIDTH, heads=4, kv_heads=2, head_dim=4, sizes=SIZES, rotary=Rotary(4), key=KEY,
        dtype=jnp.float64,
    )  # fmt: skip
    return eqx.tree_at(lambda one: one.gate.weight, layer, jnp.cos(jnp.arange(96.0)).reshape(8, 12))


@pytest.fixture(scope="module", params=["index1", "blocks", "branches"])
def layer(request):
    return _make(request.param, _attention(gated=True))


@eqx.filter_jit
def _run(layer, x, cache=None):
    return layer(x, cache)


def test_an_index_of_several_heads_behind_a_cache_equals_the_whole_text():
    _check_cached(_make("index4", _attention(gated=True)))


def test_prompt_chunk_and_single_tokens_equal_the_whole_text(layer):
    _check_cached(layer)


def _check_cached(layer):
    whole, nothing = _run(layer, X)
    assert nothing is None
    cache, found, first = layer.init_cache(2, N + 2, jnp.float64), [], 0
    for length in (5, *[1] * (N - 5)):
        y, cache = _run(layer, X[:, first : first + length], cache)
        found.append(y)
        first += length
    np.testing.assert_allclose(jnp.concatenate(found, axis=1), whole, atol=1e-12)
    with pytest.raises(ValueError, match="`caches` must have room for 3 further tokens"):
        layer(X[:, :3], cache)


def test_a_later_token_changes_nothing_and_an_earlier_one_does(layer):
    before = _run(layer, X)[0]
    after = _run(layer, X.at[:, 6].multiply(-2.0))[0]
    np.testing.assert_allclose(after[:, :6], before[:, :6], atol=1e-14)
    assert (abs(after - before).max(axis=(0, 2))[6:9] > 1e-3).all()


def test_gradients_are_right_and_reach_all_but_the_index(layer):
    arrays, rest = eqx.partition(layer, eqx.is_array)
    f = jax.jit(lambda arrays: jnp.sin(eqx.combine(arrays, rest)(X)[0]).sum())
    slopes = jax.jit(jax.grad(f))(arrays)
    index = getattr(slopes, "indexer", None)
    assert all(not np.any(slope) for slope in jax.tree.leaves(index))
    kept = slopes if index is None else slopes.attention
    assert all(np.any(slope) for slope in jax.tree.leaves(kept))
    # Along one direction of all weights; what is chosen stays the same on so short a way.
    way = jax.tree.map(lambda a: np.sin(np.arange(a.size)).reshape(a.shape), arrays)
    if index is not None:
        way = eqx.tree_at(lambda w: w.indexer, way, jax.tree.map(np.zeros_like, index))
    ahead, behind = (
        float(f(jax.tree.map(lambda a, w: a + step * w, arrays, way)))  # noqa: B023
        for step in (1e-6, -1e-6)
    )
    leaves = zip(jax.tree.leaves(slopes), jax.tree.leaves(way), strict=True)
    along = sum(float((np.asarray(slope) * w).sum()) for slope, w in leaves)
    assert (ahead - behind) / 2e-6 == pytest.approx(along, rel=1e-5)


def test_with_all_keys_a_layer_is_the_dense_one_of_the_same_maps():
    attention = _attention()
    dense = _run(attention, X)[0]
    index = make_indexed_attention(attention, k=N, index_heads=2, index_dim=4, key=KEY)
    for layer in (index, BlockMixtureAttention(attention, 3, 4)):
        np.testing.assert_allclose(_run(layer, X)[0], dense, atol=1e-13)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.attention import make_attention
from nn.layers.block_mixture_attention import BlockMixtureAttention

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 6)))


def _attention(**options):
    return make_attention(6, heads=2, key=jax.random.key(0), dtype=jnp.float64, **options)


def test_the_cache_keeps_the_sum_of_the_keys_of_each_block():
    layer = BlockMixtureAttention(_attention(), 3, 1)
    cache = layer.init_cache(2, 8, jnp.float64)
    extend = jax.jit(lambda x, cache: layer(x, cache)[1])
    for first, last in ((0, 5), (5, 7)):
        cache = extend(X[:, first:last], cache)
    keys = np.asarray(layer.attention.key(X)).reshape(2, 7, 2, 3)
    expected = [keys[:, i : i + 3].sum(axis=1) for i in (0, 3, 6)]
    np.testing.assert_allclose(cache.sums, np.stack(expected, axis=1), atol=1e-13)
    np.testing.assert_allclose(cache.tokens.entries["k"][:, :7], keys, atol=1e-13)


def test_bad_sizes_and_attention_of_another_kind_are_named():
    with pytest.raises(ValueError, match="`n_chosen` must be at least 1, but is 0"):
        BlockMixtureAttention(_attention(), 4, 0)
    with pytest.raises(ValueError, match="`block_size` must be at least 1, but is 0"):
        BlockMixtureAttention(_attention(), 0, 1)
    with pytest.raises(ValueError, match=r"`attention` must be causal and without a window, .* 4"):
        BlockMixtureAttention(_attention(window=4), 2, 2)

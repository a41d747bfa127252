import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.kernels.block_attention import BranchSizes, compression_windows
from nn.layers.native_sparse_attention import make_native_sparse_attention
from nn.layers.rotary import Rotary

SIZES = BranchSizes(length=4, stride=2, block_size=2, n_chosen=2, n_first=0, n_local=1, window=2)
X = jnp.asarray(np.random.default_rng(0).normal(size=(1, 9, 6)))


def _make(**options):
    more = {"heads": 2, "kv_heads": 1, "head_dim": 4, "sizes": SIZES} | options
    return make_native_sparse_attention(
        6, rotary=Rotary(4), key=jax.random.key(0), dtype=jnp.float64, **more
    )


def test_a_window_is_compressed_to_its_mean_and_what_the_network_adds():
    compress = _make().compress[0]
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 7, 2, 4)))
    ours = jax.jit(lambda x: compress(compression_windows(x, SIZES)))(x)
    assert ours.shape == (1, 2, 2, 4)
    for i, h in np.ndindex(2, 2):
        window = np.asarray(x)[0, 2 * i : 2 * i + 4, h]
        hidden = (window + np.asarray(compress.places)).reshape(-1) @ np.asarray(
            compress.first.weight
        )
        added = (hidden / (1 + np.exp(-hidden))) @ np.asarray(compress.second.weight)
        np.testing.assert_allclose(ours[0, i, h], window.mean(axis=0) + added, atol=1e-13)


def test_compressed_keys_of_a_cache_are_those_of_the_whole_text():
    """After 3 tokens none is whole, after 6 two, after 9 three; each is turned as its last token is."""
    layer = _make()
    extend = jax.jit(lambda x, cache: layer(x, cache)[1])
    cache = layer.init_cache(1, 9, jnp.float64)
    for first in (0, 3, 6):
        cache = extend(X[:, first : first + 3], cache)
    k = layer.key(X).reshape(1, 9, 3, 1, 4)[:, :, 0]
    whole = layer.compress[0](compression_windows(k, SIZES))
    expected = Rotary(4)(whole, jnp.array([3, 5, 7]))
    assert cache.compressed[0].shape == (1, 3, 1, 4)
    np.testing.assert_allclose(cache.compressed[0], expected, atol=1e-13)


def test_a_text_shorter_than_a_window_is_read_by_the_other_branches():
    layer = _make()
    run = jax.jit(lambda x, cache: layer(x, cache)[0])
    short, cached = (run(X[:, :3], cache) for cache in (None, layer.init_cache(1, 3, jnp.float64)))
    assert np.isfinite(np.asarray(short)).all()
    np.testing.assert_allclose(cached, short, atol=1e-13)
    assert abs(short).max() > 0.01


def test_heads_that_do_not_divide_are_named():
    with pytest.raises(
        ValueError, match="`kv_heads` must divide `heads`, but is 2, and heads is 3"
    ):
        _make(heads=3, kv_heads=2)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.attention import make_attention
from nn.layers.caches import make_cache
from nn.layers.rotary import Rotary

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 8)))


def _softmax(scores):
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def test_a_layer_is_its_formula_head_by_head():
    layer = make_attention(
        8, heads=4, kv_heads=2, head_dim=6, rotary=Rotary(4), norm_eps=1e-6, gated=True,
        bias=True, key=KEY, dtype=jnp.float64,
    )  # fmt: skip
    layer = jax.tree.map(lambda a: a + 0.1 * jnp.sin(jnp.arange(a.size).reshape(a.shape)), layer)
    y, cache = layer(X)
    assert cache is None
    norm = lambda v, w: v / np.sqrt((v**2).mean(-1, keepdims=True) + 1e-6) * np.asarray(w)  # noqa: E731
    turn = lambda v: np.asarray(layer.rotary(jnp.asarray(v), jnp.arange(5)))  # noqa: E731
    q, k, v = (np.asarray(m(X))[1] for m in (layer.query, layer.key, layer.value))
    q, k, v = q.reshape(5, 4, 12), k.reshape(5, 2, 6), v.reshape(5, 2, 6)
    queries = turn(norm(q[..., :6], layer.query_norm.weight))
    keys = turn(norm(k, layer.key_norm.weight))
    mixed = np.zeros((5, 4, 6))
    for t in range(5):
        for h in range(4):
            weights = _softmax(keys[: t + 1, h // 2] @ queries[t, h] / np.sqrt(6))
            mixed[t, h] = weights @ v[: t + 1, h // 2] / (1 + np.exp(-q[t, h, 6:]))
    expected = mixed.reshape(5, 24) @ np.asarray(layer.output.weight) + np.asarray(
        layer.output.bias
    )
    np.testing.assert_allclose(y[1], expected, rtol=1e-10)


def test_all_tokens_see_each_other_where_none_is_later():
    layer = make_attention(8, heads=2, causal=False, key=KEY, dtype=jnp.float64)
    order = jnp.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(layer(X[:, order])[0], layer(X)[0][:, order], atol=1e-13)
    with pytest.raises(ValueError, match="`cache` must be None in a layer that is not causal"):
        layer(X, make_cache(2, 5, k=(2, 4), v=(2, 4)))


def test_many_tokens_are_mixed_in_blocks_to_the_same():
    """A chunk behind a cache is short and takes the other kernel; a window of 100 spans both."""
    layer = make_attention(
        4, heads=2, kv_heads=1, rotary=Rotary(2), window=100, key=KEY, dtype=jnp.float64
    )
    x = jnp.asarray(np.random.default_rng(1).normal(size=(1, 140, 4)))
    apply = jax.jit(lambda x, cache=None: layer(x, cache))
    whole, _ = apply(x)
    first, cache = apply(x[:, :130], layer.init_cache(1, 140, jnp.float64))
    rest, _ = apply(x[:, 130:], cache)
    assert "while" in str(jax.make_jaxpr(layer.__call__)(x)), "blocks pass in a loop"
    assert "while" not in str(jax.make_jaxpr(layer.__call__)(x[:, :9]))
    np.testing.assert_allclose(jnp.concatenate([first, rest], axis=1), whole, atol=1e-13)


def test_heads_that_do_not_divide_are_named():
    with pytest.raises(
        ValueError, match="`kv_heads` must divide `heads`, but is 3, and heads is 4"
    ):
        make_attention(8, heads=4, kv_heads=3, key=KEY)
    with pytest.raises(ValueError, match="`heads` must divide `width`, but is 3, and width is 8"):
        make_attention(8, heads=3, key=KEY)
    with pytest.raises(ValueError, match="`window` must be at least 1"):
        make_attention(8, heads=2, window=0, key=KEY)

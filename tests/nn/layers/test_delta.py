import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.delta import make_gated_delta
from tests.exact.delta_rule import exact_delta_rule

SIZES = {"heads": 4, "key_heads": 2, "key_dim": 3, "value_dim": 5}
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 6)))
apply = eqx.filter_jit(lambda layer, x, cache: layer(x, cache))


@pytest.fixture(scope="module")
def layer():
    rng = np.random.default_rng(1)
    shapes = eqx.filter_eval_shape(
        make_gated_delta, 6, **SIZES, chunk=4, key=jax.random.key(1), dtype=jnp.float64
    )
    return jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape)), shapes)


def test_a_layer_is_its_formula_head_by_head(layer):
    silu = lambda a: a / (1 + np.exp(-a))  # noqa: E731
    y, cache = apply(layer, X, None)
    assert cache is None
    x, layer = np.asarray(X[1]), jax.tree.map(np.asarray, layer)
    mixed = np.concatenate([x @ m.weight for m in (layer.query, layer.key, layer.value)], -1)
    taps = layer.convolution.weight
    mixed = silu(sum(taps[i] * np.pad(mixed, ((3 - i, 0), (0, 0)))[:7] for i in range(4)))
    q, k, v = mixed[:, :6].reshape(7, 2, 3), mixed[:, 6:12].reshape(7, 2, 3), mixed[:, 12:]
    q, k = (a / np.sqrt((a**2).sum(-1, keepdims=True) + 1e-6) for a in (q, k))
    strength = 1 / (1 + np.exp(-x @ layer.strength.weight))
    softplus = np.log1p(np.exp(x @ layer.decay.weight + layer.decay_bias))
    log_decay = -np.exp(layer.log_rate) * softplus
    read, _ = exact_delta_rule(q / 3**0.5, k, v.reshape(7, 4, 5), log_decay, strength)
    read = read / np.sqrt((read**2).mean(-1, keepdims=True) + 1e-6) * layer.norm.weight
    wanted = (read.reshape(7, 20) * silu(x @ layer.gate.weight)) @ layer.output.weight
    np.testing.assert_allclose(y[1], wanted, atol=1e-12)


def test_cached_in_any_pieces_is_the_whole(layer):
    whole, _ = apply(layer, X, None)
    cache, parts = layer.init_cache(2, 7, jnp.float64), []
    for piece in np.split(
        np.asarray(X), [3, 4, 5], axis=1
    ):  # a prompt, tokens one by one, two at once
        y, cache = apply(layer, jnp.asarray(piece), cache)
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-13)


def test_a_cache_keeps_its_types_so_that_a_scan_can_carry_it(layer):
    for cache_type in (jnp.float32, jnp.bfloat16):
        cache = layer.init_cache(2, 1, cache_type)
        for n in (1, 3):
            _, after = eqx.filter_eval_shape(layer, X[:, :n], cache)
            same = jax.tree.map(lambda a, b: (a.dtype, a.shape) == (b.dtype, b.shape), after, cache)
            assert all(jax.tree.leaves(same))


def test_a_later_token_changes_nothing_before_it(layer):
    before, after = apply(layer, X, None)[0], apply(layer, X.at[:, 5].add(1.0), None)[0]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert jnp.abs(before - after)[:, 5:].max(axis=(0, 2)).min() > 1e-3


def test_every_parameter_learns(layer):
    found = eqx.filter_grad(lambda layer: (apply(layer, X, None)[0] ** 2).sum())(layer)
    for leaf in jax.tree.leaves(found):
        assert jnp.isfinite(leaf).all()
        assert jnp.abs(leaf).max() > 1e-3


def test_a_new_layer_forgets_at_the_rates_of_its_source():
    layer = make_gated_delta(6, **SIZES, key=jax.random.key(2))
    rates = np.exp(layer.log_rate)
    assert np.isfinite(layer.log_rate).all()
    assert (rates > 0).all()
    assert (rates < 16).all()
    np.testing.assert_array_equal(layer.decay_bias, 1)
    assert layer.convolution.weight.shape == (4, 2 * 2 * 3 + 4 * 5)


def test_bad_input_is_named(layer):
    with pytest.raises(ValueError, match="`key_heads` must divide `heads`, but is 3"):
        make_gated_delta(6, heads=4, key_heads=3, key_dim=2, key=jax.random.key(0))
    cache = eqx.tree_at(lambda c: c.state, layer.init_cache(2, 1), jnp.zeros((2, 4, 3, 3)))
    with pytest.raises(ValueError, match=r"`state` must have shape \(2, 4, 3, 5\)"):
        layer(X, cache)

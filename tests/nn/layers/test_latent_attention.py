import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.latent_attention import make_latent_attention
from nn.layers.linear import AbstractLinear, replace_linear
from nn.layers.rotary import Rotary

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 8)))
ROTARY = Rotary(4, interleaved=True)


def _make(**options):
    sizes = {"heads": 2, "query_rank": 5, "rank": 7, "key_dim": 3, "value_dim": 4}
    return make_latent_attention(
        8, **sizes, rotary=ROTARY, key=jax.random.key(0), dtype=jnp.float64, **options
    )


LAYER = _make()
# Two heads whose scores are exactly 0 for many keys: the rule of ties decides.
INDEXED = _make(index_heads=2, index_dim=4, n_kept=3)


@eqx.filter_jit
def _apply(layer, x, cache=None):
    return layer(x, cache)


def _formed(layer, form):
    parts = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    return type(layer)(**(parts | {"form": form}))


def test_a_layer_is_its_formula_head_by_head():
    found = np.asarray(_apply(LAYER, X)[0])[1]
    x = np.asarray(X)[1]
    norm = lambda v: v / np.sqrt((v**2).mean(-1, keepdims=True) + 1e-6)  # noqa: E731
    turn = lambda v: np.asarray(ROTARY(jnp.asarray(v)[:, None], jnp.arange(6)))[:, 0]  # noqa: E731
    weight = lambda m: np.asarray(m.weight)  # noqa: E731
    q = (norm(x @ weight(LAYER.query_down)) @ weight(LAYER.query_up)).reshape(6, 2, 7)
    down = x @ weight(LAYER.latent_down)
    up = (norm(down[:, :7]) @ weight(LAYER.latent_up)).reshape(6, 2, 7)
    heads = []
    for h in range(2):
        scores = q[:, h, :3] @ up[:, h, :3].T + turn(q[:, h, 3:]) @ turn(down[:, 7:]).T
        weights = np.exp(scores / np.sqrt(7)) * np.tri(6)
        heads.append(weights / weights.sum(axis=1, keepdims=True) @ up[:, h, 3:])
    np.testing.assert_allclose(found, np.hstack(heads) @ weight(LAYER.output), rtol=1e-10)


@pytest.mark.parametrize("layer", [LAYER, INDEXED], ids=["dense", "indexed"])
def test_both_forms_agree_and_cached_is_full(layer):
    whole, _ = _apply(_formed(layer, "expanded"), X)
    np.testing.assert_allclose(_apply(_formed(layer, "absorbed"), X)[0], whole, atol=1e-13)
    for form in (None, "expanded"):
        cache, found = layer.init_cache(2, 7, jnp.float64), []
        for token in range(6):
            y, cache = _apply(_formed(layer, form), X[:, token : token + 1], cache)
            found.append(y)
        np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-13)


def test_a_cache_holds_latents_and_not_heads():
    cache = INDEXED.init_cache(2, 7)
    assert {name: array.shape for name, array in cache.entries.items()} == {
        "latent": (2, 7, 7),
        "rotary": (2, 7, 4),
        "index": (2, 7, 4),
    }


def test_an_index_that_keeps_all_keys_is_dense_attention_and_one_that_keeps_few_is_not():
    dense, _ = _apply(eqx.tree_at(lambda m: m.indexer, INDEXED, None), X)
    few, _ = _apply(INDEXED, X)
    np.testing.assert_allclose(few[:, :3], dense[:, :3], atol=1e-13)
    assert np.abs(few - dense)[:, 3:].max() > 1e-3
    parts = {field.name: getattr(INDEXED, field.name) for field in dataclasses.fields(INDEXED)}
    every, _ = _apply(type(INDEXED)(**(parts | {"n_kept": 6})), X)
    np.testing.assert_allclose(every, dense, atol=1e-13)


def test_later_tokens_change_nothing():
    changed = X.at[:, 4].set(0.3)
    np.testing.assert_array_equal(_apply(INDEXED, changed)[0][:, :4], _apply(INDEXED, X)[0][:, :4])


class _Other(AbstractLinear):
    inner: AbstractLinear
    n_in: int = eqx.field(static=True)
    n_out: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        return self.inner(x)


def test_maps_of_another_kind_are_absorbed_too():
    other = replace_linear(LAYER, lambda name, old: _Other(old, old.n_in, old.n_out))
    np.testing.assert_allclose(
        _apply(_formed(other, "absorbed"), X)[0], _apply(LAYER, X)[0], atol=1e-13
    )


def test_sizes_that_cannot_be_are_named():
    for change, message in [
        ({"n_kept": 0}, "`n_kept` must be at least 1"),
        ({"index_heads": 1, "index_dim": 2}, "`dim` must be at least 4, but is 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            _make(**change)

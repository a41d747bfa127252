import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers import Dense, linear_maps, make_dense, replace_linear
from nn.layers.linear import AbstractLinear
from nn.layers.stack import Stack, make_stack
from nn.models.lora import LowRank, add_low_rank, merge_low_rank, only_low_rank

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)))


class _Block(eqx.Module):
    first: AbstractLinear
    last: AbstractLinear

    def __call__(self, x, cache=None, *, key=None):
        return x + self.last(jnp.tanh(self.first(x))), cache


def _make_block(key):
    keys = jax.random.split(key)
    return _Block(
        make_dense(4, 5, key=keys[0], bias=True, dtype=jnp.float64),
        make_dense(5, 4, key=keys[1], dtype=jnp.float64),
    )


STACK = make_stack(_make_block, 2, key=KEY)


def _trained(model):
    """All updates with other numbers than at the start."""
    wave = lambda a: 0.3 * jnp.sin(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape)  # noqa: E731
    change = lambda m: eqx.tree_at(lambda m: m.up, m, wave(m.up)) if _is_low_rank(m) else m  # noqa: E731
    return jax.tree.map(change, model, is_leaf=_is_low_rank)


def _is_low_rank(leaf):
    return isinstance(leaf, LowRank)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_new_update_changes_nothing(rank):
    model = add_low_rank(STACK, rank, key=KEY)
    np.testing.assert_array_equal(model(X)[0], STACK(X)[0])
    assert [type(m) for _, m in linear_maps(model)] == [LowRank, LowRank]


def test_an_update_is_its_product_and_merges_in_stacks_and_out_of_them():
    dense = STACK.unrolled().blocks[0].first
    one = _trained(add_low_rank({"map": dense}, 2, key=KEY, scale=3))["map"]
    weight = np.asarray(dense.weight) + 3 / 2 * np.asarray(one.down) @ np.asarray(one.up)
    np.testing.assert_allclose(one(X), np.asarray(X) @ weight + np.asarray(dense.bias), rtol=1e-12)
    model = _trained(add_low_rank(STACK, 2, key=KEY))
    merged = merge_low_rank(model)
    assert [type(m) for _, m in linear_maps(merged)] == [Dense, Dense]
    np.testing.assert_allclose(merged(X)[0], model(X)[0], rtol=1e-12)
    assert np.abs(merged(X)[0] - STACK(X)[0]).max() > 0.1
    np.testing.assert_allclose(model.unrolled()(X)[0], model(X)[0], rtol=1e-12)
    assert isinstance(model, Stack)


def test_only_chosen_maps_have_updates_and_only_these_train():
    model = add_low_rank(STACK, 2, key=KEY, chosen=lambda path: path.endswith("last"))
    assert [type(m) for _, m in linear_maps(model)] == [Dense, LowRank]
    weights, _ = eqx.partition(model, only_low_rank(model))
    assert [leaf.shape for leaf in jax.tree.leaves(weights)] == [(2, 5, 2), (2, 2, 4)]


def test_what_cannot_be_updated_or_merged_is_named():
    with pytest.raises(ValueError, match="`rank` must be at least 0, but is -1"):
        add_low_rank(STACK, -1, key=KEY)
    with pytest.raises(ValueError, match="`chosen` must choose at least one Dense map"):
        add_low_rank(STACK, 1, key=KEY, chosen=lambda path: False)
    twice = LowRank(
        down=jnp.zeros((4, 1)), up=jnp.zeros((1, 4)), scale=1.0, n_in=4, n_out=4,
        inner=add_low_rank(make_dense(4, 4, key=KEY), 1, key=KEY),
    )  # fmt: skip
    with pytest.raises(
        TypeError, match="`inner` must be a Dense map to be merged, but is a LowRank"
    ):
        replace_linear({"map": twice}, lambda path, old: old.merged())

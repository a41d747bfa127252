import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nn.layers.caches import make_cache
from nn.layers.feed_forward import make_swiglu
from nn.layers.linear import StackedDense, linear_maps, make_dense
from nn.layers.normalisation import make_rms_norm
from nn.layers.stack import Block, Stack, make_stack

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 4)))


class _RunningSum(eqx.Module):
    """The least mixer: the sum of a map of all tokens so far, its cache."""

    into: eqx.Module

    def __call__(self, x, cache=None, *, key=None):
        y = self.into(x, key=key)
        if cache is None:
            return jnp.cumsum(y, axis=1), None
        first = cache.next_positions(1)[0]
        cache, entries, _ = cache.extend(y=y)
        sums = jnp.cumsum(entries["y"], axis=1)
        return jax.lax.dynamic_slice_in_dim(sums, first, x.shape[1], 1), cache

    def init_cache(self, batch, capacity, dtype):
        return make_cache(batch, capacity, dtype=dtype, y=(4,))


def _make_block(key):
    keys = jax.random.split(key)
    return Block(
        make_rms_norm(4, dtype=jnp.float64),
        _RunningSum(make_dense(4, 4, key=keys[0], dtype=jnp.float64)),
        make_rms_norm(4, dtype=jnp.float64),
        make_swiglu(4, 5, key=keys[1], dtype=jnp.float64),
    )


STACK = make_stack(_make_block, 3, key=KEY)


def test_a_scan_and_blocks_one_by_one_give_the_same():
    single = STACK.unrolled()
    assert STACK.is_scanned
    assert [type(block) for block in single.blocks] == [Block] * 3
    scanned, _ = STACK(X)
    np.testing.assert_allclose(single(X)[0], scanned, rtol=1e-13)
    x = X
    for block in single.blocks:
        y, _ = block.mixer(block.mixer_norm(x))
        x = x + y + block.feed(block.feed_norm(x + y))
    np.testing.assert_allclose(scanned, x, rtol=1e-13)
    again = single.scanned()
    assert eqx.tree_equal(again, STACK)
    assert again.scanned() is again


@pytest.mark.parametrize("stack", [STACK, STACK.unrolled()], ids=["scanned", "unrolled"])
def test_each_block_has_a_cache_of_its_own(stack):
    caches = stack.init_cache(1, 4, jnp.float64)
    first, caches = stack(X[:, :2], caches)
    last, caches = stack(X[:, 2:], caches)
    whole, none = stack(X)
    assert none is None
    np.testing.assert_allclose(jnp.concatenate([first, last], axis=1), whole, rtol=1e-12)
    counts = [cache.n_seen for cache in caches] if isinstance(caches, tuple) else caches.n_seen
    np.testing.assert_array_equal(counts, [3, 3, 3])


def test_blocks_of_two_kinds_stay_apart_and_what_is_in_them_is_stacked():
    other = make_dense(4, 4, key=KEY, bias=True, dtype=jnp.float64)
    block = STACK.unrolled().blocks[1]
    odd = eqx.tree_at(lambda block: block.mixer.into, block, other)
    mixed = Stack((STACK, Stack((odd,), 1)), 2)
    single = mixed.unrolled()
    assert [len(inner.blocks) for inner in single.blocks] == [3, 1]
    assert [inner.is_scanned for inner in single.scanned().blocks] == [True, True]
    assert not single.scanned().is_scanned
    caches = mixed.init_cache(1, 3, jnp.float64)
    np.testing.assert_allclose(mixed(X, caches)[0], single(X)[0], rtol=1e-12)
    with pytest.raises(ValueError, match="`n_blocks` must be at least 1"):
        make_stack(_make_block, 0, key=KEY)


def test_maps_that_lie_in_one_stack_stay_there_for_decoding():
    assert STACK.for_decoding(1) is STACK
    assert not STACK.for_decoding(2).is_scanned
    nested = make_stack(lambda key: make_stack(_make_block, 2, key=key), 2, key=KEY)
    assert not nested.for_decoding(1).is_scanned
    inside = [linear for _, linear in linear_maps(nested.for_decoding(1))]
    assert all(isinstance(linear, StackedDense) for linear in inside)
    apart = Stack((STACK, nested), 2).for_decoding(1)
    assert [inner.is_scanned for inner in apart.blocks] == [True, False]
    caches = nested.init_cache(1, 3, jnp.float64)
    first, caches = nested(X[:, :2], caches)
    last, _ = nested(X[:, 2:], caches)
    np.testing.assert_allclose(jnp.concatenate([first, last], 1), nested(X)[0], rtol=1e-12)


def test_blocks_one_by_one_read_their_maps_as_stacks_of_one():
    single = STACK.unrolled()
    ready = single.for_decoding(1)
    maps = [linear for _, linear in linear_maps(ready)]
    assert len(maps) == 3 * 4
    assert all(isinstance(linear, StackedDense) for linear in maps)
    assert single.for_decoding(2).blocks[0] is single.blocks[0]
    caches = single.init_cache(1, 3, jnp.float64)
    found, expected = (stack(X[:, :1], caches)[0] for stack in (ready, single))
    np.testing.assert_allclose(found, expected, rtol=1e-12)

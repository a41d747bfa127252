"""Blocks one after the other: stacked and run by one scan, or one by one with the same numbers.

A stack is a block too, (x, cache) -> (x, cache), so that models whose blocks differ are stacks of stacks.

A scan compiles one block whatever the depth, but copies each block's weights out of the stack before it uses them. For
training that is nothing; in decoding, where every weight serves one token, it would cost half of the speed. So a single
token with a cache goes through `StackedDense` maps, which read the stack itself, where all weights but vectors are
those of `Dense` maps; it is then no slower than blocks one by one. Others are unrolled for decoding (`for_decoding`).
Blocks one by one read their maps in the same way, as stacks of one: 0.8 to 0.95 of the time of plain products.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least
from nn.layers.attention import Attention, make_attention
from nn.layers.caches import layer_of, put_layer
from nn.layers.feed_forward import GeluMLP, make_gelu_mlp, split_key
from nn.layers.linear import Dense, StackedDense
from nn.layers.normalisation import LayerNorm, make_layer_norm


class Block(eqx.Module):
    """Residual block: x + mixer(norm x), then x + feed(norm x).

    Attributes:
        mixer_norm: Normalisation before the mixer.
        mixer: Layer that mixes along the sequence, (x, cache, key) -> (y, cache).
        feed_norm: Normalisation before the feed-forward layer.
        feed: Layer of each token alone.
    """

    mixer_norm: eqx.Module
    mixer: Any
    feed_norm: eqx.Module
    feed: Any

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: Any = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], Any]:
        """Applies the block; with a cache the tokens follow those in it."""
        mixer_key, feed_key = split_key(key, 2)
        y, cache = self.mixer(self.mixer_norm(x), cache, key=mixer_key)  # pyright: ignore
        x = x + y
        return x + self.feed(self.feed_norm(x), key=feed_key), cache  # pyright: ignore

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> Any:
        """Empty cache of the mixer."""
        return self.mixer.init_cache(batch, capacity, dtype)


class Stack(eqx.Module):
    """Blocks of one kind, (x, cache, key) -> (x, cache) each.

    Attributes:
        blocks: One block whose arrays have the blocks along a first axis, or a tuple of blocks.
        n_blocks: Their number.
    """

    blocks: Any
    n_blocks: int = eqx.field(static=True)

    @property
    def is_scanned(self) -> bool:
        """Whether one scan runs them all."""
        return not isinstance(self.blocks, tuple)

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        caches: Any = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], Any]:
        """Applies all blocks; with caches the tokens follow those in them."""
        keys = None if key is None else jax.random.split(key, self.n_blocks)
        if not self.is_scanned:
            found = []
            for i, block in enumerate(self.blocks):
                x, cache = block(
                    x,
                    None if caches is None else caches[i],
                    key=None if keys is None else keys[i],
                )
                found.append(cache)
            return x, None if caches is None else tuple(found)
        if caches is not None and x.shape[:2] == (1, 1) and self._is_read_in_place():
            return self._extend_by_one(x, caches, keys)
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)

        def step(x, layer):
            arrays, cache, key = layer
            return eqx.combine(arrays, rest)(x, cache, key=key)

        return jax.lax.scan(step, x, (arrays, caches, keys))

    def telling(self, x: Array, told: Array, *, key: PRNGKeyArray | None = None) -> Array:
        """Applies blocks without caches, (x, told, key) -> x each, that are all told the same.

        Args:
            x: Tokens.
            told: What each block is told beside them.
            key: For noisy maps.
        """
        keys = None if key is None else jax.random.split(key, self.n_blocks)
        if not self.is_scanned:
            for i, block in enumerate(self.blocks):
                x = block(x, told, key=None if keys is None else keys[i])
            return x
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)

        def step(x, layer):
            arrays, key = layer
            return eqx.combine(arrays, rest)(x, told, key=key), None

        return jax.lax.scan(step, x, (arrays, keys))[0]

    def _extend_by_one(self, x, caches, keys):
        """The blocks on one token, with weights and caches where they lie."""

        def step(carry, layer):
            (x, caches), (index, key) = carry, layer
            block = jax.tree.map(
                lambda leaf: _of_layer(leaf, index), self.blocks, is_leaf=_is_dense
            )
            x, cache = block(x, layer_of(caches, index), key=key)
            return (x, put_layer(caches, cache, index)), None

        return jax.lax.scan(step, (x, caches), (jnp.arange(self.n_blocks, dtype=jnp.int32), keys))[
            0
        ]

    def _is_read_in_place(self) -> bool:
        """Whether all weights with more axes than a vector's are matrices of `Dense` maps."""
        leaves = jax.tree.leaves(self.blocks, is_leaf=_is_dense)
        arrays = [leaf.weight if _is_dense(leaf) else leaf for leaf in leaves]
        most = [3 if _is_dense(leaf) else 2 for leaf in leaves]
        return all(
            array.ndim <= axes
            for array, axes in zip(arrays, most, strict=True)
            if eqx.is_array(array)
        )

    def for_decoding(self, batch: int) -> "Stack":
        """The same blocks in the form that takes single tokens fastest.

        Args:
            batch: Rows.
        """
        if not self.is_scanned:
            inside = tuple(
                b.for_decoding(batch) if isinstance(b, Stack) else _read_at_once(b, batch)
                for b in self.blocks
            )
            return Stack(inside, self.n_blocks)
        if batch == 1 and self._is_read_in_place():
            return self
        single = self.unrolled()
        return single.for_decoding(1) if batch == 1 else single

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> Any:
        """Empty caches of all blocks, in the form that this stack takes."""
        if not self.is_scanned:
            return tuple(block.init_cache(batch, capacity, dtype) for block in self.blocks)
        one = self.blocks.init_cache(batch, capacity, dtype)
        return jax.tree.map(lambda a: jnp.tile(a[None], (self.n_blocks, *[1] * a.ndim)), one)

    def unrolled(self) -> "Stack":
        """The same blocks one by one, and so what stands in them."""
        if not self.is_scanned:
            inside = tuple(b.unrolled() if isinstance(b, Stack) else b for b in self.blocks)
            return Stack(inside, self.n_blocks)
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)
        take = lambda i: jax.tree.map(lambda array: array[i], arrays)  # noqa: E731
        blocks = tuple(eqx.combine(take(i), rest) for i in range(self.n_blocks))
        return Stack(blocks, self.n_blocks).unrolled()

    def scanned(self) -> "Stack":
        """The same blocks stacked for one scan, and so what stands in them; blocks of several kinds stay apart."""
        if self.is_scanned:
            return self
        blocks = tuple(b.scanned() if isinstance(b, Stack) else b for b in self.blocks)
        parts = [eqx.partition(block, eqx.is_array) for block in blocks]
        kinds = [
            (jax.tree.map(lambda a: (a.shape, a.dtype), arrays), rest) for arrays, rest in parts
        ]
        if not all(eqx.tree_equal(kind, kinds[0]) for kind in kinds):
            return Stack(blocks, self.n_blocks)
        arrays = jax.tree.map(lambda *layers: jnp.stack(layers), *(arrays for arrays, _ in parts))
        return Stack(eqx.combine(arrays, parts[0][1]), self.n_blocks)


def _of_layer(leaf: Any, index: Any) -> Any:
    """A leaf of one block out of that of all."""
    if _is_dense(leaf):
        return StackedDense(leaf.weight, _of_layer(leaf.bias, index), index)
    if eqx.is_array(leaf):
        return jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False)
    return leaf


def _read_at_once(block: Any, batch: int) -> Any:
    """A block whose maps read many rows at once, as those of a stack of one, which a single vector gains by."""
    if batch != 1:
        return block

    def read(leaf):
        if not _is_dense(leaf) or leaf.weight.ndim != 2:
            return leaf
        return StackedDense(leaf.weight[None], leaf.bias, jnp.zeros((), jnp.int32))

    return jax.tree.map(read, block, is_leaf=_is_dense)


def _is_dense(leaf) -> bool:
    return isinstance(leaf, Dense)


def make_stack(
    make_block: Callable[[PRNGKeyArray], Any], n_blocks: int, *, key: PRNGKeyArray
) -> Stack:
    """A scanned stack of blocks, each made with a key of its own.

    Args:
        make_block: key -> block; has a method `init_cache(batch, capacity, dtype)`.
        n_blocks: Blocks.
        key: PRNG key.

    Raises:
        ValueError: If there is no block.
    """
    check_at_least(n_blocks, 1, "n_blocks")
    return Stack(eqx.filter_vmap(make_block)(jax.random.split(key, n_blocks)), n_blocks)


def make_parts_seeing_all(
    width: int, heads: int, hidden: int, norm_eps: float, *, key: PRNGKeyArray, dtype: Any
) -> tuple[Attention, LayerNorm, GeluMLP]:
    """Mixer, norm and feed-forward layer of a block whose tokens all see each other, with biases, as in BERT and ViT.

    Args:
        width: Size of a token's vector.
        heads: Heads.
        hidden: Hidden size of the feed-forward layer.
        norm_eps: eps of the norm.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    mixer_key, feed_key = jax.random.split(key)
    mixer = make_attention(width, heads=heads, bias=True, causal=False, key=mixer_key, dtype=dtype)
    norm = make_layer_norm(width, eps=norm_eps, dtype=dtype)
    return mixer, norm, make_gelu_mlp(width, hidden, key=feed_key, dtype=dtype)

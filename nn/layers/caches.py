"""What a layer remembers of the tokens before: entries of single tokens, or a state of fixed size.

A `TokenCache` holds arrays (batch, capacity, ...) by name, such as keys and values, or the latents of latent attention,
with the position of the token in each slot, -1 where it is empty. Attention masks by these positions, so that dense and
ring caches need no case of their own. A ring keeps the last `capacity` tokens: what a layer with a window of that
length can see. A `RecurrentState` is what a linear recurrence with a short convolution carries along.

A cache knows how many tokens it has seen. One too many is an error where the count can be looked at; inside `jit` it
cannot, and a model gives NaN instead (`overflowed`), now and for all later tokens. All rows of a batch are equally
long.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_at_least, check_axis, is_concrete


class TokenCache(eqx.Module):
    """Entries of the tokens seen so far.

    Attributes:
        entries: Arrays (batch, capacity, ...) by name.
        positions: Position of the token in each slot, -1 for an empty one.
        n_seen: Tokens seen, more than the capacity once a ring is full.
        ring: Whether the oldest tokens give way.
        n_dropped: Tokens seen that have no slot, because they were pruned: those after them keep their positions.
        layer: None; or which cache this is of several, whose arrays lie along a first axis (`layer_of`). Then only the
            methods give what is its own.
    """

    entries: dict[str, Array]
    positions: Int[Array, "*layers capacity"]
    n_seen: Int[Array, "*layers"]
    ring: bool = eqx.field(static=True)
    n_dropped: int = eqx.field(static=True, default=0)
    layer: Int[Array, ""] | None = None

    @property
    def capacity(self) -> int:
        """Slots."""
        return self.positions.shape[-1]

    def next_positions(self, n_tokens: int) -> Int[Array, " n"]:
        """Positions of the next tokens."""
        return self._own(self.n_seen) + jnp.arange(n_tokens, dtype=self.n_seen.dtype)

    def _own(self, array):
        """The part of this cache."""
        if self.layer is None:
            return array
        return jax.lax.dynamic_index_in_dim(array, self.layer, keepdims=False)

    def append(self, **new: Array) -> "TokenCache":
        """The cache with entries of further tokens, (batch, n, ...) each.

        Raises:
            ValueError: If other entries are given than the cache holds, or it has no room for them.
        """
        if set(new) != set(self.entries):
            raise ValueError(
                f"`new` must hold the entries {', '.join(self.entries)}, but holds {', '.join(new)}."
            )
        n_tokens = next(iter(new.values())).shape[1]
        for name, array in new.items():
            check_axis(array, name, 1, n_tokens, "All entries are of the same tokens.")
        check_room(self, n_tokens)
        kept = min(n_tokens, self.capacity)  # of more than it holds a ring keeps the last
        first = self._own(self.n_seen) + (n_tokens - kept)
        positions = first + jnp.arange(kept, dtype=first.dtype)
        # One slice is written in place; it wraps around only where a ring takes several tokens.
        scattered = self.ring and kept > 1
        start = positions % self.capacity if scattered else first % self.capacity
        if not self.ring:
            # Cut at the end by JAX where there is no room, and then all is NaN.
            start = first - self.n_dropped

        def write(old, value, axis):
            value = value.astype(old.dtype)
            if self.layer is not None:
                place = [jnp.zeros_like(start)] * old.ndim
                place[0], place[axis + 1] = self.layer.astype(start.dtype), start
                return jax.lax.dynamic_update_slice(old, value[None], place)
            if scattered:
                return old.at[(slice(None),) * axis + (start,)].set(value)
            return jax.lax.dynamic_update_slice_in_dim(old, value, start, axis)

        entries = {name: write(self.entries[name], new[name][:, -kept:], 1) for name in new}
        positions = write(self.positions, positions, 0)
        n_seen = (
            self.n_seen + n_tokens
            if self.layer is None
            else self.n_seen.at[self.layer].add(n_tokens)
        )
        return replace(self, entries=entries, positions=positions, n_seen=n_seen)

    def extend(self, **new: Array) -> tuple["TokenCache", dict[str, Array], Int[Array, " keys"]]:
        """Appends, and gives all that the new tokens may look at.

        Several tokens at once push out of a ring what the first of them still sees; they look at the old entries beside
        the new ones.

        Returns:
            The new cache; entries (batch, keys, ...) by name; their positions.
        """
        cache = self.append(**new)
        n_tokens = next(iter(new.values())).shape[1]
        if not self.ring or n_tokens == 1:
            if self.layer is None:
                return cache, cache.entries, cache.positions
            entries = {name: self._own(array) for name, array in cache.entries.items()}
            return cache, entries, self._own(cache.positions)
        both = {
            name: jnp.concatenate([old, new[name].astype(old.dtype)], axis=1)
            for name, old in self.entries.items()
        }
        return cache, both, jnp.concatenate([self.positions, self.next_positions(n_tokens)])


def layer_of(caches: Any, index: Int[Array, ""]) -> Any:
    """Caches of one layer out of those of all, along a first axis: a `TokenCache` as a view, others copied.

    A view takes one token at a time, which it writes where the caches of all layers lie.
    """

    def one(leaf):
        if isinstance(leaf, TokenCache):
            return replace(leaf, layer=index)
        return jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False)

    return jax.tree.map(one, caches, is_leaf=_is_token_cache)


def put_layer(caches: Any, layer: Any, index: Int[Array, ""]) -> Any:
    """The caches of all layers with those of one, which `layer_of` gave, as the layer left them."""

    def whole(old, new):
        if isinstance(new, TokenCache):
            return replace(new, layer=None)
        return jax.lax.dynamic_update_index_in_dim(old, new, index, 0)

    return jax.tree.map(whole, caches, layer, is_leaf=_is_token_cache)


class RecurrentState(eqx.Module):
    """What a linear recurrence carries from token to token.

    Attributes:
        window: Last inputs of the causal convolution before it, zeros before the first token.
        state: State of each head, in single precision or better.
    """

    window: Float[Array, "batch kept channels"]
    state: Float[Array, "batch heads key_dim value_dim"]


def make_cache(
    batch: int,
    capacity: int,
    *,
    ring: bool = False,
    dtype: Any = jnp.float32,
    **shapes: tuple[int, ...],
) -> TokenCache:
    """An empty cache.

    Args:
        batch: Rows.
        capacity: Tokens it has room for.
        ring: Whether the oldest tokens give way when it is full.
        dtype: Type of the entries.
        **shapes: Shape of one token's entry by name, such as `k=(kv_heads, head_dim)`.

    Raises:
        ValueError: If a count is below 1, or there is no entry.
    """
    check_at_least(batch, 1, "batch")
    check_at_least(capacity, 1, "capacity")
    check_at_least(len(shapes), 1, "shapes", "A cache without entries remembers nothing.")
    return TokenCache(
        {name: jnp.zeros((batch, capacity, *shape), dtype) for name, shape in shapes.items()},
        jnp.full(capacity, -1, jnp.int32),
        jnp.zeros((), jnp.int32),
        ring,
    )


def make_recurrent_state(
    batch: int,
    *,
    kept: int,
    channels: int,
    heads: int,
    key_dim: int,
    value_dim: int,
    dtype: Any = jnp.float32,
) -> RecurrentState:
    """A state before the first token: zeros.

    Args:
        batch: Rows.
        kept: Inputs the convolution looks back at, its length less one.
        channels: Channels of the convolution.
        heads: Heads.
        key_dim: Size of a key.
        value_dim: Size of a value.
        dtype: Type of the window; the state has at least single precision.

    Raises:
        ValueError: If a count is below 1.
    """
    check_at_least(batch, 1, "batch")
    precise = jnp.promote_types(dtype, jnp.float32)
    return RecurrentState(
        jnp.zeros((batch, kept, channels), dtype),
        jnp.zeros((batch, heads, key_dim, value_dim), precise),
    )


def check_room(caches: Any, n_tokens: int) -> None:
    """Raises ValueError if a cache that can be looked at has no room for further tokens.

    Args:
        caches: Any tree of caches.
        n_tokens: Tokens to come.
    """
    for cache in _token_caches(caches):
        if cache.ring or not is_concrete(cache.n_seen):
            continue
        seen = int(np.max(cache.n_seen)) - cache.n_dropped
        if seen + n_tokens > cache.capacity:
            raise ValueError(
                f"`caches` must have room for {n_tokens} further tokens, but hold {seen} of {cache.capacity}. "
                "Make them with a larger capacity."
            )


def overflowed(caches: Any) -> Bool[Array, ""]:
    """Whether any cache has seen more tokens than it has room for; what was computed since is wrong."""
    full = [
        jnp.any(cache.n_seen - cache.n_dropped > cache.capacity)
        for cache in _token_caches(caches)
        if not cache.ring
    ]
    return jnp.any(jnp.stack(full)) if full else jnp.zeros((), bool)


def _token_caches(caches: Any) -> list[TokenCache]:
    leaves = jax.tree.leaves(caches, is_leaf=_is_token_cache)
    return [leaf for leaf in leaves if isinstance(leaf, TokenCache)]


def _is_token_cache(leaf) -> bool:
    return isinstance(leaf, TokenCache)

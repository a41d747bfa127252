"""Native sparse attention (NSA) as a layer: three branches with keys and values of their own, and their gates.

    k_i = mean_j k_{i d + j} + MLP(k_{i d} + e_0, ..., k_{i d + l - 1} + e_{l-1}),   v_i alike,   g = sigmoid(x G)

The learned e tell the MLP where in its window a token stands. The paper says MLP, no more; ours has one hidden layer
and is added to the mean, so that an untrained layer compresses sensibly, and a gate is one linear map. Rotary positions
are given to a compressed key after it is made, those of the last token it stands for, because a mean of turned keys has
lost what they hold; the paper is silent on that too. All branches share their queries.

A cache holds the tokens of all branches, and the compressed keys and values; those that new tokens complete are made
when these come.

J. Yuan et al., Native sparse attention, 2025, arXiv 2502.11089, section 3.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_divides
from nn.kernels.block_attention import (
    BranchSizes,
    compression_windows,
    native_sparse_attention,
)
from nn.layers.caches import TokenCache, make_cache
from nn.layers.feed_forward import split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.rotary import Rotary

BRANCHES = ("compressed", "chosen", "window")


class Compression(eqx.Module):
    """One key, or value, in the place of a window of them.

    Attributes:
        places: e, learned positions within the window.
        first: To the hidden layer, from the whole window.
        second: From the hidden layer.
    """

    places: Float[Array, "length dim"]
    first: AbstractLinear
    second: AbstractLinear

    def __call__(
        self, windows: Float[Array, "batch compressed length heads dim"]
    ) -> Float[Array, "batch compressed heads dim"]:
        """Compresses each window, each head alike."""
        windows = jnp.moveaxis(windows, -2, -3)  # (batch, compressed, heads, length, dim)
        placed = windows + jnp.broadcast_to(self.places, windows.shape)
        flat = placed.reshape(*windows.shape[:-2], self.places.size)
        hidden = jax.nn.silu(self.first(flat))
        return windows.mean(axis=-2) + self.second(hidden)


class BranchCache(eqx.Module):
    """What native sparse attention keeps.

    Attributes:
        tokens: Keys and values of each branch; those of the compressed one as they are before it compresses them.
        compressed: Compressed keys and values, of which those count whose tokens have all come.
    """

    tokens: TokenCache
    compressed: tuple[
        Float[Array, "batch compressed kv_heads dim"], Float[Array, "batch compressed kv_heads dim"]
    ]


class NativeSparseAttention(eqx.Module):
    """The three branches with their maps.

    Attributes:
        query: To the queries.
        key: To the keys of all branches.
        value: To the values of all branches.
        gate: To the gates of each head, before the sigmoid.
        output: From what the heads found.
        compress: Compression of keys and of values.
        sizes: Sizes of the branches.
        rotary: Rotary positions, or None.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
    """

    query: AbstractLinear
    key: AbstractLinear
    value: AbstractLinear
    gate: AbstractLinear
    output: AbstractLinear
    compress: tuple[Compression, Compression]
    sizes: BranchSizes = eqx.field(static=True)
    rotary: Rotary | None = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    kv_heads: int = eqx.field(static=True)

    @property
    def head_dim(self) -> int:
        """Size of a key."""
        return self.query.n_out // self.heads

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: BranchCache | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], BranchCache | None]:
        """Mixes the tokens.

        Args:
            x: Tokens.
            cache: What is kept of the tokens before.
            key: For noisy maps.

        Raises:
            ValueError: If the cache has no room.
        """
        n_tokens, keys = x.shape[1], split_key(key, 5)
        positions = (
            jnp.arange(n_tokens, dtype=jnp.int32)
            if cache is None
            else cache.tokens.next_positions(n_tokens)
        )
        q = self._turned(
            self.query(x, key=keys[0]).reshape(*x.shape[:2], self.heads, -1), positions
        )
        gates = jax.nn.sigmoid(self.gate(x, key=keys[3])).reshape(*x.shape[:2], self.heads, 3)
        new = self._branches(x, positions, keys)
        if cache is None:
            entries = new
            k, v = (compression_windows(new[f"compressed_{a}"], self.sizes) for a in "kv")
            compressed = self._compressed(k, v, jnp.zeros((), jnp.int32))
        else:
            tokens, entries, _ = cache.tokens.extend(**new)
            compressed = self._extended(cache.compressed, entries, positions)
            cache = BranchCache(tokens, compressed)
        mixed, _ = native_sparse_attention(
            q,
            compressed,
            (entries["chosen_k"], entries["chosen_v"]),
            (entries["window_k"], entries["window_v"]),
            gates,
            self.sizes,
            query_positions=positions,
        )
        return self.output(mixed.reshape(*x.shape[:2], -1), key=keys[4]), cache

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> BranchCache:
        """An empty cache."""
        shape = (self.kv_heads, self.head_dim)
        names: dict[str, Any] = {f"{name}_{array}": shape for name in BRANCHES for array in "kv"}
        empty = jnp.zeros((batch, self.sizes.count_compressed(capacity), *shape), dtype)
        return BranchCache(make_cache(batch, capacity, dtype=dtype, **names), (empty, empty))

    def _turned(self, array, positions):
        return array if self.rotary is None else self.rotary(array, positions)

    def _branches(self, x, positions, keys) -> dict[str, Array]:
        """Keys and values of the tokens by the names of the cache; those to be compressed are not turned."""
        shape = (*x.shape[:2], 3, self.kv_heads, self.head_dim)
        k = self.key(x, key=keys[1]).reshape(shape)
        v = self.value(x, key=keys[2]).reshape(shape)
        new = {}
        for i, branch in enumerate(BRANCHES):
            new[f"{branch}_k"] = k[:, :, i] if i == 0 else self._turned(k[:, :, i], positions)
            new[f"{branch}_v"] = v[:, :, i]
        return new

    def _compressed(self, k_windows, v_windows, first: Int[Array, ""]) -> tuple[Array, Array]:
        """Compressed keys and values number `first` and on from their windows."""
        ends = (first + jnp.arange(k_windows.shape[1])) * self.sizes.stride + self.sizes.length - 1
        compress_k, compress_v = self.compress
        return self._turned(compress_k(k_windows), ends), compress_v(v_windows)

    def _extended(self, old, entries, positions) -> tuple[Array, Array]:
        """The compressed keys and values with those that the tokens at `positions` complete.

        So many at most are made that none is missed; one whose tokens have not all come is not seen, and made again.
        """
        length, stride = self.sizes.length, self.sizes.stride
        n_made = -(-len(positions) // stride)
        first = jnp.maximum(0, (positions[0] - length + stride) // stride)
        numbers = first + jnp.arange(n_made, dtype=first.dtype)
        rows = (numbers * stride)[:, None] + jnp.arange(length)[None]
        k, v = (
            jnp.take(entries[f"compressed_{array}"], rows, axis=1, mode="clip") for array in "kv"
        )
        made = self._compressed(k, v, first)
        k, v = (
            array.at[:, numbers].set(new.astype(array.dtype), mode="drop")
            for array, new in zip(old, made, strict=True)
        )
        return k, v


def make_native_sparse_attention(
    width: int,
    *,
    heads: int,
    kv_heads: int,
    head_dim: int,
    sizes: BranchSizes,
    rotary: Rotary | None = None,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> NativeSparseAttention:
    """Native sparse attention with random maps; all gates begin at one half.

    Args:
        width: Size of a token.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        head_dim: Size of a head.
        sizes: Sizes of the branches.
        rotary: Rotary positions.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    check_at_least(head_dim, 1, "head_dim")
    check_divides(kv_heads, heads, "kv_heads", "heads", "Each head of keys serves equally many.")
    keys = jax.random.split(key, 7)
    dense = lambda i, n_in, n_out: make_dense(n_in, n_out, key=keys[i], dtype=dtype)  # noqa: E731
    gate = make_dense(width, 3 * heads, key=keys[3], bias=True, scale=0.0, dtype=dtype)

    def make_compression(key):
        place, first, second = jax.random.split(key, 3)
        return Compression(
            0.02 * jax.random.normal(place, (sizes.length, head_dim), dtype),
            make_dense(sizes.length * head_dim, head_dim, key=first, dtype=dtype),
            make_dense(head_dim, head_dim, key=second, dtype=dtype),
        )

    return NativeSparseAttention(
        dense(0, width, heads * head_dim),
        dense(1, width, 3 * kv_heads * head_dim),
        dense(2, width, 3 * kv_heads * head_dim),
        gate,
        dense(4, heads * head_dim, width),
        (make_compression(keys[5]), make_compression(keys[6])),
        sizes,
        rotary,
        heads,
        kv_heads,
    )

"""The forms of attention that `attention_scaling` compares: how each is run, and how many products it takes.

Every form takes queries, keys and values (1, n, heads, head_dim), log decays and strengths (1, n, heads), and gives
(1, n, heads, head_dim). With `complete` it may choose all that the text has, so that the sparse forms have to agree
with full attention, and the chunks with the recurrence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from nn.kernels import (
    BranchSizes,
    block_mixture_attention,
    dense_attention,
    gated_delta_rule,
    gated_delta_rule_chunked,
    index_scores,
    online_attention,
    select_keys,
)
from nn.kernels.block_attention import compression_windows, count_blocks, native_sparse_attention
from nn.kernels.selection import gathered_attention

BLOCK = 128  # of `online_attention`; half of its default, so that a window leaves out more
CHUNK = 32  # of `gated_delta_rule_chunked`, its default


@dataclass(frozen=True)
class Sizes:
    """Sizes of the forms; all are our choice.

    Attributes:
        heads: Heads, each with keys of its own.
        head_dim: Size of keys and of values.
        window: Keys in a window.
        block: Keys in a block of the sparse forms.
        n_chosen: Blocks that a query keeps.
        index_heads: Heads of the index.
        index_dim: Size of an index key.
    """

    heads: int
    head_dim: int
    window: int
    block: int
    n_chosen: int
    index_heads: int
    index_dim: int

    @property
    def branches(self) -> BranchSizes:
        """Compressed keys of half a block, a quarter apart, as in the paper on native sparse attention."""
        return BranchSizes(
            self.block // 2, self.block // 4, self.block, self.n_chosen, window=self.window
        )


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        text: Name in the figure.
        make: (sizes, n, complete) -> function of the five arrays.
        products: (sizes, n) -> multiply-adds of the matrix products of all heads, forwards, with what is masked away.
        reference: Form that it agrees with when complete.
    """

    text: str
    make: Callable[[Sizes, int, bool], Callable]
    products: Callable[[Sizes, int], float]
    reference: str = "dense"


def _online(sizes: Sizes, n: int, complete: bool, windowed: bool = False):
    window = sizes.window if windowed and not complete else None
    return lambda q, k, v, log_decay, strength: online_attention(
        q, k, v, window=window, block_queries=BLOCK, block_keys=BLOCK
    )


def _online_products(sizes: Sizes, n: int, windowed: bool = False) -> float:
    """Blocks of queries and keys that meet."""
    n_blocks = -(-n // BLOCK)
    block = -(-n // n_blocks)
    met = 0
    for i in range(n_blocks):
        first = max(0, i * block - sizes.window + 1) // block if windowed else 0
        met += i + 1 - first
    return 2.0 * sizes.heads * met * block**2 * sizes.head_dim


def _mixture(sizes: Sizes, n: int, complete: bool):
    chosen = count_blocks(n, sizes.block) if complete else sizes.n_chosen
    return lambda q, k, v, log_decay, strength: block_mixture_attention(
        q, k, v, block_size=sizes.block, n_chosen=chosen
    )[0]


def _mixture_products(sizes: Sizes, n: int) -> float:
    """Every block's mean, and the keys and values of the chosen ones."""
    blocks = count_blocks(n, sizes.block)
    read = min(sizes.n_chosen, blocks) * sizes.block
    return sizes.heads * n * sizes.head_dim * (blocks + 2.0 * read)


def _native(sizes: Sizes, n: int, complete: bool):
    """Compressed by their mean; gates of a third, or all for the chosen blocks."""
    branches = sizes.branches
    gates = jnp.full((1, n, sizes.heads, 3), 1 / 3, jnp.float32)
    if complete:
        branches = BranchSizes(
            branches.length, branches.stride, sizes.block, max(3, count_blocks(n, sizes.block))
        )
        gates = jnp.zeros_like(gates).at[..., 1].set(1.0)

    def attend(q, k, v, log_decay, strength):
        means = [compression_windows(x, branches).mean(axis=-3) for x in (k, v)]
        return native_sparse_attention(q, (means[0], means[1]), (k, v), (k, v), gates, branches)[0]

    return attend


def _native_products(sizes: Sizes, n: int) -> float:
    compressed = sizes.branches.count_compressed(n)
    read = min(sizes.n_chosen, count_blocks(n, sizes.block)) * sizes.block + sizes.window
    return 2.0 * sizes.heads * n * sizes.head_dim * (compressed + read)


def _indexed(sizes: Sizes, n: int, complete: bool):
    """The index reads the first numbers of the queries and keys of the first heads, as if it had learned to."""
    n_keys = n if complete else min(n, sizes.block * sizes.n_chosen)
    heads, dim = sizes.index_heads, sizes.index_dim

    def attend(q, k, v, log_decay, strength):
        weights = jnp.ones((1, n, heads), q.dtype)
        scores = index_scores(q[:, :, :heads, :dim], k[:, :, 0, :dim], weights)
        chosen = select_keys(jax.lax.stop_gradient(scores), n_keys)
        return gathered_attention(q, k, v, chosen)[0]

    return attend


def _indexed_products(sizes: Sizes, n: int) -> float:
    """Every pair in the index, and the chosen keys and values."""
    index = float(n) * n * sizes.index_heads * sizes.index_dim
    read = min(n, sizes.block * sizes.n_chosen)
    return index + 2.0 * sizes.heads * n * read * sizes.head_dim


def _delta(sizes: Sizes, n: int, complete: bool, rule: Callable):
    """Keys of length 1, as in all models with this rule."""

    def attend(q, k, v, log_decay, strength):
        k = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
        return rule(q, k, v, log_decay, strength)[0]

    return attend


def _every_pair(sizes: Sizes, n: int) -> float:
    return 2.0 * sizes.heads * n * n * sizes.head_dim


def _peer(sizes: Sizes, n: int, complete: bool):
    return lambda q, k, v, log_decay, strength: jax.nn.dot_product_attention(
        q, k, v, is_causal=True
    )


FORMS = {
    "dense": Form(
        "dense", lambda sizes, n, complete: lambda q, k, v, *rest: dense_attention(q, k, v), _every_pair
    ),
    "jax": Form("jax.nn.dot_product_attention", _peer, _every_pair),
    "online": Form("online softmax", _online, _online_products),
    "window": Form(
        "online, window", partial(_online, windowed=True), partial(_online_products, windowed=True)
    ),
    "mixture": Form("mixture of blocks (MoBA)", _mixture, _mixture_products),
    "native": Form("native sparse (NSA)", _native, _native_products),
    "indexed": Form("indexed (DSA)", _indexed, _indexed_products),
    "delta": Form(
        "gated delta, token by token",
        partial(_delta, rule=gated_delta_rule),
        # S^T k, the change of S, S^T q.
        lambda sizes, n: 3.0 * sizes.heads * n * sizes.head_dim**2,
        reference="delta",
    ),
    "chunks": Form(
        "gated delta, chunks",
        partial(_delta, rule=gated_delta_rule_chunked),
        # With the state as above; within a chunk [q; k] k^T, the scores times the changes, and half a product to solve.
        lambda sizes, n: sizes.heads * n * sizes.head_dim * (3.0 * sizes.head_dim + 3.5 * CHUNK),
        reference="delta",
    ),
}  # fmt: skip

"""Multi-head latent attention (MLA): keys and values of all heads are made of one small latent a token.

    c = norm(x D_c);   r = rot(x D_r);   [k_h, v_h] = c U_h;   [q_h, p_h] = norm(x D_q) Q_h
    y = O [attention(score = scale (q_h . k_h + rot(p_h) . r), values v_h)]_h,   scale = (dim + rotary dim)^-1/2

with one rotary key r for all heads. Two forms of the same numbers: expanded, where keys and values of each head are
made (cheaper for whole texts, and in training), and absorbed, where U goes to the queries and behind the sum instead,

    q_h . (c U_h^k) = (q_h U_h^k^T) . c,   sum_s w_s c_s U_h^v = (sum_s w_s c_s) U_h^v,

so that all heads read the same latents: in decoding, with a cache of (latent + rotary) numbers a token. With an index
each query attends to the `n_kept` keys that it picks (`nn.layers.indexer`), by the rule of ties of
`nn.kernels.selection`.

Sources: DeepSeek-AI, DeepSeek-V2, arXiv 2405.04434, section 2.1; DeepSeek-V3.2-Exp (2025) for the index. Scaling of the
rotary frequencies beyond those of `nn.layers.rotary` (YaRN) is left out.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_choice
from nn.kernels.indexed_attention import index_scores, select_keys
from nn.kernels.selection import Selection, gathered_attention
from nn.layers.attention import attend
from nn.layers.caches import TokenCache, make_cache
from nn.layers.feed_forward import split_key
from nn.layers.indexer import Indexer, make_indexer
from nn.layers.linear import AbstractLinear, Dense, StackedDense, make_dense
from nn.layers.normalisation import RMSNorm, make_rms_norm
from nn.layers.rotary import Rotary


class LatentAttention(eqx.Module):
    """Latent attention with its maps.

    Attributes:
        query_down: D_q.
        query_norm: Norm of the latent of the queries.
        query_up: Q of all heads: each head's part without, then with rotary positions.
        latent_down: D_c, then D_r.
        latent_norm: Norm of the latent.
        latent_up: U of all heads: each head's key, then its value.
        output: O.
        indexer: The index, or None for dense attention.
        rotary: Rotary positions of r and p.
        heads: Heads.
        key_dim: Size of the part of a key that is made of the latent.
        n_kept: Keys that a query keeps by its index.
        form: Which form is computed; None takes the absorbed one where a cache is given.
    """

    query_down: AbstractLinear
    query_norm: RMSNorm
    query_up: AbstractLinear
    latent_down: AbstractLinear
    latent_norm: RMSNorm
    latent_up: AbstractLinear
    output: AbstractLinear
    indexer: Indexer | None
    rotary: Rotary = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    key_dim: int = eqx.field(static=True)
    n_kept: int = eqx.field(static=True, default=1)
    form: Literal["expanded", "absorbed"] | None = eqx.field(static=True, default=None)

    @property
    def rank(self) -> int:
        """Size of a latent."""
        return self.latent_up.n_in

    @property
    def value_dim(self) -> int:
        """Size of a value."""
        return self.latent_up.n_out // self.heads - self.key_dim

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: TokenCache | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], TokenCache | None]:
        """Mixes the tokens.

        Args:
            x: Tokens.
            cache: Latents of the tokens before; None where these are the first and none come after.
            key: For noisy maps.

        Raises:
            ValueError: If the cache has no room.
        """
        n_tokens = x.shape[1]
        keys = split_key(key, 5)
        positions = (
            jnp.arange(n_tokens, dtype=jnp.int32)
            if cache is None
            else cache.next_positions(n_tokens)
        )
        source = self.query_norm(self.query_down(x, key=keys[0]))
        q = self.query_up(source, key=keys[1]).reshape(*x.shape[:2], self.heads, -1)
        q_rotary = self.rotary(q[..., self.key_dim :], positions)
        latent = self.latent_down(x, key=keys[2])
        # One head of rotary keys for all queries.
        rotary = self.rotary(latent[..., None, self.rank :], positions)[:, :, 0]
        entries = {"latent": self.latent_norm(latent[..., : self.rank]), "rotary": rotary}
        if self.indexer is not None:
            entries["index"] = self.indexer.keys(x, positions)
        key_positions, absorbed = positions, self.form == "absorbed"
        if cache is not None:
            cache, entries, key_positions = cache.extend(**entries)
            absorbed = self.form != "expanded"
        places = {"query_positions": positions, "key_positions": key_positions}
        choice = None
        if self.indexer is not None:
            index_q, weights = self.indexer.queries(x, source, positions)
            scores = index_scores(index_q, entries["index"].astype(index_q.dtype), weights)
            choice = select_keys(scores, self.n_kept, **places)
        attend = self._absorbed if absorbed else self._expanded
        mixed = attend(q[..., : self.key_dim], q_rotary, entries, choice, places, keys[3])
        return self.output(mixed.reshape(*x.shape[:2], -1), key=keys[4]), cache

    def _expanded(self, q, q_rotary, entries, choice, places, key):
        latent, rotary = entries["latent"].astype(q.dtype), entries["rotary"].astype(q.dtype)
        made = self.latent_up(latent, key=key).reshape(*latent.shape[:2], self.heads, -1)
        k, v = made[..., : self.key_dim], made[..., self.key_dim :]
        shared = jnp.broadcast_to(rotary[:, :, None], (*k.shape[:3], rotary.shape[-1]))
        return _attention(
            jnp.concatenate([q, q_rotary], axis=-1),
            jnp.concatenate([k, shared], axis=-1),
            v,
            choice,
            places,
            (self.key_dim + self.rotary.size) ** -0.5,
        )

    def _absorbed(self, q, q_rotary, entries, choice, places, key):
        latent, rotary = entries["latent"].astype(q.dtype), entries["rotary"].astype(q.dtype)
        up = _matrix(self.latent_up, q.dtype, key).reshape(self.rank, self.heads, -1)
        absorbed = jnp.einsum("bnhd,rhd->bnhr", q, up[..., : self.key_dim])
        mixed = _attention(
            jnp.concatenate([absorbed, q_rotary], axis=-1),
            jnp.concatenate([latent, rotary], axis=-1)[:, :, None],
            latent[:, :, None],
            choice,
            places,
            (self.key_dim + self.rotary.size) ** -0.5,
        )
        return jnp.einsum("bnhr,rhd->bnhd", mixed, up[..., self.key_dim :])

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> TokenCache:
        """An empty cache of latents, rotary keys and, with an index, its keys."""
        shapes: dict[str, Any] = {"latent": (self.rank,), "rotary": (self.rotary.size,)}
        if self.indexer is not None:
            shapes["index"] = (self.indexer.dim,)
        return make_cache(batch, capacity, dtype=dtype, **shapes)


def _attention(q, k, v, choice: Selection | None, places, scale):
    if choice is None:
        return attend(q, k, v, scale=scale, **places)
    return gathered_attention(q, k, v, choice, scale=scale)[0]


def _matrix(linear: AbstractLinear, dtype, key):
    """The matrix of a map, whatever carries it out."""
    if isinstance(linear, Dense | StackedDense):
        return linear.weight
    return linear(jnp.eye(linear.n_in, dtype=dtype), key=key)


def make_latent_attention(
    width: int,
    *,
    heads: int,
    query_rank: int,
    rank: int,
    key_dim: int,
    value_dim: int,
    rotary: Rotary,
    index_heads: int = 0,
    index_dim: int = 0,
    n_kept: int = 1,
    form: Literal["expanded", "absorbed"] | None = None,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> LatentAttention:
    """Latent attention with random maps.

    Args:
        width: Size of a token.
        heads: Heads.
        query_rank: Size of the latent of the queries.
        rank: Size of the latent.
        key_dim: Size of the part of a key that is made of the latent.
        value_dim: Size of a value.
        rotary: Rotary positions; their size is that of the rotary part of a key.
        index_heads: Heads of the index; 0 for dense attention.
        index_dim: Size of an index key; its first components have rotary positions of the same frequencies, in halves.
        n_kept: Keys that a query keeps by its index.
        form: Which form is computed; None takes the absorbed one where a cache is given.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or the form is unknown.
    """
    check_at_least(heads, 1, "heads")
    check_at_least(value_dim, 1, "value_dim")
    check_at_least(n_kept, 1, "n_kept")
    check_choice(form, "form", (None, "expanded", "absorbed"))
    keys = jax.random.split(key, 6)
    dense = lambda i, n_in, n_out: make_dense(n_in, n_out, key=keys[i], dtype=dtype)  # noqa: E731
    indexer = None
    if index_heads:
        indexer = make_indexer(
            width,
            heads=index_heads,
            dim=index_dim,
            source=query_rank,
            rotary=Rotary(rotary.size, rotary.base, scaling=rotary.scaling),
            key=keys[5],
            dtype=dtype,
        )
    return LatentAttention(
        dense(0, width, query_rank),
        make_rms_norm(query_rank, dtype=dtype),
        dense(1, query_rank, heads * (key_dim + rotary.size)),
        dense(2, width, rank + rotary.size),
        make_rms_norm(rank, dtype=dtype),
        dense(3, rank, heads * (key_dim + value_dim)),
        dense(4, heads * value_dim, width),
        indexer,
        rotary,
        heads,
        key_dim,
        n_kept,
        form,
    )

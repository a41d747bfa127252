"""Gated DeltaNet as a layer: a fast memory of fixed size in the place of attention.

    q, k, v = silu(conv(x [Q K V])),   q <- q / (|q| sqrt(key_dim)),   k <- k / |k|
    b = sigmoid(x B),   log a = -exp(A) softplus(x D + d)
    y = O (w rms(delta_rule(q, k, v, log a, b)) * silu(x Z))

with one strength b and one decay a for each head of values. A prompt goes through the rule chunk by chunk, a single
token by one step. The cost of a token does not grow with what was before it.

S. Yang, J. Kautz, A. Hatamizadeh, arXiv 2412.06464; parts and constants as in Qwen3-Next, where 16 heads of keys serve
32 of values: |x| is sqrt(sum x^2 + 1e-6), exp(A) is drawn from (0, 16), d is 1.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_divides
from nn.kernels.delta_rule import gated_delta_step
from nn.kernels.delta_rule_chunked import gated_delta_rule_chunked
from nn.layers.caches import RecurrentState, make_recurrent_state
from nn.layers.convolution import CausalConvolution, make_causal_convolution
from nn.layers.feed_forward import split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.normalisation import RMSNorm, make_rms_norm


class GatedDelta(eqx.Module):
    """The gated delta rule with its maps.

    Attributes:
        query: Q.
        key: K.
        value: V.
        gate: Z.
        strength: B, one output for each head.
        decay: D, one output for each head.
        output: O.
        convolution: Over the channels of queries, keys and values, in this order.
        norm: Normalisation of what each head reads, over its components, with weights w.
        log_rate: A.
        decay_bias: d.
        key_heads: Heads of queries and keys.
        heads: Heads of values.
        chunk: Tokens in a chunk.
    """

    query: AbstractLinear
    key: AbstractLinear
    value: AbstractLinear
    gate: AbstractLinear
    strength: AbstractLinear
    decay: AbstractLinear
    output: AbstractLinear
    convolution: CausalConvolution
    norm: RMSNorm
    log_rate: Float[Array, " heads"]
    decay_bias: Float[Array, " heads"]
    key_heads: int = eqx.field(static=True)
    heads: int = eqx.field(static=True)
    chunk: int = eqx.field(static=True, default=32)

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        cache: RecurrentState | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> tuple[Float[Array, "batch n width"], RecurrentState | None]:
        """Mixes the tokens.

        Args:
            x: Tokens.
            cache: What the tokens before left; None where these are the first and none come after.
            key: For noisy maps.

        Raises:
            ValueError: If the cache is that of another layer.
        """
        keys = split_key(key, 7)
        maps = (self.query, self.key, self.value, self.gate, self.strength, self.decay)
        q, k, v, z, strength, rate = (f(x, key=keys[i]) for i, f in enumerate(maps))
        q, k, v, window = self._convolve(q, k, v, None if cache is None else cache.window)
        # Strength and decay in single precision at least: half would not know 0.999 from 1.
        precise = jnp.promote_types(x.dtype, jnp.float32)
        strength = jax.nn.sigmoid(strength.astype(precise))
        rate = rate.astype(precise) + self.decay_bias.astype(precise)[None, None]
        log_decay = -jnp.exp(self.log_rate.astype(precise))[None, None] * jax.nn.softplus(rate)
        inputs = (_unit(q) * q.shape[-1] ** -0.5, _unit(k), v, log_decay, strength)
        if cache is not None and x.shape[1] == 1:
            read, state = gated_delta_step(*(y[:, 0] for y in inputs), state=cache.state)
            read = read[:, None]
        else:
            start = None if cache is None else cache.state
            read, state = gated_delta_rule_chunked(*inputs, start, chunk=self.chunk)
        gated = self.norm(read) * jax.nn.silu(z.reshape(read.shape))
        y = self.output(gated.reshape(*x.shape[:2], -1), key=keys[6])
        if cache is None:
            return y, None
        return y, RecurrentState(window, state.astype(cache.state.dtype))

    def _convolve(self, q, k, v, window):
        """Queries, keys and values (batch, n, heads, dim) of heads, mixed with the tokens before."""
        sizes = (self.query.n_out, self.query.n_out + self.key.n_out)
        mixed, window = self.convolution(jnp.concatenate([q, k, v], axis=-1), window)
        parts = jnp.split(jax.nn.silu(mixed), sizes, axis=-1)
        heads = (self.key_heads, self.key_heads, self.heads)
        q, k, v = (y.reshape(*y.shape[:2], n, -1) for y, n in zip(parts, heads, strict=True))
        return q, k, v, window

    def init_cache(self, batch: int, capacity: int, dtype: Any = jnp.float32) -> RecurrentState:
        """An empty state; its size does not hang on `capacity`, which other layers need."""
        del capacity
        return make_recurrent_state(
            batch,
            kept=self.convolution.kept,
            channels=self.convolution.weight.shape[-1],
            heads=self.heads,
            key_dim=self.key.n_out // self.key_heads,
            value_dim=self.value.n_out // self.heads,
            dtype=dtype,
        )


def _unit(x):
    return x * jax.lax.rsqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-6)


def make_gated_delta(
    width: int,
    *,
    heads: int,
    key_heads: int | None = None,
    key_dim: int,
    value_dim: int | None = None,
    length: int = 4,
    norm_eps: float = 1e-6,
    chunk: int = 32,
    key: PRNGKeyArray,
    dtype: Any = jnp.float32,
) -> GatedDelta:
    """A layer with random maps.

    Args:
        width: Size of a token.
        heads: Heads of values.
        key_heads: Heads of queries and keys; None for as many.
        key_dim: Size of a query and a key.
        value_dim: Size of a value; None for that of a key.
        length: Length of the convolution.
        norm_eps: eps of the normalisation.
        chunk: Tokens in a chunk.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    key_heads = heads if key_heads is None else key_heads
    value_dim = key_dim if value_dim is None else value_dim
    check_at_least(heads, 1, "heads")
    check_divides(key_heads, heads, "key_heads", "heads", "Each head of keys serves equally many.")
    check_at_least(chunk, 1, "chunk", "It is a number of tokens.")
    wide, tall = key_heads * key_dim, heads * value_dim
    keys = jax.random.split(key, 9)
    sizes = (wide, wide, tall, tall, heads, heads)
    maps = [
        make_dense(width, size, key=k, dtype=dtype) for size, k in zip(sizes, keys, strict=False)
    ]
    # The smallest number in the place of 0, whose logarithm is no parameter.
    rates = jax.random.uniform(keys[8], (heads,), dtype, jnp.finfo(dtype).tiny, 16)
    return GatedDelta(
        *maps,
        output=make_dense(tall, width, key=keys[6], dtype=dtype),
        convolution=make_causal_convolution(
            2 * wide + tall, length=length, key=keys[7], dtype=dtype
        ),
        norm=make_rms_norm(value_dim, eps=norm_eps, dtype=dtype),
        log_rate=jnp.log(rates),
        decay_bias=jnp.ones(heads, dtype),
        key_heads=key_heads,
        heads=heads,
        chunk=chunk,
    )

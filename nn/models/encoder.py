"""Encoder of texts: BERT as MiniLM uses it, and one vector for each text.

    h = norm(E[tokens] + positions + kind);   per block  h = norm(h + attention(h)),  h = norm(h + feed(h))

All tokens of a text see each other; those that only fill up a batch are seen by none. The vector of a text is the mean
of its tokens, of length one, so that products of vectors are cosines.

Sources: J. Devlin et al., arXiv 1810.04805; W. Wang et al., arXiv 2002.10957 (MiniLM); N. Reimers, I. Gurevych,
arXiv 1908.10084 (the mean). The map that BERT puts behind its first token is left out.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, is_concrete
from nn.kernels.attention import dense_attention
from nn.layers.attention import Attention
from nn.layers.embedding import Embedding, make_embedding
from nn.layers.feed_forward import GeluMLP, split_key
from nn.layers.normalisation import LayerNorm, make_layer_norm
from nn.layers.stack import make_parts_seeing_all
from nn.weights import TensorSource


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder.

    Attributes:
        vocabulary: Tokens there are.
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads.
        hidden: Hidden size of the feed-forward layer.
        max_length: Tokens in the longest text.
        kinds: Kinds of tokens there are; all are of the first here.
        norm_eps: eps of all norms.
    """

    vocabulary: int
    width: int
    n_layers: int
    heads: int
    hidden: int
    max_length: int = 512
    kinds: int = 2
    norm_eps: float = 1e-12


class EncoderBlock(eqx.Module):
    """Attention and a feed-forward layer, each normalised after its sum.

    Attributes:
        mixer: Attention of all to all.
        mixer_norm: Normalisation after it.
        feed: Layer of each token alone.
        feed_norm: Normalisation after it.
    """

    mixer: Attention
    mixer_norm: LayerNorm
    feed: GeluMLP
    feed_norm: LayerNorm

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        counts: Bool[Array, "batch n"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n width"]:
        """Applies the block; tokens that do not count are not seen."""
        mixer_key, feed_key = split_key(key, 2)
        q, k, v, gate = self.mixer.project(x, jnp.arange(x.shape[1]), key=mixer_key)
        mixed = dense_attention(q, k, v, causal=False, mask=counts[:, None, None])
        x = self.mixer_norm(x + self.mixer.finish(mixed, gate, key=mixer_key))
        return self.feed_norm(x + self.feed(x, key=feed_key))


class Encoder(eqx.Module):
    """An encoder of texts.

    Attributes:
        words: Table of the tokens' vectors.
        positions: Vector of each position.
        kinds: Vector of each kind of tokens.
        norm: Normalisation of their sum.
        blocks: Blocks, stacked.
        n_blocks: Their number.
    """

    words: Embedding
    positions: Float[Array, "length width"]
    kinds: Float[Array, "kinds width"]
    norm: LayerNorm
    blocks: EncoderBlock
    n_blocks: int = eqx.field(static=True)

    def __call__(
        self,
        tokens: Int[Array, "batch n"],
        counts: Bool[Array, "batch n"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n width"]:
        """Vectors of the tokens in their texts.

        Args:
            tokens: Tokens.
            counts: Which of them are of the text, not put there to fill the batch; None for all.
            key: For noisy maps.

        Raises:
            ValueError: If a text is longer than `max_length`, no token of it counts, or one is not in the vocabulary.
        """
        counts = jnp.ones(tokens.shape, bool) if counts is None else counts
        _check_counts(counts)
        n = tokens.shape[1]
        check_at_least(self.positions.shape[0], n, "max_length", "So many tokens has a text.")
        places = self.positions[:n] + self.kinds[:1]
        x = self.norm(self.words(tokens) + places[None])
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)
        keys = None if key is None else jax.random.split(key, self.n_blocks)

        def step(x, layer):
            arrays, key = layer
            return eqx.combine(arrays, rest)(x, counts, key=key), None

        return jax.lax.scan(step, x, (arrays, keys))[0]

    def text_vectors(
        self, tokens: Int[Array, "batch n"], counts: Bool[Array, "batch n"] | None = None
    ) -> Float[Array, "batch width"]:
        """One vector of length one for each text: the mean of its tokens; zero, in `jit`, where none counts."""
        x = self(tokens, counts)
        weights = jnp.ones(tokens.shape, x.dtype) if counts is None else counts.astype(x.dtype)
        total = (x * weights[..., None]).sum(axis=1)
        length = jnp.sqrt((total**2).sum(axis=-1, keepdims=True))
        return total / jnp.where(length == 0, 1, length)


def _check_counts(counts: Array) -> None:
    if is_concrete(counts):
        empty = ~np.asarray(counts).any(axis=1)
        if empty.any():
            raise ValueError(
                f"`counts` must count at least one token of each text, but none of text {int(np.argmax(empty))}."
            )


def make_encoder(config: EncoderConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Encoder:
    """An encoder with random weights.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    check_at_least(config.n_layers, 1, "n_layers")

    def make_block(key):
        mixer, norm, feed = make_parts_seeing_all(
            config.width, config.heads, config.hidden, config.norm_eps, key=key, dtype=dtype
        )
        return EncoderBlock(mixer, norm, feed, norm)

    keys = jax.random.split(key, 4)
    table = lambda size, key: make_embedding(size, config.width, key=key, dtype=dtype)  # noqa: E731
    return Encoder(
        table(config.vocabulary, keys[0]),
        table(config.max_length, keys[1]).weight,
        table(config.kinds, keys[2]).weight,
        make_layer_norm(config.width, eps=config.norm_eps, dtype=dtype),
        eqx.filter_vmap(make_block)(jax.random.split(keys[3], config.n_layers)),
        config.n_layers,
    )


_BLOCK = {
    "mixer.query": "attention.self.query",
    "mixer.key": "attention.self.key",
    "mixer.value": "attention.self.value",
    "mixer.output": "attention.output.dense",
    "mixer_norm": "attention.output.LayerNorm",
    "feed.expand": "intermediate.dense",
    "feed.contract": "output.dense",
    "feed_norm": "output.LayerNorm",
}


def tensor_table(config: EncoderConfig) -> dict[str, TensorSource]:
    """Which tensor of a file with transformers' names fills which array of the model, for `nn.weights.assign`."""
    table = {
        "words.weight": TensorSource("embeddings.word_embeddings.weight"),
        "positions": TensorSource("embeddings.position_embeddings.weight"),
        "kinds": TensorSource("embeddings.token_type_embeddings.weight"),
    }
    for kind in ("weight", "bias"):
        table[f"norm.{kind}"] = TensorSource(f"embeddings.LayerNorm.{kind}")
        for ours, theirs in _BLOCK.items():
            names = tuple(f"encoder.layer.{i}.{theirs}.{kind}" for i in range(config.n_layers))
            is_matrix = kind == "weight" and "norm" not in ours
            table[f"blocks.{ours}.{kind}"] = TensorSource(names, is_matrix)
    return table

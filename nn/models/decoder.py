"""Decoder of Llama and Qwen3: tokens -> logits of the next, each block attention and a gated feed-forward layer.

    h = E[tokens];   per block  h += attention(norm h),  h += feed(norm h);   logits = norm(h) W

Llama has no norms of queries and keys, Qwen3 has; the head W is a matrix of its own or the table E. The feed-forward
layer is one SwiGLU, or with `mixture` a choice among many (Qwen3-MoE). `Decoder` is also the frame of the other
language models here, whose blocks are others.

Sources: H. Touvron et al., arXiv 2307.09288 and A. Grattafiori et al., arXiv 2407.21783 (Llama); A. Yang et al.,
arXiv 2505.09388 (Qwen3).
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn.layers.attention import make_attention
from nn.layers.caches import check_room, overflowed
from nn.layers.embedding import Embedding, make_embedding
from nn.layers.feed_forward import make_swiglu
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.mixture import MixtureConfig, make_mixture
from nn.layers.normalisation import RMSNorm, make_rms_norm
from nn.layers.rotary import Llama3Scaling, Rotary
from nn.layers.stack import Block, Stack, make_stack
from nn.weights import TensorSource


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of a decoder.

    Attributes:
        vocabulary: Tokens there are.
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads of queries.
        kv_heads: Heads of keys and values.
        head_dim: Size of a head.
        hidden: Hidden size of the feed-forward layer; of no use with `mixture`.
        query_key_norm: Whether queries and keys are normalised (Qwen3).
        tied: Whether the head is the table of embeddings.
        rotary_base: Base of the rotary frequencies.
        rotary_scaling: Their scaling for long texts, see `Rotary`.
        norm_eps: eps of all norms.
        window: Tokens that each layer sees; None for all.
        mixture: Experts in the place of each feed-forward layer (Qwen3-MoE); None for one layer.
    """

    vocabulary: int
    width: int
    n_layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    query_key_norm: bool = False
    tied: bool = False
    rotary_base: float | int = 10_000.0
    rotary_scaling: float | int | Llama3Scaling | None = None
    norm_eps: float = 1e-6
    window: int | None = None
    mixture: MixtureConfig | None = None


class Decoder(eqx.Module):
    """A language model: embedding, blocks, norm, head.

    Attributes:
        embedding: Table of the tokens' vectors.
        body: All blocks.
        norm: Normalisation after them.
        head: Map to logits; None where the table serves.
    """

    embedding: Embedding
    body: Stack
    norm: RMSNorm
    head: AbstractLinear | None

    def __call__(
        self, tokens: Int[Array, "batch n"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch n vocabulary"]:
        """Logits of the token after each.

        Args:
            tokens: Tokens from position 0 on.
            key: For noisy maps.

        Raises:
            ValueError: If a token is not in the vocabulary; NaN inside `jit`.
        """
        x, _ = self.body(self.embedding(tokens), key=key)
        return self.logits(x)

    def extend(
        self, tokens: Int[Array, "batch n"], caches: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "batch n vocabulary"], Any]:
        """Logits of the token after each of these, which follow those in the caches, and the caches with them.

        A whole prompt, a part of one, or one token: the logits are those of the whole text.

        Raises:
            ValueError: If the caches have no room; NaN inside `jit`, from there on.
        """
        return self.extend_vectors(self.embedding(tokens), caches, key=key)

    def extend_vectors(
        self, x: Float[Array, "batch n width"], caches: Any, *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "batch n vocabulary"], Any]:
        """As `extend`, for tokens that are vectors already, such as those of a picture.

        Raises:
            ValueError: If the caches have no room; NaN inside `jit`, from there on.
        """
        check_room(caches, x.shape[1])
        x, caches = self.body(x, caches, key=key)
        return jnp.where(overflowed(caches), jnp.nan, self.logits(x)), caches

    def init_caches(self, batch: int, capacity: int, dtype: Any = None) -> Any:
        """Empty caches for so many tokens; by default in the type of the embedding."""
        return self.body.init_cache(batch, capacity, dtype or self.embedding.weight.dtype)

    def unrolled(self) -> "Decoder":
        """The same model with its blocks one by one: to reach single blocks by name, and to decode many rows."""
        return eqx.tree_at(lambda model: model.body, self, self.body.unrolled())

    def for_decoding(self, batch: int) -> "Decoder":
        """The same model in the form that takes single tokens of so many rows fastest."""
        return eqx.tree_at(lambda model: model.body, self, self.body.for_decoding(batch))

    def scanned(self) -> "Decoder":
        """The same model with its blocks stacked: for training."""
        return eqx.tree_at(lambda model: model.body, self, self.body.scanned())

    def logits(self, x: Float[Array, "batch n width"]) -> Float[Array, "batch n vocabulary"]:
        """Logits of what the blocks give."""
        x = self.norm(x)
        return self.embedding.logits(x) if self.head is None else self.head(x)


def make_decoder(config: DecoderConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Decoder:
    """A decoder with random weights, its blocks stacked.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    rotary = Rotary(config.head_dim, config.rotary_base, scaling=config.rotary_scaling)

    def make_block(key):
        mixer_key, feed_key = jax.random.split(key)
        mixer = make_attention(
            config.width,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            rotary=rotary,
            norm_eps=config.norm_eps if config.query_key_norm else None,
            window=config.window,
            key=mixer_key,
            dtype=dtype,
        )
        norms = [make_rms_norm(config.width, eps=config.norm_eps, dtype=dtype) for _ in range(2)]
        if config.mixture is None:
            feed = make_swiglu(config.width, config.hidden, key=feed_key, dtype=dtype)
        else:
            feed = make_mixture(config.width, config.mixture, key=feed_key, dtype=dtype)
        return Block(norms[0], mixer, norms[1], feed)

    return frame(
        config, lambda key: make_stack(make_block, config.n_layers, key=key), dtype, key=key
    )


def frame(
    config: Any, make_body: Any, dtype: Any, *, key: PRNGKeyArray, norm_from_one: bool = False
) -> Decoder:
    """A decoder around blocks of any kind.

    Args:
        config: Has `vocabulary`, `width`, `norm_eps` and `tied`.
        make_body: key -> stack of blocks.
        dtype: Type of the weights.
        key: PRNG key.
        norm_from_one: Whether the weights of the last norm are counted from one.
    """
    table_key, body_key, head_key = jax.random.split(key, 3)
    return Decoder(
        make_embedding(config.vocabulary, config.width, key=table_key, dtype=dtype),
        make_body(body_key),
        make_rms_norm(config.width, eps=config.norm_eps, from_one=norm_from_one, dtype=dtype),
        None
        if config.tied
        else make_dense(config.width, config.vocabulary, key=head_key, dtype=dtype),
    )


# Names of published tensors: transformers' (safetensors) and those of GGUF files.
_OUTER = {
    "embedding": ("model.embed_tokens", "token_embd"),
    "norm": ("model.norm", "output_norm"),
    "head": ("lm_head", "output"),
}
_NORMS = {
    "mixer_norm": ("input_layernorm", "attn_norm"),
    "feed_norm": ("post_attention_layernorm", "ffn_norm"),
    "mixer.query_norm": ("self_attn.q_norm", "attn_q_norm"),
    "mixer.key_norm": ("self_attn.k_norm", "attn_k_norm"),
}
_MAPS = {
    "mixer.query": ("self_attn.q_proj", "attn_q"),
    "mixer.key": ("self_attn.k_proj", "attn_k"),
    "mixer.value": ("self_attn.v_proj", "attn_v"),
    "mixer.output": ("self_attn.o_proj", "attn_output"),
}
_FEED = {
    "feed.gate": ("mlp.gate_proj", "ffn_gate"),
    "feed.up": ("mlp.up_proj", "ffn_up"),
    "feed.down": ("mlp.down_proj", "ffn_down"),
}
_MIXTURE = {
    "feed.router": ("mlp.gate", "ffn_gate_inp"),
    "feed.experts.gate": ("mlp.experts.{}.gate_proj", "ffn_gate_exps"),
    "feed.experts.up": ("mlp.experts.{}.up_proj", "ffn_up_exps"),
    "feed.experts.down": ("mlp.experts.{}.down_proj", "ffn_down_exps"),
}


def tensor_table(config: DecoderConfig, *, gguf: bool = False) -> dict[str, TensorSource]:
    """Which tensor of a published file fills which array of the scanned model, for `nn.weights.assign`.

    Args:
        config: Sizes.
        gguf: Whether the names are those of GGUF files, or those of transformers' Llama and Qwen3 in safetensors.
    """
    place, prefix = (1, "blk.{}.") if gguf else (0, "model.layers.{}.")
    maps = _MAPS | (_FEED if config.mixture is None else _MIXTURE)
    # GGUF files of Llama keep queries and keys for rotary pairs of neighbours.
    pairs = {"mixer.query": config.heads, "mixer.key": config.kv_heads}
    paired = gguf and not config.query_key_norm
    table = outer_table(config.tied, place)
    for ours, theirs in (_NORMS | maps).items():
        if ours.endswith(("query_norm", "key_norm")) and not config.query_key_norm:
            continue
        table[f"body.blocks.{ours}.weight"] = TensorSource(
            layer_names(prefix + theirs[place] + ".weight", range(config.n_layers), config.mixture),
            ours in maps,
            pairs.get(ours, 0) if paired else 0,
        )
    return table


def outer_table(tied: bool, place: int = 0) -> dict[str, TensorSource]:
    """Sources of what is not in the blocks.

    Args:
        tied: Whether the head is the table of embeddings.
        place: 0 for transformers' names, 1 for those of GGUF.
    """
    return {
        f"{ours}.weight": TensorSource(f"{theirs[place]}.weight", ours == "head")
        for ours, theirs in _OUTER.items()
        if not (ours == "head" and tied)
    }


def layer_names(pattern: str, layers: Any, mixture: MixtureConfig | None) -> Any:
    """Names of a tensor in each layer.

    Args:
        pattern: Name with a place for the layer, and perhaps a second one for each expert of it.
        layers: Number of a layer, or a tuple of such and of tuples, which the names are a tuple like.
        mixture: The experts.
    """
    if not isinstance(layers, int):
        return tuple(layer_names(pattern, layer, mixture) for layer in layers)
    if pattern.count("{}") == 1:
        return pattern.format(layers)
    n_experts = 0 if mixture is None else mixture.n_experts
    return tuple(pattern.format(layers, expert) for expert in range(n_experts))

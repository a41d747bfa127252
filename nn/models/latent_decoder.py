"""Decoder of DeepSeek-V3.2: latent attention with an index, first some dense blocks, then mixtures of experts.

Each block is h += attention(norm h), h += feed(norm h). Attention is that of `nn.layers.latent_attention`: a query
attends to the keys that its index picks. The experts are chosen by sigmoid scores with a bias and within groups; one
expert serves all tokens.

Sources: DeepSeek-AI, DeepSeek-V3, arXiv 2412.19437; DeepSeek-V3.2-Exp (2025). Left out: products of 8 bits, the
prediction of more than one token, and YaRN.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from nn._checks import check_in_range
from nn.layers.feed_forward import make_swiglu
from nn.layers.latent_attention import make_latent_attention
from nn.layers.mixture import MixtureConfig, make_mixture
from nn.layers.normalisation import make_rms_norm
from nn.layers.rotary import Rotary
from nn.layers.stack import Block, Stack, make_stack
from nn.models.decoder import Decoder, frame, layer_names, outer_table
from nn.weights import TensorSource


@dataclass(frozen=True)
class LatentConfig:
    """Sizes of a decoder with latent attention.

    Attributes:
        vocabulary: Tokens there are.
        width: Size of a token's vector.
        n_layers: Blocks.
        n_dense: How many of them, the first, have one feed-forward layer and not a mixture.
        heads: Heads.
        query_rank: Size of the latent of the queries.
        rank: Size of the latent of keys and values.
        key_dim: Size of the part of a key without rotary positions.
        rotary_dim: Size of the part with them.
        value_dim: Size of a value.
        hidden: Hidden size of the dense feed-forward layers.
        mixture: Experts of the other blocks.
        index_heads: Heads of the index; 0 for dense attention (DeepSeek-V3).
        index_dim: Size of an index key.
        n_kept: Keys that a query keeps.
        tied: Whether the head is the table of embeddings.
        rotary_base: Base of the rotary frequencies.
        norm_eps: eps of the norms of blocks; that within attention is 1e-6 (the release's).
    """

    vocabulary: int
    width: int
    n_layers: int
    n_dense: int
    heads: int
    query_rank: int
    rank: int
    key_dim: int
    rotary_dim: int
    value_dim: int
    hidden: int
    mixture: MixtureConfig
    index_heads: int = 64
    index_dim: int = 128
    n_kept: int = 2048
    tied: bool = False
    rotary_base: float | int = 10_000.0
    norm_eps: float = 1e-6

    def __post_init__(self):
        check_in_range(self.n_dense, "n_dense", 0, self.n_layers)


def make_latent_decoder(
    config: LatentConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> Decoder:
    """A decoder with random weights: `body` holds the dense blocks and the mixtures, each a stack where there are any.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1.
    """
    rotary = Rotary(config.rotary_dim, config.rotary_base, interleaved=True)

    def make_block(key, is_dense):
        mixer_key, feed_key = jax.random.split(key)
        mixer = make_latent_attention(
            config.width,
            heads=config.heads,
            query_rank=config.query_rank,
            rank=config.rank,
            key_dim=config.key_dim,
            value_dim=config.value_dim,
            rotary=rotary,
            index_heads=config.index_heads,
            index_dim=config.index_dim,
            n_kept=config.n_kept,
            key=mixer_key,
            dtype=dtype,
        )
        norms = [make_rms_norm(config.width, eps=config.norm_eps, dtype=dtype) for _ in range(2)]
        if is_dense:
            feed = make_swiglu(config.width, config.hidden, key=feed_key, dtype=dtype)
        else:
            feed = make_mixture(config.width, config.mixture, key=feed_key, dtype=dtype)
        return Block(norms[0], mixer, norms[1], feed)

    def make_body(key):
        stacks = tuple(
            make_stack(lambda key, dense=is_dense: make_block(key, dense), n, key=stack_key)
            for (is_dense, n), stack_key in zip(_parts(config), jax.random.split(key), strict=False)
        )
        return Stack(stacks, len(stacks))

    return frame(config, make_body, dtype, key=key)


def _parts(config: LatentConfig) -> list[tuple[bool, int]]:
    """Whether dense, and number of blocks, of each stack."""
    counts = [(True, config.n_dense), (False, config.n_layers - config.n_dense)]
    return [(is_dense, n) for is_dense, n in counts if n]


_NORMS = {
    "mixer_norm": "input_layernorm",
    "feed_norm": "post_attention_layernorm",
    "mixer.query_norm": "self_attn.q_a_layernorm",
    "mixer.latent_norm": "self_attn.kv_a_layernorm",
}
_MAPS = {
    "mixer.query_down": "self_attn.q_a_proj",
    "mixer.query_up": "self_attn.q_b_proj",
    "mixer.latent_down": "self_attn.kv_a_proj_with_mqa",
    "mixer.latent_up": "self_attn.kv_b_proj",
    "mixer.output": "self_attn.o_proj",
}
_INDEX = {
    "mixer.indexer.query": "self_attn.indexer.wq_b",
    "mixer.indexer.key": "self_attn.indexer.wk",
    "mixer.indexer.weights": "self_attn.indexer.weights_proj",
}
_FEED = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def tensor_table(config: LatentConfig) -> dict[str, TensorSource]:
    """Which tensor of a file with transformers' names fills which array of the model, for `nn.weights.assign`."""
    table, first = outer_table(config.tied), 0
    for place, (is_dense, n) in enumerate(_parts(config)):
        maps = _MAPS | (_INDEX if config.index_heads else {})
        others = {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in _NORMS.items()}
        if config.index_heads:
            for kind in ("weight", "bias"):
                others[f"mixer.indexer.key_norm.{kind}"] = f"self_attn.indexer.k_norm.{kind}"
        if is_dense:
            maps = maps | {f"feed.{ours}": f"mlp.{theirs}" for ours, theirs in _FEED.items()}
        else:
            maps = maps | {"feed.router": "mlp.gate"}
            for ours, theirs in _FEED.items():
                maps[f"feed.experts.{ours}"] = f"mlp.experts.{{}}.{theirs}"
                if config.mixture.shared_hidden:
                    maps[f"feed.shared.{ours}"] = f"mlp.shared_experts.{theirs}"
            if config.mixture.selection_bias:
                others["feed.bias"] = "mlp.gate.e_score_correction_bias"
        layers, start = range(first, first + n), f"body.blocks[{place}].blocks."
        sources = {f"{ours}.weight": (f"{theirs}.weight", True) for ours, theirs in maps.items()}
        sources |= {ours: (theirs, False) for ours, theirs in others.items()}
        for ours, (theirs, transposed) in sources.items():
            names = layer_names(f"model.layers.{{}}.{theirs}", layers, config.mixture)
            table[start + ours] = TensorSource(names, transposed)
        first += n
    return table

"""Hybrid decoder of Qwen3-Next: of four blocks three have the gated delta rule, the fourth has attention.

The memory of the delta rule has a fixed size, so that only a fourth of the layers keeps keys and values. Attention is
gated, with norms of queries and keys and rotary positions on a part of each head; the weights of all norms but that
within the delta rule are counted from one; each block has a mixture of experts with one that serves all tokens.

Source: Qwen3-Next-80B-A3B, whose release states sizes and parts; the delta rule: S. Yang et al., arXiv 2412.06464.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from nn._checks import check_at_least, check_divides
from nn.layers.attention import make_attention
from nn.layers.delta import make_gated_delta
from nn.layers.mixture import MixtureConfig, make_mixture
from nn.layers.normalisation import make_rms_norm
from nn.layers.rotary import Rotary
from nn.layers.stack import Block, Stack, make_stack
from nn.models.decoder import Decoder, frame, layer_names, outer_table
from nn.weights import TensorSource


@dataclass(frozen=True)
class HybridConfig:
    """Sizes of a hybrid decoder.

    Attributes:
        vocabulary: Tokens there are.
        width: Size of a token's vector.
        n_layers: Blocks, a multiple of `period`.
        heads: Heads of queries in attention.
        kv_heads: Heads of keys and values.
        head_dim: Size of a head.
        rotary_dim: Components of it with rotary positions.
        delta_heads: Heads of values in the delta rule.
        delta_key_heads: Heads of queries and keys there.
        delta_key_dim: Size of a key there.
        delta_value_dim: Size of a value there.
        mixture: Experts.
        period: Blocks of which the last has attention.
        convolution: Length of the convolution before the delta rule.
        tied: Whether the head is the table of embeddings.
        rotary_base: Base of the rotary frequencies.
        norm_eps: eps of all norms.
    """

    vocabulary: int
    width: int
    n_layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rotary_dim: int
    delta_heads: int
    delta_key_heads: int
    delta_key_dim: int
    delta_value_dim: int
    mixture: MixtureConfig
    period: int = 4
    convolution: int = 4
    tied: bool = False
    rotary_base: float | int = 10_000.0
    norm_eps: float = 1e-6

    def __post_init__(self):
        check_at_least(self.period, 2, "period")
        check_divides(self.period, self.n_layers, "period", "n_layers")


def make_hybrid(config: HybridConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Decoder:
    """A hybrid decoder with random weights: a stack of periods, each a stack of delta blocks and one of attention.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    rotary = Rotary(config.rotary_dim, config.rotary_base)

    def make_delta(key):
        return make_gated_delta(
            config.width,
            heads=config.delta_heads,
            key_heads=config.delta_key_heads,
            key_dim=config.delta_key_dim,
            value_dim=config.delta_value_dim,
            length=config.convolution,
            norm_eps=config.norm_eps,
            key=key,
            dtype=dtype,
        )

    def make_full(key):
        return make_attention(
            config.width,
            heads=config.heads,
            kv_heads=config.kv_heads,
            head_dim=config.head_dim,
            rotary=rotary,
            norm_eps=config.norm_eps,
            norm_from_one=True,
            gated=True,
            key=key,
            dtype=dtype,
        )

    def make_block(make_mixer, key):
        mixer_key, feed_key = jax.random.split(key)
        norm = make_rms_norm(config.width, eps=config.norm_eps, from_one=True, dtype=dtype)
        feed = make_mixture(config.width, config.mixture, key=feed_key, dtype=dtype)
        return Block(norm, make_mixer(mixer_key), norm, feed)

    def make_period(key):
        delta_key, full_key = jax.random.split(key)
        deltas = make_stack(
            lambda key: make_block(make_delta, key), config.period - 1, key=delta_key
        )
        return Stack((deltas, make_block(make_full, full_key)), 2)

    n_periods = config.n_layers // config.period
    make_body = lambda key: make_stack(make_period, n_periods, key=key)  # noqa: E731
    return frame(config, make_body, dtype, key=key, norm_from_one=True)


_FEED = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
_FULL = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "o_proj"}
# What `separate_tensors` makes of the two fused maps.
_DELTA = ("query", "key", "value", "gate", "strength", "decay")


def tensor_table(config: HybridConfig) -> dict[str, TensorSource]:
    """Which tensor fills which array of the model, for `nn.weights.assign`; first pass them to `separate_tensors`."""
    table = outer_table(config.tied)
    last = config.period - 1
    starts = range(0, config.n_layers, config.period)
    kinds = (
        ("body.blocks.blocks[0].blocks.", tuple(tuple(range(i, i + last)) for i in starts), True),
        ("body.blocks.blocks[1].", tuple(i + last for i in starts), False),
    )
    for start, layers, is_delta in kinds:
        for ours, (theirs, transposed) in _sources(config.mixture, is_delta).items():
            names = layer_names(f"model.layers.{{}}.{theirs}", layers, config.mixture)
            table[start + ours] = TensorSource(names, transposed)
    return table


def _sources(mixture: MixtureConfig, is_delta: bool) -> dict[str, tuple[str, bool]]:
    """Name of the tensor of each array of a block, and whether it is transposed."""
    maps = {"feed.router": "mlp.gate"}
    for ours, theirs in _FEED.items():
        maps[f"feed.experts.{ours}"] = f"mlp.experts.{{}}.{theirs}"
        if mixture.shared_hidden:
            maps[f"feed.shared.{ours}"] = f"mlp.shared_expert.{theirs}"
    if mixture.shared_gated:
        maps["feed.shared_gate"] = "mlp.shared_expert_gate"
    vectors = {
        "mixer_norm.weight": "input_layernorm.weight",
        "feed_norm.weight": "post_attention_layernorm.weight",
    }
    if is_delta:
        maps |= {f"mixer.{name}": f"linear_attn.{name}" for name in _DELTA}
        maps |= {
            "mixer.output": "linear_attn.out_proj",
            "mixer.convolution": "linear_attn.conv1d",
        }
        vectors |= {
            "mixer.norm.weight": "linear_attn.norm.weight",
            "mixer.log_rate": "linear_attn.A_log",
            "mixer.decay_bias": "linear_attn.dt_bias",
        }
    else:
        maps |= {f"mixer.{ours}": f"self_attn.{theirs}" for ours, theirs in _FULL.items()}
        vectors |= {
            "mixer.query_norm.weight": "self_attn.q_norm.weight",
            "mixer.key_norm.weight": "self_attn.k_norm.weight",
        }
    sources = {f"{ours}.weight": (f"{theirs}.weight", True) for ours, theirs in maps.items()}
    return sources | {ours: (theirs, False) for ours, theirs in vectors.items()}


def separate_tensors(
    tensors: Mapping[str, np.ndarray], config: HybridConfig
) -> dict[str, np.ndarray]:
    """Published tensors with the fused maps of the delta rule taken apart, and without the idle axis of convolutions.

    The rows of `in_proj_qkvz` are, for each head of keys, its query, key, the values and the gates of the heads that it
    serves; those of `in_proj_ba` their strengths and decays.

    Args:
        tensors: Tensors by their published names.
        config: Sizes.
    """
    shared = config.delta_heads // config.delta_key_heads
    tall = shared * config.delta_value_dim
    widths = {
        "in_proj_qkvz": (config.delta_key_dim, config.delta_key_dim, tall, tall),
        "in_proj_ba": (shared, shared),
    }
    found = {}
    for name in tensors:
        start, _, rest = name.partition(".linear_attn.")
        part = rest.removesuffix(".weight")
        if part in widths:
            rows = np.asarray(tensors[name])
            heads = rows.reshape(config.delta_key_heads, -1, rows.shape[-1])
            pieces = np.split(heads, np.cumsum(widths[part])[:-1], axis=1)
            names = _DELTA[:4] if part == "in_proj_qkvz" else _DELTA[4:]
            for own, piece in zip(names, pieces, strict=True):
                found[f"{start}.linear_attn.{own}.weight"] = piece.reshape(-1, rows.shape[-1])
        elif part == "conv1d":
            found[name] = np.asarray(tensors[name])[:, 0]
        else:
            found[name] = tensors[name]
    return found

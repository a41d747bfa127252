"""DINOv3: a vision transformer of pictures of any size, without a head, whose tokens describe what is seen where.

    h = [class, registers, patches P + p];   per block  h += s attention(norm h),  h += r feed(norm h);   y = norm(h)

Registers are tokens of no place, for what belongs to the whole picture. Only patches have places, and these only turn
queries and keys: the patch in row i of R and column j of C is at (y, x) = (2 (i + 1/2) / R - 1, 2 (j + 1/2) / C - 1),
so that a picture spans -1 to 1 whatever its size, and of a head with d components the pair (k, k + d/2) turns by

    2 pi y 100^(-4 k / d)  for k < d/4,    2 pi x 100^(-4 k / d + 1)  for the others.

Keys have no bias, which softmax would not see. s and r are one number a channel (LayerScale, arXiv 2103.17239).

Sources: O. Simeoni et al., arXiv 2508.10104; T. Darcet et al., arXiv 2309.16588 (registers).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_divides
from nn.layers.attention import Attention, attend, make_attention
from nn.layers.feed_forward import GeluMLP, SwiGLU, make_gelu_mlp, split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.normalisation import LayerNorm, make_layer_norm
from nn.layers.patches import patches
from nn.layers.rotary import turn_halves
from nn.layers.stack import Stack, make_stack
from nn.weights import TensorSource

_EPS = 1e-5
_BASE = 100.0
# What a new block adds, as the release begins: training opens it.
_LITTLE = 1e-5


@dataclass(frozen=True)
class DinoConfig:
    """Sizes of a DINOv3.

    Attributes:
        patch: Pixels along a side of a patch.
        channels: Colours.
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads.
        hidden: Hidden size of the feed-forward layer.
        gated: Whether that layer is gated, as in S+ and H+.
        registers: Tokens of no place beside the first.
    """

    patch: int
    channels: int
    width: int
    n_layers: int
    heads: int
    hidden: int
    gated: bool
    registers: int

    def __post_init__(self):
        check_at_least(self.registers, 0, "registers")
        check_divides(self.heads, self.width, "heads", "width")
        hint = "Sines and cosines of two coordinates."
        check_divides(4, self.width // self.heads, "4", "the size of a head", hint)


SMALL = DinoConfig(16, 3, 384, 12, 6, 1536, gated=False, registers=4)
SMALL_PLUS = dataclasses.replace(SMALL, gated=True)


class DinoBlock(eqx.Module):
    """One block.

    Attributes:
        mixer_norm: Normalisation before the attention.
        mixer: Attention.
        mixer_scale: s.
        feed_norm: Normalisation before the feed-forward layer.
        feed: Feed-forward layer.
        feed_scale: r.
    """

    mixer_norm: LayerNorm
    mixer: Attention
    mixer_scale: Float[Array, " width"]
    feed_norm: LayerNorm
    feed: GeluMLP | SwiGLU
    feed_scale: Float[Array, " width"]

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        angles: Float[Array, "n pairs"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n width"]:
        """Applies the block.

        Args:
            x: Tokens.
            angles: Angles of the pairs of a head, rad; 0 for tokens without a place.
            key: For noisy maps.
        """
        mixer_key, feed_key = split_key(key, 2)
        nowhere = jnp.zeros(x.shape[1], jnp.int32)  # positions, of which this layer has none
        q, k, v, gate = self.mixer.project(self.mixer_norm(x), nowhere, key=mixer_key)
        q, k = turn_halves(q, angles), turn_halves(k, angles)
        mixed = attend(q, k, v, causal=False, query_positions=nowhere, key_positions=nowhere)
        mixed = self.mixer.finish(mixed, gate, key=mixer_key)
        x = x + jnp.broadcast_to(self.mixer_scale, x.shape) * mixed
        fed = self.feed(self.feed_norm(x), key=feed_key)
        return x + jnp.broadcast_to(self.feed_scale, x.shape) * fed


class Dino(eqx.Module):
    """A DINOv3.

    Attributes:
        embedding: P and p.
        class_token: Vector of the first token.
        registers: Vectors of the tokens of no place beside it.
        body: All blocks.
        norm: Normalisation after them.
        config: Sizes.
    """

    embedding: AbstractLinear
    class_token: Float[Array, " width"]
    registers: Float[Array, "registers width"]
    body: Stack
    norm: LayerNorm
    config: DinoConfig = eqx.field(static=True)

    def __call__(
        self, images: Float[Array, "batch y x channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens width"]:
        """All tokens, normalised: first that of the whole picture, then the registers, then the patches row by row.

        Args:
            images: Pictures of any size that patches fill, each colour less its mean over its deviation.
            key: For noisy maps.

        Raises:
            ValueError: If patches do not fill the pictures, or these have other colours.
        """
        keys = split_key(key, 2)
        x = self.embedding(patches(images, self.config.patch), key=keys[0])
        first = jnp.concatenate([self.class_token[None], self.registers])
        first = jnp.broadcast_to(first[None], (len(x), *first.shape))
        x = jnp.concatenate([first.astype(x.dtype), x], axis=1)
        rows, columns = (size // self.config.patch for size in images.shape[1:3])
        angles = place_angles(rows, columns, self.config.width // self.config.heads)
        angles = np.concatenate([np.zeros((first.shape[1], angles.shape[1])), angles])
        precise = jnp.promote_types(x.dtype, jnp.float32)
        return self.norm(self.body.telling(x, jnp.asarray(angles, precise), key=keys[1]))

    def describe(
        self, images: Float[Array, "batch y x channels"]
    ) -> Float[Array, "batch patches width"]:
        """The tokens of the patches alone, row by row: what a semantic latent is made of."""
        return self(images)[:, 1 + self.config.registers :]


def place_angles(rows: int, columns: int, head_dim: int) -> Float[np.ndarray, "patches pairs"]:
    """Angles of the pairs of a head at each place of a grid, row by row, rad: those of y, then those of x.

    Raises:
        ValueError: If 4 does not divide the size of a head.
    """
    check_divides(4, head_dim, "4", "head_dim", "Sines and cosines of two coordinates.")
    frequencies = 2 * np.pi * _BASE ** (-4 * np.arange(head_dim // 4) / head_dim)
    centres = [2 * (np.arange(n) + 0.5) / n - 1 for n in (rows, columns)]
    places = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1)
    return (places[..., None] * frequencies).reshape(rows * columns, -1)


def make_dinov3(config: DinoConfig, *, key: PRNGKeyArray) -> Dino:
    """A model with random weights in single precision.

    Args:
        config: Sizes.
        key: PRNG key.

    Raises:
        ValueError: If a size is below 1.
    """
    width, hidden = config.width, config.hidden

    def make_feed(key):
        if not config.gated:
            return make_gelu_mlp(width, hidden, key=key)
        keys = jax.random.split(key, 3)
        sizes = ((width, hidden), (width, hidden), (hidden, width))
        return SwiGLU(
            *(make_dense(*size, key=k, bias=True) for size, k in zip(sizes, keys, strict=True))
        )

    def make_block(key):
        mixer_key, feed_key = jax.random.split(key)
        mixer = make_attention(width, heads=config.heads, bias=True, causal=False, key=mixer_key)
        mixer = eqx.tree_at(lambda m: m.key.bias, mixer, None)
        norm, little = make_layer_norm(width, eps=_EPS), jnp.full(width, _LITTLE, jnp.float32)
        return DinoBlock(norm, mixer, little, norm, make_feed(feed_key), little)

    keys = jax.random.split(key, 4)
    # 0.02, as the release draws them.
    draw = lambda key, *shape: 0.02 * jax.random.normal(key, shape, jnp.float32)  # noqa: E731
    return Dino(
        make_dense(config.patch**2 * config.channels, width, key=keys[0], bias=True),
        draw(keys[1], width),
        draw(keys[2], config.registers, width),
        make_stack(make_block, config.n_layers, key=keys[3]),
        make_layer_norm(width, eps=_EPS),
        config,
    )


_BLOCK = {
    "mixer_norm": "norm1",
    "mixer.query": "attention.q_proj",
    "mixer.key": "attention.k_proj",
    "mixer.value": "attention.v_proj",
    "mixer.output": "attention.o_proj",
    "feed_norm": "norm2",
}
_FEED = {"feed.expand": "mlp.up_proj", "feed.contract": "mlp.down_proj"}
_GATED = {"feed.gate": "mlp.gate_proj", "feed.up": "mlp.up_proj", "feed.down": "mlp.down_proj"}
_SCALES = {"mixer_scale": "layer_scale1.lambda1", "feed_scale": "layer_scale2.lambda1"}


def tensor_table(config: DinoConfig) -> dict[str, TensorSource]:
    """Which tensor fills which array of the model, for `nn.weights.assign`; first pass them to `flatten_tensors`."""

    def each(theirs):
        return tuple(f"layer.{i}.{theirs}" for i in range(config.n_layers))

    table = {
        "class_token": TensorSource("embeddings.cls_token"),
        "registers": TensorSource("embeddings.register_tokens"),
    }
    for ours, theirs in _SCALES.items():
        table[f"body.blocks.{ours}"] = TensorSource(each(theirs))
    for kind in ("weight", "bias"):
        is_weight = kind == "weight"
        table[f"embedding.{kind}"] = TensorSource(f"embeddings.patch_embeddings.{kind}", is_weight)
        table[f"norm.{kind}"] = TensorSource(f"norm.{kind}")
        for ours, theirs in (_BLOCK | (_GATED if config.gated else _FEED)).items():
            is_matrix = is_weight and "norm" not in ours
            if is_weight or ours != "mixer.key":
                source = TensorSource(each(f"{theirs}.{kind}"), is_matrix)
                table[f"body.blocks.{ours}.{kind}"] = source
    return table


def flatten_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of transformers' `DINOv3ViTModel` without idle axes, and the convolution over patches as a matrix.

    Newer releases call blocks `model.layer.i`, older ones and the published files `layer.i`; here they are the latter.
    The token of hidden patches, which only training needs, is left out.

    Args:
        tensors: By name.

    Raises:
        ValueError: If a tensor is there under both names.
    """
    found = {}
    for name in tensors:
        if name == "embeddings.mask_token":
            continue
        array = np.asarray(tensors[name])
        plain = name.removeprefix("model.") if name.startswith("model.layer.") else name
        if plain in found:
            raise ValueError(f"`tensors` must hold {plain} once, but do so as model.{plain} too.")
        # What has other axes stays as it is, for `assign` to report.
        if plain == "embeddings.patch_embeddings.weight" and array.ndim == 4:
            array = array.transpose(0, 2, 3, 1).reshape(len(array), -1)
        elif plain in ("embeddings.cls_token", "embeddings.register_tokens"):
            array = array[0] if array.ndim == 3 and len(array) == 1 else array
            array = array[0] if plain.endswith("cls_token") and len(array) == 1 else array
        found[plain] = array
    return found

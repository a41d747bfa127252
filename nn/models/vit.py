"""Vision transformer: a picture is cut into patches, each a token, and a further token gathers the class.

    h = [class, patches P + b] + positions;   per block  h += attention(norm h),  h += feed(norm h);   y = norm(h)_0 W

A patch is a row of numbers and its embedding a matrix product, not a convolution. All tokens see each other.

Source: A. Dosovitskiy et al., arXiv 2010.11929.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_axis, check_divides
from nn.layers.feed_forward import split_key
from nn.layers.linear import AbstractLinear, make_dense
from nn.layers.normalisation import LayerNorm, make_layer_norm
from nn.layers.patches import patches
from nn.layers.stack import Block, Stack, make_parts_seeing_all, make_stack
from nn.weights import TensorSource


@dataclass(frozen=True)
class VitConfig:
    """Sizes of a vision transformer.

    Attributes:
        size: Pixels along a side of the picture.
        patch: Pixels along a side of a patch.
        channels: Colours.
        classes: Classes.
        width: Size of a token's vector.
        n_layers: Blocks.
        heads: Heads.
        hidden: Hidden size of the feed-forward layer.
        norm_eps: eps of all norms.
    """

    size: int
    patch: int
    channels: int
    classes: int
    width: int
    n_layers: int
    heads: int
    hidden: int
    norm_eps: float = 1e-6

    def __post_init__(self):
        check_divides(self.patch, self.size, "patch", "size", "Patches fill the picture.")


class Vit(eqx.Module):
    """A vision transformer.

    Attributes:
        embedding: P and b.
        class_token: Vector of the token that gathers the class.
        positions: Vectors added to the tokens, the first to the class token.
        body: All blocks.
        norm: Normalisation after them.
        head: W.
        patch: Pixels along a side of a patch.
    """

    embedding: AbstractLinear
    class_token: Float[Array, " width"]
    positions: Float[Array, "tokens width"]
    body: Stack
    norm: LayerNorm
    head: AbstractLinear
    patch: int = eqx.field(static=True)

    def __call__(
        self, images: Float[Array, "batch y x channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch classes"]:
        """Logits of the classes.

        Args:
            images: Pictures.
            key: For noisy maps.

        Raises:
            ValueError: If they are of another size than the model.
        """
        return self.head(self.features(images, key=key)[:, 0], key=split_key(key, 3)[2])

    def features(
        self, images: Float[Array, "batch y x channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens width"]:
        """Normalised tokens after the last block, that of the class first."""
        keys = split_key(key, 3)
        tokens = self.embedding(patches(images, self.patch), key=keys[0])
        first = jnp.broadcast_to(self.class_token, (len(tokens), 1, self.class_token.shape[-1]))
        tokens = jnp.concatenate([first.astype(tokens.dtype), tokens], axis=1)
        check_axis(tokens, "tokens", 1, self.positions.shape[0], "The pictures are of other size.")
        x, _ = self.body(tokens + self.positions[None], key=keys[1])
        return self.norm(x)


def make_vit(config: VitConfig, *, key: PRNGKeyArray, dtype: Any = jnp.float32) -> Vit:
    """A vision transformer with random weights.

    Args:
        config: Sizes.
        key: PRNG key.
        dtype: Type of the weights.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """

    def make_block(key):
        mixer, norm, feed = make_parts_seeing_all(
            config.width, config.heads, config.hidden, config.norm_eps, key=key, dtype=dtype
        )
        return Block(norm, mixer, norm, feed)

    keys = jax.random.split(key, 5)
    n_patches = (config.size // config.patch) ** 2
    numbers = config.patch**2 * config.channels
    # 0.02, as the release draws them.
    draw = lambda key, *shape: 0.02 * jax.random.normal(key, shape, dtype)  # noqa: E731
    return Vit(
        make_dense(numbers, config.width, key=keys[0], bias=True, dtype=dtype),
        draw(keys[1], config.width),
        draw(keys[2], n_patches + 1, config.width),
        make_stack(make_block, config.n_layers, key=keys[3]),
        make_layer_norm(config.width, eps=config.norm_eps, dtype=dtype),
        make_dense(config.width, config.classes, key=keys[4], bias=True, dtype=dtype),
        config.patch,
    )


_BLOCK = {
    "mixer_norm": "layernorm_before",
    "feed_norm": "layernorm_after",
    "mixer.query": "attention.attention.query",
    "mixer.key": "attention.attention.key",
    "mixer.value": "attention.attention.value",
    "mixer.output": "attention.output.dense",
    "feed.expand": "intermediate.dense",
    "feed.contract": "output.dense",
}


def tensor_table(config: VitConfig) -> dict[str, TensorSource]:
    """Which tensor fills which array of the model, for `nn.weights.assign`; first pass them to `flatten_tensors`."""
    outer = {
        "embedding": "vit.embeddings.patch_embeddings.projection",
        "norm": "vit.layernorm",
        "head": "classifier",
    }
    table = {
        "class_token": TensorSource("vit.embeddings.cls_token"),
        "positions": TensorSource("vit.embeddings.position_embeddings"),
    }
    for kind in ("weight", "bias"):
        for ours, theirs in outer.items():
            is_matrix = kind == "weight" and ours != "norm"
            table[f"{ours}.{kind}"] = TensorSource(f"{theirs}.{kind}", is_matrix)
        for ours, theirs in _BLOCK.items():
            names = tuple(f"vit.encoder.layer.{i}.{theirs}.{kind}" for i in range(config.n_layers))
            is_matrix = kind == "weight" and "norm" not in ours
            table[f"body.blocks.{ours}.{kind}"] = TensorSource(names, is_matrix)
    return table


def flatten_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Published tensors without idle axes, and the convolution over patches as a matrix (width, numbers of a patch)."""
    found = {}
    for name in tensors:
        array = np.asarray(tensors[name])
        if name.endswith("projection.weight"):
            array = array.transpose(0, 2, 3, 1).reshape(len(array), -1)
        elif name.endswith("cls_token"):
            array = array[0, 0]
        elif name.endswith("position_embeddings"):
            array = array[0]
        found[name] = array
    return found

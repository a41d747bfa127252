"""Autoencoder of latent diffusion: pictures to few numbers a place and back, by residual convolutions.

    residual block   x' = x + conv(silu(norm(conv(silu(norm x))))),   or K x in the place of x where channels change
    level            residual blocks, then half (encoder) or twice (decoder) the pixels a side, but not at the last
    encoder          conv, levels, middle, silu(norm), conv;   (mean, log variance) = Q y
    decoder          y = P z;   conv, middle, levels in reverse with a block more each, silu(norm), conv

The middle is a residual block, attention of all places with one head, and a residual block. Norms are of groups of
channels. Q and P are maps of each place, which Stable Diffusion has and Flux has not. Doubling repeats each pixel.
Latents are as the network gives them: what diffusion works on is scaled after, as `nn.generation.codec` does.

Source: R. Rombach et al., arXiv 2112.10752; names of tensors are those of diffusers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_axis, check_divides
from nn.layers.attention import Attention, make_attention
from nn.layers.convolution import Convolution, make_convolution
from nn.layers.normalisation import GroupNorm
from nn.weights import TensorSource

_EPS = 1e-6
# Logarithms of variances beyond are cut, as the release does.
_LOG_VARIANCES = (-30.0, 20.0)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of an autoencoder.

    Attributes:
        channels: Colours.
        latents: Numbers at each place of the latent.
        widths: Channels of each level, from that of the pixels on.
        blocks: Residual blocks of a level of the encoder; the decoder has one more.
        groups: Groups of channels of a norm.
        mapped: Whether there are Q and P, as in Stable Diffusion.
    """

    channels: int
    latents: int
    widths: tuple[int, ...]
    blocks: int
    groups: int
    mapped: bool

    def __post_init__(self):
        for value, name in ((self.channels, "channels"), (self.latents, "latents")):
            check_at_least(value, 1, name)
        check_at_least(len(self.widths), 1, "widths", "One number for each level.")
        check_at_least(self.blocks, 1, "blocks")
        for width in self.widths:
            check_divides(self.groups, width, "groups", "widths", "Channels come in groups.")


STABLE_DIFFUSION = AutoencoderConfig(3, 4, (128, 256, 512, 512), 2, 32, mapped=True)
FLUX = AutoencoderConfig(3, 16, (128, 256, 512, 512), 2, 32, mapped=False)


class ResidualBlock(eqx.Module):
    """A residual block; `norm1` to `conv2` in the order of use, `shortcut` is K, or None."""

    norm1: GroupNorm
    conv1: Convolution
    norm2: GroupNorm
    conv2: Convolution
    shortcut: Convolution | None

    def __call__(self, x: Float[Array, "batch y x n_in"]) -> Float[Array, "batch y x n_out"]:
        """Applies the block."""
        y = self.conv1(jax.nn.silu(self.norm1(x)))
        y = self.conv2(jax.nn.silu(self.norm2(y)))
        return y + (x if self.shortcut is None else self.shortcut(x))


class Middle(eqx.Module):
    """Two residual blocks with attention between them, `norm` before it."""

    first: ResidualBlock
    norm: GroupNorm
    mixer: Attention
    second: ResidualBlock

    def __call__(self, x: Float[Array, "batch y x width"]) -> Float[Array, "batch y x width"]:
        """Applies the three."""
        x = self.first(x)
        mixed, _ = self.mixer(self.norm(x).reshape(len(x), -1, x.shape[-1]))
        return self.second(x + mixed.reshape(x.shape))


class Level(eqx.Module):
    """Residual blocks, then the convolution `resize` that halves a picture or follows its doubling, or None."""

    blocks: tuple[ResidualBlock, ...]
    resize: Convolution | None
    rises: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "batch y x n_in"]) -> Float[Array, "batch rows columns n"]:
        """Applies the level."""
        for block in self.blocks:
            x = block(x)
        if self.resize is None:
            return x
        return (
            self.resize(x.repeat(2, 1).repeat(2, 2)) if self.rises else self.resize(x, halved=True)
        )


class Pyramid(eqx.Module):
    """Encoder or, where it `rises`, decoder: a convolution, levels and middle, a norm, a convolution."""

    entry: Convolution
    middle: Middle
    levels: tuple[Level, ...]
    norm: GroupNorm
    exit: Convolution
    rises: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "batch y x n_in"]) -> Float[Array, "batch rows columns n"]:
        """Applies all."""
        x = self.entry(x)
        steps = (self.middle, *self.levels) if self.rises else (*self.levels, self.middle)
        for step in steps:
            x = step(x)
        return self.exit(jax.nn.silu(self.norm(x)))


class AutoencoderKL(eqx.Module):
    """An autoencoder.

    Attributes:
        encoder: From pictures to means and log variances.
        decoder: From latents to pictures.
        to_latents: Q, or None.
        from_latents: P, or None.
        config: Sizes.
    """

    encoder: Pyramid
    decoder: Pyramid
    to_latents: Convolution | None
    from_latents: Convolution | None
    config: AutoencoderConfig = eqx.field(static=True)

    def encode(
        self, images: Float[Array, "batch y x channels"]
    ) -> tuple[Float[Array, "batch rows columns n"], Float[Array, "batch rows columns n"]]:
        """Means and log variances of latents.

        Args:
            images: Pictures, colours from -1 to 1.

        Raises:
            ValueError: If levels cannot halve the pictures, or these have other colours.
        """
        check_axis(
            images, "images", -1, self.config.channels, "The model was made for these colours."
        )
        for side, name in zip(images.shape[1:3], ("height", "width"), strict=True):
            hint = "Each level but the last halves it."
            check_divides(2 ** (len(self.config.widths) - 1), side, "scale", name, hint)
        y = self.encoder(images)
        mean, log_variance = jnp.split(y if self.to_latents is None else self.to_latents(y), 2, -1)
        return mean, jnp.clip(log_variance, *_LOG_VARIANCES)

    def decode(
        self, latents: Float[Array, "batch rows columns n"]
    ) -> Float[Array, "batch y x channels"]:
        """Pictures of latents; colours may lie beyond -1 and 1.

        Raises:
            ValueError: If latents have another width.
        """
        hint = "The model was made for latents of this width."
        check_axis(latents, "latents", -1, self.config.latents, hint)
        return self.decoder(latents if self.from_latents is None else self.from_latents(latents))


def make_autoencoder(config: AutoencoderConfig, *, key: PRNGKeyArray) -> AutoencoderKL:
    """An autoencoder with random weights in single precision.

    Args:
        config: Sizes.
        key: PRNG key.
    """
    n_keys = iter(range(10_000))
    conv = lambda n_in, n_out, side=3: make_convolution(  # noqa: E731
        n_in, n_out, side, key=jax.random.fold_in(key, next(n_keys))
    )

    def norm(width):
        ones, zeros = jnp.ones(width, jnp.float32), jnp.zeros(width, jnp.float32)
        return GroupNorm(ones, zeros, config.groups, _EPS)

    def block(n_in, n_out):
        shortcut = None if n_in == n_out else conv(n_in, n_out, 1)
        return ResidualBlock(
            norm(n_in), conv(n_in, n_out), norm(n_out), conv(n_out, n_out), shortcut
        )

    def pyramid(n_in, n_out, widths, blocks, rises):
        levels, width = [], widths[0]
        for i, wider in enumerate(widths):
            inside = (block(width if j == 0 else wider, wider) for j in range(blocks))
            resize = None if i == len(widths) - 1 else conv(wider, wider)
            levels.append(Level(tuple(inside), resize, rises))
            width = wider
        deep = widths[0] if rises else widths[-1]
        mixer_key = jax.random.fold_in(key, next(n_keys))
        mixer = make_attention(deep, heads=1, bias=True, causal=False, key=mixer_key)
        middle = Middle(block(deep, deep), norm(deep), mixer, block(deep, deep))
        entry, exit_ = conv(n_in, widths[0]), conv(widths[-1], n_out)
        return Pyramid(entry, middle, tuple(levels), norm(widths[-1]), exit_, rises)

    n, channels = config.latents, config.channels
    return AutoencoderKL(
        pyramid(channels, 2 * n, config.widths, config.blocks, rises=False),
        pyramid(n, channels, config.widths[::-1], config.blocks + 1, rises=True),
        conv(2 * n, 2 * n, 1) if config.mapped else None,
        conv(n, n, 1) if config.mapped else None,
        config,
    )


# What in the path of an array becomes what in the name of its tensor, one after the other.
_NAMES = (
    ("to_latents", "quant_conv"),
    ("from_latents", "post_quant_conv"),
    ("entry", "conv_in"),
    ("exit", "conv_out"),
    ("coder.norm.", "coder.conv_norm_out."),
    ("middle.first", "mid_block.resnets.0"),
    ("middle.second", "mid_block.resnets.1"),
    ("middle.norm", "mid_block.attentions.0.group_norm"),
    ("middle.mixer.query", "mid_block.attentions.0.to_q"),
    ("middle.mixer.key", "mid_block.attentions.0.to_k"),
    ("middle.mixer.value", "mid_block.attentions.0.to_v"),
    ("middle.mixer.output", "mid_block.attentions.0.to_out.0"),
    (".blocks[", ".resnets["),
    ("shortcut", "conv_shortcut"),
    ("[", "."),
    ("]", ""),
    ("encoder.levels", "encoder.down_blocks"),
    ("decoder.levels", "decoder.up_blocks"),
)
_OLD_NAMES = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


def tensor_table(config: AutoencoderConfig) -> dict[str, TensorSource]:
    """Which tensor of diffusers' `AutoencoderKL` fills which array; first pass them to `rename_tensors`."""
    hollow = eqx.filter_eval_shape(lambda: make_autoencoder(config, key=jax.random.key(0)))
    table = {}
    for path, _ in jax.tree_util.tree_leaves_with_path(hollow):
        ours = name = jax.tree_util.keystr(path).lstrip(".")
        for part, theirs in _NAMES:
            name = name.replace(part, theirs)
        resized = "downsamplers" if name.startswith("encoder") else "upsamplers"
        name = name.replace("resize", f"{resized}.0.conv")
        table[ours] = TensorSource(name, transposed=".mixer." in ours and ours.endswith("weight"))
    return table


def rename_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors under the names of today: published files of Stable Diffusion call the maps of attention otherwise.

    Raises:
        ValueError: If a tensor is there under both names.
    """
    found = {}
    for name in tensors:
        plain = name
        for old, new in _OLD_NAMES.items():
            plain = plain.replace(old, new)
        if plain in found:
            raise ValueError(f"`tensors` must hold {plain} once, but do so under an old name too.")
        found[plain] = np.asarray(tensors[name])
    return found

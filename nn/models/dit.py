"""Diffusion transformer: velocities of tokens, told the time and the class by what the norms of each block are set to.

    c = silu(MLP(frequencies(s t)) + table(label));   h = x E + e + positions
    per block  (a1, b1, g1, a2, b2, g2) = c M + m
               h += g1 attention(norm(h) (1 + b1) + a1),   h += g2 feed(norm(h) (1 + b2) + a2)
    y = (norm(h) (1 + b) + a) H + k,   (a, b) = c F + f

Norms have no weights of their own. M, F and H begin at zero ("adaLN-Zero"), so that a new model says 0 and each block
is the identity. A token is what a codec gives at one place; there is no cutting into patches here. Positions are fixed
sines and cosines of column and row.

The frequencies are 1e4^(-k / (n - d)), k = 0 ... n - 1 with n half the size of the embedding, cosines first. Releases
differ: d = 0 in the original DiT, SiT and SVG, d = 1 in diffusers; s is 1,000 or, in SVG, 1. So both are arguments.

Sources: W. Peebles, S. Xie, arXiv 2212.09748; SVG, arXiv 2510.15301 (norms of queries and keys, one token a place).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import (
    check_at_least,
    check_axis,
    check_divides,
    check_in_range,
    check_positive,
    is_concrete,
)
from nn.layers.attention import Attention, make_attention
from nn.layers.embedding import Embedding
from nn.layers.feed_forward import GeluMLP, split_key
from nn.layers.linear import AbstractLinear, Dense
from nn.layers.normalisation import layer_normalise, make_layer_norm
from nn.layers.stack import Stack, make_stack
from nn.weights import TensorSource

# Of all norms but one, as in the releases.
_EPS = 1e-6


def _check_multiple(value: int, part: int, name: str, hint: str) -> None:
    if value < part or value % part:
        raise ValueError(f"`{name}` must be a multiple of {part}, but is {value}. {hint}")


@dataclass(frozen=True)
class DitConfig:
    """Sizes and conventions of a diffusion transformer.

    Attributes:
        rows: Tokens along y.
        columns: Tokens along x.
        channels: Numbers of a token.
        classes: Classes; 0 for a model that is told none.
        width: Size of a token's vector inside.
        n_layers: Blocks.
        heads: Heads.
        hidden: Hidden size of the feed-forward layer.
        normed_heads: Whether queries and keys are normalised per head.
        outputs: Numbers that are said of a token; None for as many as it has. Models that learn variances too say twice
            as many, of which the first half is the velocity.
        time_scale: s.
        frequency_shift: d, 0 or 1.
        time_size: Size of the embedding of the time.
        feed_norm_eps: eps of the norm before the feed-forward layer; diffusers has 1e-5 there.
    """

    rows: int
    columns: int
    channels: int
    classes: int
    width: int
    n_layers: int
    heads: int
    hidden: int
    normed_heads: bool = False
    outputs: int | None = None
    time_scale: float | int = 1000
    frequency_shift: int = 0
    time_size: int = 256
    feed_norm_eps: float = 1e-6

    def __post_init__(self):
        check_at_least(self.rows, 1, "rows")
        check_at_least(self.columns, 1, "columns")
        check_at_least(self.classes, 0, "classes")
        _check_multiple(self.width, 4, "width", "Sines and cosines of two coordinates.")
        _check_multiple(self.time_size, 2, "time_size", "Sines and cosines.")
        check_in_range(self.frequency_shift, "frequency_shift", 0, 1)
        check_positive(self.time_scale, "time_scale")
        if self.outputs is not None:
            check_at_least(self.outputs, self.channels, "outputs", "Each number has a velocity.")


class DitBlock(eqx.Module):
    """One block.

    Attributes:
        mixer: Attention.
        feed: Feed-forward layer.
        modulation: M and m.
        eps: eps of the two norms.
    """

    mixer: Attention
    feed: GeluMLP
    modulation: AbstractLinear
    eps: tuple[float, float] = eqx.field(static=True)

    def __call__(
        self,
        x: Float[Array, "batch n width"],
        told: Float[Array, "batch width"],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n width"]:
        """Applies the block.

        Args:
            x: Tokens.
            told: c.
            key: For noisy maps.
        """
        keys = split_key(key, 3)
        parts = jnp.split(self.modulation(told, key=keys[0])[:, None], 6, axis=-1)
        shift, scale, gate = (jnp.broadcast_to(part, x.shape) for part in parts[:3])
        mixed, _ = self.mixer(layer_normalise(x, self.eps[0]) * (1 + scale) + shift, key=keys[1])
        x = x + gate * mixed
        shift, scale, gate = (jnp.broadcast_to(part, x.shape) for part in parts[3:])
        fed = self.feed(layer_normalise(x, self.eps[1]) * (1 + scale) + shift, key=keys[2])
        return x + gate * fed


class Dit(eqx.Module):
    """A diffusion transformer.

    Attributes:
        embedding: E and e.
        time: The layer of the frequencies.
        table: Vectors of the classes, and last the one that says nothing.
        body: All blocks.
        modulation: F and f.
        head: H and k.
        config: Sizes and conventions.
    """

    embedding: AbstractLinear
    time: tuple[AbstractLinear, AbstractLinear]
    table: Embedding
    body: Stack
    modulation: AbstractLinear
    head: AbstractLinear
    config: DitConfig = eqx.field(static=True)

    @property
    def null(self) -> Int[Array, ""]:
        """The label that says nothing, for `make_guidance` and `drop_condition`."""
        return jnp.asarray(self.config.classes, jnp.int32)

    def __call__(
        self,
        x: Float[Array, "batch n channels"],
        t: Float[Array, " batch"] | Int[Array, " batch"],
        labels: Int[Array, " batch"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n channels"]:
        """Velocities.

        Args:
            x: Tokens, row by row.
            t: Times: those of `nn.generation`, from 0 for noise to 1, or levels where `time_scale` is 1; as trained.
            labels: Classes, `null` for none; None for none in the whole batch.
            key: For noisy maps.

        Raises:
            ValueError: If there are not as many tokens as places, a token has another size, a label is unknown, or
                labels are given to a model without classes.
        """
        return self.all_outputs(x, t, labels, key=key)[..., : self.config.channels]

    def all_outputs(
        self,
        x: Float[Array, "batch n channels"],
        t: Float[Array, " batch"] | Int[Array, " batch"],
        labels: Int[Array, " batch"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch n outputs"]:
        """Velocities and what else the model was made to say; arguments as those of a call."""
        config = self.config
        check_axis(x, "x", 1, config.rows * config.columns, "One token for each place.")
        check_axis(x, "x", 2, config.channels, "The model was made for another codec.")
        if labels is None:
            labels = jnp.full(x.shape[0], self.null)
        elif not config.classes:
            raise ValueError("`labels` must be None, for this model was made without classes.")
        elif is_concrete(labels):
            known = np.asarray(labels)  # not jnp, which `jit` would stage
            for label in (known.min(), known.max()):
                hint = f"{config.classes} says nothing of the class."
                check_in_range(int(label), "labels", 0, config.classes, hint=hint)
        keys = split_key(key, 5)
        told = jax.nn.silu(self._time(t, x.dtype, keys[0]) + self.table(labels))
        h = self.embedding(x, key=keys[1])
        places = grid_positions(config.rows, config.columns, config.width)
        h = h + jnp.broadcast_to(jnp.asarray(places, h.dtype)[None], h.shape)
        h = self.body.telling(h, told, key=keys[2])
        parts = jnp.split(self.modulation(told, key=keys[3])[:, None], 2, axis=-1)
        shift, scale = (jnp.broadcast_to(part, h.shape) for part in parts)
        h = layer_normalise(h, _EPS) * (1 + scale) + shift
        return self.head(h, key=keys[4])

    def _time(self, t, dtype, key):
        size, shift = self.config.time_size, self.config.frequency_shift
        angles = self.config.time_scale * t[:, None] * _frequencies(size // 2, shift)[None]
        keys = split_key(key, 2)
        first, second = self.time
        waves = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        return second(jax.nn.silu(first(waves.astype(dtype), key=keys[0])), key=keys[1])


def _frequencies(n: int, shift: int) -> Float[np.ndarray, " n"]:
    return 1e4 ** (-np.arange(n) / max(n - shift, 1))


def grid_positions(rows: int, columns: int, width: int) -> Float[np.ndarray, "tokens width"]:
    """Sines and cosines of the places of a grid, row by row: of the column in the first half, of the row in the second.

    Raises:
        ValueError: If 4 does not divide the width.
    """
    _check_multiple(width, 4, "width", "Sines and cosines of two coordinates.")
    frequencies = 1e4 ** (-np.arange(width // 4) / (width // 4))
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    halves = []
    for coordinate in (x, y):
        angles = coordinate.reshape(-1, 1) * frequencies[None]
        halves += [np.sin(angles), np.cos(angles)]
    return np.concatenate(halves, axis=1)


def make_dit(config: DitConfig, *, key: PRNGKeyArray) -> Dit:
    """A model in single precision that says 0 yet: Xavier's rule, tables of 0.02, modulations and head of zeros.

    Args:
        config: Sizes and conventions.
        key: PRNG key.

    Raises:
        ValueError: If a size is below 1, or heads do not divide.
    """
    width, normal = config.width, jax.random.normal

    def xavier(key, n_in, n_out):
        most = (6 / (n_in + n_out)) ** 0.5
        weight = jax.random.uniform(key, (n_in, n_out), jnp.float32, -most, most)
        return Dense(weight, jnp.zeros(n_out, jnp.float32))

    def zeros(n_out):
        return Dense(jnp.zeros((width, n_out), jnp.float32), jnp.zeros(n_out, jnp.float32))

    def table(key, n_in, n_out):
        return Dense(0.02 * normal(key, (n_in, n_out), jnp.float32), jnp.zeros(n_out, jnp.float32))

    def make_block(key):
        keys = jax.random.split(key, 7)
        mixer = make_attention(width, heads=config.heads, bias=True, causal=False, key=keys[0])
        maps = [xavier(k, width, width) for k in keys[1:5]]
        # Releases draw queries, keys and values as one matrix of three times the width.
        thirds = [Dense(m.weight * 0.5**0.5, m.bias) for m in maps[:3]]
        norm = None
        if config.normed_heads:
            norm = make_layer_norm(width // config.heads, eps=_EPS)
        mixer = dataclasses.replace(
            mixer, query=thirds[0], key=thirds[1], value=thirds[2], output=maps[3],
            query_norm=norm, key_norm=norm,
        )  # fmt: skip
        feed = GeluMLP(
            xavier(keys[5], width, config.hidden), xavier(keys[6], config.hidden, width), approximate=True
        )  # fmt: skip
        return DitBlock(mixer, feed, zeros(6 * width), (_EPS, config.feed_norm_eps))

    keys = jax.random.split(key, 5)
    outputs = config.channels if config.outputs is None else config.outputs
    check_at_least(config.channels, 1, "channels")
    check_at_least(config.hidden, 1, "hidden")
    check_divides(config.heads, width, "heads", "width")
    return Dit(
        xavier(keys[0], config.channels, width),
        (table(keys[1], config.time_size, width), table(keys[2], width, width)),
        Embedding(0.02 * normal(keys[3], (config.classes + 1, width), jnp.float32)),
        make_stack(make_block, config.n_layers, key=keys[4]),
        zeros(2 * width),
        zeros(outputs),
        config,
    )


_BLOCK = {
    "mixer.query": "attn1.to_q",
    "mixer.key": "attn1.to_k",
    "mixer.value": "attn1.to_v",
    "mixer.output": "attn1.to_out.0",
    "feed.expand": "ff.net.0.proj",
    "feed.contract": "ff.net.2",
    "modulation": "norm1.linear",
}
_TOLD = "transformer_blocks.{}.norm1.emb."


def tensor_table(config: DitConfig) -> dict[str, TensorSource]:
    """Which tensor of diffusers' `DiTTransformer2DModel` fills which array; first pass them to `flatten_tensors`."""
    told = _TOLD.format(0)
    outer = {
        "embedding": "pos_embed.proj",
        "time[0]": f"{told}timestep_embedder.linear_1",
        "time[1]": f"{told}timestep_embedder.linear_2",
        "modulation": "proj_out_1",
        "head": "proj_out_2",
    }
    table = {"table.weight": TensorSource(f"{told}class_embedder.embedding_table.weight")}
    for kind in ("weight", "bias"):
        for ours, theirs in outer.items():
            table[f"{ours}.{kind}"] = TensorSource(f"{theirs}.{kind}", kind == "weight")
        for ours, theirs in _BLOCK.items():
            names = tuple(f"transformer_blocks.{i}.{theirs}.{kind}" for i in range(config.n_layers))
            table[f"body.blocks.{ours}.{kind}"] = TensorSource(names, kind == "weight")
    return table


def flatten_tensors(tensors: Mapping[str, np.ndarray], config: DitConfig) -> dict[str, np.ndarray]:
    """Tensors of diffusers with the convolution over patches as a matrix, and one copy of what each block is told by.

    Args:
        tensors: By name.
        config: Sizes.

    Raises:
        ValueError: If blocks have layers of times or tables of classes of their own; here all share one.
    """
    found = {name: np.asarray(tensors[name]) for name in tensors}
    kernel = found.get("pos_embed.proj.weight")
    if kernel is not None:
        found["pos_embed.proj.weight"] = kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)
    for i in range(1, config.n_layers):
        for name in [name for name in found if name.startswith(_TOLD.format(i))]:
            first = name.replace(_TOLD.format(i), _TOLD.format(0))
            if first not in found or not np.array_equal(found.pop(name), found[first]):
                raise ValueError(
                    f"`tensors` must hold {name} as {first}, for all blocks share it, but do not."
                )
    return found

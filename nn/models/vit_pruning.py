"""A vision transformer with a gate on every head, hidden unit and component of its tokens, and what is left of it.

Gates multiply what each head found, what each hidden unit gives, and count components in the norms:

    norm(x)_c = g_c (w_c (x_c - m) / sqrt(v + eps) + b_c),   m = sum g x / sum g,   v = sum g (x - m)^2 / sum g

so that a component with a closed gate is as good as absent: with gates of 0 and 1 the gated model and the smaller one
(`remove_units`) give the same numbers, and with open gates it is the model itself. What to remove is the business of
`nn.compression.joint_pruning`, which asks for the gradient by the gates.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_axis
from nn.layers.attention import Attention
from nn.layers.feed_forward import GeluMLP
from nn.layers.linear import Dense
from nn.layers.normalisation import LayerNorm
from nn.layers.patches import patches
from nn.layers.stack import Block, Stack
from nn.models.vit import Vit

KINDS = ("heads", "hidden", "width")


def open_gates(model: Vit) -> dict[str, Array]:
    """Gates of one: of heads (layers, heads), of hidden units (layers, hidden), of components (width,)."""
    block = _any_block(model)
    n_layers, dtype = model.body.n_blocks, model.positions.dtype
    return {
        "heads": jnp.ones((n_layers, block.mixer.heads), dtype),
        "hidden": jnp.ones((n_layers, block.feed.expand.n_out), dtype),
        "width": jnp.ones(model.positions.shape[-1], dtype),
    }


def gated_logits(
    model: Vit, gates: dict[str, Any], images: Float[Array, "batch y x channels"]
) -> Float[Array, "batch classes"]:
    """Logits of the model behind its gates.

    Args:
        model: The model.
        gates: See `open_gates`; any numbers, so that derivatives can be taken.
        images: Pictures.

    Raises:
        ValueError: If gates are of another size than the model.
    """
    for kind, whole in open_gates(model).items():
        for axis, size in enumerate(whole.shape):
            check_axis(gates[kind], f"gates[{kind!r}]", axis, size, "One gate for each unit.")
    width = jnp.asarray(gates["width"])
    tokens = model.embedding(patches(images, model.patch))
    first = jnp.broadcast_to(model.class_token, (len(tokens), 1, tokens.shape[-1]))
    x = jnp.concatenate([first.astype(tokens.dtype), tokens], axis=1) + model.positions[None]
    arrays, rest = eqx.partition(model.body.scanned().blocks, eqx.is_array)

    def step(x, layer):
        arrays, heads, hidden = layer
        block = eqx.combine(arrays, rest)
        q, k, v, gate = block.mixer.project(
            _norm(block.mixer_norm, x, width), jnp.arange(x.shape[1])
        )
        found = _attend(q, k, v) * heads[None, None, :, None]
        x = x + block.mixer.finish(found, gate)
        inside = block.feed.expand(_norm(block.feed_norm, x, width))
        return x + block.feed.contract(
            jax.nn.gelu(inside, approximate=False) * hidden[None, None]
        ), None

    layers = (arrays, jnp.asarray(gates["heads"]), jnp.asarray(gates["hidden"]))
    x, _ = jax.lax.scan(step, x, layers)
    return model.head(_norm(model.norm, x[:, 0], width))


def multiply_adds(model: Vit, left: dict[str, Any]) -> Any:
    """Products of one picture, with so many units left in all layers together.

    Counted: the embedding, all maps of the blocks, scores and mixing of attention, and the head.

    Args:
        model: The whole model.
        left: Heads, hidden units and components that are left, numbers or arrays.
    """
    heads, hidden, width = (left[kind] for kind in KINDS)
    n_tokens, head_dim = model.positions.shape[0], _any_block(model).mixer.head_dim
    maps = 4 * heads * head_dim * width + 2 * hidden * width
    mixing = 2 * n_tokens * heads * head_dim
    ends = (n_tokens - 1) * model.embedding.n_in * width + width * model.head.n_out
    return n_tokens * (maps + mixing) + ends


def unit_sizes(model: Vit) -> dict[str, int]:
    """Units of each kind, all layers together."""
    return {kind: gates.size for kind, gates in open_gates(model).items()}


def unit_magnitudes(model: Vit) -> dict[str, np.ndarray]:
    """Root mean square of the weights that go with each unit: what pruning by magnitude goes by."""
    blocks = [_block(model, i) for i in range(model.body.n_blocks)]
    weight = lambda linear: np.asarray(_dense(linear).weight)  # noqa: E731
    heads, hidden, width = [], [], [weight(model.embedding).T, weight(model.head)]
    for block in blocks:
        n = block.mixer.heads
        into = [
            weight(m).T.reshape(n, -1)
            for m in (block.mixer.query, block.mixer.key, block.mixer.value)
        ]
        out = weight(block.mixer.output).reshape(n, -1)
        heads.append(_root_mean_square([*into, out]))
        expand, contract = weight(block.feed.expand), weight(block.feed.contract)
        hidden.append(_root_mean_square([expand.T, contract]))
        width += [weight(m) for m in (block.mixer.query, block.mixer.key, block.mixer.value)]
        width += [weight(block.mixer.output).T, expand, contract.T]
    return {
        "heads": np.stack(heads),
        "hidden": np.stack(hidden),
        "width": _root_mean_square(width),
    }


def remove_units(model: Vit, gates: dict[str, Any]) -> Vit:
    """The smaller model, its blocks unrolled for they differ.

    Args:
        model: The model.
        gates: Gates of 0 and 1; at least one open in each layer.

    Raises:
        ValueError: If a gate is neither 0 nor 1, or all of a layer are closed.
        TypeError: If a map is another carrier than `Dense`.
    """
    keep = {kind: np.asarray(gates[kind]) for kind in KINDS}
    for kind, values in keep.items():
        if not np.isin(values, (0, 1)).all() or not (values == 1).any(axis=-1).all():
            raise ValueError(
                f"`gates[{kind!r}]` must be 0 or 1 with at least one 1 in each layer, but are {values.tolist()}."
            )
    width = np.flatnonzero(keep["width"])
    blocks = tuple(
        _smaller(
            _block(model, i),
            width,
            np.flatnonzero(keep["heads"][i]),
            np.flatnonzero(keep["hidden"][i]),
        )
        for i in range(model.body.n_blocks)
    )
    return Vit(
        _cut(model.embedding, None, width),
        model.class_token[width],
        model.positions[:, width],
        Stack(blocks, model.body.n_blocks),
        _cut_norm(model.norm, width),
        _cut(model.head, width, None),
        model.patch,
    )


def _smaller(block: Block, width, heads, hidden) -> Block:
    mixer = block.mixer
    columns = (heads[:, None] * mixer.head_dim + np.arange(mixer.head_dim)[None]).reshape(-1)
    attention = Attention(
        _cut(mixer.query, width, columns),
        _cut(mixer.key, width, columns),
        _cut(mixer.value, width, columns),
        _cut(mixer.output, columns, width),
        None,
        None,
        None,
        len(heads),
        len(heads),
        causal=False,
    )
    feed = GeluMLP(_cut(block.feed.expand, width, hidden), _cut(block.feed.contract, hidden, width))
    norms = (_cut_norm(norm, width) for norm in (block.mixer_norm, block.feed_norm))
    first, second = norms
    return Block(first, attention, second, feed)


def _cut(linear, rows, columns) -> Dense:
    dense = _dense(linear)
    weight = dense.weight if rows is None else dense.weight[rows]
    bias = dense.bias
    if columns is not None:
        weight, bias = weight[:, columns], None if bias is None else bias[columns]
    return Dense(weight, bias)


def _cut_norm(norm: Any, width) -> LayerNorm:
    return LayerNorm(norm.weight[width], norm.bias[width], norm.eps)


def _dense(linear) -> Dense:
    if not isinstance(linear, Dense):
        raise TypeError(
            f"`model` must have Dense maps to lose rows and columns, but has {type(linear).__name__}."
        )
    return linear


def _block(model: Vit, layer: int) -> Any:
    blocks = model.body.blocks
    return blocks[layer] if isinstance(blocks, tuple) else jax.tree.map(lambda a: a[layer], blocks)


def _any_block(model: Vit) -> Any:
    """A block to ask for sizes, its arrays stacked or not: cutting one out of a stack costs a call for each array."""
    blocks = model.body.blocks
    return blocks[0] if isinstance(blocks, tuple) else blocks


def _norm(norm: Any, x, gate):
    precise = jnp.promote_types(x.dtype, jnp.float32)
    y, gate = x.astype(precise), jnp.broadcast_to(gate.astype(precise), x.shape)
    total = gate.sum(axis=-1, keepdims=True)
    y = y - (gate * y).sum(axis=-1, keepdims=True) / total
    y = y * jax.lax.rsqrt((gate * y * y).sum(axis=-1, keepdims=True) / total + norm.eps)
    weight, bias = (jnp.broadcast_to(a.astype(precise), x.shape) for a in (norm.weight, norm.bias))
    return (gate * (y * weight + bias)).astype(x.dtype)


def _attend(q, k, v):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), v)


def _root_mean_square(parts: list[np.ndarray]) -> np.ndarray:
    """Over all weights of each unit, the rows of every part."""
    whole = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return np.sqrt((whole**2).mean(axis=1))

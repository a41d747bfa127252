"""Prefill that drops tokens of the picture between layers, with caches that are right for what comes after.

Before layer l of a decoder a rule chooses, from what the last token of the prompt looked at in layer l - 1, which
tokens of the picture go on; all later layers see those alone. Kept tokens keep their positions, so that rotary angles
and the mask are those of the whole text, and each layer has a cache with room for what it kept and the answer, in which
the next token has its true position. So decoding needs no word about pruning: `decoder.extend` takes these caches.

`masked_prefill` does the same by hiding the dropped tokens' keys instead of removing the tokens: nothing is saved, and
the numbers of the kept tokens are the same. It is the reference, and what one compares pruning in training with.

Sources: L. Chen et al., arXiv 2403.06764 (FastV, one stage); L. Xing et al., arXiv 2410.17247 (PyramidDrop, several).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nn._checks import check_at_least, check_in_range
from nn.kernels.attention import dense_attention
from nn.layers.attention import Attention
from nn.layers.caches import TokenCache
from nn.layers.stack import Stack


class Seen(NamedTuple):
    """What a rule may look at, for one text; m tokens of the picture are left.

    Attributes:
        attention: Weight that the last token of the prompt gives each of them in the layer before, mean over heads.
        hidden: The tokens themselves, after that layer.
        asking: The last token of the prompt, after that layer.
        places: Which patch of the picture each one is.
    """

    attention: Float[Array, " m"]
    hidden: Float[Array, "m width"]
    asking: Float[Array, " width"]
    places: Int[Array, " m"]


class Stage(NamedTuple):
    """One cut.

    Attributes:
        layer: The first layer that sees fewer tokens, from 1 on.
        keep: Tokens of the picture that it sees.
        rule: (Seen, keep) -> which of the m tokens stay, (keep,), and what takes
            their place, (keep, width), or None.
    """

    layer: int
    keep: int
    rule: Callable[[Seen, int], tuple[Int[Array, " keep"], Float[Array, "keep width"] | None]]


class Prefilled(NamedTuple):
    """A prompt that was read.

    Attributes:
        hidden: The text after the last layer; the model's norm and head come next.
        caches: One for each layer.
        kept: For each stage, which patches of the picture stayed, in their order.
        weights: For each layer, the weight that the last token gives each token there, mean over heads.
    """

    hidden: Float[Array, "1 text width"]
    caches: tuple[TokenCache, ...]
    kept: tuple[Int[Array, " _"], ...]
    weights: tuple[Float[Array, " _"], ...]


def pruned_prefill(
    body: Stack,
    x: Float[Array, "_ n width"],
    *,
    n_image: int,
    n_new: int,
    stages: Sequence[Stage] = (),
    first_image: int = 0,
) -> Prefilled:
    """Reads a prompt of one text; map over texts by `jax.vmap`.

    Args:
        body: Blocks of a decoder, one by one (`decoder.unrolled().body`), with causal attention.
        x: Vectors of the whole prompt, one row.
        n_image: Tokens of the picture among them.
        n_new: Tokens that the caches must have room for beyond the prompt.
        stages: Cuts, by layer; none for no pruning.
        first_image: Position of the first token of the picture.

    Raises:
        ValueError: If the blocks are scanned, there are several texts, the picture does not lie within the prompt with
            text behind it, a stage keeps no or too many tokens, or stages are not in the order of layers above 0.
    """
    _check(body, x, n_image, first_image, stages)
    check_at_least(n_new, 0, "n_new")
    n_seen = x.shape[1]
    positions = jnp.arange(n_seen, dtype=jnp.int32)
    last_image, caches, kept, looks = first_image + n_image, [], [], []
    weights = jnp.zeros(n_seen, x.dtype)
    for number, block in enumerate(body.blocks):
        for stage in (s for s in stages if s.layer == number):
            image = slice(first_image, last_image)
            # A stage is never before the first layer, so there are weights.
            seen = Seen(weights[image], x[0, image], x[0, -1], positions[image] - first_image)
            chosen, vectors = _in_order(*stage.rule(seen, stage.keep))
            kept.append(seen.places[chosen])
            new = x[0, image][chosen] if vectors is None else vectors
            x = _replace(x[0], image, new)[None]
            positions = _replace(positions, image, positions[image][chosen])
            last_image = first_image + stage.keep
        x, keys, values, weights = _block(block, x, positions, positions)
        caches.append(_packed(keys, values, positions, n_new, n_seen))
        looks.append(weights)
    return Prefilled(x[:, last_image:], tuple(caches), tuple(kept), tuple(looks))


def masked_prefill(
    body: Stack,
    x: Float[Array, "1 n width"],
    *,
    n_image: int,
    kept: Sequence[tuple[int, Int[Array, " _"]]] = (),
    first_image: int = 0,
) -> Float[Array, "1 text width"]:
    """What `pruned_prefill` computes, with dropped tokens hidden and not removed; `x` may go on beyond the prompt.

    Args:
        body: Blocks of a decoder, one by one.
        x: Vectors of the whole text.
        n_image: Tokens of the picture among them.
        kept: For each stage its layer and the patches that stay.
        first_image: Position of the first token of the picture.

    Returns:
        What follows the picture, after the last layer.
    """
    positions = jnp.arange(x.shape[1], dtype=jnp.int32)
    shown: Bool[Array, " n"] = jnp.ones(x.shape[1], bool)
    for number, block in enumerate(body.blocks):
        for layer, places in kept:
            if layer == number:
                image = jnp.zeros(n_image, bool).at[places].set(True)
                shown = shown.at[first_image : first_image + n_image].set(image)
        x, *_ = _block(block, x, positions, jnp.where(shown, positions, -1))
    return x[:, first_image + n_image :]


def cache_bytes(caches: Any) -> int:
    """Bytes of the keys and values that caches hold for tokens seen, empty slots not counted."""
    total = 0
    for cache in jax.tree.leaves(caches, is_leaf=lambda leaf: isinstance(leaf, TokenCache)):
        filled = int((cache.positions >= 0).sum())
        total += sum(a.nbytes // cache.capacity * filled for a in cache.entries.values())
    return total


def prefill_macs(
    n_tokens: Sequence[int], *, width: int, hidden: int, keys: int | None = None
) -> float:
    """Multiplications of a prefill by FastV's formula, 4 n d^2 + 2 n^2 d + 2 n d m a layer (arXiv 2403.06764).

    It counts all pairs of tokens, those that a causal mask hides too, and a feed-forward layer of two maps.

    Args:
        n_tokens: Tokens in each layer, n.
        width: Size of a token, d.
        hidden: Hidden size of the feed-forward layer, m.
        keys: Width of keys and values together, 2 d by default.
    """
    keys = 2 * width if keys is None else keys
    return float(
        sum(
            n * (2 * width + keys) * width + 2 * n**2 * width + 2 * n * width * hidden
            for n in n_tokens
        )
    )


def _block(block, x, positions, key_positions):
    """One block; and its keys, its values, and the weights of the last token, mean over heads."""
    mixer: Attention = block.mixer
    normed = block.mixer_norm(x)
    q, k, v, gate = mixer.project(normed, positions)
    seen = {"query_positions": positions, "key_positions": key_positions, "window": mixer.window}
    x = x + mixer.finish(dense_attention(q, k, v, **seen), gate)
    x = x + block.feed(block.feed_norm(x))
    return x, k, v, _last_weights(q, k, seen)


def _last_weights(q, k, seen):
    """Attention of the last query: that with the unit matrix in the place of the values."""
    unit = jnp.eye(k.shape[1], dtype=q.dtype)[None, :, None]
    unit = jnp.broadcast_to(unit, (*k.shape[:3], k.shape[1]))
    last = seen | {"query_positions": seen["query_positions"][-1:]}
    return dense_attention(q[:, -1:], k, unit, **last)[0, 0].mean(0)


def _replace(array, part, new):
    return jnp.concatenate([array[: part.start], new, array[part.stop :]])


def _packed(keys, values, positions, n_new, n_seen):
    """A cache with the tokens in its first slots, for which those that were dropped have been seen too."""
    room = lambda a: jnp.pad(a, ((0, 0), (0, n_new), (0, 0), (0, 0)))  # noqa: E731
    slots = jnp.pad(positions, (0, n_new), constant_values=-1)
    entries = {"k": room(keys), "v": room(values)}
    return TokenCache(entries, slots, jnp.int32(n_seen), False, n_seen - len(positions))


def _in_order(chosen, vectors):
    """Kept tokens in the order of their positions: nothing depends on it, but caches stay readable."""
    order = jnp.argsort(chosen)
    return chosen[order], None if vectors is None else vectors[order]


def _check(body, x, n_image, first_image, stages):
    if body.is_scanned:
        raise ValueError(
            "`body` must have its blocks one by one, but is scanned; take `decoder.unrolled().body`."
        )
    if x.shape[0] != 1:
        raise ValueError(
            f"`x` must be one text, (1, n, width), but has {x.shape[0]} rows; map over texts by `jax.vmap`."
        )
    check_at_least(first_image, 0, "first_image")
    hint = "The picture lies within the prompt, with text behind it."
    check_in_range(n_image, "n_image", 1, x.shape[1] - first_image - 1, hint=hint)
    left, layer = n_image, 0
    for stage in stages:
        hint = "A stage takes what the layer before looked at; stages follow one another."
        check_in_range(stage.layer, "layer", layer + 1, body.n_blocks - 1, hint=hint)
        check_in_range(
            stage.keep, "keep", 1, left, hint="It counts tokens of the picture that are left."
        )
        left, layer = stage.keep, stage.layer

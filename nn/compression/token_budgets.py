"""Budgets of tokens of a picture: stages of a pyramid, pooling as a rule, and caches that are cut after the prompt.

`pyramid` is where PyramidDrop cuts: the layers are divided into stages, and at the end of each a share of the tokens
stays. `pooling` is the baseline that looks at nothing: means over a coarser grid. `compress_caches` is the other half
of LightVLM: what was pruned in prefill are tokens, and the first layers still hold all of them; for decoding each layer
keeps the keys and values that the last token of the prompt looked at most in that layer. By what a layer's slots are
judged in the paper is not known to us: this is our choice.

Sources: L. Xing et al., arXiv 2410.17247 (PyramidDrop); L. Hu et al., arXiv 2509.00419 (LightVLM).
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nn._checks import check_at_least, check_axis, check_in_range
from nn.compression.pruned_prefill import Prefilled, Seen, Stage
from nn.compression.token_rules import Kept, similar, top
from nn.layers.caches import TokenCache


def count_kept(n_tokens: int, share: float | int) -> int:
    """Tokens that stay where a share of them does, 1 - R in FastV: rounded, and one at least.

    Raises:
        ValueError: If the share is not above 0 and at most 1.
    """
    check_at_least(n_tokens, 1, "n_tokens")
    if not 0 < share <= 1:
        raise ValueError(
            f"`share` must be above 0 and at most 1, but is {share:g}. To see no picture leave it out of the prompt."
        )
    return max(1, round(share * n_tokens))


def pyramid(
    n_image: int,
    n_layers: int,
    *,
    n_stages: int = 4,
    share: float | int = 0.5,
    rule=similar,
) -> tuple[Stage, ...]:
    """Cuts of PyramidDrop, one at the end of each stage but the last, behind which there is nothing to save.

    Args:
        n_image: Tokens of the picture.
        n_layers: Layers of the decoder; stages are equally long to within one layer.
        n_stages: Stages.
        share: Share of its tokens that a stage leaves to the next.
        rule: Which ones stay.

    Raises:
        ValueError: If there are more stages than layers, or the share is not above 0 and at most 1.
    """
    check_in_range(n_stages, "n_stages", 1, n_layers, hint="A stage has a layer at least.")
    stages, left = [], n_image
    for number in range(1, n_stages):
        left = count_kept(left, share)
        stages.append(Stage(number * n_layers // n_stages, left, rule))
    return tuple(stages)


def pooling(columns: int):
    """A rule that keeps means over a coarser grid of areas, which cut patches by their share.

    A mean stands at the position of the patch in the middle of its area. As many tokens can stay as fill a square.

    Args:
        columns: Patches along a side of the picture, of which none has been dropped before.

    Raises:
        ValueError: If fewer than 1.
    """
    check_at_least(columns, 1, "columns")

    def rule(seen: Seen, keep: int) -> Kept:
        hint = "Pooling takes whole pictures."
        check_axis(seen.hidden, "hidden", 0, columns**2, hint)
        points = round(keep**0.5)
        if points**2 != keep or not 1 <= points <= columns:
            raise ValueError(
                f"`keep` must be a square from 1 to {columns**2}, but is {keep}. Take one of 1, 4, 9, ..."
            )
        edges = np.arange(points + 1) * columns / points
        low = np.maximum(edges[:-1, None], np.arange(columns))
        high = np.minimum(edges[1:, None], np.arange(columns) + 1)
        share = np.maximum(high - low, 0) * points / columns
        areas = np.einsum("ay,bx->abyx", share, share).reshape(keep, -1)
        line = ((np.arange(points) + 0.5) * columns / points).astype(int)
        middle = (columns * line[:, None] + line[None, :]).reshape(-1)
        return jnp.asarray(middle), jnp.asarray(areas, seen.hidden.dtype) @ seen.hidden

    return rule


def compress_caches(read: Prefilled, keep: int, *, first_image: int = 0) -> tuple[TokenCache, ...]:
    """Caches that hold in each layer the `keep` tokens of the picture that the last token of the prompt looked at most.

    The text stays, and so do all positions and the room for what comes. For one text, as `pruned_prefill`.

    Args:
        read: The prompt.
        keep: Tokens of the picture for each layer; a layer that holds fewer keeps them.
        first_image: Position of the first token of the picture.

    Raises:
        ValueError: If `keep` is below 1, the picture does not lie within the prompt, or a weight is not finite.
    """
    check_at_least(keep, 1, "keep", "To see no picture leave it out of the prompt.")
    n_text, found = read.hidden.shape[1], []
    hint = "The picture begins there, and text follows it."
    for cache, weights in zip(read.caches, read.weights, strict=True):
        n_image = len(weights) - n_text - first_image
        check_in_range(first_image, "first_image", 0, len(weights) - n_text - 1, hint=hint)
        last = first_image + n_image
        best: Float[Array, " m"] = weights[first_image:last]
        chosen = first_image + jnp.sort(top(best, min(keep, n_image)))
        slots = jnp.concatenate([jnp.arange(first_image), chosen, jnp.arange(last, cache.capacity)])
        found.append(
            TokenCache(
                {name: array[:, slots] for name, array in cache.entries.items()},
                cache.positions[slots],
                cache.n_seen,
                cache.ring,
                cache.n_dropped + n_image - len(chosen),
            )
        )
    return tuple(found)

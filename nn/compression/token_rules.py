"""Which tokens of a picture go on: rules of pruning and merging for `pruned_prefill`, and controls.

A rule is called with what is `Seen` and with how many tokens to keep, and gives indices among those that are left. Of
equal scores the earlier token wins. What the summaries of the papers at hand leave open is our choice and said to be.

- `fastv`: the tokens that the last token of the prompt looks at most, mean over heads. L. Chen et al., arXiv
  2403.06764.
- `similar`: the tokens most like the last token of the prompt, for several stages. L. Xing et al., arXiv 2410.17247
  (PyramidDrop); likeness is the cosine of the hidden vectors, our choice.
- `crops`: the budget is spread over crops of the picture by the attention they get; within a crop tokens are taken that
  are looked at and unlike those taken before. After arXiv 2510.02912 (HoloV); both weights are our choice.
- `merging`: as `fastv`, and each token that goes is averaged into the kept one that is most like it. After arXiv
  2509.00419 (LightVLM, merging in prefill); measure and mean are our choice.
- `with_previous`: a share of the budget by what an earlier question about the same picture looked at, the rest by this
  one. After arXiv 2509.05614 (SpecPrune: global attention of the action before, local attention of this one).
- `evenly`, `at_random`: controls.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, check_divides, check_finite, check_in_range
from nn.compression.pruned_prefill import Seen
from nn.kernels.selection import select_top

Kept = tuple[Int[Array, " keep"], Float[Array, "keep width"] | None]


def top(scores: Float[Array, " m"], keep: int) -> Int[Array, " keep"]:
    """The `keep` highest scores; of equal ones the earlier.

    Raises:
        ValueError: If fewer than 1 or more than all are to be kept, or a score is not finite.
    """
    check_in_range(keep, "keep", 1, len(scores))
    check_finite(scores, "scores")
    return select_top(scores, jnp.ones(scores.shape, bool), keep).indices


def fastv(seen: Seen, keep: int) -> Kept:
    """Keeps what the last token of the prompt looks at."""
    return top(seen.attention, keep), None


def similar(seen: Seen, keep: int) -> Kept:
    """Keeps what is like the last token of the prompt."""
    return top(_cosines(seen.asking[None], seen.hidden)[0], keep), None


def crops(columns: int, side: int, *, sharpness: float | int = 1, diversity: float | int = 0.5):
    """A rule that spreads the budget over crops of the picture.

    Args:
        columns: Patches in a row of the picture.
        side: Patches along a side of a crop; it divides `columns`.
        sharpness: Power of a crop's attention in its share of the budget: 0 for equal shares.
        diversity: Weight of the largest cosine with a token already taken from the crop, against attention relative to
            the largest of the crop; 0 for attention alone.

    Raises:
        ValueError: If crops do not fill the picture, or a weight is negative.
    """
    check_divides(side, columns, "side", "columns", "Crops fill the picture.")
    check_in_range(sharpness, "sharpness", 0, 100)
    check_in_range(diversity, "diversity", 0, 100)

    def rule(seen: Seen, keep: int) -> Kept:
        across = columns // side
        crop = seen.places // columns // side * across + seen.places % columns // side
        same = crop[:, None] == crop[None]  # (m, m)
        attention = jnp.maximum(seen.attention, jnp.finfo(seen.attention.dtype).tiny)
        mass = same @ attention
        like = _cosines(seen.hidden, seen.hidden)
        relative = attention / jnp.max(jnp.where(same, attention[None], 0), axis=1)
        # The k-th token of a crop is worth share / k: taking the largest in turn spreads the budget as the shares are.
        taken = jnp.zeros(len(attention), bool)

        def take(taken, _):
            number = (same & taken[None]).sum(1)
            nearest = jnp.max(jnp.where(same & taken[None], like, -1), axis=1)
            worth = mass**sharpness / (number + 1)
            best_crop = jnp.argmax(jnp.where(taken, -jnp.inf, worth))
            score = relative - diversity * nearest
            inside = same[best_crop] & ~taken
            chosen = jnp.argmax(jnp.where(inside, score, -jnp.inf))
            return taken.at[chosen].set(True), chosen

        return jax.lax.scan(take, taken, length=keep)[1], None

    return rule


def merging(seen: Seen, keep: int) -> Kept:
    """Keeps what the last token looks at, and averages each other token into the kept one that is most like it."""
    chosen = top(seen.attention, keep)
    stays = jnp.zeros(len(seen.attention), bool).at[chosen].set(True)
    home = jnp.argmax(_cosines(seen.hidden, seen.hidden[chosen]), axis=1)
    own = jnp.zeros(len(stays), home.dtype).at[chosen].set(jnp.arange(keep, dtype=home.dtype))
    member = jax.nn.one_hot(jnp.where(stays, own, home), keep, dtype=seen.hidden.dtype)
    return chosen, (member.T @ seen.hidden) / member.sum(0)[:, None]


def with_previous(previous: Float[Array, " patches"], share: float | int = 0.5):
    """A rule that keeps a share of the budget for what an earlier question looked at.

    Args:
        previous: Attention of the earlier question to all patches of the picture.
        share: Its part of the budget.

    Raises:
        ValueError: If the share is not in [0, 1], or a number is not finite.
    """
    check_in_range(share, "share", 0, 1)
    check_finite(previous, "previous")

    def rule(seen: Seen, keep: int) -> Kept:
        n_old = round(share * keep)
        old = previous[seen.places]
        first = top(old, n_old) if n_old else jnp.zeros(0, jnp.int32)
        # Above all others, in the order of their own choice: they stay whatever this question looks at.
        fresh = seen.attention.at[first].set(jnp.inf)
        return select_top(fresh, jnp.ones(fresh.shape, bool), keep).indices, None

    return rule


def evenly(seen: Seen, keep: int) -> Kept:
    """Keeps tokens at equal distances in the order of the patches, whatever they hold."""
    return jnp.asarray(
        np.floor((np.arange(keep) + 0.5) * len(seen.attention) / keep), jnp.int32
    ), None


def at_random(*, key: PRNGKeyArray):
    """A rule that keeps tokens by lot.

    Args:
        key: PRNG key.
    """

    def rule(seen: Seen, keep: int) -> Kept:
        check_at_least(keep, 1, "keep")
        return jax.random.permutation(key, len(seen.attention))[:keep], None

    return rule


def _cosines(a, b):
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)  # noqa: E731
    return unit(a) @ unit(b).T

"""Vectors of tokens, and the way back to logits where both share their weights.

Source: O. Press, L. Wolf, arXiv 1608.05859 (shared weights).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nn._checks import check_at_least, is_concrete


class Embedding(eqx.Module):
    """A table of vectors.

    Attributes:
        weight: One row for each token of the vocabulary.
    """

    weight: Float[Array, "vocabulary width"]

    def __call__(self, tokens: Int[Array, "*batch"]) -> Float[Array, "*batch width"]:
        """Vectors of tokens; NaN inside `jit` for a token that is not in the vocabulary.

        Raises:
            ValueError: If a token that can be looked at is not in the vocabulary.
        """
        size = self.weight.shape[0]
        if is_concrete(tokens):
            known = np.asarray(tokens)  # not jnp, which `jit` would stage
            if known.size and (known.min() < 0 or known.max() >= size):
                bad = known.min() if known.min() < 0 else known.max()
                raise ValueError(
                    f"`tokens` must lie in the vocabulary of {size}, but hold {bad}. "
                    "Count them from 0 with the tokeniser of this model."
                )
        # A negative index would count from the end.
        return jnp.take(
            self.weight,
            jnp.where(tokens < 0, size, tokens),
            axis=0,
            mode="fill",
            fill_value=jnp.nan,
        )

    def logits(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch vocabulary"]:
        """Products with all rows: the last layer of a model that shares the table."""
        return x @ self.weight.T


def make_embedding(
    vocabulary: int,
    width: int,
    *,
    key: PRNGKeyArray,
    scale: float | int = 0.02,
    dtype: Any = jnp.float32,
) -> Embedding:
    """A table of normal numbers with standard deviation `scale`.

    Raises:
        ValueError: If a size is below 1.
    """
    check_at_least(vocabulary, 1, "vocabulary")
    check_at_least(width, 1, "width")
    return Embedding(scale * jax.random.normal(key, (vocabulary, width), dtype))

"""Positive random features of the Performer: softmax attention in linear time, on average.

    exp(q.k) = E_w[ exp(w.q - |q|^2/2) exp(w.k - |k|^2/2) ],   w normal,

so that the mean over m directions w has no bias, and an error that falls as 1/sqrt(m). Positive features stay useful
where weights are small (trigonometric ones there are mostly noise), and directions that are orthogonal in blocks have
less variance than independent ones. K. Choromanski et al., arXiv 2009.14794, lemma 1 and section 2.4 (FAVOR+).
The ratio of two such means, which attention takes, has a bias of order 1/m.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nn._checks import check_at_least, check_axis
from nn.kernels.linear_recurrences import linear_attention


def orthogonal_directions(
    n_features: int, dim: int, *, key: PRNGKeyArray, dtype: Any = jnp.float32
) -> Float[Array, "n_features dim"]:
    """Directions w, each normal, orthogonal to the others in its block of `dim`.

    Args:
        n_features: m.
        dim: Size of queries and keys.
        key: PRNG key.
        dtype: Type of the result.

    Raises:
        ValueError: If a size is below 1.
    """
    check_at_least(n_features, 1, "n_features")
    check_at_least(dim, 1, "dim")
    blocks = -(-n_features // dim)
    turn_key, length_key = jax.random.split(key)
    # Rotations of uniform distribution, whose rows get the lengths of normal vectors.
    rows = jax.random.orthogonal(turn_key, dim, (blocks,), dtype).reshape(-1, dim)[:n_features]
    normal = jax.random.normal(length_key, (n_features, dim), dtype)
    return rows * jnp.linalg.norm(normal, axis=-1, keepdims=True)


def positive_features(
    x: Float[Array, "*batch _"],
    directions: Float[Array, "n_features dim"],
    *,
    shift: Float[Array, "*batch 1"] | Float[Array, ""] | float = 0.0,
) -> Float[Array, "*batch n_features"]:
    """exp(w.x - |x|^2/2 - shift) / sqrt(m): the mean of phi(q).phi(k) over directions is exp(q.k) without shifts.

    Args:
        x: Queries or keys.
        directions: w.
        shift: Taken off the exponent, against overflow.

    Raises:
        ValueError: If `x` is not of the size of the directions.
    """
    check_axis(x, "x", -1, directions.shape[-1], "It is the size of a direction.")
    return jnp.exp(_exponents(x, directions) - shift) / len(directions) ** 0.5


def performer_attention(
    queries: Float[Array, "*batch n key_heads _"],
    keys: Float[Array, "*batch n _ _"],
    values: Float[Array, "*batch n heads value_dim"],
    directions: Float[Array, "n_features dim"],
    *,
    causal: bool = True,
) -> Float[Array, "*batch n heads value_dim"]:
    """Softmax attention, logits q.k / sqrt(dim), by random features: the cost grows with the length, not its square.

    Good for logits of a few units: the spread of a feature grows as exp(|q + k|^2), and features of keys longer than
    about 13 dim^(1/4) vanish in single precision, which gives NaN.

    Args:
        queries: q; heads are shared as in `linear_recurrence`.
        keys: k.
        values: v.
        directions: w, the same for all heads.
        causal: Whether a query sees only keys up to its own.

    Raises:
        ValueError: If sizes do not fit, heads do not divide, or there is no token.
    """
    check_axis(queries, "queries", -1, directions.shape[-1], "It is the size of a direction.")
    check_axis(keys, "keys", -1, directions.shape[-1], "It is the size of a direction.")
    q, k = (x * x.shape[-1] ** -0.25 for x in (queries, keys))
    # A shift of each query cancels between the sum and its weights. One of keys would have to look at later ones; their
    # exponent is at most |w|^2/2, about dim/2, far from overflow.
    largest = _exponents(q, directions).max(axis=-1, keepdims=True)
    phi_q = positive_features(q, directions, shift=jax.lax.stop_gradient(largest))
    phi_k = positive_features(k, directions)
    return linear_attention(phi_q, phi_k, values, causal=causal)


def _exponents(x, directions):
    return x @ directions.T - (x * x).sum(axis=-1, keepdims=True) / 2

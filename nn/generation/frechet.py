"""Distances between two sets of pictures, by features of them: Frechet's, and the kernel distance.

    Frechet    |m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2)          of Gaussians with the moments of the features
    kernel     E k(x, x') + E k(y, y') - 2 E k(x, y),  k = (x.y / d + 1)^3   without bias

M. Heusel et al., arXiv 1706.08500; M. Binkowski et al., arXiv 1801.01401. The first is biased by the number of pictures
and means nothing without the features it was taken in, so a distance carries both. NumPy, double precision.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nn._checks import check_at_least, check_choice, check_finite

# (pictures, width); two sets may differ in both, and where they must not our own error says so.
Features = Float[np.ndarray, "_ _"]


class Distance(NamedTuple):
    """A distance and what it was taken from.

    Attributes:
        value: The distance, squared as customary.
        n_first: Pictures of the first set.
        n_second: Pictures of the second.
        width: Numbers in a feature.
        feature: Name of the features.
    """

    value: float
    n_first: int
    n_second: int
    width: int
    feature: str


def frechet_distance(
    first: Features, second: Features, *, feature: str, singular: str = "refuse"
) -> Distance:
    """Frechet distance of two sets of features.

    Args:
        first: Features of the first set.
        second: Features of the second.
        feature: Name of the features: numbers of different features do not compare.
        singular: What to do where a set has no more pictures than a feature has numbers, so that its covariance is
            singular: "refuse", or "shrink" it towards its mean variance by width / (n + width).

    Raises:
        ValueError: If the widths differ, a feature is not finite, there are too few pictures, or the word is unknown.
    """
    check_choice(singular, "singular", ("refuse", "shrink"))
    width = _check(first, second, 2)
    moments = []
    for name, features in (("first", first), ("second", second)):
        covariance = np.cov(features, rowvar=False).reshape(width, width)
        if len(features) <= width:
            if singular == "refuse":
                raise ValueError(
                    f"`{name}` must hold more pictures than a feature has numbers, but holds {len(features)} of width "
                    f'{width}: the covariance is singular. Take more, or say singular="shrink".'
                )
            share = width / (len(features) + width)
            mean = np.trace(covariance) / width
            covariance = (1 - share) * covariance + share * mean * np.eye(width)
        moments.append((features.mean(axis=0), covariance))
    (mean, covariance), (other, theirs) = moments
    values, axes = np.linalg.eigh(covariance)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    crossed = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ theirs @ root), 0)).sum()
    spread = np.trace(covariance) + np.trace(theirs) - 2 * crossed
    value = float(((mean - other) ** 2).sum() + spread)
    return Distance(value, len(first), len(second), width, feature)


def kernel_distance(first: Features, second: Features, *, feature: str) -> Distance:
    """Kernel distance with the cubic kernel, without bias; it may be negative.

    Args:
        first: Features of the first set.
        second: Features of the second.
        feature: Name of the features.

    Raises:
        ValueError: If the widths differ, a feature is not finite, or a set has fewer than two pictures.
    """
    width = _check(first, second, 2)
    kernel = lambda a, b: (a @ b.T / width + 1) ** 3  # noqa: E731
    within = 0.0
    for features in (first, second):
        n = len(features)
        table = kernel(features, features)
        within += (table.sum() - np.trace(table)) / (n * (n - 1))
    value = float(within - 2 * kernel(first, second).mean())
    return Distance(value, len(first), len(second), width, feature)


def bootstrap_distance(
    distance: Callable[..., Distance],
    first: Features,
    second: Features,
    *,
    feature: str,
    n_draws: int = 50,
    key: PRNGKeyArray,
    **options,
) -> Float[np.ndarray, " draws"]:
    """The distance of both sets drawn anew with replacement; their scatter is its standard error.

    Repeated pictures make the sets look less varied: the mean of the draws lies above the distance, and only their
    scatter is of use.

    Args:
        distance: `frechet_distance` or `kernel_distance`.
        first: Features of the first set.
        second: Features of the second.
        feature: Name of the features.
        n_draws: Draws.
        key: PRNG key.
        **options: For the distance.

    Raises:
        ValueError: If there are fewer than two draws, or as the distance.
    """
    check_at_least(n_draws, 2, "n_draws")
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), np.uint32)))
    found = []
    for _ in range(n_draws):
        drawn = (
            features[rng.integers(0, len(features), len(features))] for features in (first, second)
        )
        found.append(distance(*drawn, feature=feature, **options).value)
    return np.asarray(found)


def _check(first, second, least):
    """Width of the features."""
    for name, features in (("first", first), ("second", second)):
        check_at_least(len(features), least, name, "A covariance needs two pictures.")
        check_finite(features, name)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"`second` must have the width of `first`, {first.shape[1]}, but has {second.shape[1]}."
        )
    return first.shape[1]

"""Static activations of few bits by clusters of channels that lie side by side (RPTQ).

Channels of an activation differ in range by orders of magnitude, but each keeps its own. Those of like (smallest,
largest) form a cluster with one static range; channels are put in order of their clusters, so that a cluster is a
contiguous run and its scale a constant of the product. The order costs nothing: what writes the activation (a norm or
the map before) writes it in that order, and the next map has its rows in it,

    f(x) W = f(x)[order] W[order],      g(x V)[order] = g(x V[:, order])    for any g of each number alone.

Z. Yuan et al., arXiv 2304.01089 (2023). Clusters are k-means of (smallest, largest), as there; its start, channels at
equal steps in the order of their widths, and the number of its rounds are our choice.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nn._checks import check_at_least, check_axis, check_finite
from nn.compression.activation_ranges import Range
from nn.layers.linear import Dense
from nn.layers.normalisation import LayerNorm, RMSNorm

N_ROUNDS = 30  # At most; what no longer changes ends sooner.


class Clusters(NamedTuple):
    """Channels by like ranges.

    Attributes:
        order: Channels, cluster by cluster.
        sizes: Channels of each cluster.
        ends: Range of each channel in the order, that of its cluster.
    """

    order: Int[np.ndarray, " n"]
    sizes: Int[np.ndarray, " clusters"]
    ends: Range

    def unordered(self) -> Range:
        """Range of each channel where it was."""
        back = np.argsort(self.order)
        return Range(self.ends.low[back], self.ends.high[back])


def cluster_channels(x: Float[Array, "*samples n"], n_clusters: int) -> Clusters:
    """Clusters of the channels, the last axis, of calibration inputs.

    Args:
        x: Inputs.
        n_clusters: Clusters there are at most; more than channels gives each its own.

    Raises:
        ValueError: If a count is below 1, or `x` is empty or not finite.
    """
    check_at_least(n_clusters, 1, "n_clusters")
    check_at_least(x.size, 1, "x.size", "Calibration needs inputs.")
    check_finite(x, "x", "A range has to hold it.")
    rows = np.asarray(x).reshape(-1, x.shape[-1])
    ends = np.stack([np.minimum(rows.min(axis=0), 0), np.maximum(rows.max(axis=0), 0)], axis=1)
    owner = _k_means(ends, min(n_clusters, len(ends)))
    # Narrow clusters first; of one cluster in the order there was.
    order = np.argsort(owner, kind="stable")
    _, sizes = np.unique(owner, return_counts=True)
    first = np.cumsum(sizes) - sizes
    low = np.repeat(np.minimum.reduceat(ends[order, 0], first), sizes)
    high = np.repeat(np.maximum.reduceat(ends[order, 1], first), sizes)
    return Clusters(order, sizes, Range(jnp.asarray(low), jnp.asarray(high)))


class OrderedNorm(eqx.Module):
    """A normalisation that writes its channels in another order.

    Attributes:
        norm: The normalisation; its weights are in the order there was.
        order: Channel that each place gets.
    """

    norm: LayerNorm | RMSNorm
    order: Int[Array, " width"]

    def __call__(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        """Normalises the last axis and puts it in order."""
        return self.norm(x)[..., self.order]


def order_outputs(linear: Dense, order: Int[np.ndarray, " _"]) -> Dense:
    """The map whose output k is that of channel `order[k]`.

    Raises:
        ValueError: If `order` is no order of the outputs.
    """
    _check_order(order, linear.n_out)
    bias = None if linear.bias is None else linear.bias[order]
    return Dense(linear.weight[:, order], bias)


def order_inputs(linear: Dense, order: Int[np.ndarray, " _"]) -> Dense:
    """The map that takes inputs in the order.

    Raises:
        ValueError: If `order` is no order of the inputs.
    """
    _check_order(order, linear.n_in)
    return Dense(linear.weight[order], linear.bias)


def _check_order(order, n: int) -> None:
    check_axis(order, "order", 0, n, "One place for each channel.")
    if not np.array_equal(np.sort(order), np.arange(n)):
        raise ValueError(f"`order` must hold each channel from 0 to {n - 1} once, but does not.")


def _k_means(points: np.ndarray, k: int) -> Int[np.ndarray, " n"]:
    """Cluster of each point, numbered from the narrowest to the widest."""
    by_width = np.argsort(points[:, 1] - points[:, 0], kind="stable")
    centres = points[by_width[(np.arange(k) * 2 + 1) * len(points) // (2 * k)]]
    owner = None
    for _ in range(N_ROUNDS):
        distances = ((points[:, None] - centres[None]) ** 2).sum(axis=-1)
        new = distances.argmin(axis=1)
        if owner is not None and np.array_equal(new, owner):
            break
        owner = new
        # A cluster that lost all keeps its centre.
        centres = np.stack(
            [
                points[owner == i].mean(axis=0) if (owner == i).any() else centres[i]
                for i in range(k)
            ]
        )
    rank = np.argsort(np.argsort(centres[:, 1] - centres[:, 0], kind="stable"))
    return rank[owner]
